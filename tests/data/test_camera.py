"""Camera effects against Pillow and scikit-image, and what they leave alone."""

import io

import numpy as np
import pytest
from pictures import photo
from PIL import Image

from tfderain.data import camera


def test_jpeg_is_pillows():
    image = photo(37, 50)
    memory = io.BytesIO()
    pixels = np.rint(image * 255).astype(np.uint8)
    Image.fromarray(pixels).save(memory, "JPEG", quality=40)
    expected = np.asarray(Image.open(memory), np.float32) / 255
    made = camera.jpeg(image, 40)
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made, expected)
    errors = [np.square(camera.jpeg(image, q) - image).mean() for q in (20, 60, 95)]
    assert errors[0] > errors[1] > errors[2] > 0


@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.3])
def test_blur_is_a_gaussian(sigma):
    from skimage import filters

    image = photo(41, 33)
    expected = filters.gaussian(
        image, sigma, mode="reflect", truncate=3.01, channel_axis=-1
    )
    # float32 against float64 sums, and radii that round differently beyond 3 sigma
    np.testing.assert_allclose(camera.blurred(image, sigma), expected, atol=4e-3)
    flat = np.full((9, 9, 3), 0.3, np.float32)
    np.testing.assert_allclose(camera.blurred(flat, sigma), flat, atol=1e-6)


def test_enlarging_keeps_range_and_places():
    ramp = np.linspace(0, 1, 20, dtype=np.float32)[None].repeat(16, axis=0)
    made = camera.resized(ramp, (32, 40))
    assert made.shape == (32, 40) and made.dtype == np.float32
    assert made.min() >= 0 and made.max() <= 1
    # centres of pixels stay centres: 0.5 of the old is 1.0 of the new
    expected = np.interp(np.arange(40) / 2 - 0.25, np.arange(20), ramp[0])
    # cubic and linear agree on a ramp but for its ends, which mirror
    np.testing.assert_allclose(made[5, 4:-4], expected[4:-4], atol=1e-5)
    colour = photo(30, 24)
    assert camera.resized(colour, (11, 13)).shape == (11, 13, 3)
    np.testing.assert_array_equal(camera.resized(colour, (30, 24)), colour)
    middle = camera.enlarged(colour, 2.0, (10, 12))
    expected = camera.resized(colour[12:17, 9:15], (10, 12))
    np.testing.assert_array_equal(middle, expected)


def test_factors_are_log_uniform():
    rng = np.random.default_rng(0)
    drawn = np.log([camera.draw_factor(rng, 4.0) for _ in range(2000)]) / np.log(4)
    assert drawn.min() >= 0 and drawn.max() <= 1
    # standard deviation of a quartile of 2000 uniform draws: 0.01
    np.testing.assert_allclose(np.quantile(drawn, [0.25, 0.5, 0.75]),
                               [0.25, 0.5, 0.75], atol=0.05)  # fmt: skip


@pytest.mark.parametrize("shape", [(32, 32), (20, 45), (45, 20), (2, 3)])
def test_masks_hide_a_part(shape):
    masks = [camera.hidden(shape, np.random.default_rng(s)) for s in range(60)]
    assert all(mask.shape == shape and mask.dtype == bool for mask in masks)
    if min(shape) > 10:
        # a part, but for curves that miss the crop
        assert sum(0 < mask.mean() < 1 for mask in masks) > 45
    again = [camera.hidden(shape, np.random.default_rng(s)) for s in range(60)]
    np.testing.assert_array_equal(masks, again)


def test_both_images_hide_the_same_pixels():
    rainy, clean = photo(40, 40, seed=1), photo(40, 40, seed=2)
    for seed in range(20):
        one, other = camera.hide(rainy, clean, np.random.default_rng(seed))
        assert one.dtype == other.dtype == np.float32
        mask = (one == other).all(axis=-1)
        np.testing.assert_array_equal(one[~mask], rainy[~mask])
        np.testing.assert_array_equal(other[~mask], clean[~mask])
        if mask.any():  # of one colour
            assert np.ptp(one[mask], axis=0).max() == 0
