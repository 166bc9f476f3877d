"""Figures of drops: those of a pair that was drawn by hand, and the whole script."""

import importlib.util
import pathlib

import numpy as np
import pytest
from PIL import Image

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "judge_drops.py"


@pytest.fixture(scope="module")
def judge():
    spec = importlib.util.spec_from_file_location("judge_drops", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_figures_by_hand(judge):
    clean = np.full((128, 128, 3), 90, np.uint8)
    wet = clean.copy()
    for top, left in ((20, 20), (20, 80), (80, 40)):
        wet[top : top + 24, left : left + 24] += 60
    found = judge.figures(wet, clean)
    assert found["count"] == 3
    # the blur by 2 pixels moves the edge at 14 of 60 levels outwards by 1.5
    assert found["diameter"] == pytest.approx(2 * 24 / np.pi**0.5, abs=4)
    assert found["area"] == pytest.approx(3 * 27**2 / 128**2, abs=0.02)
    assert 40 < found["lift"] <= 60 and found["bright"] == 1
    dry = judge.figures(clean, clean)
    assert dry["area"] == dry["count"] == 0 and "lift" not in dry


def test_the_script_prints_a_line_for_each_figure(judge, tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name in "ab":
        coarse = rng.integers(0, 255, (8, 8, 3)).astype(np.uint8)
        Image.fromarray(coarse).resize((270, 260)).save(tmp_path / f"{name}.png")
    strip = tmp_path / "strip.jpg"
    judge.main(["--clean", str(tmp_path), "--count", "2", "--strip", str(strip)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(judge.TITLES) and "defocused" in lines[0]
    with Image.open(strip) as image:
        assert image.size == (512, 512)
