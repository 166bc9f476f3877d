"""Rain of JRGR on clean images."""

import numpy as np
import pytest
import tensorflow as tf
from helpers import images, jrgr_that_rains
from PIL import Image
from short_runs import write_pairs

from tfderain import batch
from tfderain.batch import rainmaking


@pytest.fixture(scope="module")
def model():
    return jrgr_that_rains()


def test_rain_of_photos_is_put_on_clean_images(model, tmp_path):
    photo = Image.fromarray((images(30, 37, 3) * 255).astype(np.uint8))
    (tmp_path / "photos").mkdir()
    photo.save(tmp_path / "photos" / "a.png")
    maker = rainmaking.RainMaker(model, tmp_path / "photos")
    pixels = np.asarray(photo, np.float32) / 255
    layer = pixels - model.derain(pixels)
    clean = np.full((20, 50, 3), 0.5, np.float32)  # lower and wider than the photo
    rainy = maker(clean, np.random.default_rng(0))
    assert rainy.shape == clean.shape and rainy.dtype == np.float32
    rain = rainy - clean
    windows = np.lib.stride_tricks.sliding_window_view(layer, (20, 37), axis=(0, 1))
    errors = [
        np.abs(np.moveaxis(w, 0, -1) - part).max()
        for w in windows[:, 0]
        for part in (rain[:, :37], rain[:, ::-1][:, :37])
    ]
    assert min(errors) < 1e-6  # sums and differences of float32 below 1
    grey = maker(clean[..., 0], np.random.default_rng(0))
    np.testing.assert_allclose(grey, rainy.mean(axis=-1), atol=1e-6)


def test_synthetic_rain_is_translated(model):
    clean = 0.5 * images(24, 30, 3)
    rainy = rainmaking.RainMaker(model)(clean, np.random.default_rng(3))
    assert rainy.shape == clean.shape and 0.01 < (rainy - clean).mean() < 0.5
    synthetic = clean + 0.2
    data = tf.data.Dataset.from_tensors((synthetic[None], clean[None]))
    ((made, same),) = data.map(rainmaking.make_real(model))
    expected = model.make_real(clean[None], synthetic[None] - clean[None])
    # One is a graph: other fusions of the same float32 operations.
    np.testing.assert_allclose(made, expected, atol=1e-6)
    np.testing.assert_array_equal(same[0], clean)


def test_folders_that_hold_no_photo(model, tmp_path):
    with pytest.raises(ValueError, match="There must be photos in the folder"):
        rainmaking.RainMaker(model, tmp_path)


def test_synthesize_files_with_a_maker(model, tmp_path):
    clean = write_pairs(tmp_path / "data", count=2) / "clean"
    summary = batch.synthesize_files(
        [clean], tmp_path / "out", maker=lambda pool: rainmaking.RainMaker(model)
    )
    assert summary.done == 2 and not summary.failed
    for name in ("0.png", "1.png"):
        rainy, kept = (
            np.asarray(Image.open(tmp_path / "out" / part / name), int)
            for part in ("rainy", "clean")
        )
        assert rainy.mean() > kept.mean() + 2
