"""Rain drops on a lens or a pane: little lenses that turn the scene upside down.

```python
wet, mask = drops.add_drops(clean, np.random.default_rng(0))  # the target is `clean`
```

A drop shows the background upside down, shrunk and blurred; the nearer the focus is to
the pane, the sharper and darker its rim. After Qian et al., 2018, eq. 1,
https://arxiv.org/abs/1711.10098: `wet = clean * (1 - mask) + drop * mask`. The shapes
are ours. Needs only NumPy.
"""

import dataclasses
import math

import numpy as np

from tfderain.data.streaks import log_uniform

NOMINAL = 480  # pixels; on images whose shorter side is longer, drops are larger


@dataclasses.dataclass(frozen=True)
class Ranges:
    """Ranges from which a wet pane is composed (pairs are low, high).

    Attributes:
        radius: pixels, log-uniform; each image draws its own interval.
        coverage: share of the pixels under drops, overlaps counted twice.
        defocus: 0 for sharp drops, 1 for blobs without an edge; most are near 1, since
            cameras focus on the scene.
        opacity: of blurred drops; sharp ones are opaque.
        stretch: height of a drop relative to its width.
        field: size of what a drop shows, as a multiple of its diameter.
        rim: how much darker the edge of a sharp drop is.
        milk: how far a drop's colour is drawn towards the brightest of the scene, more
            for less sharp drops.
    """

    radius: tuple = (2.5, 30.0)
    coverage: tuple = (0.04, 0.4)
    defocus: tuple = (0.0, 1.0)
    opacity: tuple = (0.35, 0.95)
    stretch: tuple = (0.85, 1.5)
    field: tuple = (4.0, 12.0)
    rim: tuple = (0.2, 0.8)
    milk: tuple = (0.0, 0.6)


RANGES = Ranges()


def add_drops(
    clean: np.ndarray, rng: np.random.Generator, ranges: Ranges = RANGES
) -> tuple[np.ndarray, np.ndarray]:
    """Puts drops on the pane in front of a scene.

    Args:
        clean: float32 array `(height, width, channels)` in [0, 1].
        rng: `numpy.random.Generator`. All choices come from it.
        ranges: `Ranges` to draw from.

    Returns:
        `(wet, mask)`, both float32 in [0, 1]: the image, of the shape of `clean`, and
        how much of each pixel is seen through a drop, `(height, width)`.
    """
    low, high = ranges.defocus
    defocus = high - (high - low) * rng.random() ** 2
    field = rng.uniform(*ranges.field)
    places = _draw_drops(clean.shape[:2], rng, ranges)
    mask, source, shade = _stamp(clean.shape[:2], places, defocus, field, rng, ranges)
    rows, columns = np.nonzero(mask)
    # A drop shows no more detail than its size allows, and hardly any if out of focus.
    sharp, blurred = field / 2, 0.7 * field * places[len(places) // 2][2]
    step = max(2, round(sharp + defocus * max(blurred - sharp, 0)))
    small = _shrink(clean, step)
    # the centre of a square of pixels lies half its side further on
    seen = _sample(small, (source[:, rows, columns] + 0.5) / step - 0.5)
    bright = np.quantile(clean[::8, ::8].reshape(-1, clean.shape[-1]), 0.9, axis=0)
    milk = np.float32(rng.uniform(*ranges.milk) * defocus)
    seen += milk * (bright.astype(np.float32) - seen)
    seen *= shade[rows, columns, None]
    part = mask[rows, columns, None]
    wet = clean.copy()
    wet[rows, columns] += part * (np.clip(seen, 0, 1) - wet[rows, columns])
    return wet, mask


def _draw_drops(shape, rng, ranges):
    """`(y, x, radius)` of drops until they cover enough, small ones in front."""
    scale = max(1.0, min(shape) / NOMINAL)
    low, high = sorted(log_uniform(rng, ranges.radius) * scale for _ in range(2))
    low = min(low, high / 1.5)
    # many small drops at once would be fog
    share = rng.uniform(*ranges.coverage) * min(1, high / (10 * scale))
    left = share * shape[0] * shape[1]
    places = []
    while left > 0:
        radius = log_uniform(rng, (low, high))
        y, x = (rng.uniform(-radius, side + radius) for side in shape)
        places.append((y, x, radius))
        left -= math.pi * radius**2
    return sorted(places, key=lambda place: -place[2])


def _stamp(shape, places, defocus, field, rng, ranges):
    """Mask, the pixels that drops show `(2, height, width)`, and their shade."""
    mask = np.zeros(shape, np.float32)
    source = np.zeros((2, *shape), np.float32)
    shade = np.ones(shape, np.float32)
    opacity = 1 - defocus * (1 - rng.uniform(*ranges.opacity))
    rim = rng.uniform(*ranges.rim) * (1 - defocus)
    for y, x, radius in places:
        stretch = rng.uniform(*ranges.stretch)
        bumps = rng.uniform(-0.12, 0.12, 2), rng.uniform(0, 2 * math.pi, 2)
        reach = math.ceil(radius * (1.6 + defocus))
        box = [
            slice(max(0, int(c) - reach), max(0, min(side, int(c) + reach + 1)))
            for c, side in zip((y, x), shape, strict=True)
        ]
        down = (np.arange(box[0].start, box[0].stop, dtype=np.float32) - y) / radius
        right = (np.arange(box[1].start, box[1].stop, dtype=np.float32) - x) / radius
        if not len(down) or not len(right):
            continue
        down = (down / np.float32(math.sqrt(stretch)))[:, None]
        right = right * np.float32(math.sqrt(stretch))
        angle = np.arctan2(down, right)
        size = 1 + bumps[0][0] * np.cos(2 * angle + bumps[1][0])
        size = size + bumps[0][1] * np.cos(3 * angle + bumps[1][1])
        far = np.hypot(down, right) / size.astype(np.float32)
        soft = max(1.5 / radius, 1.2 * defocus)  # width of the edge, in radii
        edge = np.clip((1 + soft / 2 - far) / np.float32(soft), 0, 1)
        edge = edge * edge * (3 - 2 * edge) * np.float32(opacity)
        inside = edge > mask[box[0], box[1]]  # drops in front hide others
        mask[box[0], box[1]][inside] = edge[inside]
        bend = np.float32(field * radius) * (0.7 + 0.3 * far)
        shown = (np.float32(y) - down * bend, np.float32(x) - right * bend)
        for axis in range(2):
            source[axis][box[0], box[1]][inside] = shown[axis][inside]
        dark = 1 - np.float32(rim) * np.clip(far, 0, 1) ** 4 * (0.75 - 0.25 * down)
        dark = dark + np.float32(0.3 * rim) * np.clip(down, 0, 1) * (far < 0.8)
        shade[box[0], box[1]][inside] = dark[inside]
    return mask, source, shade


def _shrink(image, step):
    """Means over squares of `step` pixels, the last row and column repeated."""
    height, width = (-(-side // step) * step for side in image.shape[:2])
    border = ((0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0))
    image = np.pad(image, border, mode="edge")
    return image.reshape(height // step, step, width // step, step, -1).mean((1, 3))


def _sample(image, places):
    """Bilinear values `(count, channels)` at places `(2, count)`, mirrored outside."""
    found, weights = [], []
    for axis, side in enumerate(image.shape[:2]):
        period = max(2 * (side - 1), 1)
        place = np.abs((places[axis] + side - 1) % period - (side - 1))
        low = np.minimum(place.astype(np.intp), max(side - 2, 0))
        found.append((low, np.minimum(low + 1, side - 1)))
        weights.append((place - low)[:, None])
    (top, bottom), (left, right) = found
    upper = image[top, left] + weights[1] * (image[top, right] - image[top, left])
    lower = image[bottom, left]
    lower = lower + weights[1] * (image[bottom, right] - lower)
    return upper + weights[0] * (lower - upper)
