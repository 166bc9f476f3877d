"""Rain made in picture editors: blended blurred noise, as in Rain1400, DID and SIRR.

```python
layer = editors.render_noise((320, 480), np.random.default_rng(0))
rainy = editors.blend(clean, layer, np.random.default_rng(1), psnr=22.0)
```

The recipe that those sets follow: noise on black, enlarged or softened, motion blur in
one direction, levels, then a blend mode. There are two looks, found with judges
(networks that others trained on Rain1400) and by eye: `FINE`, grain of single pixels
that becomes long soft streaks with a grey floor between them, mostly blended in screen
mode; and `BROAD`, coarser, sparser streaks in all modes. Screen and grey brighten dark
parts more than bright ones: in those sets by +47, 38, 22, 7 and 0 levels on average
where the clean image has 20, 60, 100, 140 and 180 of 255. Needs only NumPy and Pillow.
"""

import dataclasses
import math

import numpy as np
from PIL import Image

from tfderain.data.streaks import checked_shape, layer_pool, line_kernel, log_uniform

MODES = ("grey", "screen", "add", "overlay")


@dataclasses.dataclass(frozen=True)
class Look:
    """Ranges from which a layer and its blend are drawn (pairs are low, high).

    Attributes:
        angle: standard deviation of the direction, in degrees from vertical.
        length: of the motion blur in pixels, log-uniform.
        width, softness: of its line, see `streaks.line_kernel`; uniform.
        grain: side of a grain of noise in pixels, log-uniform.
        density: share of the grains that are bright, log-uniform; above `0.5` half of
            them are, as in noise on black.
        black, white: quantiles that the levels turn black and white.
        gamma: of the layer, log-uniform.
        second: share of layers with a second direction.
        modes: relative frequency of each of `MODES`.
        grey: level that `"grey"` pulls towards.
        floor: what remains between the streaks in mode `"grey"`, relative to them.
    """

    angle: float = 14.0
    length: tuple = (20.0, 120.0)
    width: tuple = (1.1, 3.0)
    softness: tuple = (0.1, 0.8)
    grain: tuple = (0.5, 1.3)
    density: tuple = (0.4, 1.0)
    black: tuple = (0.05, 0.5)
    white: tuple = (0.9, 0.97)
    gamma: tuple = (0.6, 1.1)
    second: float = 0.05
    modes: tuple = (0.15, 0.7, 0.1, 0.05)
    grey: tuple = (0.55, 0.9)
    floor: tuple = (0.0, 0.7)


FINE = Look()
BROAD = Look(
    angle=20.0,
    length=(10.0, 80.0),
    width=(0.8, 2.0),
    softness=(0.3, 1.0),
    grain=(0.8, 4.5),
    density=(0.01, 1.0),
    black=(0.2, 0.9),
    white=(0.95, 0.998),
    gamma=(0.7, 1.6),
    second=0.12,
    modes=(0.4, 0.3, 0.2, 0.1),
)


def render_noise(shape: tuple[int, int], rng: np.random.Generator, look: Look = FINE):
    """Renders one layer of motion-blurred noise.

    Args:
        shape: `(height, width)`, each at least 1.
        rng: `numpy.random.Generator`. All choices come from it.
        look: `Look`, the ranges to draw from.

    Returns:
        float32 array `(height, width)` in [0, 1].

    Raises:
        ValueError: for an empty shape.
    """
    shape = checked_shape(shape)
    layer = _direction(shape, rng, look)
    if rng.random() < look.second:
        layer = np.maximum(layer, rng.uniform(0.4, 1) * _direction(shape, rng, look))
    return layer


def _direction(shape, rng, look):
    """A layer that falls in one direction."""
    length, grain = log_uniform(rng, look.length), log_uniform(rng, look.grain)
    height, width = (
        32 * math.ceil(max(side, 1.5 * length + 8 * grain) / 32) for side in shape
    )
    canvas = height, width
    coarse = [max(2, round(side / grain)) for side in canvas]
    noise = np.maximum(rng.standard_normal(coarse, np.float32), 0)
    density = log_uniform(rng, look.density)
    if density < 0.5:  # single drops instead of grain all over
        noise *= rng.random(coarse, np.float32) < 2 * density
    picture = Image.fromarray(noise)
    noise = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))
    angle = np.clip(rng.normal(0, look.angle), -60, 60)
    width, softness = rng.uniform(*look.width), rng.uniform(*look.softness)
    kernel = line_kernel(length, width, angle, softness)
    spectrum = np.fft.rfft2(noise) * np.fft.rfft2(kernel, canvas)
    layer = np.fft.irfft2(spectrum, canvas)[: shape[0], : shape[1]]
    levels = rng.uniform(*look.black), rng.uniform(*look.white)
    low, high = np.quantile(layer[::2, ::2], sorted(levels))
    layer = np.clip((layer - low) / max(high - low, 1e-6), 0, 1)
    return (layer ** log_uniform(rng, look.gamma)).astype(np.float32)


def noise_pool(count: int, size: int, seed: int, look: Look = FINE):
    """Renders layers of noise once, to be cropped from during training.

    Args:
        count, size, seed: see `streaks.layer_pool`.
        look: `Look`, the ranges to draw from.

    Returns:
        uint8 array `(count, size, size)`.
    """

    def make(rng, _):
        return render_noise((size, size), rng, look) * 255

    return layer_pool(count, size, seed, make)


def blend(
    clean: np.ndarray,
    layer: np.ndarray,
    rng: np.random.Generator,
    psnr: float,
    look: Look = FINE,
):
    """Blends a layer into an image by one of `MODES`.

    Args:
        clean: float32 array `(height, width, 3)` in [0, 1].
        layer: float32 array `(height, width)` in [0, 1].
        rng: `numpy.random.Generator`. All choices come from it.
        psnr: target for the rainy image, in dB; there is less rain if full opacity does
            not reach it.
        look: `Look`, the ranges to draw from.

    Returns:
        float32 array like `clean`, in [0, 1].
    """
    shares = np.cumsum(look.modes)
    mode = MODES[int(np.searchsorted(shares, rng.random() * shares[-1]))]
    cover = layer[..., None]
    if mode == "grey":
        floor = np.float32(rng.uniform(*look.floor))
        cover = floor + (1 - floor) * cover
        change = cover * (np.float32(rng.uniform(*look.grey)) - clean)
    elif mode == "screen":
        change = cover * (1 - clean)
    elif mode == "add":
        change = np.broadcast_to(cover, clean.shape)
    else:
        # Grey as bright as the mean changes nothing; darker grey darkens.
        signed = cover - np.float32(rng.uniform(0.4, 1.2) * cover.mean())
        change = signed * (2 * np.minimum(clean, 1 - clean))
    most = 1.0 if mode == "grey" else 2.0
    target, gain = 10 ** (-psnr / 10), min(0.5, most)
    some, part = clean[::4, ::4], change[::4, ::4]
    for _ in range(3):  # clipping makes the error grow more slowly than the gain
        error = np.mean(np.square(np.clip(some + gain * part, 0, 1) - some))
        gain = min(gain * math.sqrt(target / max(float(error), 1e-8)), most)
    return np.clip(clean + np.float32(gain) * change, 0, 1)
