"""Pixel values: `uint8` or `uint16` to floats in [0, 1] and back, grey to RGB."""

import numpy as np
from numpy.typing import ArrayLike, DTypeLike


def to_float(pixels: ArrayLike) -> np.ndarray:
    """Converts `uint8` or `uint16` pixels to float32 in [0, 1]; keeps floats."""
    pixels = np.asarray(pixels)
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    if pixels.dtype.kind == "f":
        return pixels.astype(np.float32, copy=False)
    raise ValueError(
        "Pixels must be uint8, uint16 or floating point. "
        f"Received: dtype={pixels.dtype}."
    )


def from_float(values: ArrayLike, dtype: DTypeLike) -> np.ndarray:
    """Converts floats in [0, 1] to `dtype`; clips, and rounds half up.

    Args:
        values: float array of any shape.
        dtype: `uint8`, `uint16` or a floating point type.

    Raises:
        ValueError: a value is NaN.
    """
    dtype = np.dtype(dtype)
    values = np.clip(values, 0, 1)
    # The sum is NaN if any value is: this is cheaper than a mask of the picture's size.
    if np.isnan(values.sum()):
        raise ValueError("Pixels must be numbers. Received: a picture with NaN values.")
    if dtype.kind == "f":
        return values.astype(dtype, copy=False)
    # Truncation after adding a half: white stays 255 and 0.5 / 255 becomes 1.
    return (values * np.iinfo(dtype).max + 0.5).astype(dtype)


def to_uint8(pixels: ArrayLike) -> np.ndarray:
    """Converts floats in [0, 1] or `uint16` to `uint8`; clips, rounds half up."""
    pixels = np.asarray(pixels)
    if pixels.dtype == np.uint8:
        return pixels
    return from_float(to_float(pixels), np.uint8)


def to_rgb(pixels: np.ndarray) -> np.ndarray:
    """Returns three equal channels for a grey image `(height, width)`; keeps others."""
    return np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels
