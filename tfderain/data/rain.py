"""Seeded synthetic rain: layers of streaks, laid over clean images.

```python
rainy, streaks = rain.add_rain(clean, np.random.default_rng(0), kind="heavy")

pool = rain.streak_pool(800, 384, seed=0, folder="streaks")  # once, ten seconds
degrade = rain.RainMixer(pool)  # then about a millisecond for each training crop
rainy, clean = degrade(rainy, clean, seed=17)

dark_rainy, dark = rain.add_weather(clean, np.random.default_rng(0), "night")
```

Layers of streaks (see `streaks`) are combined, scaled until the rainy image has a
wanted PSNR, and composited as `clean + streaks * (light - opacity * clean)`. That
one formula is additive rain
(`light=1, opacity=0`; Yang et al., 2017, eq. 1, https://arxiv.org/abs/1609.07769),
Photoshop's screen mode (`1, 1`) and half-transparent grey streaks (`0.8, 1`).
The veil of distant rain is `clean * t + airlight * (1 - t)` (their eq. 3).
Needs numpy and Pillow only.
"""

import dataclasses
import io
import math

import numpy as np
from PIL import Image

from tfderain.data import drops, night, snow
from tfderain.data.streaks import (
    Pool,
    checked_shape,
    draw_angle,
    draw_style,
    render_streaks,
    streak_angle,
    streak_pool,
)

__all__ = [
    "KINDS",
    "RANGES",
    "WEATHER",
    "RainMixer",
    "Ranges",
    "add_rain",
    "add_weather",
    "composite",
    "render_streaks",
    "streak_angle",
    "streak_pool",
]

KINDS = ("light", "medium", "heavy", "veil", "mixed")  # of rain by day
WEATHER = (*KINDS, "night", "drops", "snow")


@dataclasses.dataclass(frozen=True)
class Ranges:
    """Ranges from which a rainy image is composed (pairs are low, high)."""

    # PSNR in dB between rainy and clean, and number of layers, for each kind. For
    # "veil" the PSNR counts the streaks alone.
    light: tuple = (26.0, 36.0)
    medium: tuple = (18.0, 26.0)
    heavy: tuple = (8.0, 18.0)  # the heavy test sets come to 12 dB on average
    veil: tuple = (16.0, 36.0)
    layers: dict = dataclasses.field(
        default_factory=lambda: {
            "light": (1, 2),
            "medium": (1, 5),
            "heavy": (2, 8),
            "veil": (2, 5),
        }
    )
    most_layers: int = 12  # added until the gain needed is below half of `most_gain`
    most_gain: float = 2.0
    most_mean: float = 0.55  # of the streaks over an image, before clipping
    # Noise of picture editors need not be cut to black: what is left between medium
    # and heavy streaks, as a part of the bright ones, and in how many images.
    floor: tuple = (0.0, 0.3)
    most_floor: float = 0.2  # after the gain
    floor_share: float = 0.3
    overlay_share: float = 0.12  # of medium rain: streaks that brighten and darken
    aligned_share: float = 0.7  # layers of one image falling in one direction
    # Layers of one image that look alike too: rain in a data set, as in the sky, is
    # mostly of one kind of drop, however dense.
    alike_share: float = 0.35
    loss: tuple = (0.02, 0.50)  # 1 - t of the veil; squared draw: mostly thin
    airlight: tuple = (0.55, 1.0)
    tint: float = 0.04  # colour cast of veil and streaks, either way
    noise: tuple = (0.002, 0.012)  # standard deviation
    noise_share: float = 0.12
    jpeg_quality: tuple = (70, 95)
    jpeg_share: float = 0.12
    jitter_share: float = 0.5


RANGES = Ranges()


def composite(clean, streaks, light=1.0, opacity=0.0):
    """Lays streaks over an image: `clean + streaks * (light - opacity * clean)`.

    Args:
        clean: float32 array `(height, width, channels)` in [0, 1].
        streaks: float32 array `(height, width)` in [0, 1].
        light: brightness of the streaks, a number or one for each channel.
        opacity: 0 adds; 1 blends towards `light` (`light=1` is screen mode).

    Returns:
        float32 array like `clean`, clipped to [0, 1].
    """
    rain = clean * np.float32(-opacity)
    rows = rain.reshape(len(rain), -1)  # long rows: NumPy is slow on axes of 3
    rows += _along_rows(light, clean)
    rows *= np.repeat(streaks, clean.shape[-1], axis=1)
    rain += clean
    return np.clip(rain, 0, 1, out=rain)


def _along_rows(colour, image):
    """A number, or one for each channel, as a row `(width * channels,)`."""
    channels = np.broadcast_to(np.asarray(colour, np.float32), image.shape[-1:])
    return np.tile(channels, image.shape[1])


def _blend_mode(rng, tint):
    """Draws `(light, opacity, densest)`: additive, screen, half-transparent."""
    mode = rng.random()
    if mode < 0.55:
        return np.ones(len(tint), np.float32), 0.0, 1.0
    if mode < 0.85:
        return np.ones(len(tint), np.float32), 1.0, rng.uniform(0.7, 1.0)
    light = (rng.uniform(0.7, 1.0) * tint).astype(np.float32)
    return light, 1.0, rng.uniform(0.4, 0.95)


def _fit_gain(base, streaks, blend, psnr, most):
    """Gain at which streaks disturb `base` by `psnr` dB, as far as `most` allows.

    Measured on every fourth row and second column: streaks are tall and thin.
    """
    light, opacity, densest = blend
    base, streaks = base[::4, ::2].copy(), streaks[::4, ::2, None].copy()
    toward, darkest, brightest = light - np.float32(opacity) * base, -base, 1 - base
    target, gain = 10 ** (-psnr / 10), 1.0
    for _ in range(4):  # the error grows with the gain: converges within 0.5 dB
        rain = toward * np.minimum(streaks * np.float32(gain), np.float32(densest))
        np.maximum(np.minimum(rain, brightest, out=rain), darkest, out=rain)
        error = float(np.vdot(rain, rain)) / rain.size
        gain = min(gain * math.sqrt(target / max(error, 1e-8)), most)
    return gain


def at_strength(clean, layer, psnr, most):
    """Adds a grey layer to an image and clips, with a gain that gives a wanted PSNR.

    Args:
        clean: float32 array `(height, width, channels)` in [0, 1].
        layer: float32 array `(height, width)`, not negative.
        psnr: of the result against `clean`, in dB.
        most: largest gain.

    Returns:
        float32 array like `clean`, in [0, 1].
    """
    white = np.ones(clean.shape[-1], np.float32)
    gain = np.float32(_fit_gain(clean, layer, (white, 0.0, np.inf), psnr, most))
    return composite(clean, layer * gain)


def _combine(layers, rng):
    """Overlaps layers: their sum, their maximum, or screen."""
    how = rng.integers(3)
    total = layers[0]
    for layer in layers[1:]:
        if how == 0:
            total = total + layer
        elif how == 1:
            total = np.maximum(total, layer)
        else:
            total = total + layer * (1 - total)
    return total


def _overlay(clean, streaks, psnr, most, centre):
    """Blends a grey layer in by the overlay mode of picture editors.

    Grey as bright as `centre` times the mean of the streaks changes nothing; what is
    brighter brightens, what is darker darkens, most in the mid-tones.
    """
    signed = (streaks - np.float32(centre * streaks.mean()))[..., None]
    change = signed * (2 * np.minimum(clean, 1 - clean))
    error = float(np.mean(np.square(change[::4, ::2])))
    gain = min(math.sqrt(10 ** (-psnr / 10) / max(error, 1e-8)), 2 * most)
    return np.clip(clean + change * np.float32(gain), 0, 1)


def _veil(clean, rng, tint, ranges):
    """Mixes in the airlight of distant rain, a little more towards one end."""
    low, high = ranges.loss
    loss = low + (high - low) * rng.random() ** 2
    slope = np.linspace(1, rng.uniform(0.5, 1), clean.shape[0], dtype=np.float32)
    loss = np.float32(loss) * slope[:: rng.choice((-1, 1)), None]
    airlight = np.minimum(rng.uniform(*ranges.airlight) * tint, 1)
    rows = _along_rows(airlight, clean) - clean.reshape(len(clean), -1)
    rows *= loss
    return clean + rows.reshape(clean.shape)


def _draw_layers(psnr, rng, kind, draw, ranges):
    """Layers enough to reach `psnr` without gains that whiten everything."""
    alike = rng.random() < ranges.alike_share
    aligned = alike or rng.random() < ranges.aligned_share
    low, high = ranges.layers[kind]
    count = rng.integers(low, high + 1)
    need, energy, layers, angle, look = 10 ** (-psnr / 10), 0.0, [], None, None
    while len(layers) < ranges.most_layers and (
        len(layers) < count or energy * (ranges.most_gain / 2) ** 2 < need
    ):
        layer, *drawn = draw(angle, look)
        layers.append(layer)
        energy += float(np.mean(np.square(layer[::4, ::2])))
        if aligned and angle is None:
            angle, look = drawn[0], drawn[1] if alike else None
    return layers


def _is_grey(image):
    few = image[:: max(1, len(image) // 4)]  # decides for most colour images
    return np.array_equal(few[..., 0], few[..., -1]) and all(
        np.array_equal(image[..., 0], image[..., c]) for c in range(image.shape[-1])
    )


def _compose(clean, rng, kind, draw, ranges):
    """The one way from a clean image to a rainy one: `(rainy, streaks)`.

    `draw(angle, look)` returns a layer of the image's size, its angle in degrees and
    its look, near and like what is asked for unless that is None.
    """
    tint = 1 + (0 if _is_grey(clean) else ranges.tint) * rng.uniform(-1, 1, size=3)
    tint = tint[: clean.shape[-1]]
    psnr = rng.uniform(*getattr(ranges, kind))
    streaks = _combine(_draw_layers(psnr, rng, kind, draw, ranges), rng)
    if kind == "medium" and rng.random() < ranges.overlay_share:
        centre = rng.uniform(0.4, 1.2)
        rainy = _overlay(clean, streaks, psnr, ranges.most_gain, centre)
        return rainy, np.minimum(streaks, 1)
    floor = 0.0
    if kind in ("medium", "heavy") and rng.random() < ranges.floor_share:
        bright = np.quantile(streaks[::4, ::2], 0.98)
        floor = float(rng.uniform(*ranges.floor) * bright)
        streaks = streaks + np.float32(floor)
    base = _veil(clean, rng, tint, ranges) if kind == "veil" else clean
    blend = _blend_mode(rng, tint)
    # on white, no gain reaches the PSNR: the mean bounds it, or all would be lost
    most = min(ranges.most_gain, ranges.most_mean / max(float(streaks.mean()), 1e-6))
    most = min(most, ranges.most_floor / max(floor, 1e-6))
    gain = _fit_gain(base, streaks, blend, psnr, most)
    streaks = np.minimum(streaks * np.float32(gain), np.float32(blend[2]))
    return composite(base, streaks, *blend[:2]), streaks


def _drawing(shape, rng, pool):
    """The function `draw` of `_compose` for one image."""
    if pool is not None:
        some = rng.choice(len(pool), size=min(len(pool), 64), replace=False)
        crops = Pool(pool[some])

    def draw(angle=None, look=None):
        if pool is not None:
            return crops.draw(shape, rng, angle, look)
        angle = draw_angle(rng) if angle is None else angle
        look = draw_style(rng) if look is None else look
        return render_streaks(shape, rng, style=look, angle=angle), angle, look

    return draw


def add_rain(clean, rng, kind="mixed", pool=None, ranges=RANGES):
    """Adds synthetic rain to one image of any size.

    Args:
        clean: float array in [0, 1], `(height, width)` or `(height, width,
            channels)` with 1 or 3 channels. Without colour it stays so.
        rng: `numpy.random.Generator`. All choices come from it.
        kind: `"light"`, `"medium"` or `"heavy"` (PSNR of about 26 to 36, 18 to
            26 and 8 to 18 dB), `"veil"` (contrast lost to distant rain under
            faint streaks), `"mixed"` (one of these by chance).
        pool: layers from `streak_pool` to crop from; rendered at the image's
            size if None (about half a second for each megapixel and layer).
        ranges: `Ranges` to draw from.

    Returns:
        `(rainy, streaks)`: float32 like `clean`, and `(height, width)`, both in
        [0, 1].

    Raises:
        ValueError: for an unknown kind, or an image of other shape or type.
    """
    clean = _checked_image(clean)
    if kind not in KINDS:
        raise ValueError(
            f"`kind` must be one of {', '.join(KINDS)}. Received: kind={kind!r}."
        )
    shape = checked_shape(clean.shape[:2])
    if kind == "mixed":
        kind = KINDS[rng.integers(4)]
    draw = _drawing(shape, rng, pool)
    pixels = clean.astype(np.float32).reshape(*shape, -1)
    rainy, streaks = _compose(pixels, rng, kind, draw, ranges)
    return rainy.reshape(clean.shape), streaks


def _checked_image(clean):
    clean = np.asarray(clean)
    if clean.dtype.kind != "f" or not (
        clean.ndim == 2 or clean.ndim == 3 and clean.shape[-1] in (1, 3)
    ):
        raise ValueError(
            "`clean` must be a float image (height, width[, 1 or 3]). Received: "
            f"shape={clean.shape}, dtype={clean.dtype}."
        )
    return clean


def add_weather(clean, rng, kind="mixed", pool=None, scene_rng=None):
    """Adds weather to one image of any size; at night the target is another image.

    Args:
        clean: see `add_rain`.
        rng: `numpy.random.Generator`. All choices come from it.
        kind: one of `WEATHER`: rain as in `add_rain`, `"night"` (`night`), `"drops"`
            on the lens (`drops`), or `"snow"` (`snow`).
        pool: see `add_rain`.
        scene_rng: `numpy.random.Generator` that draws the night scene, so that
            several rains can fall on one; `rng` if None.

    Returns:
        `(rainy, clean)`: what a network gets and what it should return, float32 like
        the image given, in [0, 1].

    Raises:
        ValueError: see `add_rain`.
    """
    clean = _checked_image(clean)
    if kind not in WEATHER:
        raise ValueError(
            f"`kind` must be one of {', '.join(WEATHER)}. Received: kind={kind!r}."
        )
    shape = checked_shape(clean.shape[:2])
    pixels = clean.astype(np.float32).reshape(*shape, -1)
    if kind in KINDS:
        rainy, target = add_rain(pixels, rng, kind, pool)[0], pixels
    else:
        draw = _drawing(shape, rng, pool) if kind == "night" else None
        rainy, target = _weather(pixels, rng, kind, draw, scene_rng or rng)
    return rainy.reshape(clean.shape), target.reshape(clean.shape)


def _weather(clean, rng, kind, draw, scene_rng):
    """`(rainy, target)` of what is no rain by day."""
    if kind == "drops":
        return drops.add_drops(clean, rng)[0], clean
    if kind == "snow":
        return snow.add_snow(clean, rng)[0], clean
    scene = night.make_night(clean, scene_rng)
    return night.rain_at_night(scene, rng, draw), scene.image


def _jitter(clean, rng):
    """Slightly other brightness, contrast curve and saturation of the scene."""
    saturation = np.float32(rng.uniform(-0.25, 0.2))
    out = clean * (np.float32(rng.uniform(0.75, 1.15)) * (1 + saturation))
    middle = out[..., 0] + out[..., 1] + out[..., 2]
    middle *= saturation / (3 * (1 + saturation))
    out -= np.repeat(middle, clean.shape[-1], axis=1).reshape(clean.shape)
    np.clip(out, 0, 1, out=out)
    bend = (1 - out) * np.float32(rng.uniform(-0.35, 0.35))  # like a gamma
    bend *= out
    out += bend
    return out


def _camera(rainy, rng, ranges):
    """Sensor noise and JPEG artefacts, each in a share of the images."""
    if rng.random() < ranges.noise_share:
        deviation = np.float32(rng.uniform(*ranges.noise))
        rainy = rainy + deviation * rng.standard_normal(rainy.shape, np.float32)
        np.clip(rainy, 0, 1, out=rainy)
    if rng.random() < ranges.jpeg_share:
        memory = io.BytesIO()
        pixels = np.rint(rainy * 255).astype(np.uint8)
        quality = int(rng.integers(ranges.jpeg_quality[0], ranges.jpeg_quality[1] + 1))
        Image.fromarray(pixels).save(memory, "JPEG", quality=quality)
        with Image.open(memory) as picture:
            rainy = np.asarray(picture, np.float32) / np.float32(255)
    return rainy


class RainMixer:
    """Turns pairs of a data set into a mixture of its rain and synthetic rain.

    The PSNR wanted of a synthetic crop is drawn first, uniformly inside light,
    medium and heavy rain, so that the inputs cover about 8 to 36 dB.

    Args:
        pool: uint8 layers from `streak_pool`.
        real_share: probability of keeping the data set's own rainy crop; every
            seventh of these gets a light layer on top.
        clean_share: probability of `(clean, clean)`, which teaches the network to
            leave clean images alone.
        veil_share: share of veiled crops among the synthetic ones. The target has
            no veil; keep most crops without one, or clean haze is "restored" too.
        heavy_share, light_share: of heavy and light rain among the unveiled
            synthetic crops; the rest is medium.
        night_share, drops_share, snow_share: probabilities of rain at night (the
            target is the night too), of drops on the lens, and of snow.
        ranges: `Ranges` to draw from.

    Call: `(rainy, clean, seed)`, two float32 arrays `(height, width, 3)` in [0, 1]
    and an int, to `(rainy, clean)` alike: a pure function of its arguments. The
    inputs stay unchanged. About 1 ms for 128x128 pixels, 5 ms for other weather. Crops
    larger than the layers wrap round.

    Raises:
        ValueError: for shares outside [0, 1] or whose sum exceeds 1.
    """

    def __init__(
        self,
        pool,
        real_share=0.35,
        clean_share=0.06,
        veil_share=0.25,
        heavy_share=0.45,
        light_share=0.30,
        night_share=0.0,
        drops_share=0.0,
        snow_share=0.0,
        ranges=RANGES,
    ):
        weather = {"night": night_share, "drops": drops_share, "snow": snow_share}
        whole = (real_share, clean_share, *weather.values())
        shares = (*whole, veil_share, heavy_share, light_share)
        if (
            not all(0 <= share <= 1 for share in shares)
            or sum(whole) > 1 + 1e-9  # sums of decimal fractions
            or heavy_share + light_share > 1
        ):
            raise ValueError(
                "Shares must lie in [0, 1]; real + clean + night + drops + snow and "
                "heavy + light at most add up to 1. Received: (real, clean, night, "
                f"drops, snow, veil, heavy, light)={shares}."
            )
        self.pool, self.ranges, self.weather = Pool(pool), ranges, weather
        self.real_share, self.clean_share = real_share, clean_share
        self.veil_share, self.heavy_share = veil_share, heavy_share
        self.light_share = light_share

    def __call__(self, rainy, clean, seed):
        rng = np.random.default_rng(int(seed) % 2**63)
        choice = rng.random()
        if choice < self.clean_share:
            return clean, clean
        if choice < self.clean_share + self.real_share:
            if rng.random() < 1 / 7:
                rainy = self._rain(rainy, rng, "light")
            return rainy, clean
        if rng.random() < self.ranges.jitter_share:
            clean = _jitter(clean, rng)
        end = self.clean_share + self.real_share
        for kind, share in self.weather.items():
            end += share
            if choice < end:
                return self._weather(clean, rng, kind)
        rainy = self._rain(clean, rng, self._kind(rng))
        return _camera(rainy, rng, self.ranges), clean

    def at_night(self, clean, rng):
        """`(rainy, clean)` of the scene at night."""
        return self._weather(clean, rng, "night")

    def _weather(self, clean, rng, kind):
        def draw(angle=None):
            return self.pool.draw(clean.shape[:2], rng, angle)

        rainy, clean = _weather(clean, rng, kind, draw, rng)
        return _camera(rainy, rng, self.ranges), clean

    def _kind(self, rng):
        if rng.random() < self.veil_share:
            return "veil"
        choice = rng.random()
        if choice < self.heavy_share:
            return "heavy"
        return "light" if choice < self.heavy_share + self.light_share else "medium"

    def _rain(self, image, rng, kind):
        def draw(angle, look):
            return self.pool.draw(image.shape[:2], rng, angle, look)

        return _compose(image, rng, kind, draw, self.ranges)[0]
