"""Densities by hand, the proportions asked for, and the folder that is written."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from tfderain import cli
from tfderain.cli import console
from tfderain.data import balance, pipeline


def test_density_by_hand():
    clean = np.zeros((1, 2, 3), np.float32)
    rainy = clean.copy()
    clean[0, 0] = 0.2, 0.4, 0.1
    rainy[0, 0] = 0.5, 0.4, 0.2
    # 0.3 of 0.5 + 0.4 at the first pixel, nothing at the second; float32
    assert balance.density(rainy, clean) == pytest.approx(0.3 / 0.901 / 2, rel=1e-5)
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    assert balance.density(white, black) == pytest.approx(1 / 1.001)


def test_bounds_belong_to_the_lower_bin():
    assert balance.counts([0.0, 0.04, 0.05, 0.08, 0.081, 0.9]).tolist() == [2, 2, 2]


def test_proportions_of_references_count_alike():
    few, many = [0.01, 0.9], [0.05] * 30
    assert balance.mean_proportions([few, many]) == (0.25, 0.5, 0.25)
    # Rain13K and GT-Rain as published
    published = np.mean([(0.034, 0.267, 0.699), (0.038, 0.194, 0.768)], axis=0)
    np.testing.assert_allclose(balance.GTAV_BALANCE, published, atol=1e-9)


def test_gtav_crops_give_gtav_balance():
    # the crops' proportions; dense rain runs out first and is kept whole
    found = np.repeat([0.02, 0.06, 0.5], [29_220, 21_780, 9_000])
    chosen = balance.choose(found, seed=3)
    kept = balance.counts(found[chosen])
    # 12,321 were published, of other, rounded proportions
    assert kept[2] == 9_000 and 12_200 < len(chosen) < 12_400
    shares = kept / len(chosen)
    np.testing.assert_allclose(shares, balance.GTAV_BALANCE, atol=1e-4)  # whole pairs
    assert len(set(chosen)) == len(chosen)
    np.testing.assert_array_equal(chosen, balance.choose(found, seed=3))
    assert not np.array_equal(chosen, balance.choose(found, seed=4))


def test_what_cannot_be_balanced():
    found = np.array([0.01, 0.01, 0.5])
    with pytest.raises(ValueError, match=r"counts=\(2, 0, 1\)"):
        balance.choose(found)
    with pytest.raises(ValueError, match="3 proportions"):
        balance.choose(found, (1, 2))
    # a bin that nobody wants may be empty
    np.testing.assert_array_equal(balance.choose(found, (2, 0, 1)), [0, 1, 2])


@pytest.fixture
def folder(tmp_path):
    """Pairs of the densities 0, 0.053 and 0.33: four, two and one of them."""
    for number, level in enumerate((100, 100, 100, 100, 111, 111, 200)):
        for side, value in (("rainy", level), ("clean", 100)):
            path = tmp_path / "pairs" / side / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((4, 5, 3), value, np.uint8)).save(path)
    return tmp_path


def run(*arguments):
    return console.run(cli.app, [str(argument) for argument in arguments])


def test_command_writes_links_or_copies(folder, capsys):
    command = ("data", "balance", "--data", folder / "pairs", "--target", "2,2,1")
    assert run(*command, "--out", folder / "links") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-5:] for line in lines[2:5]] == [
        ["4", "0.571", "2", "0.400", "0.400"],
        ["2", "0.286", "2", "0.400", "0.400"],
        ["1", "0.143", "1", "0.200", "0.200"],
    ]
    found = pipeline.find_pairs(folder / "links")
    assert len(found) == 5 and all(os.path.islink(path) for path in found.rainy)
    dense = pipeline.read_pair(found, 4)
    assert dense[0].max() == 200 and dense[1].max() == 100
    assert run(*command, "--out", folder / "copies", "--copy") == 0
    assert not os.path.islink(pipeline.find_pairs(folder / "copies").clean[0])
    assert run(*command, "--out", folder / "links") == 2
    assert "must be empty" in capsys.readouterr().err


def test_command_writes_its_numbers_and_replaces_only_its_own_pairs(folder, capsys):
    command = ("data", "balance", "--data", folder / "pairs", "--target", "2,2,1")
    command += ("--out", folder / "out", "--json", folder / "balance.json")
    assert run(*command) == 0
    assert json.loads((folder / "balance.json").read_text()) == {
        "bounds": [0.04, 0.08],
        "before": [4, 2, 1],
        "after": [2, 2, 1],
        "target": [0.4, 0.4, 0.2],
    }
    assert run(*command) == 2
    assert "--overwrite" in capsys.readouterr().err
    stale = folder / "out" / "rainy" / "000099_old.png"
    stale.write_bytes(b"")
    assert run(*command, "--overwrite") == 0
    assert not stale.exists() and len(pipeline.find_pairs(folder / "out")) == 5
    kept = folder / "out" / "clean" / "mine.txt"
    kept.write_text("not a pair")
    assert run(*command, "--overwrite") == 2
    assert "must be empty" in capsys.readouterr().err and kept.exists()


def test_command_takes_the_proportions_of_others(folder, capsys):
    command = ("data", "balance", "--data", folder / "pairs", "--out", folder / "out")
    assert run(*command, "--like", folder / "pairs") == 0
    assert len(pipeline.find_pairs(folder / "out")) == 7
    assert run(*command, "--like", folder, "--target", "1,1,1") == 2
    assert run(*command, "--target", "many") == 2
    assert "must be numbers" in capsys.readouterr().err


def test_side_by_side_files_stay_so(folder):
    file = folder / "wide" / "a.png"
    file.parent.mkdir()
    Image.fromarray(np.zeros((4, 10, 3), np.uint8)).save(file)
    pairs = pipeline.find_pairs(folder / "wide", "left_clean")
    balance.write_folder(pairs, folder / "kept")
    again = pipeline.find_pairs(folder / "kept", "left_clean")
    assert [os.path.basename(path) for path in again.rainy] == ["000000_a.png"]
