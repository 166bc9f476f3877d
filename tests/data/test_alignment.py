"""Alignment: known shifts and exposures are found, though drops cover a third."""

import numpy as np
import pytest
from pictures import photo

from tfderain.data import alignment


def scene(size=128):
    return np.rint(255 * photo(size, size)).astype(np.uint8)


def wetted(image, seed=0):
    """Smooth bright spots over a third of an image, which are in no other."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices(image.shape[:2])
    made = image.astype(float)
    for _ in range(8):
        y, x = rng.uniform(0, image.shape[0], 2)
        near = np.hypot(rows - y, columns - x)[..., None]
        made += np.clip(14 - near, 0, 6) / 6 * (210 - made)
    return np.rint(made).astype(np.uint8)


@pytest.mark.parametrize("shift", [(0, 0), (2, -3), (-1, 2)])
def test_a_shift_is_found(shift):
    image = scene(136)
    down, right = shift
    clean = image[4:132, 4:132]
    rainy = wetted(image[4 - down : 132 - down, 4 - right : 132 - right])
    assert alignment.find_shift(rainy, clean) == shift
    rainy, clean = alignment.aligned(rainy, clean)
    assert rainy.shape == clean.shape == (128 - abs(down), 128 - abs(right), 3)


def test_exposure_of_the_dry_places():
    clean = scene()
    darker = np.rint(0.8 * clean.astype(float) + 12).astype(np.uint8)
    gains, offsets = alignment.find_exposure(wetted(darker), clean)
    # what is rounded to grey levels, and a few drops' edges among the dry squares
    np.testing.assert_allclose(gains, 0.8, atol=0.04)
    np.testing.assert_allclose(offsets, 12, atol=4)
    rainy, fitted = alignment.aligned(wetted(darker), clean)
    assert np.median(np.abs(fitted.astype(int) - darker)) <= 3


def test_black_and_white_say_nothing():
    for level in (0, 255):
        same = np.full((64, 64, 3), level, np.uint8)
        gains, offsets = alignment.find_exposure(same, same)
        np.testing.assert_array_equal((gains, offsets), (np.ones(3), np.zeros(3)))
