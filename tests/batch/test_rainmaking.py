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


class Remover:
    """Gives the plain scene, without the streaks and the haze of the photo."""

    def __init__(self, scene):
        self.scene = scene

    def derain(self, pixels):
        return np.broadcast_to(self.scene, pixels.shape)


def test_streaks_alone_are_taken_off_photos(model, tmp_path):
    photo = np.full((120, 150, 3), 90, np.uint8)
    photo[20:80, 40] += 50  # a streak, on haze of 40 levels
    (tmp_path / "photos").mkdir()
    Image.fromarray(photo).save(tmp_path / "photos" / "a.png")
    maker = rainmaking.RainMaker(model, tmp_path / "photos", streaks_only=True)
    maker.model = Remover(np.float32(50 / 255))
    clean = np.full((120, 150, 3), 0.2, np.float32)
    for seed in range(8):
        rain = maker(clean, np.random.default_rng(seed)) - clean
        assert np.ptp(rain, axis=-1).max() < 1e-6  # grey
        columns = {40, 109} & set(np.nonzero(rain.max(axis=(0, 2)) > 0.15)[0])
        assert len(columns) == 1  # one of both, for it may be mirrored
        streak = rain[20:80, columns.pop(), 0]
        # 50 levels, less the part of them in the blur: 3 % of a line of one pixel,
        # 1 to 4 times as bright, and no more than fits above 0.2
        assert streak.min() > 0.18 and streak.max() < 0.8
        assert abs(np.median(rain)) < 1e-6  # the haze stays
    with pytest.raises(ValueError, match="needs photos"):
        rainmaking.RainMaker(model, streaks_only=True)


def test_many_streaks_are_brightened_less():
    layer = np.zeros((10, 10), np.float32)
    layer[::2] = 0.1  # standard deviation 0.05
    gains = [rainmaking.streak_gain(layer, np.random.default_rng(i)) for i in range(50)]
    assert min(gains) >= 1 and max(gains) == pytest.approx(1.8)
    gains = [
        rainmaking.streak_gain(layer / 9, np.random.default_rng(i)) for i in (0, 1)
    ]
    assert all(1 < gain < 4 for gain in gains)


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
