"""Synthetic rain from a seed: layers of streaks put on clean images.

```python
rainy, streaks = rain.add_rain(clean, np.random.default_rng(0), kind="heavy")

pool = rain.streak_pool(800, 384, seed=0, folder="streaks")  # once, ten seconds
degrade = rain.RainMixer(pool)  # then about a millisecond for each training crop
rainy, clean = degrade(rainy, clean, seed=17)

dark_rainy, dark = rain.add_weather(clean, np.random.default_rng(0), "night")
```

Layers of streaks (see `streaks`) are combined, scaled until the rainy image has a given
PSNR, and composited as `clean + streaks * (light - opacity * clean)`. This formula
covers additive rain (`light=1, opacity=0`; Yang et al., 2017, eq. 1,
https://arxiv.org/abs/1609.07769), Photoshop's screen mode (`1, 1`) and half-transparent
grey streaks (`0.8, 1`). The veil of distant rain is `clean * t + airlight * (1 - t)`
(their eq. 3). Needs only NumPy and Pillow.
"""

import io

import numpy as np
from PIL import Image

from tfderain.data import drops, night, snow
from tfderain.data.composition import (
    RANGES,
    Ranges,
    compose,
    composite,
    drawing,
)
from tfderain.data.streaks import (
    Pool,
    checked_shape,
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


def add_rain(
    clean: np.ndarray,
    rng: np.random.Generator,
    kind: str = "mixed",
    pool: np.ndarray | None = None,
    ranges: Ranges = RANGES,
) -> tuple[np.ndarray, np.ndarray]:
    """Adds synthetic rain to one image of any size.

    Args:
        clean: float array in [0, 1], `(height, width)` or `(height, width,
            channels)` with 1 or 3 channels. Grey images stay grey.
        rng: `numpy.random.Generator`. All choices come from it.
        kind: `"light"`, `"medium"` or `"heavy"` (PSNR of about 26 to 36, 18 to
            26 and 8 to 18 dB), `"veil"` (contrast lost to distant rain under
            faint streaks), `"mixed"` (one of these at random).
        pool: layers from `streak_pool` to crop from; if None, they are rendered at the
            image's size (about half a second for each megapixel and layer).
        ranges: `Ranges` to draw from.

    Returns:
        `(rainy, streaks)`: float32 in [0, 1], of the shape of `clean` and
        `(height, width)`.

    Raises:
        ValueError: for an unknown kind, or an image of another shape or type.
    """
    clean = _checked_image(clean)
    if kind not in KINDS:
        raise ValueError(
            f"`kind` must be one of {', '.join(KINDS)}. Received: kind={kind!r}."
        )
    shape = checked_shape(clean.shape[:2])
    if kind == "mixed":
        kind = KINDS[rng.integers(4)]
    draw = drawing(shape, rng, pool)
    pixels = clean.astype(np.float32).reshape(*shape, -1)
    rainy, streaks = compose(pixels, rng, kind, draw, ranges)
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


def add_weather(
    clean: np.ndarray,
    rng: np.random.Generator,
    kind: str = "mixed",
    pool: np.ndarray | None = None,
    scene_rng: np.random.Generator | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Adds weather to one image of any size; at night the target changes as well.

    Args:
        clean: see `add_rain`.
        rng: `numpy.random.Generator`. All choices come from it.
        kind: one of `WEATHER`: rain as in `add_rain`, `"night"` (`night`), `"drops"`
            on the lens (`drops`), or `"snow"` (`snow`).
        pool: see `add_rain`.
        scene_rng: `numpy.random.Generator` that draws the night scene, so that several
            rainy images can share one; `rng` if None.

    Returns:
        `(rainy, clean)`: what a network is given and what it should return, float32 in
        [0, 1], of the shape of the argument `clean`.

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
        draw = drawing(shape, rng, pool) if kind == "night" else None
        rainy, target = _weather(pixels, rng, kind, draw, scene_rng or rng)
    return rainy.reshape(clean.shape), target.reshape(clean.shape)


def _weather(clean, rng, kind, draw, scene_rng):
    """`(rainy, target)` of drops, snow, or rain at night."""
    if kind == "drops":
        return drops.add_drops(clean, rng)[0], clean
    if kind == "snow":
        return snow.add_snow(clean, rng)[0], clean
    scene = night.make_night(clean, scene_rng)
    return night.rain_at_night(scene, rng, draw), scene.image


def _jitter(clean, rng):
    """Slightly changes brightness, contrast curve and saturation of the scene."""
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

    The PSNR of a synthetic crop is drawn first, uniformly within light, medium and
    heavy rain, so that the inputs cover about 8 to 36 dB.

    Args:
        pool: uint8 layers from `streak_pool`.
        real_share: probability of keeping the data set's own rainy crop; one in seven
            of these gets a light layer on top.
        clean_share: probability of `(clean, clean)`, which teaches the network to
            leave clean images alone.
        veil_share: share of veiled crops among the synthetic ones. The target has no
            veil; keep the share low, or haze in clean images is "removed" too.
        heavy_share, light_share: of heavy and light rain among the unveiled
            synthetic crops; the rest is medium.
        night_share, drops_share, snow_share: probabilities of rain at night (the
            target is dark as well), of drops on the lens, and of snow.
        ranges: `Ranges` to draw from.

    Call: `(rainy, clean, seed)`, two float32 arrays `(height, width, 3)` in [0, 1] and
    an int, to `(rainy, clean)` of the same kind. It is a pure function of its arguments
    and leaves the inputs unchanged. Takes about 1 ms for 128x128 pixels, 5 ms for other
    weather. Layers smaller than a crop wrap around.

    Raises:
        ValueError: for shares outside [0, 1] or whose sum exceeds 1.
    """

    def __init__(
        self,
        pool: np.ndarray,
        real_share: float = 0.35,
        clean_share: float = 0.06,
        veil_share: float = 0.25,
        heavy_share: float = 0.45,
        light_share: float = 0.30,
        night_share: float = 0.0,
        drops_share: float = 0.0,
        snow_share: float = 0.0,
        ranges: Ranges = RANGES,
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
                "Shares must lie in [0, 1], and neither real + clean + night + drops + "
                "snow nor heavy + light may exceed 1. Received: (real, clean, night, "
                f"drops, snow, veil, heavy, light)={shares}."
            )
        self.pool, self.ranges, self.weather = Pool(pool), ranges, weather
        self.real_share, self.clean_share = real_share, clean_share
        self.veil_share, self.heavy_share = veil_share, heavy_share
        self.light_share = light_share

    def __call__(self, rainy: np.ndarray, clean: np.ndarray, seed: int):
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

    def at_night(self, clean: np.ndarray, rng: np.random.Generator):
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

        return compose(image, rng, kind, draw, self.ranges)[0]
