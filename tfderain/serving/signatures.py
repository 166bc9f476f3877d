"""Signatures for calling a model: those of the exported SavedModel.

Names, aliases and types are a contract: a client of this server must run unchanged
against TensorFlow Serving with the folder that `tfderain export` writes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tfderain import images, reports
from tfderain.serving.refusal import invalid, too_large

STRING, FLOAT = "DT_STRING", "DT_FLOAT"
DEFAULT = "serving_default"
METHOD = "tensorflow/serving/predict"


@dataclass(frozen=True)
class Signature:
    """One way to call the model.

    Attributes:
        rainy, derained: str. Aliases of the only input and the only output. In REST,
            the alias of a string output must end in `_bytes` to be sent as base64.
        dtype: `DT_STRING` or `DT_FLOAT`, for both.
        shape: tuple of ints, for both; -1 is free. The first axis counts images.
        restore: function of `(restorer, image, max_pixels, progress)`; returns the
            derained image.
    """

    rainy: str
    derained: str
    dtype: str
    shape: tuple
    restore: Callable


def restore_file(
    restorer: Any, data: bytes, max_pixels: int, progress: reports.Progress | None
) -> bytes:
    """Derains an image file as the SavedModel's graph does.

    As with TensorFlow's `decode_image`, the result is 8-bit RGB in stored order: alpha
    is dropped and the EXIF orientation is not applied. EXIF and ICC profile, which that
    graph drops, are kept, so that viewers still show the right orientation and colours.

    Args:
        restorer: `tfderain.runtime.Restorer`.
        data: bytes of a PNG, JPEG, WebP, TIFF, BMP, GIF or PPM file.
        max_pixels: int. Largest height times width.
        progress: see `Restorer.derain`.

    Returns:
        bytes of a PNG file.
    """
    try:
        picture = images.decode(data, max_pixels=max_pixels)
    except images.TooLarge as error:
        raise too_large(str(error)) from error
    except images.ImageError as error:
        raise invalid(str(error)) from error
    rainy = _as_rgb(picture)
    # alpha is dropped, but pixels where it is 0 are not part of the scene
    derained = restorer.derain(rainy.pixels, progress, alpha=picture.alpha)
    return images.encode(rainy, derained)


def _as_rgb(picture):
    pixels = images.to_uint8(picture.pixels)
    if pixels.ndim == 3:
        return replace(picture, pixels=pixels, alpha=None)
    # the profile of a grey picture is for grey only
    return replace(picture, pixels=images.to_rgb(pixels), alpha=None, icc=None)


def restore_tensor(
    restorer: Any, rainy: np.ndarray, max_pixels: int, progress: reports.Progress | None
):
    """Derains a float32 image `(height, width, 3)` in [0, 1]; returns the same."""
    height, width = rainy.shape[:2]
    if height * width > max_pixels:
        raise too_large(
            f"An image must not have more than {max_pixels} pixels. "
            f"Received: {height}x{width}."
        )
    try:
        return restorer.derain(rainy, progress)
    except ValueError as error:  # values outside [0, 1], NaN, no pixels
        raise invalid(str(error)) from error


FILES = Signature("rainy_bytes", "derained_bytes", STRING, (-1,), restore_file)
TENSORS = Signature("rainy", "derained", FLOAT, (-1, -1, -1, 3), restore_tensor)

# `serve` is the name that Keras gives, and asks for, when it reads a SavedModel.
SIGNATURES = {DEFAULT: FILES, "tensor": TENSORS, "serve": TENSORS}


def find(name: str) -> tuple[str, Signature]:
    """Returns name and signature; an empty name means the default.

    Raises:
        Refusal: `INVALID_ARGUMENT` if there is no such signature.
    """
    name = name or DEFAULT
    if name not in SIGNATURES:
        raise invalid(
            f'Serving signature name: "{name}" not found in signature def. '
            f"Known: {', '.join(SIGNATURES)}."
        )
    return name, SIGNATURES[name]
