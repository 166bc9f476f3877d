"""Strips of images, pixel by pixel."""

import numpy as np
import pytest
from PIL import Image

from tfderain import images


def test_before_after_keeps_every_pixel(tmp_path):
    rng = np.random.default_rng(0)
    rainy = rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)
    small = rng.random((4, 5, 3))
    images.before_after([(rainy, rainy[::-1]), (small, small)], tmp_path / "s.png", 2)
    strip = np.asarray(Image.open(tmp_path / "s.png"))
    assert strip.shape == (6 + 2 + 4, 9 + 2 + 9, 3)
    assert (strip[:6, :9] == rainy).all() and (strip[:6, 11:] == rainy[::-1]).all()
    assert (strip[8:, 7:12] == np.floor(small * 255 + 0.5)).all()
    assert (strip[6:8] == 255).all() and (strip[8:, 12:] == 255).all()


def test_before_after_refuses_unequal_images(tmp_path):
    black = np.zeros((4, 5, 3), "uint8")
    with pytest.raises(ValueError, match=r"\(4, 5, 3\), \(3, 5, 3\)"):
        images.before_after([(black, black[1:])], tmp_path / "strip.png")
    with pytest.raises(ValueError, match="rows=0"):
        images.before_after([], tmp_path / "strip.png")
