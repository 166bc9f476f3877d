"""Snow: the formula, the flakes' size, and the way they fall."""

import dataclasses

import numpy as np
import pytest

from tfderain.data import snow, streaks

CLEAR = dataclasses.replace(snow.RANGES, loss=(0.0, 0.0), tint=0.0, light=(0.9, 0.9))


def test_flakes_are_composited_by_the_formula():
    clean = np.random.default_rng(0).random((60, 70, 3), dtype=np.float32)
    snowy, flakes = snow.add_snow(clean, np.random.default_rng(1), CLEAR)
    expected = (1 - flakes[..., None]) * clean + 0.9 * flakes[..., None]
    np.testing.assert_allclose(snowy, expected, atol=1e-6)  # float32
    assert 0.005 < flakes.mean() < 0.3 and flakes.max() > 0.3


def test_the_veil_lowers_contrast():
    clean = np.random.default_rng(0).random((60, 70, 3), dtype=np.float32)
    ranges = dataclasses.replace(CLEAR, loss=(0.3, 0.3))
    snowy, flakes = snow.add_snow(clean, np.random.default_rng(1), ranges)
    dry = flakes == 0
    assert snowy[dry].std() == pytest.approx(0.7 * clean[dry].std(), rel=1e-4)


def test_a_flake_covers_its_disc_and_is_spread_along_its_way():
    down, right = (np.indices((61, 61)) - 30).astype(np.float32)
    still = snow._flake(down, right, 6.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.5)
    # the edge is three pixels wide, an eighth of the disc's width: a percent of area
    assert still.sum() == pytest.approx(np.pi * 36, rel=0.03)
    moved = snow._flake(down, right, 6.0, 12.0, 0.0, 1.0, 0.0, 0.0, 0.5)
    assert moved.max() == pytest.approx(1 / (1 + 12 / 24))
    assert moved.any(1).sum() - still.any(1).sum() == 12
    assert moved.any(0).sum() == still.any(0).sum()


@pytest.mark.parametrize("seed", [0, 1, 5])
def test_flakes_fall_one_way(seed):
    middle = dataclasses.replace(CLEAR.depths[1], share=1.0, radius=(1.5, 2.0))
    ranges = dataclasses.replace(
        CLEAR, depths=(middle,), spread=(0.0, 0.0), blur=(8.0, 8.0)
    )
    clean = np.zeros((160, 160, 3), np.float32)
    _, flakes = snow.add_snow(clean, np.random.default_rng(seed), ranges)
    angle = np.random.default_rng(seed).uniform(-ranges.angle, ranges.angle)
    # round ends and uneven discs of a few pixels turn the main axis a little
    assert streaks.streak_angle(flakes) == pytest.approx(angle, abs=8)
