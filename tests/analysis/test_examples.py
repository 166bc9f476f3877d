"""Hard and easy images with their crops, and gradient maps."""

import dataclasses

import numpy as np
import pytest
from helpers import images
from PIL import Image
from scipy import ndimage
from short_runs import write_pairs

from tfderain import cli
from tfderain.analysis import examples
from tfderain.cli import console
from tfderain.evaluation import Result, Row


def result(*psnr):
    rows = [Row(f"{i}.png", p, 0.9, 20.0, 0.8, 0.0) for i, p in enumerate(psnr)]
    return Result("model", "matlab_y_float", "data", tuple(rows), {})


def test_those_that_improve_most_are_chosen():
    before, after = result(20, 22, 30, 32, 26), result(21, 25, 35, 33, 99)
    # the mean is 26: the last image is neither
    chosen = examples.hard_and_easy(before, after)
    assert chosen == {"hard": [1], "easy": [2]}
    chosen = examples.hard_and_easy(before, after, 5)
    assert chosen == {"hard": [1, 0], "easy": [2, 3]}
    other = dataclasses.replace(after, protocol="rgb_gaussian")
    with pytest.raises(ValueError, match="rotocol"):
        examples.hard_and_easy(before, other)


def test_the_part_that_improved_most_is_enlarged(tmp_path):
    clean = np.full((40, 60, 3), 0.5, "float32")
    rainy, reference, derained = clean + 0.4, clean + 0.2, clean + 0.2
    derained[21:31, 33:43] = clean[21:31, 33:43]
    path = tmp_path / "4.png"
    rows = [(rainy, reference, derained, clean)]
    assert examples.draw(rows, path, crop=10, zoom=3) == [(21, 33)]
    with Image.open(path) as picture:
        assert picture.size == (4 * 60 + 3 * 8, 40 + 8 + 30)
        pixels = np.asarray(picture)[48:, :]
    left = [pixels[:, 38 * i : 38 * i + 30] for i in range(4)]
    # 0.9, 0.7, 0.5 and 0.5 of 255, rounded
    assert [np.unique(part).tolist() for part in left] == [[230], [179], [128], [128]]


def test_best_place_against_a_search():
    values = images(12, 17) - 0.5
    sums = ndimage.uniform_filter(values, 5, origin=-2, mode="constant")[:8, :13]
    expected = np.unravel_index(sums.argmax(), sums.shape)
    assert examples.best_place(values, 5) == tuple(expected)


def test_gradient_maps_are_sobels(tmp_path):
    rainy, clean = images(14, 20, 3), images(14, 20, 3, seed=1)
    found = examples.gradient_maps(rainy, clean, tmp_path / "7.png")
    for image, gradients in zip((rainy, clean), found, strict=True):
        channels = np.moveaxis(image, -1, 0)
        along = [
            np.stack([ndimage.sobel(c, axis, mode="mirror") for c in channels], -1)
            for axis in (0, 1)
        ]
        # float32 sums of eight values up to 2
        np.testing.assert_allclose(gradients[..., 0], along[0], atol=1e-5)
        np.testing.assert_allclose(gradients[..., 1], along[1], atol=1e-5)
        np.testing.assert_allclose(gradients[..., 2], np.hypot(*along), atol=1e-5)
    with Image.open(tmp_path / "7.png") as picture:
        assert picture.size == (4 * 20 + 3 * 8, 2 * 14 + 8)
        pixels = np.asarray(picture)
    # White is what 1 % of all lengths exceed, rounded to 255 levels.
    white = np.quantile([found[0][..., 2], found[1][..., 2]], 0.99)
    expected = np.clip(found[1][..., 2] / white, 0, 1)
    last = pixels[22:, 84:] / 255
    np.testing.assert_allclose(last, expected, atol=0.51 / 255)


def test_commands(tmp_path, capsys):
    pairs = write_pairs(tmp_path / "data", count=4)
    folders = (pairs / "rainy", pairs / "clean")  # as if derained by two programs
    given = ("analyze", "examples", *folders, "--data", pairs, "--images", 1)
    out = tmp_path / "new"
    words = [*given, "--crop", 16, "--out", out / "4.png"]
    assert console.run(cli.app, [str(word) for word in words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("hard: ") and lines[1].startswith("easy: ")
    assert lines[0].endswith("-> 100.00 dB")
    words = ["analyze", "gradients", *(f / "0.png" for f in folders)]
    words += ["--out", out / "7.png"]
    assert console.run(cli.app, [str(word) for word in words]) == 0
    assert {path.name for path in out.iterdir()} == {"4.png", "7.png"}
