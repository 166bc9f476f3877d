"""Night scenes: how dark, how lit, and rain that shines in the lamps' light."""

import dataclasses

import numpy as np
import pytest

from tfderain.data import night

EVEN = ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0))
PLAIN = dataclasses.replace(
    night.RANGES,
    exposure=(0.1, 0.1),
    sky=(4.0, 4.0),
    cool=EVEN,
    warm=EVEN,
    lamps=(0, 0),
    noise=(1e-9, 1e-9),
    mist_share=0.0,
)


def even(layer):
    """Stands in for layers of streaks: the same light everywhere."""
    return lambda angle=None: (layer, 0.0)


def test_darkness_by_hand():
    clean = np.full((4, 5, 3), 0.5, np.float32)
    scene = night.make_night(clean, np.random.default_rng(0), PLAIN)
    # 0.25 of linear light, halved as a bright area, a tenth of it at night; float32
    np.testing.assert_allclose(scene.image, np.sqrt(0.0125), atol=1e-5)
    assert not scene.light.any()


def test_what_was_brighter_stays_brighter():
    ramp = np.linspace(0, 1, 40, dtype=np.float32)[None, :, None]
    scene = night.make_night(np.tile(ramp, (2, 1, 3)), np.random.default_rng(0), PLAIN)
    assert (np.diff(scene.image[0, :, 0]) > 0).all()
    assert scene.image.max() < 0.2  # the sky, white by day


def test_lamps_are_bright_and_light_up_what_is_near():
    one_lamp = dataclasses.replace(PLAIN, lamps=(1, 1))
    clean = np.full((120, 330, 3), 0.5, np.float32)
    lit = 0
    for seed in range(8):
        scene = night.make_night(clean, np.random.default_rng(seed), one_lamp)
        place = np.unravel_index(scene.light.sum(-1).argmax(), clean.shape[:2])
        rows, columns = np.indices(clean.shape[:2])
        far = np.hypot(rows - place[0], columns - place[1])
        rings = [scene.light[abs(far - d) < 2].mean() for d in (5, 40, 120)]
        assert rings[0] > rings[1] > rings[2] > 0
        lit += scene.image.max() == 1
        assert scene.image[far > 150].mean() > np.sqrt(0.0125)  # never less than dark
    assert lit >= 3  # a lamp hangs outside the picture at times


def test_rain_shines_near_the_lamps():
    light = np.zeros((20, 30, 3), np.float32)
    light[:, :15] = 0.5
    scene = night.Scene(np.zeros_like(light), light)
    layer = np.ones((20, 30), np.float32)
    rainy = night.rain_at_night(scene, np.random.default_rng(0), even(layer), PLAIN)
    near, away = rainy[:, :15].mean(), rainy[:, 15:].mean()
    low, high = PLAIN.drops_light
    share = np.sqrt(0.5)
    assert (share + high) / high - 1e-3 < near / away < (share + low) / low + 1e-3


@pytest.mark.parametrize("psnr", [20.0, 30.0])
def test_rain_is_as_strong_as_asked_for(psnr):
    ranges = dataclasses.replace(PLAIN, psnr=(psnr, psnr))
    scene = night.Scene(np.zeros((40, 60, 3), np.float32), np.ones((40, 60, 3), "f"))
    layer = np.random.default_rng(1).random((40, 60), dtype=np.float32)
    rainy = night.rain_at_night(scene, np.random.default_rng(0), even(layer), ranges)
    # the gain is fitted on every fourth pixel of 2400 random ones
    assert -10 * np.log10(np.mean(rainy**2)) == pytest.approx(psnr, abs=0.5)
