"""Films of rain: rain that falls, scenes that are panned."""

import numpy as np
import pytest
from helpers import images

from tfderain.data import films, rain


def test_panned_frames_are_parts_of_the_scene():
    scene = images(40, 60, 3)
    whole = list(films.panned(scene, (20, 30), 4, (1, 3)))
    for number, frame in enumerate(whole):
        expected = scene[number : number + 20, 3 * number : 3 * number + 30]
        np.testing.assert_array_equal(frame, expected)
    (_, half) = films.panned(scene, (20, 30), 2, (0, 0.5))
    expected = (scene[:20, :30] + scene[:20, 1:31]) / 2
    np.testing.assert_allclose(half, expected, atol=1e-7)  # float32


@pytest.mark.parametrize("step", [(0, 20), (-1, 0)])
def test_scenes_that_are_too_small_are_refused(step):
    with pytest.raises(ValueError, match="The scene must have"):
        list(films.panned(images(40, 60, 3), (20, 30), 4, step))


def test_rain_falls_along_its_streaks():
    falling = films.FallingRain((96, 128), np.random.default_rng(2), layers=1)
    ((layer, down, right),) = falling.layers
    angle = np.degrees(np.arctan2(right, down))
    # drawn angles spread by up to 4 degrees within a layer, and short streaks blur it
    assert abs(angle - rain.streak_angle(layer)) < 8
    first, second = falling.streaks(0), falling.streaks(1)
    assert down > 0 and not np.array_equal(first, second)
    shift = round(down), round(right)
    np.testing.assert_array_equal(np.roll(layer, shift, (0, 1))[:96, :128], second)


def test_a_pixel_is_mostly_hit_in_one_frame_alone():
    falling = films.FallingRain((96, 128), np.random.default_rng(0), layers=1)
    hit = np.stack([falling.streaks(number) > 0.1 for number in range(3)])
    share = hit.mean()
    both = (hit[0] & hit[1]).mean()
    assert 0 < share < 0.6 and both < 2 * share**2 + 0.02  # as by chance


def test_the_first_frame_has_the_strength_asked_for():
    clean = 0.2 + 0.4 * images(96, 128, 3)
    falling = films.FallingRain((96, 128), np.random.default_rng(0), psnr=24)
    error = np.square(falling.over(clean, 0) - clean).mean()
    # `strength` measures every eighth pixel and converges within half a decibel
    assert abs(-10 * np.log10(error) - 24) < 1.5
    gain = falling.gain
    falling.over(clean, 1)
    assert falling.gain == gain, "one film, one strength"
