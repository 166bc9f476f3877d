"""Strips: images side by side in one picture, such as rainy, derained and clean."""

import os
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from tfderain.images.picture import Picture
from tfderain.images.pixels import to_uint8
from tfderain.images.writing import write


def before_after(
    rows: Iterable[Sequence[np.ndarray]], path: str | os.PathLike, gap: int = 8
) -> Image.Image:
    """Puts images side by side, pixel by pixel, one row below the other on white.

    Needs no Matplotlib.

    Args:
        rows: sequence of tuples of arrays `(h, w, 3)`, uint8 or float in [0, 1], such
            as `(rainy, derained)` or `(rainy, derained, clean)`; sizes agree in a row.
        path: the file to write; an existing one is replaced.
        gap: pixels between images.

    Returns:
        The strip, a `PIL.Image.Image`.

    Raises:
        ValueError: there is no image, an array is not RGB, or sizes differ in a row.
    """
    strips = [_strip(row, gap) for row in rows]
    if not strips:
        raise ValueError("There must be at least one row of images. Received: rows=0.")
    width = max(strip.shape[1] for strip in strips)
    height = sum(strip.shape[0] + gap for strip in strips) - gap
    canvas = np.full((height, width, 3), 255, np.uint8)
    top = 0
    for strip in strips:
        canvas[top : top + strip.shape[0], : strip.shape[1]] = strip
        top += strip.shape[0] + gap
    write(path, Picture(canvas))
    return Image.fromarray(canvas)


def _strip(row, gap):
    arrays = [np.asarray(array) for array in row]
    shapes = {array.shape for array in arrays}
    if len(shapes) != 1 or len(arrays[0].shape) != 3 or arrays[0].shape[2] != 3:
        raise ValueError(
            "The images of a row must be RGB, (h, w, 3), and of equal size. "
            f"Received: shapes={[array.shape for array in arrays]}."
        )
    space = np.full((arrays[0].shape[0], gap, 3), 255, np.uint8)
    parts = []
    for array in arrays:
        parts += [to_uint8(array), space]
    return np.concatenate(parts[:-1], axis=1)
