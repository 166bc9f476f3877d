"""Image kinds: arrays, batches and PIL images, each returned in the kind it came in.

Networks see only the scene, see `tfderain.images.hidden`.
"""

import numpy as np
from PIL import Image

from tfderain.images.hidden import find_scene
from tfderain.images.pixels import from_float
from tfderain.images.reading import from_pil
from tfderain.images.writing import to_pil


class Like:
    """An image or a batch, and the derained one in the same kind.

    Args:
        image: array `(height, width, 3)`, `(height, width)` or
            `(batch, height, width, 3)` as `uint8`, `uint16` or float in [0, 1]; or a
            PIL image of any mode.
        alpha: array `(height, width)` or `None`. Pixels where it is 0 are hidden, in
            all images of a batch. A PIL image has its own.

    Attributes:
        pairs: list of arrays `(rainy, derained)`, one pair for the scene in each image.
            The caller fills the derained ones, see `store`.

    Raises:
        ValueError: shape, dtype or values are not those of an image.
    """

    def __init__(
        self, image: np.ndarray | Image.Image, alpha: np.ndarray | None = None
    ):
        self.picture = from_pil(image) if isinstance(image, Image.Image) else None
        rainy = np.asarray(image) if self.picture is None else self.picture.pixels
        alpha = alpha if self.picture is None else self.picture.alpha
        _check(rainy, alpha)
        self.derained = np.empty_like(rainy)
        batches = (
            array if array.ndim == 4 else array[None]
            for array in (rainy, self.derained)
        )
        self._images = list(zip(*batches, strict=True))
        self._scenes = [find_scene(image, alpha) for image, _ in self._images]
        self.pairs = [
            (scene.pixels, derained[scene.rows, scene.columns])
            for scene, (_, derained) in zip(self._scenes, self._images, strict=True)
        ]

    def whole(self, masks: list[np.ndarray]) -> np.ndarray:
        """Masks of the scenes as float32 of the size of the images, 0 where hidden.

        Args:
            masks: float32 array `(height, width)` of each scene, as of `pairs`.

        Returns:
            Array `(height, width)`, or `(batch, height, width)` for a batch.
        """
        size = self._images[0][0].shape[:2]
        made = np.zeros((len(masks), *size), np.float32)
        for place, (scene, mask) in enumerate(zip(self._scenes, masks, strict=True)):
            shown = 1 if scene.shown is None else scene.shown
            made[place, scene.rows, scene.columns] = mask * shown
        return made if self.derained.ndim == 4 else made[0]

    def finished(self) -> np.ndarray | Image.Image:
        """Returns the derained array or PIL image, once all of `pairs` is filled."""
        for scene, (rainy, derained) in zip(self._scenes, self._images, strict=True):
            scene.put_hidden(rainy, derained)
        if self.picture is None:
            return self.derained
        return to_pil(self.picture, self.derained)


def store(pixels: np.ndarray, derained: np.ndarray):
    """Writes float RGB into an array of `Like.pairs`, or into rows of it.

    Args:
        pixels: float array `(height, width, 3)`; whatever exceeds the size of
            `derained`, below and to the right, is padding and is left out.
        derained: array to be filled; if grey, with the mean of the channels.
    """
    pixels = pixels[: len(derained), : derained.shape[1]]
    if derained.ndim == 2:
        pixels = pixels.mean(axis=-1)
    derained[:] = from_float(pixels, derained.dtype)


def _check(rainy, alpha):
    """Refuses arrays that are not images; cheap for `uint8`."""
    floating = rainy.dtype.kind == "f"
    if not floating and rainy.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            "Images must be uint8, uint16 or floats in [0, 1]. "
            f"Received: dtype={rainy.dtype}."
        )
    shaped = rainy.ndim == 2 or (rainy.ndim in (3, 4) and rainy.shape[-1] == 3)
    if not shaped or not rainy.size:
        raise ValueError(
            "Images must have the shape (height, width, 3), (height, width) or "
            f"(batch, height, width, 3), without a 0. Received: shape={rainy.shape}."
        )
    size = rainy.shape[1:3] if rainy.ndim == 4 else rainy.shape[:2]
    if alpha is not None and np.shape(alpha) != size:
        raise ValueError(
            "`alpha` must have the height and width of the image. "
            f"Received: alpha.shape={np.shape(alpha)}, image.shape={rainy.shape}."
        )
    if floating:
        low, high = rainy.min(), rainy.max()
        # 1e-6: rounding errors of float32, such as resizing leaves. NaN fails both.
        if not (low >= -1e-6 and high <= 1 + 1e-6):
            raise ValueError(
                "Float images must lie in [0, 1] (divide 0..255 by 255). "
                f"Received: minimum={low}, maximum={high}."
            )
