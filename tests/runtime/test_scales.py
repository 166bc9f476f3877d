"""Scales: sizes, halving and doubling, and rain of several sizes."""

import numpy as np
import pytest
from helpers import images

from tfderain.runtime import scales


@pytest.mark.parametrize(
    ("size", "count"),
    [
        ((320, 480), 1),
        ((1, 1), 1),
        ((640, 960), 2),
        ((1080, 1920), 3),
        ((2560, 3840), 4),
        ((3024, 4032), 4),
        ((3, 4032), 2),  # the smallest copy is no lower than a pixel
    ],
)
def test_automatic_scales_end_where_copies_are_as_small_as_training_images(size, count):
    assert scales.count_scales(size) == count


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "many", None, True])
def test_other_scales_are_refused(wrong):
    with pytest.raises(ValueError, match=r'must be "auto" or a number from 1'):
        scales.count_scales((100, 100), wrong)


def test_sizes_are_halved_upwards():
    assert scales.sizes((5, 9), 3) == [(5, 9), (3, 5), (2, 3)]


@pytest.mark.parametrize("size", [(8, 12), (7, 5), (1, 3), (1, 1)])
def test_halves_are_means_of_four(size):
    image = images(*size, 3)
    even = np.pad(image, ((0, size[0] % 2), (0, size[1] % 2), (0, 0)), mode="edge")
    halves = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2, 3)
    # float32 sums of four in another order
    np.testing.assert_allclose(scales.halved(image), halves.mean((1, 3)), atol=1e-6)


@pytest.mark.parametrize("size", [(8, 12), (2, 5), (1, 3), (1, 1)])
def test_doubling_is_undone_by_halving(size):
    image = images(*size, 3)
    doubled = scales.doubled(image, *(np.arange(2 * side) for side in size))
    # float32 sums: half a millionth of the values, which are at most 1
    np.testing.assert_allclose(scales.halved(doubled), image, atol=5e-7)


def test_a_slope_stays_one():
    slope = np.add.outer(np.arange(5.0), 3 * np.arange(6.0)).astype(np.float32)
    doubled = scales.doubled(slope[..., None], np.arange(10), np.arange(12))[..., 0]
    # within the outermost pixels, which have but one neighbour; exact in binary
    inner = doubled[2:-2, 2:-2]
    np.testing.assert_array_equal(np.diff(inner, axis=0), 0.5)
    np.testing.assert_array_equal(np.diff(inner, axis=1), 1.5)


def test_detail_is_what_halving_loses():
    board = np.indices((8, 10)).sum(0) % 2  # halved, all of it is lost: 0.5 everywhere
    board = np.repeat(board[..., None], 3, -1).astype(np.float32)
    assert scales.detail(board, scales.halved(board)) == 0.5
    plain = np.full((5, 7, 3), 0.3, np.float32)
    assert scales.detail(plain, scales.halved(plain)) < 1e-7  # a sum of four quarters


def test_parts_are_doubled_like_the_whole():
    image = images(6, 9, 3)
    whole = scales.doubled(image, np.arange(12), np.arange(18))
    rows, columns = np.array([4, 5, 6, 7, 6, 5]), np.array([10, 17, 0])
    part = scales.doubled(image, rows, columns)
    np.testing.assert_array_equal(part, whole[np.ix_(rows, columns)])
