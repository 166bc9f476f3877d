"""Drops on the lens: where they are, what stands in them, and what stays."""

import dataclasses

import numpy as np

from tfderain.data import drops

LENSES = dataclasses.replace(
    drops.RANGES, defocus=(0.0, 0.0), milk=(0.0, 0.0), rim=(0.0, 0.0)
)


def test_between_the_drops_nothing_changes():
    clean = np.random.default_rng(0).random((70, 90, 3), dtype=np.float32)
    shares = []
    for seed in range(12):
        wet, mask = drops.add_drops(clean, np.random.default_rng(seed))
        np.testing.assert_array_equal(wet[mask == 0], clean[mask == 0])
        assert np.abs(wet[mask > 0.5] - clean[mask > 0.5]).mean() > 0.02
        shares.append(np.mean(mask > 0))
    # soft edges reach 0.6 radii further than the coverage of at most 0.4 counts
    assert 0 < min(shares) < max(shares) < 0.85 and np.mean(shares) > 0.03


def test_a_scene_of_one_colour_has_invisible_lenses():
    clean = np.full((50, 60, 3), (0.2, 0.5, 0.7), np.float32)
    wet, mask = drops.add_drops(clean, np.random.default_rng(0), LENSES)
    assert mask.max() == 1
    np.testing.assert_allclose(wet, clean, atol=1e-6)  # float32 interpolation


def test_a_drop_turns_the_scene_upside_down_and_shrinks_it():
    ramp = np.linspace(0, 1, 400, dtype=np.float32)
    clean = np.tile(ramp[:, None, None], (1, 60, 3))
    ranges = dataclasses.replace(LENSES, radius=(8.0, 9.0), field=(5.0, 5.0))
    wet, mask = drops.add_drops(clean, np.random.default_rng(1), ranges)
    steps = np.diff(wet[100:300, :, 0], axis=0)  # no drop there sees the border
    opaque = (mask[100:299] == 1) & (mask[101:300] == 1)
    inner = np.sort(steps[opaque])
    # a drop's own jump to its neighbour aside, all fall, and at least three times as
    # steep as the ramp rises: in the middle 0.7 * field rows are seen in one
    assert np.mean(inner < -3 / 399) > 0.9


def test_larger_pictures_have_larger_drops():
    def mean_radius(height, width):
        rng = np.random.default_rng(0)
        places = drops._draw_drops((height, width), rng, drops.RANGES)
        return np.mean([radius for *_, radius in places])

    # the same draws at four times the scale; which drops fit differs a little
    assert 3.5 < mean_radius(1920, 1920) / mean_radius(480, 480) < 4.5
