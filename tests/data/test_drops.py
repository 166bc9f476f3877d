"""Drops on the glass: where they are, what stands in them, and what stays."""

import dataclasses
import math

import numpy as np
import pytest

from tfderain.data import drops


def flat(level, height=90, width=120):
    return np.full((height, width, 3), level, np.float32)


@pytest.mark.parametrize("look", drops.KINDS)
def test_between_the_drops_nothing_changes(look):
    clean = np.random.default_rng(0).random((70, 90, 3), dtype=np.float32)
    before, shares = clean.copy(), []
    for seed in range(12):
        ranges = drops.KINDS[look]
        wet, mask = drops.add_drops(clean, np.random.default_rng(seed), ranges)
        assert wet.dtype == mask.dtype == np.float32 and mask.shape == (70, 90)
        assert wet.min() >= 0 and wet.max() <= 1 and mask.max() <= 1
        np.testing.assert_array_equal(wet[mask == 0], clean[mask == 0])
        shares.append(np.mean(mask > 0.25))
    np.testing.assert_array_equal(clean, before)
    # the ranges of `coverage`, and discs that reach further than the drops themselves
    assert 0 < max(shares) <= 1 and 0.03 < np.mean(shares) < 0.8


def test_equal_seeds_make_equal_drops_of_either_look():
    clean = flat(0.4)
    made = [drops.add_drops(clean, np.random.default_rng(s))[0] for s in (3, 3, 4)]
    np.testing.assert_array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])


def test_refraction_by_hand():
    # A wedge of water: 20 degrees steep downwards on glass that stands upright. The ray
    # meets it at 20 degrees and leaves at asin(1.33 sin 20) = 27.06: it is turned by
    # 7.06 degrees, towards the thick end above, as a prism does.
    down = np.arange(8.0)[:, None] * np.ones(8)
    height = 5 - math.tan(math.radians(20)) * down
    water, slope_down, slope_right, passed = drops.refracted(height, 1.0, 0.0)
    np.testing.assert_array_equal(water, height > 0)
    wanted = math.degrees(math.asin(1.33 * math.sin(math.radians(20)))) - 20
    # float64 arithmetic
    np.testing.assert_allclose(slope_down, -math.tan(math.radians(wanted)), rtol=1e-9)
    np.testing.assert_allclose(slope_right, 0, atol=1e-12)
    # near the normal a share of ((1.33 - 1) / (1.33 + 1))^2 = 0.02 is reflected
    np.testing.assert_allclose(passed, 0.98, atol=0.003)


def test_beyond_the_critical_angle_no_light_passes():
    down = np.arange(8.0)[:, None] * np.ones(8)
    steep = 20 - math.tan(math.radians(49.5)) * down  # asin(1 / 1.33) is 48.8
    assert np.all(drops.refracted(steep, 1.0, 0.0)[3] == 0)
    passed = drops.refracted(20 - math.tan(math.radians(47)) * down, 1.0, 0.0)[3]
    assert np.all(passed > 0.3)


def test_glass_that_leans_alone_turns_no_ray():
    # A film of one height on leaning glass: in and out at parallel faces
    for tilt in (-0.6, 0.3):
        _, down, right, _ = drops.refracted(np.full((6, 6), 0.2), 1.0, tilt)
        np.testing.assert_allclose(down, 0, atol=1e-9)
        np.testing.assert_allclose(right, 0, atol=1e-9)


def test_drops_show_the_sky_below_and_the_ground_above():
    clean = flat(0.4, 240, 240)
    ranges = dataclasses.replace(
        drops.LENS,
        radius=(50.0, 55.0),
        disc=(1.5, 1.5),
        contact=(45.0, 45.0),
        tilt=(0.0, 0.0),
        coverage=(0.2, 0.2),
        horizon=(0.0, 0.0),
        ground=(0.2, 0.2),
        spots=(0.0, 0.0),
        sky=(1.0, 1.0),
        field=(60.0, 60.0),
        merged=0.0,
        run=0.0,
    )
    below, above = [], []
    for seed in range(30):
        wet, mask = drops.add_drops(clean, np.random.default_rng(seed), ranges)
        full = mask > 0.99
        # the drop nearest to the middle of the picture, where the horizon is
        rows = np.flatnonzero(full[:, 120])
        if len(rows) < 20:
            continue
        column = wet[rows, 120, 0]
        above.append(column[: len(rows) // 4].mean())
        below.append(column[-len(rows) // 4 :].mean())
    assert len(below) >= 5
    assert np.mean(below) > np.mean(above) + 0.15


def lift(look, level):
    changes = []
    for seed in range(30):
        clean = flat(level)
        rng = np.random.default_rng(seed)
        wet, mask = drops.add_drops(clean, rng, drops.KINDS[look])
        changes.append((wet - clean)[mask > 0.25].mean())
    return 255 * np.nanmean(changes)


def test_drops_hardly_depend_on_what_lies_behind_them():
    # A third of the way to white a drop is brighter, on white it is darker.
    assert lift("defocused", 0.35) > 15
    assert lift("defocused", 0.95) < 0
    assert lift("lens", 0.35) > lift("lens", 0.7)


def test_a_wide_disc_lets_the_scene_shine_through():
    clean = np.tile(np.float32([0.3, 0.5] * 60)[None, :, None], (90, 1, 3))
    shown = {}
    for look in drops.KINDS:
        contrasts = []
        for seed in range(20):
            rng = np.random.default_rng(seed)
            wet, mask = drops.add_drops(clean, rng, drops.KINDS[look])
            steps = np.abs(np.diff(wet[..., 0], axis=1))
            inside = (mask[:, 1:] > 0.25) & (mask[:, :-1] > 0.25)
            if inside.sum() > 50:
                contrasts.append(steps[inside].mean() / 0.2)
        shown[look] = np.mean(contrasts)
    # half a disc's light is the scene's, for drops smaller than the disc
    assert 0.3 < shown["defocused"] < 0.8
    assert shown["lens"] < 0.75 * shown["defocused"]


def test_larger_pictures_have_larger_drops():
    def mean_radius(height, width):
        rng = np.random.default_rng(0)
        places = drops._draw_drops((height, width), rng, drops.DEFOCUSED)
        return np.mean([radius for *_, radius in places])

    # the same draws at four times the scale; which drops fit differs a little
    assert 3.5 < mean_radius(1920, 1920) / mean_radius(480, 480) < 4.5


def test_disc_blur_against_scipy():
    from scipy.ndimage import convolve

    layers = np.random.default_rng(0).random((4, 20, 24)).astype(np.float32)
    radius, edge = 3.4, 5
    grid = np.arange(-3, 4)
    kernel = (grid[:, None] ** 2 + grid**2 <= radius**2).astype(float)
    wanted = convolve(np.float64(layers[1]), kernel / kernel.sum())[5:-5, 5:-5]
    made = drops._blurred(layers, radius, edge)[1]
    np.testing.assert_allclose(made, wanted, atol=1e-5)  # sums in float32


@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (33, 2)])
def test_any_size(shape):
    clean = flat(0.5, *shape)
    for look in drops.KINDS.values():
        for seed in range(5):
            wet, mask = drops.add_drops(clean, np.random.default_rng(seed), look)
            assert wet.shape == clean.shape and np.isfinite(wet).all()
            assert mask.shape == shape
