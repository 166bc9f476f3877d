"""Composition of rain: streak layers combined, scaled to a PSNR and put on an image.

The additive model (eq. 1) and the veil of distant rain (eq. 3) are those of Yang et
al., 2017, https://arxiv.org/abs/1609.07769; see `tfderain.data.rain` for the others.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from tfderain.data.streaks import Pool, draw_angle, draw_style, render_streaks


@dataclasses.dataclass(frozen=True)
class Ranges:
    """Ranges from which a rainy image is composed (pairs are low, high)."""

    # PSNR in dB between rainy and clean, and number of layers, for each kind. For
    # "veil", the PSNR is that of the streaks alone.
    light: tuple = (26.0, 36.0)
    medium: tuple = (18.0, 26.0)
    heavy: tuple = (8.0, 18.0)  # the heavy test sets have 12 dB on average
    veil: tuple = (16.0, 36.0)
    layers: dict = dataclasses.field(
        default_factory=lambda: {
            "light": (1, 2),
            "medium": (1, 5),
            "heavy": (2, 8),
            "veil": (2, 5),
        }
    )
    most_layers: int = 12  # added until the required gain is below half of `most_gain`
    most_gain: float = 2.0
    most_mean: float = 0.55  # of the streaks over an image, before clipping
    # Noise of picture editors need not be cut to black: what remains between medium
    # and heavy streaks, relative to the bright ones, and in how many images.
    floor: tuple = (0.0, 0.3)
    most_floor: float = 0.2  # after the gain
    floor_share: float = 0.3
    overlay_share: float = 0.12  # of medium rain: streaks that brighten and darken
    aligned_share: float = 0.7  # layers of one image that fall in one direction
    # Layers of one image that also look alike: however dense it is, rain mostly
    # consists of one kind of drop, in data sets as in nature.
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


def composite(
    clean: np.ndarray,
    streaks: np.ndarray,
    light: float | np.ndarray = 1.0,
    opacity: float = 0.0,
) -> np.ndarray:
    """Puts streaks on an image: `clean + streaks * (light - opacity * clean)`.

    Args:
        clean: float32 array `(height, width, channels)` in [0, 1].
        streaks: float32 array `(height, width)` in [0, 1].
        light: brightness of the streaks: a number, or one for each channel.
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
    """A number, or one for each channel, repeated along a row `(width * channels,)`."""
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
    """Gain at which streaks reduce `base` to `psnr` dB, but at most `most`.

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


def at_strength(
    clean: np.ndarray, layer: np.ndarray, psnr: float, most: float
) -> np.ndarray:
    """Adds a grey layer to an image, with the gain that gives a PSNR, and clips.

    Args:
        clean: float32 array `(height, width, channels)` in [0, 1].
        layer: non-negative float32 array `(height, width)`.
        psnr: of the result against `clean`, in dB.
        most: largest gain.

    Returns:
        float32 array like `clean`, in [0, 1].
    """
    return composite(clean, layer * np.float32(strength(clean, layer, psnr, most)))


def strength(clean: np.ndarray, layer: np.ndarray, psnr: float, most: float):
    """The gain that `at_strength` finds, with the same arguments, as a float."""
    white = np.ones(clean.shape[-1], np.float32)
    return _fit_gain(clean, layer, (white, 0.0, np.inf), psnr, most)


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
    """Blends in a grey layer by the overlay mode of picture editors.

    Grey as bright as `centre` times the mean of the streaks changes nothing; brighter
    grey brightens and darker grey darkens, most in the mid-tones.
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
    """Enough layers to reach `psnr` without gains that whiten everything."""
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
    few = image[:: max(1, len(image) // 4)]  # enough to tell for most colour images
    return np.array_equal(few[..., 0], few[..., -1]) and all(
        np.array_equal(image[..., 0], image[..., c]) for c in range(image.shape[-1])
    )


def compose(
    clean: np.ndarray,
    rng: np.random.Generator,
    kind: str,
    draw: Callable[[float | None, int | None], tuple],
    ranges: Ranges,
):
    """Composes `(rainy, streaks)` from a clean image.

    `draw(angle, look)` returns a layer of the image's size, its angle in degrees, which
    is near `angle`, and its look, which is `look`, unless these are None.
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
    # on white, no gain reaches the PSNR: the mean is bounded, or all would be lost
    most = min(ranges.most_gain, ranges.most_mean / max(float(streaks.mean()), 1e-6))
    most = min(most, ranges.most_floor / max(floor, 1e-6))
    gain = _fit_gain(base, streaks, blend, psnr, most)
    streaks = np.minimum(streaks * np.float32(gain), np.float32(blend[2]))
    return composite(base, streaks, *blend[:2]), streaks


def drawing(shape: tuple[int, int], rng: np.random.Generator, pool: np.ndarray | None):
    """The function `draw` of `compose` for one image."""
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
