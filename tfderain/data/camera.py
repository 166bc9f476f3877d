"""Camera effects: JPEG, noise, blur and cut-outs added to rainy training crops.

JPEG, noise, blur and enlargement as phones and web sites produce them, and pixels
outside the scene: bars, frames and cut-outs. A network that has never seen them leaves
rain in such pictures. Noise, blur and hidden pixels are also in the clean target,
because they are not rain: the network learns to leave them alone. Needs only NumPy and
Pillow.
"""

import functools
import io
import math
import operator

import numpy as np
from PIL import Image

from tfderain.data.streaks import log_uniform


def jpeg(image: np.ndarray, quality: float):
    """A float32 image `(height, width, 3)` in [0, 1] after JPEG of this quality."""
    memory = io.BytesIO()
    pixels = np.rint(image * 255).astype(np.uint8)
    Image.fromarray(pixels).save(memory, "JPEG", quality=int(quality))
    with Image.open(memory) as picture:
        return np.asarray(picture, np.float32) / np.float32(255)


def resized(
    image: np.ndarray,
    size: tuple[int, int],
    resample: Image.Resampling = Image.Resampling.BICUBIC,
):
    """A float32 image `(height, width[, channels])` at another `(height, width)`."""
    planes = image[..., None] if image.ndim == 2 else image
    made = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(plane)).resize(
                (size[1], size[0]), resample
            )
        )
        for plane in np.moveaxis(planes, -1, 0)
    ]
    made = np.clip(np.stack(made, axis=-1), 0, 1)
    return made[..., 0] if image.ndim == 2 else made


def blurred(image: np.ndarray, sigma: float):
    """A float32 image `(height, width, 3)` after a Gaussian blur of a few pixels."""
    radius = math.ceil(3 * sigma)
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    for axis in (0, 1):
        padding = [(radius, radius) if axis == a else (0, 0) for a in range(3)]
        padded = np.pad(image, padding, mode="symmetric")
        shifted = (
            np.take(padded, np.arange(k, k + image.shape[axis]), axis)
            for k in range(len(taps))
        )
        parts = (tap * part for tap, part in zip(taps, shifted, strict=True))
        image = functools.reduce(operator.add, parts)
    return image


def hidden(shape: tuple[int, int], rng: np.random.Generator):
    """Mask of pixels that do not show the scene: bars, a frame, around a cut-out.

    Args:
        shape: `(height, width)`.
        rng: `numpy.random.Generator`.

    Returns:
        bool array of this shape.
    """
    height, width = shape
    mask = np.zeros(shape, bool)
    form = rng.integers(4)
    if form == 0:  # bars above and below, or at both sides
        mask[: rng.integers(1, max(2, height // 2))] = True
        mask = (
            mask.T[:width, :height] if height == width and rng.random() < 0.5 else mask
        )
    elif form == 1:  # a frame; a crop shows one of its corners or two sides
        thick = int(rng.integers(1, max(2, min(shape) // 6)))
        mask[:thick], mask[:, :thick] = True, True
        if rng.random() < 0.3:
            mask[-thick:], mask[:, -thick:] = True, True
    else:  # the edge of something cut out: a random curve
        x = np.arange(width) / width
        waves = (
            rng.uniform(0.02, 0.2) * np.sin(2 * np.pi * (k * x + rng.random()))
            for k in (1, 2, 3)
        )
        edge = 0.5 + functools.reduce(operator.add, waves)
        mask = np.arange(height)[:, None] / height < edge[None] - rng.uniform(0, 0.4)
    mask = mask[:: rng.choice((-1, 1)), :: rng.choice((-1, 1))]
    return np.ascontiguousarray(mask)


def hide(rainy: np.ndarray, clean: np.ndarray, rng: np.random.Generator):
    """Both images with the same hidden pixels, mostly black, sometimes coloured."""
    mask = hidden(rainy.shape[:2], rng)
    choice = rng.random()
    colour = (
        np.zeros(3) if choice < 0.6 else np.ones(3) if choice < 0.8 else rng.random(3)
    )
    colour = colour.astype(np.float32)
    return tuple(np.where(mask[..., None], colour, image) for image in (rainy, clean))


def enlarged(image: np.ndarray, factor: float, size: tuple[int, int]):
    """The centre of a float32 image, enlarged by `factor` to `(height, width)`."""
    part = [max(1, math.ceil(side / factor)) for side in size]
    top, left = (
        (full - side) // 2 for full, side in zip(image.shape, part, strict=False)
    )
    return resized(image[top : top + part[0], left : left + part[1]], size)


def draw_factor(rng: np.random.Generator, largest: float):
    """Factor by which an image is enlarged: log-uniform in [1, largest]."""
    return log_uniform(rng, (1.0, largest))
