"""Commands `derain` and `synthesize`, with a stand-in for the restorer."""

import json
from unittest import mock

import av
import films
import numpy as np
import pytest
from commands import Darkener, picture
from PIL import Image

from tfderain import video


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


def test_films_take_their_own_options(folder, run):
    (folder / "in").mkdir()
    films.write(folder / "in" / "a.mp4", 4)
    options = ["--codec", "libx265", "--quality", 30, "--pixel-format", "yuv444p"]
    code, _, err = run("derain", "in", "--out", "out", *options, "--temporal", 1)
    assert code == 0, err
    with av.open(str(folder / "out" / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("hevc", "yuv444p")
    for wrong, message in (
        (["--codec", "h26x"], "`codec` must be an encoder of films"),
        (["--pixel-format", "rgb1"], "`pixel_format` must be one that libx264 takes"),
        (["--codec", "ffv1", "--quality", 3], "`quality` needs one of libx264"),
    ):
        code, _, err = run("derain", "in/a.mp4", "--out", "b.mkv", *wrong)
        assert code == 1 and message in err[0], err
        assert not (folder / "b.mkv").exists()


def test_a_truncated_film_gives_exit_code_1(folder, run):
    source = films.write(folder / "a.mkv", 50, sound=None)
    content = source.read_bytes()
    source.write_bytes(content[: len(content) // 2])
    code, _, err = run("derain", "a.mkv", "--out", "b.mkv")
    assert code == 1 and (folder / "b.mkv").exists()
    assert err[0].startswith("warning: a.mkv: ") and "missing" in err[0]
    assert "1 in part only" in err[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rtsp://127.0.0.1/a"], "goes to --out FILE, --out - or --preview PORT"),
        (["rtsp://127.0.0.1/a", "b.png", "--out", "c.mkv"], "One camera or stream"),
        (["a.png", "--out", "b.png", "--preview", 0], "--preview is for cameras"),
        (["udp://127.0.0.1:9", "--out", "c.png"], "A film must end in .mp4"),
    ],
)
def test_live_sources_have_outputs_of_their_own(folder, run, arguments, message):
    picture(folder / "a.png")
    code, _, err = run("derain", *arguments)
    assert code == 2 and message in err[-1]


@pytest.mark.parametrize(
    "more", [["--mask", "masks"], ["--model", "menet", "--model", "resunet"]]
)
def test_live_sources_take_one_model_and_no_mask(folder, run, more):
    arguments = ["rtsp://127.0.0.1/a", "--out", "c.mkv", *more]
    code, _, err = run("derain", *arguments)
    assert code == 2 and "take one --model and no --mask" in err[-1]
    assert " ".join(more) in err[-1] and not (folder / "c.mkv").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--mask", "masks"], "Masks are written of pictures, not of films"),
        (["--model", "menet", "--model", "resunet"], "Films take one model at a time"),
    ],
)
def test_films_take_one_model_and_no_mask(folder, run, more, message):
    films.write(folder / "a.mkv", 3, sound=None)
    code, _, err = run("derain", "a.mkv", "--out", "b.mkv", *more)
    assert code == 2 and message in err[-1] and len(err) == 1
    assert not (folder / "b.mkv").exists()


def test_a_live_source_is_derained_until_it_ends(folder, run, monkeypatch):
    films.write(folder / "in.mkv", 6, sound=None)
    monkeypatch.setattr(video.live, "is_live", lambda source: True)
    monkeypatch.setattr(video.formats, "is_live", lambda source: source == "in.mkv")
    code, _, err = run("derain", "in.mkv", "--out", "out.mkv", "--preview", 0)
    assert code == 0, err
    assert err[0].startswith("preview: http://127.0.0.1:")
    assert " frames derained, " in err[-1] and err[-1].endswith(" ms late")
    assert films.frames(folder / "out.mkv")
    code, _, err = run("derain", "in.mkv", "--out", "out.mkv")
    assert code == 2 and "--overwrite" in err[0]
