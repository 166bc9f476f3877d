"""Night scenes made from day photos, and the rain that their lamps light up.

```python
scene = night.make_night(clean, np.random.default_rng(0))
rainy = night.rain_at_night(scene, np.random.default_rng(1), draw)  # layers of streaks
rainy - scene.image  # only the rain: the dry night is the clean target
```

The photo is darkened in linear light, its bright sky most, tinted in the colour of the
night, lit again by a few glowing lamps, and given the noise of a camera. Falling drops
are as bright as the light around them. The ranges are ours; the idea of night rain
whose target is the dry night is GTAV-NightRain's (https://arxiv.org/abs/2208.02345).
Needs only NumPy.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from tfderain.data.streaks import log_uniform

FRAME = 320  # pixels; a smaller image counts as a part of a scene of this size


@dataclasses.dataclass(frozen=True)
class Ranges:
    """Ranges from which a night is composed (pairs are low, high).

    Attributes:
        exposure: light of the night relative to the day's, linear, log-uniform.
        sky: how much more bright areas are darkened, log-uniform.
        grey: share of the colour that is lost in the dark.
        cool, warm: gains of red, green and blue of the night's own light; the warm one
            (a lit, cloudy sky) in `warm_share` of the scenes.
        lamps: number of lamps in and around the scene.
        lamp_colours: red, green, blue from sodium to white and cool light.
        radius: of a lamp, relative to the scene's longer side.
        reach: distance at which a lamp's light falls off, in the same unit.
        power: brightness of what a lamp illuminates, linear, log-uniform.
        glow: brightness of the halo.
        noise: standard deviation.
        psnr: in dB between rainy and dry night, as far as `most_gain` allows.
        layers: number of streak layers.
        drops_light: brightness of streaks away from the lamps.
        mist, mist_share: light that the rain scatters around the lamps.
        most_gain: largest gain of the streaks.
    """

    exposure: tuple = (0.015, 0.15)
    sky: tuple = (1.0, 12.0)
    grey: tuple = (0.2, 0.7)
    cool: tuple = ((0.55, 0.75, 1.0), (0.9, 1.0, 1.25))
    warm: tuple = ((1.0, 0.75, 0.45), (1.3, 0.95, 0.8))
    warm_share: float = 0.3
    lamps: tuple = (1, 5)
    lamp_colours: tuple = ((1.0, 0.62, 0.25), (1.0, 0.8, 0.5), (0.95, 0.97, 1.0))
    radius: tuple = (0.004, 0.016)
    reach: tuple = (0.1, 0.4)
    power: tuple = (0.2, 1.2)
    glow: tuple = (0.2, 0.9)
    noise: tuple = (0.003, 0.02)
    psnr: tuple = (22.0, 36.0)
    layers: tuple = (1, 4)
    drops_light: tuple = (0.06, 0.35)
    mist: tuple = (0.01, 0.1)
    mist_share: float = 0.5
    most_gain: float = 2.5


RANGES = Ranges()


@dataclasses.dataclass(frozen=True)
class Scene:
    """A night without rain.

    Attributes:
        image: float32 `(height, width, channels)` in [0, 1].
        light: light of the lamps at each pixel, linear, float32 of the same shape.
    """

    image: np.ndarray
    light: np.ndarray


def make_night(
    clean: np.ndarray, rng: np.random.Generator, ranges: Ranges = RANGES
) -> Scene:
    """Turns a day photo into a night scene.

    Args:
        clean: float32 array `(height, width, channels)` in [0, 1], 1 or 3 channels.
            Grey images stay grey.
        rng: `numpy.random.Generator`. All choices come from it.
        ranges: `Ranges` to draw from.

    Returns:
        A `Scene`.
    """
    channels = clean.shape[-1]
    coloured = channels > 1 and bool(np.ptp(clean[::4, ::4], axis=-1).any())
    day = clean * clean  # nearly linear light
    grey = day.mean(axis=-1, keepdims=True)
    day = day / (1 + np.float32(log_uniform(rng, ranges.sky)) * grey)
    cast = _colour(rng, ranges, coloured, channels)
    exposure = log_uniform(rng, ranges.exposure)
    share = np.float32(rng.uniform(*ranges.grey))
    night = day + share * (day.mean(axis=-1, keepdims=True) - day)
    night *= (exposure * cast).astype(np.float32)
    light, shine = _lamps(clean.shape, rng, ranges, coloured)
    night += day * light
    night += shine
    image = np.sqrt(np.minimum(night, 1))
    noise = rng.standard_normal(clean.shape if coloured else grey.shape, np.float32)
    noise *= np.float32(log_uniform(rng, ranges.noise))
    return Scene(np.clip(image + noise, 0, 1), light)


def rain_at_night(
    scene: Scene,
    rng: np.random.Generator,
    draw: Callable[..., tuple],
    ranges: Ranges = RANGES,
) -> np.ndarray:
    """Adds streaks to a night scene, brightest near its lamps.

    Args:
        scene: see `make_night`.
        rng: `numpy.random.Generator`.
        draw: function from an angle in degrees, or no argument, to a tuple of a layer
            of streaks, float32 `(height, width)` in [0, 1], its angle, and possibly
            more.
        ranges: `Ranges` to draw from.

    Returns:
        The rainy night, float32 in [0, 1].
    """
    low, high = ranges.layers
    streaks, angle, *_ = draw()
    for _ in range(int(rng.integers(low, high + 1)) - 1):
        streaks = np.maximum(streaks, draw(angle)[0])
    light = np.sqrt(np.minimum(scene.light, 1))
    light += np.float32(rng.uniform(*ranges.drops_light))
    rain = streaks[..., None] * light
    psnr = rng.uniform(*ranges.psnr)
    error = float(np.mean(np.square(rain[::2, ::2])))
    gain = min(math.sqrt(10 ** (-psnr / 10) / max(error, 1e-8)), ranges.most_gain)
    rain *= np.float32(gain)
    if rng.random() < ranges.mist_share:
        rain += np.float32(rng.uniform(*ranges.mist)) * light * light
    # in screen mode: what is bright already hides the rain
    rain *= 1 - scene.image * np.float32(rng.uniform(0.5, 1))
    return np.clip(scene.image + rain, 0, 1)


def _colour(rng, ranges, coloured, channels):
    """Gains of the night's own light, one for each channel."""
    bounds = ranges.warm if rng.random() < ranges.warm_share else ranges.cool
    gains = rng.uniform(*np.asarray(bounds))
    return gains[:channels] if coloured else np.ones(channels)


def _lamps(shape, rng, ranges, coloured):
    """Light on the scene and light of the lamps themselves, both linear, of `shape`."""
    height, width, channels = shape
    side = max(height, width, FRAME)
    light = np.zeros(shape, np.float32)
    shine = np.zeros(shape, np.float32)
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)
    # the image is a random part of the frame; lamps hang in its upper part
    top = rng.uniform(0, max(side * 0.75 - height, 1e-3))
    left = rng.uniform(0, max(side - width, 1e-3))
    for _ in range(int(rng.integers(ranges.lamps[0], ranges.lamps[1] + 1))):
        y = rng.uniform(-0.1, 0.55) * max(height, side * 0.75) - top
        x = rng.uniform(-0.1, 1.1) * side - left
        colour = np.asarray(ranges.lamp_colours[rng.integers(3)], np.float32)
        colour = colour * rng.uniform(0.93, 1.05, 3).astype(np.float32)
        colour = colour[:channels] if coloured else np.ones(channels, np.float32)
        radius = log_uniform(rng, ranges.radius) * side
        reach = rng.uniform(*ranges.reach) * side
        power, glow = log_uniform(rng, ranges.power), rng.uniform(*ranges.glow)
        square = (rows - np.float32(y)) ** 2 + (columns - np.float32(x)) ** 2
        falling = np.float32(power) / (1 + square / np.float32(reach**2)) ** 1.5
        distance = np.sqrt(square)
        halo = np.float32(glow) * np.exp(distance / np.float32(-4 * radius))
        halo += np.float32(0.08 * glow) / (1 + square / np.float32((8 * radius) ** 2))
        halo += 3 * np.clip(radius + 0.5 - distance, 0, 1)
        light += (falling + np.float32(0.5) * halo)[..., None] * colour
        shine += halo[..., None] * colour
    return light, shine
