"""Commands `derain` and `synthesize`, with a stand-in for the restorer."""

import json
from unittest import mock

import numpy as np
import pytest
from commands import Darkener, picture
from PIL import Image


def test_derain_prints_a_summary_to_stderr(folder, run):
    picture(folder / "a.png")
    code, out, err = run("derain", "a.png", "--out", "b.png")
    assert (code, out) == (0, "") and (folder / "b.png").exists()
    (line,) = err
    assert line.startswith("1 derained, 0 skipped, 0 failed, ")


def test_derain_passes_its_options_on(folder, run):
    picture(folder / "in" / "deep" / "a.png")
    (folder / "some").mkdir()
    (folder / "some" / "model.tflite").touch()
    options = ["--recursive", "--compare", "--format", "webp", "--model", "some"]
    options += ["--tile", "256", "--overlap", "16", "--threads", "3"]
    options += ["--scales", "2", "--best"]
    code, _, err = run("derain", "in", "--out", "out", *options)
    assert code == 0, err
    assert sorted(path.name for path in (folder / "out" / "deep").iterdir()) == [
        "a.compare.png",
        "a.webp",
    ]
    settings = {"tile": 256, "overlap": 16, "threads": 3, "scales": 2, "best": True}
    assert Darkener.made == ("some", "litert", settings)
    code, _, err = run("derain", "in", "--out", "out", "-r", "--skip-existing")
    assert err[-1].startswith("1 derained, 0 skipped"), "a.png was not there yet"
    code, _, err = run("derain", "in", "--out", "out", "-r", "--skip-existing")
    assert code == 0 and err[-1].startswith("0 derained, 1 skipped")


@pytest.mark.parametrize(
    "model, asked, chosen",
    [
        ("menet", (), "litert"),
        ("own.keras", (), "tensorflow"),
        ("runs/own", (), "tensorflow"),
        ("own.tflite", (), "litert"),
        ("menet", ("--runtime", "tensorflow"), "tensorflow"),
    ],
)
def test_the_runtime_suits_the_model(folder, run, model, asked, chosen):
    picture(folder / "a.png")
    (folder / "runs" / "own").mkdir(parents=True)
    for file in ("runs/own/best.keras", "own.keras", "own.tflite"):
        (folder / file).touch()
    assert run("derain", "a.png", "--out", "b.png", "--model", model, *asked)[0] == 0
    assert Darkener.made[:2] == (model, chosen)


def test_files_that_fail_give_exit_code_1(folder, run):
    picture(folder / "in" / "a.png")
    (folder / "in" / "b.png").write_text("no picture")
    code, _, err = run("derain", "in", "--out", "out")
    assert code == 1 and (folder / "out" / "a.png").exists()
    error, summary = err
    assert error.startswith("error: ") and "b.png" in error
    assert summary.startswith("1 derained, 0 skipped, 1 failed, ")


def test_pictures_that_are_left_out_give_exit_code_1(folder, run):
    picture(folder / "in" / "a.png")
    (folder / "in" / "b.psd").write_text("of another program")
    code, _, err = run("derain", "in", "--out", "out", "--json", "numbers.json")
    assert code == 1 and (folder / "out" / "a.png").exists()
    assert err[0].startswith("1 derained, 0 skipped, 0 failed, 1 left out, ")
    assert err[1].startswith("left out: 1, first in/b.psd: ")
    numbers = json.loads((folder / "numbers.json").read_text())
    assert numbers["left_out"] == [["in/b.psd", "tfderain does not read such files"]]


def test_synthesize_makes_pairs_from_a_seed(folder, run):
    picture(folder / "in" / "a.png", size=(40, 32))
    options = ["--kind", "light", "--seed", 5, "--copies", 2]
    for output in ("one", "two"):
        code, out, err = run("synthesize", "in", "--out", output, *options)
        assert (code, out) == (0, "") and err[-1].startswith("1 made rainy")
    for name in ("rainy/a_1.png", "rainy/a_2.png", "clean/a.png"):
        assert (folder / "one" / name).read_bytes() == (
            folder / "two" / name
        ).read_bytes()
    code, _, err = run("synthesize", "in", "--out", "one", *options)
    assert code == 1 and "--overwrite" in err[0]


def test_synthesize_keeps_the_night_as_the_clean_picture(folder, run):
    day = picture(folder / "in" / "a.png", value=150, size=(40, 32))
    code, _, err = run(
        "synthesize", "in", "--out", "out", "--kind", "night", "--copies", 2
    )
    assert code == 0, err
    clean, one, two = (
        np.asarray(Image.open(folder / "out" / name), float)
        for name in ("clean/a.png", "rainy/a_1.png", "rainy/a_2.png")
    )
    assert np.abs(one - two).max() > 5  # two rains on one night
    assert np.asarray(Image.open(day)).mean() == 150 > 2 * np.median(clean)
    drops = run(
        "synthesize", "in", "--out", "wet", "--kind", "drops", "--style", "real"
    )
    assert drops[0] == 2 and "light, medium, heavy, veil, mixed" in drops[2][0]


def test_synthesize_mixes_in_streak_pictures(folder, run):
    picture(folder / "in" / "a.png", size=(40, 32))
    picture(folder / "streaks" / "s.png", size=(64, 64))
    with mock.patch("tfderain.batch.run.POOL_COUNT", 4):  # rendering 48 takes seconds
        code, _, err = run("synthesize", "in", "--out", "out", "--streaks", "streaks")
    assert code == 0, err
    assert (folder / "out" / "rainy" / "a.png").exists()


def test_models_come_one_after_the_other(folder, run):
    picture(folder / "a.png", value=200)
    for name in ("one.tflite", "two.tflite"):
        (folder / name).touch()
    models = ("--model", "one.tflite", "--model", "two.tflite")
    code, _, err = run("derain", "a.png", "--out", "b.png", *models)
    assert code == 0, err
    assert Darkener.made[0] == "two.tflite"
    with Image.open(folder / "b.png") as image:
        twice = image.getpixel((0, 0))
    run("derain", "a.png", "--out", "c.png", "--model", "one.tflite")
    run("derain", "c.png", "--out", "d.png", "--model", "two.tflite")
    with Image.open(folder / "d.png") as image:
        assert image.getpixel((0, 0)) == twice


def test_masks_need_a_network_for_drops(folder, run):
    picture(folder / "a.png")
    code, _, err = run("derain", "a.png", "--out", "b.png", "--mask", "masks")
    assert code == 2 and "finds drops on the glass" in err[-1]
    assert not (folder / "b.png").exists() and not (folder / "masks").exists()
