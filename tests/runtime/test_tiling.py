"""Padding and tiles: indices, coverage, weights."""

import itertools

import numpy as np
import pytest

from tfderain.runtime import tiling


@pytest.mark.parametrize(
    ("length", "padded", "expected"),
    [
        (4, 4, [0, 1, 2, 3]),
        (4, 6, [0, 1, 2, 3, 2, 1]),
        (3, 9, [0, 1, 2, 1, 0, 1, 2, 1, 0]),
        (2, 5, [0, 1, 0, 1, 0]),
        (1, 4, [0, 0, 0, 0]),
    ],
)
def test_reflect_index(length, padded, expected):
    assert tiling.reflect_index(length, padded).tolist() == expected


@pytest.mark.parametrize(("height", "width"), [(5, 9), (8, 13), (16, 16)])
def test_padding_equals_numpy_where_numpy_can(height, width):
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    padded = tiling.pad_to_multiple(image, 8)
    missing = [(0, -height % 8), (0, -width % 8), (0, 0)]
    np.testing.assert_array_equal(padded, np.pad(image, missing, "reflect"))
    batch = tiling.pad_to_multiple(image[None], 8)
    np.testing.assert_array_equal(batch[0], padded)


def test_padding_of_one_pixel_repeats_it():
    padded = tiling.pad_to_multiple(np.full((1, 1, 3), 7, np.uint8), 16)
    assert padded.shape == (16, 16, 3)
    assert (padded == 7).all()


SIZES = [(16, 16), (64, 256), (1088, 1920), (4320, 7680), (16, 5008)]


@pytest.mark.parametrize(
    ("size", "tile", "overlap", "stride"),
    [
        *itertools.product(SIZES, [None, 128, "auto"], [0, 20, 48, None], [4, 16]),
        ((4320, 7680), "auto", 512, 16),
        ((1088, 1920), 100, 50, 2),
    ],
)
def test_tiles_cover_the_image_and_their_weights_add_up(size, tile, overlap, stride):
    tiles = tiling.plan_tiles(size, tile, overlap, stride)
    starts = (tiles.rows, tiles.columns)
    axes = zip(tiles.weights(), starts, tiles.tile, size, strict=True)
    for weights, starts, side, length in axes:
        covered, seen = np.zeros(length), np.zeros(length, int)
        for start, weight in zip(starts, weights, strict=True):
            covered[start : start + side] += weight
            seen[start : start + side] += 1
        assert seen.min() >= 1
        # Two float32 weights that add up to 1: a unit in the last place.
        np.testing.assert_allclose(covered, 1, atol=2e-7)
        assert weights.min() >= 0
        assert all(start % stride == 0 for start in (*starts, side))
        assert starts[0] == 0 and starts[-1] + side == length
        assert all(
            b - a <= side - (overlap or 0) for a, b in itertools.pairwise(starts)
        )
    if tile == 128:
        assert max(tiles.tile) <= 128
    assert len(tiles) == len(tiles.rows) * len(tiles.columns)


def test_auto_keeps_small_images_whole_and_bounds_large_ones():
    assert len(tiling.plan_tiles((1024, 1408), "auto", 48, 16)) == 1
    large = tiling.plan_tiles((4320, 7680), "auto", 48, 16)
    assert min(large.tile) >= 640 and max(large.tile) <= 1280


def test_the_outermost_of_the_overlap_has_no_weight():
    weights = tiling.blend_weights((0, 36), 100, 64)
    # Shared are 36..99; the ramp is the quarter in the middle, 60..75.
    np.testing.assert_array_equal(weights[0, :60], 1)
    np.testing.assert_array_equal(weights[0, 76:], 0)
    np.testing.assert_array_equal(weights[1, :24], 0)
    np.testing.assert_array_equal(weights[1, 40:], 1)
    ramp = weights[0, 60:76]
    assert (np.diff(ramp) < 0).all()
    # A raised cosine is flat where it begins: no edge to be seen.
    assert ramp[0] > 0.99 and ramp[-1] < 0.01


def test_tiles_without_overlap_meet_in_a_hard_edge():
    weights = tiling.blend_weights((0, 8), 8, 0)
    np.testing.assert_array_equal(weights, np.ones((2, 8)))


def test_overlap_is_automatic():
    assert tiling.plan_tiles((4320, 7680), "auto", None, 16).overlap == 128
    assert tiling.plan_tiles((4320, 7680), 256, None, 16).overlap == 64
    assert tiling.plan_tiles((64, 64), 16, None, 16).overlap == 0


@pytest.mark.parametrize(("tile", "overlap"), [(64, 48), (8, 0), (64, -1), (-5, 0)])
def test_tiles_that_do_not_fit_are_refused(tile, overlap):
    with pytest.raises(ValueError, match=f"Received: tile={tile}, overlap={overlap}"):
        tiling.plan_tiles((256, 256), tile, overlap, 16)
