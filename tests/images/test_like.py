"""Kinds of image: what comes back is of the kind that came in."""

import numpy as np
import pytest
from pictures import DEEP, GREY, RGB
from PIL import Image

from tfderain import images


@pytest.mark.parametrize("pixels", [RGB, GREY, DEEP, RGB / 255, np.stack([RGB] * 2)])
def test_arrays_keep_shape_and_dtype(pixels):
    like = images.Like(pixels)
    assert len(like.pairs) == (2 if pixels.ndim == 4 else 1)
    for rainy, derained in like.pairs:
        shown = images.to_rgb(images.to_float(rainy))
        padded = np.pad(shown, ((0, 3), (0, 2), (0, 0)), "reflect")
        images.store(padded, derained)
    finished = like.finished()
    assert finished.dtype == pixels.dtype and finished is not pixels
    # floats go through float32
    np.testing.assert_allclose(finished, pixels, rtol=1e-6)


def test_a_pil_image_keeps_its_alpha():
    image = Image.fromarray(RGB)
    image.putalpha(7)
    like = images.Like(image)
    ((rainy, derained),) = like.pairs
    images.store(1 - images.to_float(rainy), derained)
    finished = like.finished()
    assert finished.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(finished)[..., 3], 7)
    np.testing.assert_array_equal(np.asarray(finished)[..., :3], 255 - RGB)


def test_grey_gets_the_mean_of_the_channels():
    derained = np.empty((1, 1), np.uint8)
    images.store(np.array([[[0.0, 0.2, 0.4]]]), derained)
    assert derained[0, 0] == 51  # 0.2 * 255


def test_what_is_no_image_is_refused():
    with pytest.raises(ValueError, match=r"shape=\(4, 4, 2\)"):
        images.Like(np.zeros((4, 4, 2), np.uint8))
