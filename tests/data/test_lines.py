"""Line rain: ranges, seeds, direction and coverage, whatever look is tuned."""

import dataclasses

import numpy as np
import pytest
import scipy.ndimage

from tfderain.data import lines, streaks

LOOK = lines.Look(
    angle=0.0,
    spread=(0.0, 0.0),
    length=(30.0, 30.0),
    width=(2.0, 2.0),
    coverage=(0.3, 0.3),
)


def render(shape=(200, 240), seed=0, **look):
    look = dataclasses.replace(LOOK, **look)
    return lines.render_lines(shape, np.random.default_rng(seed), look)


def test_a_layer_counts_the_lines_that_cross():
    layer = render()
    assert layer.shape == (200, 240) and layer.dtype == np.float32
    assert layer.min() >= 0
    single = (np.abs(layer - 1) < 0.02).mean()
    double = (np.abs(layer - 2) < 0.02).mean()
    assert single > 5 * double > 0


def test_crossings_saturate():
    one = render(seed=3, coverage=(0.6, 0.6))
    strength = 1.7
    layer = render(seed=3, coverage=(0.6, 0.6), saturation=(strength, strength))
    # float32 sums of a Fourier transform
    expected = (1 - np.exp(-strength * one)) / (1 - np.exp(-strength))
    np.testing.assert_allclose(layer, expected, atol=1e-5)
    assert one.max() > 2.5 > 1.25 > layer.max()


def middles(layer):
    """Middles of the lines that lie alone, from top to bottom."""
    found, _ = scipy.ndimage.label(layer > 0.1)
    boxes = scipy.ndimage.find_objects(found)
    heights = [rows.stop - rows.start for rows, _ in boxes]
    assert sum(28 <= height <= 34 for height in heights) > 10
    return [
        ((rows.start + rows.stop) // 2, (columns.start + columns.stop) // 2)
        for rows, columns in boxes
        if 26 <= rows.stop - rows.start <= 40 and columns.stop - columns.start <= 4
    ]


def test_lines_of_a_layer_fade_down_to_the_faintest():
    # So few lines that hardly any cross.
    layer = render(faintest=(0.3, 0.3), coverage=(0.02, 0.02), spread=(0, 0))
    even = render(coverage=(0.02, 0.02), spread=(0, 0))
    # Without the half-lit edges; lines that overlap along their length are few.
    brightness = [layer[y, x - 1 : x + 2].max() for y, x in middles(layer)]
    assert 0.25 < min(brightness) < 0.4 and 0.9 < max(brightness) < 1.1
    full = [abs(even[y, x - 1 : x + 2].max() - 1) < 0.05 for y, x in middles(even)]
    assert np.mean(full) > 0.8


@pytest.mark.parametrize("coverage", [0.1, 0.3, 1.0])
def test_coverage_is_the_light_of_the_layer(coverage):
    means = [render(seed=s, coverage=(coverage,) * 2).mean() for s in range(12)]
    # Lengths of +-20 %, anti-aliased ends, and a Poisson number of lines: some 240 at
    # the least coverage.
    assert np.mean(means) == pytest.approx(coverage, rel=0.15)


@pytest.mark.parametrize("angle", [4.0, 40.0])
def test_directions_scatter_around_the_vertical(angle):
    found = [
        float(streaks.streak_angle(render(seed=seed, angle=angle)))
        for seed in range(40)
    ]
    # of 40 draws the mean scatters by a sixth, the deviation by a ninth of `angle`
    assert abs(np.mean(found)) < 0.5 * angle
    assert np.std(found) == pytest.approx(angle, rel=0.4)


def test_seeds_decide():
    np.testing.assert_array_equal(render(seed=3), render(seed=3))
    assert not np.array_equal(render(seed=3), render(seed=4))
    pool = lines.line_pool(3, 50, seed=1)
    np.testing.assert_array_equal(pool, lines.line_pool(3, 50, seed=1))
    np.testing.assert_array_equal(pool[:2], lines.line_pool(2, 50, seed=1))
    assert not np.array_equal(pool, lines.line_pool(3, 50, seed=2))


def test_a_pool_is_the_layers_in_steps_of_a_level():
    pool = lines.line_pool(2, 64, seed=5, look=LOOK)
    assert pool.shape == (2, 64, 64) and pool.dtype == np.uint8
    layer = lines.render_lines((64, 64), np.random.default_rng((5, 1)), LOOK)
    bright = np.minimum(layer, 255 / lines.LEVEL)
    # half a level of rounding
    np.testing.assert_allclose(pool[1] / lines.LEVEL, bright, atol=0.51 / lines.LEVEL)


@pytest.mark.parametrize("shape", [(1, 1), (7, 300)])
def test_any_size(shape):
    assert lines.render_lines(shape, np.random.default_rng(0)).shape == shape


def test_an_empty_shape_is_refused():
    with pytest.raises(ValueError, match=r"Received: \(0, 5\)"):
        lines.render_lines((0, 5), np.random.default_rng(0))
