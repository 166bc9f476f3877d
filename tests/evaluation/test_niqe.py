"""NIQE: distributions with known shapes, and photos that were made worse."""

import json

import numpy as np
import pytest
from PIL import Image
from skimage import data, filters

from tfderain import cli
from tfderain.cli import console
from tfderain.evaluation import niqe


@pytest.fixture(scope="module")
def photos():
    """Sharp photos; the last is for testing."""
    return [data.astronaut(), data.coffee(), data.rocket(), data.chelsea()]


@pytest.fixture(scope="module")
def pristine(photos):
    # moved blocks of the same photos: three photos alone have too few
    moved = [photo[s:, s:] for photo in photos[:3] for s in (0, 16, 31, 47, 62, 78)]
    return niqe.fit(moved)


@pytest.mark.parametrize(
    ("shape", "left", "right"), [(2, 1, 1), (1, 2, 2), (0.7, 1, 3)]
)
def test_shapes_and_scales_of_drawn_samples(shape, left, right):
    rng = np.random.default_rng(0)
    # |x| = scale * Gamma(1 / shape) ** (1 / shape), with the side's share of the draws
    size = (1, 400, 500)
    sign = np.where(rng.random(size) < left / (left + right), -left, right)
    samples = sign * rng.gamma(1 / shape, size=size) ** (1 / shape)
    found = [value[0] for value in niqe._fit_shapes(samples)]
    # 200,000 draws leave 1 % of the shape open, seen; three times that
    np.testing.assert_allclose(found, (shape, left, right), rtol=0.03)


def test_noise_blur_and_streaks_are_less_natural(photos, pristine):
    cat = photos[-1] / 255
    rng = np.random.default_rng(0)
    streaks = np.zeros(cat.shape[:2])
    for row, column in rng.integers(0, (270, 451), (900, 2)):
        streaks[row : row + 30, column] = 0.35
    worse = {
        "noise": cat + rng.normal(0, 0.05, cat.shape),
        "blur": filters.gaussian(cat, 1.5, channel_axis=-1),
        "streaks": cat + streaks[..., None],
    }
    score = niqe.niqe(cat, pristine)
    for name, image in worse.items():
        found = niqe.niqe(np.clip(image, 0, 1), pristine)
        assert found > 1.2 * score, name


def test_only_sharp_blocks_describe_clean_photos(photos):
    numbers, sharpness = niqe.features(photos[0])
    assert numbers.shape == (25, 36)  # 512 pixels hold five blocks of 96
    blurred = photos[0].copy()
    blurred[:192] = 255 * filters.gaussian(blurred[:192], 9, channel_axis=-1)
    _, softer = niqe.features(blurred)
    assert (softer[:10] < sharpness[:10]).all()
    assert softer[:10].max() < niqe.SHARPNESS * softer.max()


def test_flat_blocks_are_left_out(photos):
    half = photos[0].copy()
    half[:, :288] = 255
    assert len(niqe.features(half)[0]) < 15
    with pytest.raises(ValueError, match="more than one colour. Received: 0"):
        niqe.niqe(np.zeros((300, 300, 3), np.uint8), niqe.Pristine(0, 0, 0))


def test_too_small_images(photos):
    with pytest.raises(ValueError, match="Received: 0 blocks"):
        niqe.fit([photos[0][:90, :90]])
    with pytest.raises(ValueError, match=r"Received: 1 in shape=\(100, 100, 3\)"):
        niqe.niqe(photos[0][:100, :100], niqe.Pristine(0, 0, 0))


def run(*arguments):
    """Exit code of a command."""
    return console.run(cli.app, list(arguments))


def test_command(tmp_path, photos, monkeypatch, capsys):
    for folder, images in (("clean", photos[:3]), ("rainy", photos[3:])):
        (tmp_path / folder).mkdir()
        for number, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / folder / f"{number}.png")
    monkeypatch.setattr(niqe, "SHARPNESS", 0.1)  # else too few blocks
    out, report = tmp_path / "strip.png", tmp_path / "niqe.json"
    arguments = ["--photos", f"{tmp_path}/rainy", "--clean", f"{tmp_path}/clean"]
    arguments += ["--out", str(out), "--json", str(report)]
    assert run("analyze", "naturalness", "menet", *arguments) == 0
    assert "below rainy" in capsys.readouterr().out
    height, width = photos[3].shape[:2]
    with Image.open(out) as strip:
        assert strip.size == (2 * width + 8, height)
    scores = json.loads(report.read_text())["scores"]
    pristine = niqe.fit(photos[:3])
    assert scores["rainy"] == [pytest.approx(niqe.niqe(photos[3], pristine))]
    assert scores["menet"] != scores["rainy"]
    assert run("analyze", "naturalness", "menet", *arguments) == 2
    assert "exists; --overwrite" in capsys.readouterr().err
