"""Streaks: layers of rain on black, rendered or cut from pictures of streaks.

```python
layer = streaks.render_streaks((320, 480), np.random.default_rng(0), angle=10)
pool = streaks.streak_pool(800, 384, seed=0, folder="streaks")  # ten seconds
```

A layer is sparse noise convolved with short lines: the noise says where drops are, the
line how far they fall while the shutter is open. `rain` puts such layers on images.
Needs only NumPy and Pillow.
"""

import dataclasses
import math
import os
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from tfderain.images import find_images

# Angles are in degrees from vertical, positive if the lower end is further right.
USUAL_ANGLE = 20.0  # most layers fall within this angle to either side
RARE_ANGLE = 45.0
RARE_ANGLE_SHARE = 0.3
ANGLE_SPREAD = (0.0, 4.0)  # inside one layer
GUST_SHARE = 0.4  # layers of uneven density
FOLDER_SCALE = (0.5, 2.0)
FOLDER_ROTATION = 12.0  # degrees to either side


@dataclasses.dataclass(frozen=True)
class Style:
    """Ranges of one look of streaks; each layer draws its values from them.

    Attributes:
        share: relative frequency among rendered layers.
        length, width: pixels, drawn log-uniformly.
        coverage: share of the pixels under a streak (overlaps counted twice).
        brightness: of single streaks, 1 is white.
        softness: 0 for sharp lines with hard ends, 1 for tapered, blurred ones.
        levels: quantile below which a blurred noise layer is cut to black (the
            threshold of the Photoshop recipe); None keeps single streaks.
    """

    share: float
    length: tuple
    width: tuple
    coverage: tuple
    brightness: tuple
    softness: tuple
    levels: tuple | None = None


STYLES = {
    # artificial rain of the heavy test sets: crisp lines of one brightness
    "line": Style(0.30, (14, 80), (0.9, 2.8), (0.03, 0.35), (0.5, 1.0), (0.0, 0.35)),
    # drops at medium distance, brightest in the middle of the streak
    "soft": Style(0.25, (12, 80), (1.0, 4.0), (0.03, 0.30), (0.15, 1.0), (0.5, 1.0)),
    # distant rain: short, thin, dense
    "fine": Style(0.15, (5, 18), (0.6, 1.1), (0.05, 0.45), (0.15, 1.0), (0.2, 1.0)),
    # noise, motion blur, levels: the rain of picture editors
    "noise": Style(
        0.22, (12, 60), (0.7, 2.0), (0.5, 6.0), (0.3, 1.0), (0.0, 0.6), (0.3, 0.93)
    ),
    # a few drops close to the lens, out of focus
    "near": Style(0.08, (50, 150), (3.0, 9.0), (0.02, 0.10), (0.1, 0.6), (0.6, 1.0)),
}


def log_uniform(rng: np.random.Generator, bounds: Sequence[float]) -> float:
    """A number whose logarithm is uniform between the bounds (low, high)."""
    return math.exp(rng.uniform(math.log(bounds[0]), math.log(bounds[1])))


def line_kernel(
    length: float, width: float, angle: float, softness: float
) -> np.ndarray:
    """An anti-aliased line through the centre of an odd square, peak about 1."""
    reach = math.ceil(length / 2 + width + 2)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    along, across = y * cos + x * sin, x * cos - y * sin
    sharp = np.clip((width + 1) / 2 - np.abs(across), 0, min(1, width))
    blurred = min(1, width) * np.exp(-2 * (across / max(width, 1.0)) ** 2)
    ends = np.clip((length + 1) / 2 - np.abs(along), 0, 1)
    taper = np.clip(1 - (2 * along / (length + 1)) ** 2, 0, 1)
    profile = (1 - softness) * sharp + softness * blurred
    return profile * ((1 - softness) * ends + softness * ends * taper)


def draw_angle(rng: np.random.Generator) -> float:
    """An angle for a layer: mostly steep, sometimes driven by wind."""
    bound = RARE_ANGLE if rng.random() < RARE_ANGLE_SHARE else USUAL_ANGLE
    return rng.uniform(-bound, bound)


def draw_style(rng: np.random.Generator) -> str:
    """A key of `STYLES`, by their shares."""
    shares = np.array([style.share for style in STYLES.values()])
    return str(rng.choice(list(STYLES), p=shares / shares.sum()))


def _smooth_field(rng, shape, cells=4):
    """Bilinear random field in [0, 1], for rain of uneven density."""
    coarse = rng.random((cells, cells), dtype=np.float32)
    field = Image.fromarray(coarse).resize(shape[::-1], Image.Resampling.BILINEAR)
    return np.asarray(field)


def render_streaks(
    shape: tuple[int, int],
    rng: np.random.Generator,
    style: str | None = None,
    angle: float | None = None,
    length: float | None = None,
    width: float | None = None,
    coverage: float | None = None,
) -> np.ndarray:
    """Renders one layer of rain streaks on black.

    Args:
        shape: `(height, width)`, each at least 1.
        rng: `numpy.random.Generator`. All choices come from it.
        style: a key of `STYLES`; drawn by their shares if None.
        angle: mean angle in degrees from vertical; positive if the lower end lies
            further right. If None, drawn within +-45, mostly +-20.
        length, width: of a streak in pixels; from the style's range if None.
        coverage: share of pixels under streaks; from the style's range if None.

    Returns:
        float32 array `(height, width)` in [0, 1].

    Raises:
        ValueError: for an empty shape or an unknown style.
    """
    height, width_ = checked_shape(shape)
    style = draw_style(rng) if style is None else style
    if style not in STYLES:
        raise ValueError(
            f"`style` must be one of {', '.join(STYLES)}. Received: style={style!r}."
        )
    look = STYLES[style]
    angle = draw_angle(rng) if angle is None else angle
    length = log_uniform(rng, look.length) if length is None else length
    if width is None:  # shorter drops would look like snow
        width = min(log_uniform(rng, look.width), length / 7)
    coverage = log_uniform(rng, look.coverage) if coverage is None else coverage
    layer = _fall((height, width_), rng, look, angle, length, width, coverage)
    if look.levels is not None:
        layer = _levels(layer, rng, look)
    if rng.random() < GUST_SHARE:
        layer *= rng.uniform(0.2, 0.6) + 0.8 * _smooth_field(rng, layer.shape)
    return np.clip(layer[:height, :width_], 0, 1)


def _fall(shape, rng, look, angle, length, width, coverage):
    """Convolves random drops with lines; the canvas may exceed `shape`."""
    # Wrapping around is harmless for rain as long as a line fits in; multiples of 32
    # keep the transform fast.
    least = math.ceil(1.5 * length + 2 * width + 8)
    canvas = tuple(32 * math.ceil(max(side, least) / 32) for side in shape)
    spread, softness = rng.uniform(*ANGLE_SPREAD), rng.uniform(*look.softness)
    uniform = rng.random() < 0.3  # all streaks of one brightness
    groups = 3  # streaks of slightly different length, width and angle
    drops = coverage * canvas[0] * canvas[1] / (length * max(width, 1)) / groups
    spectrum = 0
    for offset in (-1, 0, 1):
        kernel = line_kernel(
            length * rng.uniform(0.65, 1.2),
            width * rng.uniform(0.8, 1.2),
            angle + offset * spread,
            softness,
        )
        seeds = np.zeros(canvas, np.float32)
        where = rng.integers(seeds.size, size=max(1, rng.poisson(drops)))
        light = rng.uniform(*look.brightness, size=where.size)
        seeds.ravel()[where] = light.max() if uniform else light
        spectrum = spectrum + np.fft.rfft2(seeds) * np.fft.rfft2(kernel, canvas)
    return np.fft.irfft2(spectrum, canvas).astype(np.float32)


def _levels(layer, rng, look):
    """Cuts the dark part of a blurred noise layer and stretches the rest."""
    low, high = map(float, np.quantile(layer, [rng.uniform(*look.levels), 0.997]))
    return (layer - low) * (rng.uniform(*look.brightness) / max(high - low, 1e-3))


def _folder_layer(path, size, rng):
    """A random square of a streak picture: scaled, rotated, brightened."""
    with Image.open(path) as picture:
        picture = picture.convert("L")
    scale = log_uniform(rng, FOLDER_SCALE)
    turn = rng.uniform(-FOLDER_ROTATION, FOLDER_ROTATION)
    sides = [max(8, round(side * scale)) for side in picture.size]
    picture = picture.resize(sides, Image.Resampling.BILINEAR)
    picture = picture.rotate(turn, Image.Resampling.BILINEAR)
    # rotation leaves black corners: keep the part that stays filled
    margins = [
        min(math.ceil(other * math.sin(math.radians(abs(turn))) / 2), side // 4)
        for side, other in zip(sides, sides[::-1], strict=True)
    ]
    layer = np.asarray(picture, np.float32)
    layer = layer[margins[1] or None : -margins[1] or None]
    layer = layer[:, margins[0] or None : -margins[0] or None]
    top, left = rng.integers(layer.shape[0]), rng.integers(layer.shape[1])
    rows = np.arange(top, top + size) % layer.shape[0]
    columns = np.arange(left, left + size) % layer.shape[1]
    layer = layer[rows][:, columns[:: rng.choice((-1, 1))]]
    white = max(float(np.quantile(layer[::2, ::2], 0.995)), 8.0)
    return np.clip(layer * (rng.uniform(0.4, 1.1) / white), 0, 1)


def layer_pool(
    count: int,
    size: int,
    seed: int | tuple[int, ...],
    make: Callable[[np.random.Generator, int], np.ndarray],
) -> np.ndarray:
    """Layers made once, to be cropped from during training.

    Args:
        count: number of layers.
        size: height and width of a layer in pixels.
        seed: int, or ints. Equal arguments give equal layers.
        make: callable from a layer's random generator and its index to an array
            `(size, size)` in 0..255, which is rounded.

    Returns:
        uint8 array `(count, size, size)`. A smaller pool has the same first layers.

    Raises:
        ValueError: for sizes below 1.
    """
    checked_shape((count, size))
    seeds = seed if isinstance(seed, tuple) else (seed,)
    pool = np.empty((count, size, size), np.uint8)
    for i in range(count):
        pool[i] = np.rint(make(np.random.default_rng((*seeds, i)), i))
    return pool


def streak_pool(
    count: int, size: int, seed: int, folder: str | os.PathLike | None = None
) -> np.ndarray:
    """Renders streak layers once, to be cropped from during training.

    Args:
        count: number of layers.
        size: height and width of a layer in pixels; training crops must fit into it.
        seed: int. Equal arguments give equal layers.
        folder: folder of streak pictures on black; every second layer is then
            cut from one of them at a random scale, angle and brightness.

    Returns:
        uint8 array `(count, size, size)`, about 10 ms for a layer of 384 pixels.

    Raises:
        ValueError: for sizes below 1 or a folder without pictures.
    """
    paths = [] if folder is None else _streak_files(folder)

    def make(rng, index):
        if paths and index % 2:
            return 255 * _folder_layer(paths[rng.integers(len(paths))], size, rng)
        return 255 * render_streaks((size, size), rng)

    return layer_pool(count, size, seed, make)


def folder_pool(
    count: int, size: int, seed: int, folder: str | os.PathLike
) -> np.ndarray:
    """Layers cut from pictures of streaks, not rotated, at 0.5 to 1.3 times their size.

    Args:
        count, size, seed: see `streak_pool`.
        folder: folder of streak pictures on black.

    Returns:
        uint8 array `(count, size, size)`; smaller pictures repeat.

    Raises:
        ValueError: see `streak_pool`.
    """
    paths = _streak_files(folder)

    def make(rng, _):
        with Image.open(paths[rng.integers(len(paths))]) as picture:
            picture = picture.convert("L")
        scale = log_uniform(rng, (0.5, 1.3))
        sides = [max(8, round(side * scale)) for side in picture.size]
        layer = np.asarray(picture.resize(sides, Image.Resampling.BILINEAR))
        rows, columns = (
            np.arange(start, start + size) % full
            for start, full in zip(rng.integers(layer.shape), layer.shape, strict=True)
        )
        return layer[rows][:, columns]

    return layer_pool(count, size, seed, make)


def _streak_files(folder):
    paths = find_images(folder)
    if not paths:
        raise ValueError(
            f"`folder` must hold streak pictures. Received: folder={folder!r}."
        )
    return paths


def checked_shape(shape: Sequence[int]) -> tuple[int, int]:
    """Two sizes as ints; a ValueError if one is below 1."""
    if min(shape) < 1:
        raise ValueError(f"Sizes must be at least 1. Received: {tuple(shape)}.")
    return int(shape[0]), int(shape[1])


def streak_angle(layer: ArrayLike) -> np.ndarray:
    """Main angle of streaks in degrees from vertical, by the structure tensor.

    Args:
        layer: array `(..., height, width)`, any range, sides of at least 2.

    Returns:
        float64 array of the leading shape, within +-90, positive when the lower
        end lies further right; 0 for a layer without structure.
    """
    layer = np.asarray(layer, np.float32)
    # both differences at the centre of four pixels, so that neither axis is favoured
    down = np.diff(layer[..., 1:] + layer[..., :-1], axis=-2)
    right = np.diff(layer[..., 1:, :] + layer[..., :-1, :], axis=-1)
    axes = (-2, -1)
    mixed = 2 * np.sum(down * right, axes, dtype=np.float64)
    difference = np.sum(right**2 - down**2, axes, dtype=np.float64)
    return -np.degrees(np.arctan2(mixed, difference)) / 2


class Pool:
    """Layers of `streak_pool` with their angles, so that crops can fall one way."""

    def __init__(self, layers: np.ndarray):
        if layers.ndim != 3 or layers.dtype != np.uint8 or not layers.size:
            raise ValueError(
                "`pool` must be a uint8 array (count, size, size). Received: "
                f"shape={layers.shape}, dtype={layers.dtype}."
            )
        part = layers[:, :128, :128]
        angles = np.array([float(streak_angle(layer)) for layer in part])
        self.layers, order = layers, np.argsort(np.abs(angles), kind="stable")
        self.order, self.angles = order, angles[order]
        self.steepness = np.abs(self.angles)

    def draw(
        self,
        shape: tuple[int, int],
        rng: np.random.Generator,
        angle: float | None = None,
        look: int | None = None,
    ):
        """A random crop, its angle, and its look, which identifies its layer.

        Its angle is near `angle` if given; with `look`, it is cut from that layer.
        """
        count = len(self.order)
        if look is not None:
            rank = look
        elif angle is None:
            rank = int(rng.integers(count))
        else:
            near = np.searchsorted(self.steepness, abs(angle))
            reach = count // 40
            rank = int(np.clip(near + rng.integers(-reach, reach + 1), 0, count - 1))
        mirror = rng.random() < 0.5 if angle is None else self.angles[rank] * angle < 0
        layer = _crop(self.layers[self.order[rank]], shape, rng)
        if rng.random() < 0.5:
            layer = layer[::-1, ::-1]  # half a turn keeps the angle
        drawn = self.angles[rank]
        if mirror:
            layer, drawn = layer[:, ::-1], -drawn
        layer = layer.astype(np.float32)
        layer *= np.float32(1 / 255)
        return layer, drawn, rank


def _crop(layer, shape, rng):
    """A random crop, which wraps around at the borders of the layer."""
    free = [full - side for full, side in zip(layer.shape, shape, strict=True)]
    if min(free) < 0:
        rows, columns = (
            np.arange(start, start + side) % full
            for start, side, full in zip(
                rng.integers(layer.shape), shape, layer.shape, strict=True
            )
        )
        return layer[rows][:, columns]
    top, left = rng.integers(free[0] + 1), rng.integers(free[1] + 1)
    return layer[top : top + shape[0], left : left + shape[1]]
