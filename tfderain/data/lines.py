"""Line rain: straight streaks that look alike, as in the benchmark sets.

```python
layer = lines.render_lines((320, 480), np.random.default_rng(0), lines.LIGHT)
pool = lines.line_pool(700, 400, seed=0)  # a quarter of a minute
layer = pool[0] / lines.LEVEL  # 1 under a single line, more where lines cross
```

A layer of RainTrainH or RainTrainL (Yang et al., 2017,
https://arxiv.org/abs/1609.07769) has one direction, one width and one brightness: lines
whose sum is added to the image in grey, and clipped. They are dense in the heavy set,
hard-edged, or long and fading with crossings that hardly get brighter (`SHEET`), and
few, thin and soft in the light one. The ranges were found with a judge: networks that
others trained on these very sets remove layers of these looks as well as the sets' own,
layers of other looks several dB worse. Needs numpy only.
"""

import dataclasses
import math

import numpy as np

from tfderain.data.streaks import checked_shape, layer_pool, line_kernel, log_uniform

LEVEL = 64  # of a single line in the uint8 layers of `line_pool`: four may cross


@dataclasses.dataclass(frozen=True)
class Look:
    """Ranges from which a layer draws its look (pairs are low, high).

    Attributes:
        angle: standard deviation of the direction, in degrees from vertical.
        spread: degrees between the three directions of a layer that is not parallel.
        length: of a line in pixels, log-uniform.
        width: of a line in pixels, uniform.
        coverage: share of the pixels under lines, crossings counted twice,
            log-uniform.
        softness: 0 for hard edges and ends, 1 for blurred, tapered ones, uniform.
        faintest: brightness of the faintest line of a layer, uniform; the brightest
            has 1, and so have all if it is above.
        saturation: how much less than their sum crossing lines are, log-uniform, or
            `None` for their sum: `s` becomes `(1 - exp(-k s)) / (1 - exp(-k))`.
    """

    angle: float = 10.0
    spread: tuple = (0.0, 8.0)
    length: tuple = (14.0, 100.0)
    width: tuple = (1.2, 4.0)
    coverage: tuple = (0.3, 1.6)
    softness: tuple = (0.0, 0.0)
    faintest: tuple = (1.0, 1.0)
    saturation: tuple | None = None


HEAVY = Look()
SHEET = Look(
    angle=9.0,
    spread=(0.0, 4.0),
    length=(15.0, 200.0),
    width=(1.0, 3.0),
    coverage=(0.3, 1.8),
    softness=(0.2, 1.0),
    faintest=(0.0, 1.0),
    saturation=(0.3, 2.5),
)
LIGHT = Look(
    angle=13.0,
    spread=(0.0, 2.0),
    length=(14.0, 180.0),
    width=(0.7, 2.0),
    coverage=(0.012, 0.15),
    softness=(0.2, 1.0),
    faintest=(0.3, 1.3),
)


def render_lines(shape: tuple[int, int], rng: np.random.Generator, look: Look = HEAVY):
    """Renders one layer of lines of one length, width and brightness.

    Args:
        shape: `(height, width)`, each at least 1.
        rng: `numpy.random.Generator`. All choices come from it.
        look: `Look`, the ranges to draw from.

    Returns:
        float32 array `(height, width)`, not negative: 1 under a single line, their
        number where lines cross, or less if they saturate.

    Raises:
        ValueError: for an empty shape.
    """
    shape = checked_shape(shape)
    angle, spread = rng.normal(0, look.angle), rng.uniform(*look.spread)
    length = log_uniform(rng, look.length)
    width = rng.uniform(*look.width)
    coverage, softness = log_uniform(rng, look.coverage), rng.uniform(*look.softness)
    # The transform wraps around, which is harmless as long as a line fits in;
    # multiples of 32 keep it fast.
    least = 1.5 * length + 20
    canvas = tuple(32 * math.ceil(max(side, least) / 32) for side in shape)
    offsets = (-spread, 0.0, spread) if spread > 1 else (0.0,)
    faintest = rng.uniform(*look.faintest)
    drops = coverage * canvas[0] * canvas[1] / (length * max(width, 1)) / len(offsets)
    spectrum = 0
    for offset in offsets:
        own = length * rng.uniform(0.8, 1.2)
        kernel = line_kernel(own, width, angle + offset, softness)
        seeds = np.zeros(canvas, np.float32)
        where = rng.integers(seeds.size, size=max(1, rng.poisson(drops)))
        light = rng.uniform(faintest, 1, where.size) if faintest < 1 else 1
        np.add.at(seeds.ravel(), where, light)
        spectrum = spectrum + np.fft.rfft2(seeds) * np.fft.rfft2(kernel, canvas)
    layer = np.fft.irfft2(spectrum, canvas)[: shape[0], : shape[1]]
    layer = np.maximum(layer, 0).astype(np.float32)
    if look.saturation is None:
        return layer
    strength = log_uniform(rng, look.saturation)
    return np.expm1(-strength * layer) / np.float32(math.expm1(-strength))


def line_pool(count: int, size: int, seed: int, look: Look = HEAVY):
    """Renders layers of lines once, to be cropped from during training.

    Args:
        count, size, seed: see `streaks.layer_pool`.
        look: `Look`, the ranges to draw from.

    Returns:
        uint8 array `(count, size, size)`; `LEVEL` under a single line.
    """

    def make(rng, _):
        return np.minimum(render_lines((size, size), rng, look) * LEVEL, 255)

    return layer_pool(count, size, seed, make)
