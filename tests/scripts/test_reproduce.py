"""scripts/reproduce.py: the command line's numbers, in the right cells, only once."""

import importlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfderain import cli, evaluation, presets
from tfderain.benchmarks import timing
from tfderain.cli import console
from tfderain.cli import evaluate as command

ROOT = Path(__file__).parents[2]
README = """Text.

<!-- begin scores -->

| test set | pairs | `jrgr` | `menet` | gone |
|---|---|---|---|---|
| Rain100L | 9 | 1.00 dB, 0.1000 | 2.00 dB, 0.2000 | x |
| Rain100H | 9 | 3.00 dB, 0.3000 | 4.00 dB, 0.4000 | x |

<!-- end scores -->
"""


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(ROOT / "scripts"))
    yield importlib.import_module("reproduce")
    sys.path.remove(str(ROOT / "scripts"))


@pytest.fixture
def folder(tmp_path):
    """Two pairs of a set, and a README whose numbers are old."""
    rng = np.random.default_rng(0)
    for number in ("1", "2"):
        clean = rng.integers(60, 120, (24, 32, 3), dtype=np.uint8)
        rainy = clean.copy()
        rainy[:, ::8] += 90
        for name, pixels in (("rainy", rainy), ("clean", clean)):
            path = tmp_path / "sets" / "Rain100L" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    (tmp_path / "README.md").write_text(README, encoding="utf-8")
    return tmp_path


def run(script, folder, *arguments):
    options = ["--data", str(folder / "sets"), "--root", str(folder)]
    options += ["--cache", str(folder / "new" / "cache.json"), "--only", "scores"]
    return script.main([*options, "--preset", "jrgr", *arguments])


def cells(script, folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    return script.marks.read_table(script.marks.part(text, "scores"))


def test_the_table_gets_the_numbers_of_the_command_line(
    script, folder, monkeypatch, capsys
):
    assert run(script, folder, "--check") == 1
    assert (folder / "README.md").read_text(encoding="utf-8") == README
    assert "+| Rain100L | 2 |" in capsys.readouterr().out
    assert run(script, folder) == 0
    words = ["evaluate", "jrgr", "--data", str(folder / "sets" / "Rain100L")]
    assert console.run(cli.app, [*words, "--json", str(folder / "s.json")]) == 0
    means = json.loads((folder / "s.json").read_text())["means"]
    found = cells(script, folder)
    light, heavy = found["Rain100L",], found["Rain100H",]
    assert light["`jrgr`"] == f"{means['psnr']:.2f} dB, {means['ssim']:.4f}"
    rainy = f"{means['input_psnr']:.2f} dB, {means['input_ssim']:.4f}"
    assert (light["rainy"], light["pairs"]) == (rainy, "2")
    assert light["protocol"] == "`matlab_y_float` (Y)"
    # not asked for, no data, and not known before
    assert light["`menet`"] == "2.00 dB, 0.2000" and "gone" not in light
    assert (heavy["`jrgr`"], heavy["`menet`"]) == ("3.00 dB, 0.3000", "4.00 dB, 0.4000")
    assert light["`erlnet`"] == "–"
    clean = found[script.TITLES[script.CLEAN],]
    assert clean["rainy"] == "unchanged" and clean["`jrgr`"].endswith(
        tuple("0123456789")
    )
    assert set(presets.available()) <= {title.strip("`") for title in light}

    # the same again measures nothing, another image does
    asked = []
    score_one = command.score_one

    def watched(models, sets, *rest, **settings):
        asked.append((list(sets), settings["identity"]))
        return score_one(models, sets, *rest, **settings)

    monkeypatch.setattr(command, "score_one", watched)
    assert run(script, folder, "--check") == 0 and asked == []
    assert run(script, folder, "--check", "--fresh", "--set", "Rain100L") == 0
    assert asked == [(["Rain100L"], False)]
    image = folder / "sets" / "Rain100L" / "rainy" / "1.png"
    shutil.copy(folder / "sets" / "Rain100L" / "rainy" / "2.png", image)
    importlib.import_module("reproduce_work").fingerprint.cache_clear()
    assert run(script, folder, "--check", "--set", "Rain100L") == 1
    assert asked[1:] == [(["Rain100L"], False)]


def test_a_card_with_another_score_is_named(script, monkeypatch, capsys):
    rows = (evaluation.Row("1.png", 24.4, 0.7, 24.0, 0.7, 0.1),)
    result = evaluation.Result("p", "rgb_gaussian", "GT-Rain", rows, {})
    score = {"set": "GT-Rain", "protocol": "rgb_gaussian", "count": 1, "psnr": 24.81}
    others = [score | {"count": 8}, score | {"protocol": "matlab_y_float"}]

    def note(psnr):
        scores = [score | {"psnr": psnr}, *others]
        monkeypatch.setattr(presets, "available", lambda: {"p": {"scores": scores}})
        script.compare_card("p", "GT-Rain", result)
        return capsys.readouterr().err

    assert note(24.81) == "note: p on GT-Rain: card 24.81, now 24.40 dB\n"
    assert note(24.404) == ""
    assert script.compare_card("p", "GT-Rain", None) is None


def test_every_part_is_in_its_file_and_every_mark_has_a_part(script):
    texts = {path: path.read_text("utf-8") for path in (ROOT / "docs").rglob("*.md")}
    texts[ROOT / "README.md"] = (ROOT / "README.md").read_text("utf-8")
    found = {
        name: path.relative_to(ROOT).as_posix()
        for path, text in texts.items()
        for name in script.marks.names(text)
    }
    assert found == {name: file for name, (file, _) in script.PARTS.items()}


def test_tables_of_the_repository_have_the_rows_that_are_rewritten(
    script, folder, monkeypatch
):
    """A row or column of another name would lose its numbers."""
    work = worker(script, folder)
    monkeypatch.setattr(type(work), "form", lambda *of: None)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in ("scores", "jrgr", "forms", "speed"):
        rows = script.PARTS[name][1](work)
        old = script.marks.read_table(script.marks.part(text, name), rows.keys)
        new = script.marks.read_table(
            rows.render(script.marks.part(text, name)), rows.keys
        )
        lost = {key: row for key, row in old.items() if key not in new}
        assert not lost, name
        for key, row in old.items():
            for title, cell in row.items():
                assert new[key].get(title) == cell or title == "protocol", (key, title)


def worker(script, folder, **settings):
    work = importlib.import_module("reproduce_work")
    cache = work.Cache(folder / "cache.json")
    (folder / "none").mkdir(exist_ok=True)
    return work.Work(folder / "none", cache, folder, sets=["SIRR20"], **settings)


def test_forms_that_ship_are_described_by_the_card(script, folder, monkeypatch):
    work = worker(script, folder, presets=["jrgr"])
    record = {"bytes": 1_250_000, "largest_difference": 0.00042}
    made = []
    monkeypatch.setattr(
        type(work), "_export", lambda self, *of: made.append(of) or record
    )
    rows = {row[1]: row[2:] for row in script.forms_of(work, "jrgr")}
    preset = presets.find("jrgr")
    total = sum(f.stat().st_size for f in (preset / "1").rglob("*") if f.is_file())
    assert rows["SavedModel"][0] == f"{total / 1e6:.1f} MB"
    size = (preset / "model_int8.tflite").stat().st_size
    assert rows["LiteRT int8"][0] == f"{size / 1e6:.1f} MB"
    difference = presets.read_card(preset)["files"]["model.tflite"]
    assert float(rows["LiteRT float32"][1]) == pytest.approx(
        difference["largest_difference"],
        rel=0.5,  # one digit is shown
    )
    assert rows["ONNX"] == ["1.2 MB", "4e-4", None, None, None]
    targets = ["litert_float16", "litert_dynamic_int8", "onnx"]
    assert made == [("jrgr", target) for target in targets]
    list(script.forms_of(work, "jrgr"))
    assert len(made) == 3  # known now
    assert not any(filter(None, next(script.forms_of(work, "menet"))[2:]))


def test_times_are_measured_only_if_asked(script, folder, monkeypatch):
    times = importlib.import_module("reproduce_times")
    calm = worker(script, folder)
    assert times.photo(calm) is times.growth(calm) is times.profile(calm) is None
    assert all(row[1:] == [None] * 3 for row in times.speed(calm).rows)
    work = worker(script, folder, times=True)

    def time_models(models, size, repeats=None):
        return [
            timing.Timing(name, "litert", size, 1.0, (0.001 * n,))
            for n, name in enumerate(models, 101)
        ]

    monkeypatch.setattr(timing, "time_models", time_models)
    monkeypatch.setattr(type(work), "restorer", lambda *of, **settings: None)
    assert times.photo(work) == "101, 102, 103 and 104 ms"
    row = {"tfderain": "7 ms", "PyTorch": "", "ratio": ""}
    monkeypatch.setattr(times, "benchmarked", lambda work: {times.STEP: row})
    rows = {row[0]: row[1:] for row in times.speed(work).rows}
    assert rows["the same without"] == ["7 ms", None, None]
    assert rows["`import tfderain`"] == [None] * 3


def test_words_for_the_text(script, folder, monkeypatch):
    work = worker(script, folder)
    assert script.best(work) is script.int8(work) is script.sizes(work) is None
    differences = [(0.84, 0.0021), (1.0, 0.0134)]
    monkeypatch.setattr(work.cache, "get", lambda key, measure: differences)
    assert script.tiling(work) == (
        "0.84 grey levels of 255, 0.002 on average (`--tile 512`: 1.00 and 0.013"
    )


def test_rounded_and_truncated_share_one_network(script):
    work = importlib.import_module("reproduce_work")
    asked = []

    class Network:
        def derain(self, image):
            asked.append(image.dtype)
            return np.full_like(image, 99.75 / 255)

    network = work.Remembering(Network())
    image = np.zeros((2, 3, 3), np.uint8)
    assert (work.Truncated(network).derain(image) == 99).all()
    assert (np.rint(255 * work.Rounded(network).derain(image)) == 100).all()
    assert asked == [np.float32]


def test_scores_depend_on_code_and_not_on_its_words(script, tmp_path, monkeypatch):
    work = importlib.import_module("reproduce_work")
    monkeypatch.setattr(work, "PACKAGE", tmp_path)

    def digest(text):
        (tmp_path / "room.py").write_text(text)
        work.code.cache_clear()
        return work.code("room.py")

    first = digest('"""One."""\ndef f():\n    """Two."""\n    return 1  # three\n')
    assert digest("def f():\n    return 1\n") == first
    assert digest("def f():\n    return 2\n") != first
    work.code.cache_clear()
