"""Snow: falling flakes of several sizes and distances over a clean image.

```python
snowy, flakes = snow.add_snow(clean, np.random.default_rng(0))  # the target: `clean`
```

`snowy = clean + flakes * (light - clean)` after a slight veil, as in Liu et al., 2018,
https://arxiv.org/abs/1708.04512: far flakes are small and many; near ones are large,
few, blurred and half transparent; all are elongated in the direction of their fall.
Needs only NumPy.
"""

import dataclasses
import math

import numpy as np

from tfderain.data.streaks import log_uniform

NOMINAL = 480  # pixels; on images whose shorter side is longer, flakes are larger


@dataclasses.dataclass(frozen=True)
class Depth:
    """Flakes at one distance; ranges are (low, high).

    Attributes:
        share: probability that an image has flakes at this distance.
        radius: pixels, log-uniform.
        coverage: share of the pixels under flakes, log-uniform.
        opacity: of a flake at its centre.
        softness: width of the edge, in radii.
    """

    share: float
    radius: tuple
    coverage: tuple
    opacity: tuple
    softness: tuple


@dataclasses.dataclass(frozen=True)
class Ranges:
    """Ranges from which snow is composed (pairs are low, high).

    Attributes:
        depths: far, middle and near flakes.
        angle: of the fall in degrees from vertical, to either side.
        spread: of single flakes around that angle, since snow tumbles.
        blur: distance fallen during the exposure, in radii.
        light: brightness of the flakes.
        tint: colour cast of the flakes, either way.
        loss: contrast lost to distant snow; squared draw: mostly thin.
        airlight: brightness of that veil.
    """

    depths: tuple = (
        Depth(0.9, (0.5, 1.3), (0.004, 0.06), (0.3, 0.9), (1.0, 1.5)),
        Depth(0.85, (1.2, 3.2), (0.005, 0.07), (0.5, 1.0), (0.5, 1.2)),
        Depth(0.45, (3.5, 12.0), (0.005, 0.08), (0.15, 0.7), (0.9, 1.8)),
    )
    angle: float = 40.0
    spread: tuple = (3.0, 15.0)
    blur: tuple = (0.0, 3.5)
    light: tuple = (0.8, 1.0)
    tint: float = 0.03
    loss: tuple = (0.0, 0.3)
    airlight: tuple = (0.7, 0.95)


RANGES = Ranges()


def add_snow(
    clean: np.ndarray, rng: np.random.Generator, ranges: Ranges = RANGES
) -> tuple[np.ndarray, np.ndarray]:
    """Lets snow fall in front of a scene.

    Args:
        clean: float32 array `(height, width, channels)` in [0, 1], 1 or 3 channels.
            Grey images stay grey.
        rng: `numpy.random.Generator`. All choices come from it.
        ranges: `Ranges` to draw from.

    Returns:
        `(snowy, flakes)`, both float32 in [0, 1]: the image, of the shape of `clean`,
        and how much of each pixel is snow, `(height, width)`.
    """
    shape = clean.shape[:2]
    angle = rng.uniform(-ranges.angle, ranges.angle)
    spread, blur = rng.uniform(*ranges.spread), rng.uniform(*ranges.blur)
    chosen = [depth for depth in ranges.depths if rng.random() < depth.share]
    seen = np.ones(shape, np.float32)  # visible share of the scene
    for depth in chosen or ranges.depths[1:2]:
        seen *= 1 - _layer(shape, rng, depth, angle, spread, blur)
    coloured = bool(np.ptp(clean[::4, ::4], axis=-1).any())
    tint = 1 + (ranges.tint if coloured else 0) * rng.uniform(-1, 1, 3)
    tint = tint[: clean.shape[-1]].astype(np.float32)
    loss = ranges.loss[0] + (ranges.loss[1] - ranges.loss[0]) * rng.random() ** 2
    airlight = np.float32(rng.uniform(*ranges.airlight)) * tint
    snowy = clean + np.float32(loss) * (airlight - clean)
    flakes = 1 - seen
    light = np.float32(rng.uniform(*ranges.light)) * tint
    snowy += flakes[..., None] * (light - snowy)
    return np.clip(snowy, 0, 1), flakes


def _layer(shape, rng, depth, angle, spread, blur):
    """Flakes at one distance, `(height, width)` in [0, 1]."""
    height, width = shape
    scale = max(1.0, min(shape) / NOMINAL)
    low, high = np.log(np.asarray(depth.radius) * scale)
    # each image draws a part of the range: its flakes are fairly similar
    low, high = np.sort(rng.uniform(low, high, 2))
    coverage = log_uniform(rng, depth.coverage)
    size = math.exp((low + high) / 2)
    count = max(1, round(coverage * height * width / (math.pi * size**2)))
    radius = np.exp(rng.uniform(low, high, count)).astype(np.float32)
    length = blur * radius * rng.uniform(0.5, 1.0, count)
    reach = math.ceil(math.exp(high) * (1.9 + blur / 2) + 1)
    y = rng.uniform(-reach, height + reach, count)
    x = rng.uniform(-reach, width + reach, count)
    way = np.radians(angle + spread * rng.standard_normal(count))
    opacity = rng.uniform(*depth.opacity) * rng.uniform(0.6, 1.0, count)
    soft = rng.uniform(*depth.softness)
    bumps = rng.uniform(-0.18, 0.18, count), rng.uniform(0, 2 * math.pi, count)
    flakes = np.stack([y, x, radius, length, way, opacity, *bumps]).astype(np.float32)
    layer = np.zeros(height * width)
    offsets = np.arange(-reach, reach + 1)
    for start in range(0, count, 256):  # blocks limit the memory
        part = flakes[:, start : start + 256, None, None]
        rows = np.floor(part[0]).astype(np.intp) + offsets[:, None]
        columns = np.floor(part[1]).astype(np.intp) + offsets
        alpha = _flake(rows - part[0], columns - part[1], *part[2:], soft=soft)
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        index = (rows * width + columns)[inside]
        layer += np.bincount(index, alpha[inside], minlength=height * width)
    return np.minimum(layer, 1).reshape(shape).astype(np.float32)


def _flake(down, right, radius, length, way, opacity, bump, turn, soft):
    """Opacity of flakes around their centres: uneven discs, elongated by motion."""
    cos, sin = np.cos(way), np.sin(way)
    along = np.abs(down * cos + right * sin) - length / 2
    across = right * cos - down * sin
    distance = np.hypot(np.maximum(along, 0), across)
    size = radius * (1 + bump * np.cos(3 * np.arctan2(down, right) + turn))
    width = np.maximum(soft * radius, 1)
    edge = np.clip((size + width / 2 - distance) / width, 0, 1)
    # light of a flake smaller than a pixel, or elongated, is spread over more of them
    thin = np.minimum(radius / 0.8, 1) / (1 + length / (4 * radius))
    return edge * edge * (3 - 2 * edge) * (opacity * thin)
