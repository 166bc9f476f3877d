"""Picture editors' rain: ranges, seeds, blend modes and strengths."""

import dataclasses

import numpy as np
import pytest
from pictures import photo

from tfderain.data import editors


def look(mode=None, **changes):
    """A look with one blend mode; everything else may be tuned."""
    if mode is not None:
        changes["modes"] = tuple(float(mode == name) for name in editors.MODES)
    return dataclasses.replace(editors.Look(), **changes)


def psnr(rainy, clean):
    return -10 * np.log10(np.mean(np.square(np.float64(rainy) - clean)))


def blend(clean, seed, strength, mode):
    rng = np.random.default_rng(seed)
    layer = editors.render_noise(clean.shape[:2], rng)
    return editors.blend(clean, layer, rng, strength, look(mode))


@pytest.mark.parametrize("shape", [(90, 130), (1, 1), (300, 9)])
def test_layers_stay_in_range(shape):
    for seed in range(6):
        layer = editors.render_noise(shape, np.random.default_rng(seed))
        assert layer.shape == shape and layer.dtype == np.float32
        assert layer.min() >= 0 and layer.max() <= 1
        if min(shape) > 10:
            assert 0.001 < layer.mean() < 0.9 and layer.max() > 0.5


def test_an_empty_shape_is_refused():
    with pytest.raises(ValueError, match=r"Received: \(0, 5\)"):
        editors.render_noise((0, 5), np.random.default_rng(0))


def test_seeds_decide():
    pool = editors.noise_pool(3, 40, seed=1)
    assert pool.shape == (3, 40, 40) and pool.dtype == np.uint8
    np.testing.assert_array_equal(pool[:2], editors.noise_pool(2, 40, seed=1))
    assert not np.array_equal(pool, editors.noise_pool(3, 40, seed=2))
    layer = editors.render_noise((40, 40), np.random.default_rng((1, 2)))
    np.testing.assert_array_equal(pool[2], np.rint(layer * 255))
    clean = photo(64, 64)
    first, again, other = (blend(clean, s, 20.0, "grey") for s in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("mode", editors.MODES)
def test_each_mode_reaches_the_strength(mode):
    clean = 0.2 + 0.5 * photo(96, 120)  # mid-tones, which every mode can change
    for seed in range(8):
        rainy = blend(clean, seed, 26.0, mode)
        assert rainy.dtype == np.float32
        assert rainy.min() >= 0 and rainy.max() <= 1
        # The gain is fitted on one pixel in sixteen, which thin streaks may miss.
        assert psnr(rainy, clean) == pytest.approx(26.0, abs=2.0), seed


@pytest.mark.parametrize("mode", editors.MODES)
def test_what_cannot_be_reached_is_weaker(mode):
    black = np.zeros((40, 40, 3), np.float32)
    rainy = blend(black, 0, 1.0, mode)
    assert np.isfinite(rainy).all() and rainy.max() <= 1
    assert np.mean(rainy**2) < 10**-0.1  # more than the 1 dB asked for
    assert mode != "overlay" or rainy.max() == 0  # overlay leaves black alone


def test_signs_of_the_modes():
    dark, bright = (np.full((64, 64, 3), value, np.float32) for value in (0.1, 0.9))
    for mode in ("screen", "add"):  # never darken
        for clean in (dark, bright):
            assert (blend(clean, 1, 20.0, mode) >= clean).all()
    between = look("grey", grey=(0.6, 0.6))
    layer = editors.render_noise((64, 64), np.random.default_rng(2))
    for clean, sign in ((dark, 1), (bright, -1)):
        rng = np.random.default_rng(3)
        change = editors.blend(clean, layer, rng, 20.0, between) - clean
        assert (change * sign >= 0).all() and np.abs(change).max() > 0
