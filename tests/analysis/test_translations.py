"""Figures of JRGR."""

import numpy as np
import pytest
from helpers import SMALL_JRGR, images, jrgr_that_rains
from PIL import Image
from short_runs import write_pairs

from tfderain import cli, models
from tfderain.analysis import translations
from tfderain.cli import console
from tfderain.models import jrgr


@pytest.fixture(scope="module")
def model():
    return jrgr_that_rains()


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("jrgr") / "jrgr.keras"
    model.save(path)
    return path


def test_figure_6(model, tmp_path):
    synthetic, real = images(40, 52, 3), images(48, 44, 3, seed=1)
    made = translations.figure_6(model, synthetic, real, tmp_path / "six.png")
    cut = real[4:44, :]
    # `derain` pads to the stride like `pictures`; float32.
    np.testing.assert_allclose(made["real_derained"], model.derain(cut), atol=1e-6)
    whole = (made["real_derained"] > 0) & (made["real_derained"] < 1)  # not clipped
    rain = cut - made["real_derained"]
    np.testing.assert_allclose(made["real_rain"][whole], rain[whole], atol=1e-6)
    assert whole.mean() > 0.5
    with Image.open(tmp_path / "six.png") as picture:
        assert picture.size == (5 * 44 + 4 * 8, 2 * 40 + 8)
        first = np.asarray(picture)[:40, :44]
    np.testing.assert_array_equal(first, np.uint8(cut * 255 + 0.5))


def test_figure_9(model, tmp_path):
    other = models.CycleGAN(filters=2, num_blocks=1, stage="deploy")
    synthetic, real = images(40, 44, 3), images(40, 44, 3, seed=1)
    path = tmp_path / "nine.png"
    made = translations.figure_9([other, model], synthetic, real, path)
    assert len(made) == 2
    derained = np.asarray(other(synthetic[None]))
    rained = np.asarray(other.rain_on(derained))[0]
    with Image.open(path) as picture:
        assert picture.size == (5 * 44 + 4 * 8, 2 * 40 + 8)
        last = np.asarray(picture)[:40, -44:]
    # CycleGAN's row comes first; rounded to 255 levels
    np.testing.assert_allclose(last / 255, rained, atol=0.51 / 255)
    with pytest.raises(ValueError, match="Received: MENET"):
        translations.figure_9([models.MENET(1, filters=8)], synthetic, real, path)


def test_figure_7(model, tmp_path):
    synthetic = [images(24, 32, 3), images(40, 28, 3, seed=1)]
    made = translations.figure_7(model, synthetic, tmp_path / "seven.png")
    for image, rainy in zip(synthetic, made, strict=True):
        rain = image - np.asarray(model.pictures(image[None], image[None])[
            "synthetic_derained"
        ])[0]  # fmt: skip
        assert rainy.shape == image.shape and not np.allclose(rainy, image - rain)
    with Image.open(tmp_path / "seven.png") as picture:
        assert picture.size == (2 * 32 + 8, 24 + 8 + 40)
    # three of one size in a row
    made = translations.figure_7(model, synthetic[:1] * 4, tmp_path / "four.png")
    with Image.open(tmp_path / "four.png") as picture:
        assert picture.size == (6 * 32 + 5 * 8, 24 + 8 + 24)
        pixels = np.asarray(picture)
    # rounded to 255 levels
    np.testing.assert_allclose(pixels[:24, 200:] / 255, made[2], atol=0.51 / 255)


def test_figure_10(model, tmp_path):
    backgrounds, photos = [images(20, 30, 3), images(24, 16, 3)], [images(18, 26, 3)]
    path = tmp_path / "ten.png"
    translations.figure_10([model, model], backgrounds, photos, path)
    with Image.open(path) as picture:
        assert picture.size == (3 * 26 + 2 * 8, 18 + 8 + 18)
        pixels = np.asarray(picture)
    # each background above the column of its model
    assert (pixels[:18, :26] == 255).all()
    for left, image in ((34, backgrounds[0]), (68, backgrounds[1])):
        cell = pixels[:18, left : left + 26] / 255
        # the mean of noise, cut and resized: far from white, near its own
        assert abs(cell.mean() - image.mean()) < 0.05
    # rounded to 255 levels
    derained = pixels[26:44, 34:60] / 255
    np.testing.assert_allclose(derained, model.derain(photos[0]), atol=0.51 / 255)
    with pytest.raises(ValueError, match="2 models, 1 backgrounds"):
        translations.figure_10([model, model], backgrounds[:1], photos, path)


def test_rain_layers_and_their_places(model, tmp_path):
    synthetic = [images(40, 52, 3, seed=n) for n in range(5)]
    real = [0.5 * images(44, 40, 3, seed=n) for n in range(4)]
    layers = translations.rain_layers(model, synthetic, real, size=32)
    assert {x.shape for x in layers.values()} == {(4, 32, 32, 3)}
    # Two clusters far apart stay apart in the plane: the nearest place of each is of
    # its own cluster. Distances say nothing there, changes of 1e-7 alter them.
    layers["made_real_rain"] = layers["real_rain"] + 50
    places = translations.tsne(layers)
    assert {x.shape for x in places.values()} == {(4, 2)}
    points = np.concatenate(list(places.values()))
    far = np.repeat([name == "made_real_rain" for name in places], 4)
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    np.fill_diagonal(distances, np.inf)
    np.testing.assert_array_equal(far[distances.argmin(axis=1)], far)
    figure = translations.draw_layers(places, tmp_path / "eight.png")
    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert names == [name.replace("_", " ") for name in translations.LAYERS]
    with Image.open(tmp_path / "eight.png") as picture:
        assert picture.size[0] > 400


def test_what_cannot_be_drawn(model):
    with pytest.raises(ValueError, match="at least 64x64 pixels. Received: 32x40"):
        translations.rain_layers(model, [images(40, 32, 3)], [images(64, 64, 3)], 64)
    with pytest.raises(ValueError, match="both kinds. Received: 0"):
        translations.rain_layers(model, [], [images(64, 64, 3)])
    with pytest.raises(ValueError, match="Received: MENET"):
        translations.figure_6(models.MENET(1, filters=8), None, None)
    with pytest.raises(ValueError, match="stage='pretrain'"):
        jrgr.check_networks(models.JRGR(**SMALL_JRGR, stage="pretrain"))
    with pytest.raises(ValueError, match="five layers. Received: 2"):
        translations.tsne({"real_rain": np.zeros((2, 3))})


def run(*arguments):
    """The exit code of a command."""
    return console.run(cli.app, [str(argument) for argument in arguments])


def test_commands(saved, tmp_path, capsys):
    pairs = write_pairs(tmp_path / "data", count=3, size=(140, 150))
    photo, out = pairs / "rainy" / "0.png", tmp_path / "pictures"
    given = ("analyze", "jrgr", saved, "--synthetic")
    assert run(*given, photo, "--real", photo, "--out", out / "6.png") == 0
    folders = (pairs / "clean", "--real", pairs / "rainy", "--figure", "layers")
    assert run(*given, *folders, "--out", out / "8.png") == 0
    files = (photo, "--real", photo, "--figure", "comparison", "--out", out / "9.png")
    assert run("analyze", "jrgr", saved, saved, "--synthetic", *files) == 0
    folders = (pairs / "clean", "--real", pairs / "rainy", "--figure")
    assert run(*given, *folders, "rain", "--out", out / "7.png") == 0
    three = ("analyze", "jrgr", saved, saved, saved, "--synthetic")
    assert run(*three, *folders, "sets", "--out", out / "10.png") == 0
    made = {f"{number}.png" for number in (6, 7, 8, 9, 10)}
    assert {path.name for path in out.iterdir()} == made
    made = ("synthesize", pairs / "clean", "--out", tmp_path / "made", "--model", saved)
    assert run(*made, "--style", "real", "--photos", pairs / "rainy") == 0
    assert len(list((tmp_path / "made" / "rainy").iterdir())) == 3


def test_wrong_usage_ends_with_2(saved, tmp_path, capsys):
    pairs = write_pairs(tmp_path / "data", count=1)
    photo = pairs / "rainy" / "0.png"
    out = ("--out", tmp_path / "x.png")
    given = ("--synthetic", pairs, "--real", photo, *out)
    assert run("analyze", "jrgr", saved, *given) == 2
    assert "There must be a picture. Received" in capsys.readouterr().err
    given = ("--synthetic", photo, "--real", photo, *out)
    assert run("analyze", "jrgr", saved, saved, *given) == 2
    assert "Only --figure comparison and sets take several" in capsys.readouterr().err
    made = (
        "synthesize",
        pairs / "clean",
        "--out",
        tmp_path / "made",
        "--photos",
        pairs,
    )
    assert run(*made) == 2
    assert "--photos needs --style real" in capsys.readouterr().err
