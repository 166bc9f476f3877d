"""Values of pixels: integers to floats and back."""

import numpy as np
import pytest
from pictures import DEEP, GREY

from tfderain import images


def test_every_8_bit_value_survives_the_way_through_floats():
    values = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(images.to_uint8(images.to_float(values)), values)
    deep = np.arange(65536, dtype=np.uint16)
    back = images.from_float(images.to_float(deep), np.uint16)
    np.testing.assert_array_equal(back, deep)


def test_rounding_is_half_up_and_clips():
    values = np.array([-1, 0, 0.49 / 255, 0.5 / 255, 254.5 / 255, 1, 2, np.inf])
    expected = [0, 0, 0, 1, 255, 255, 255, 255]
    assert images.to_uint8(values).tolist() == expected


def test_values_of_other_kinds():
    assert images.to_uint8(DEEP).tolist() == [[0, 0, 1, 1], [127, 128, 255, 255]]
    assert images.to_uint8(GREY) is GREY
    assert images.from_float([0.25, 1.5], np.float64).tolist() == [0.25, 1]
    assert images.to_float(np.array([0.25])).dtype == np.float32
    with pytest.raises(ValueError, match="NaN"):
        images.to_uint8(np.array([0.5, np.nan]))
    with pytest.raises(ValueError, match="Received: dtype=int64"):
        images.to_float(np.array([1]))
