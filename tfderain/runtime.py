"""Derains arrays and PIL images of any size, in tiles, without TensorFlow.

```python
from tfderain.runtime import Restorer

restorer = Restorer("menet")
derained = restorer.derain(rainy)  # the kind, size and dtype of `rainy`
```
"""

import numpy as np
from PIL import Image

from tfderain import engines, images, tiling

RUNTIMES = {
    "litert": engines.LiteRT,
    "onnx": engines.ONNX,
    "tensorflow": engines.TensorFlow,
}


class Restorer:
    """Removes rain from images of any size with a trained network.

    Large images go through the network in tiles of one size that overlap and are
    blended; finished rows leave as `uint8` strip by strip, so that memory beside the
    two images depends on the tile and the width only. For networks without global
    operations the tiles change the result only through what the network sees beyond
    3/8 of `overlap`. A network with channel attention (`global_operations` in its
    card) weighs channels by their mean over the tile instead of the image, so there
    the tiles differ slightly from the whole image: keep them large, or give
    `tile=None`.

    One thread at a time may use a `Restorer`.

    Args:
        model: name of a preset, path of its folder or of a `.tflite` file; with
            `runtime="onnx"` of an `.onnx` file. With `runtime="tensorflow"` anything
            that `tfderain.models.load` takes, a SavedModel's folder, or a
            `tfderain.models.Derainer`.
        runtime: `"litert"` or `"onnx"` (extra `onnx`), which leave TensorFlow unloaded,
            or `"tensorflow"`.
        threads: int or `None`, for one per processor that this process may use. With
            `"tensorflow"` it counts only before TensorFlow has computed anything.
        tile: `"auto"`, int or `None`; see `tfderain.tiling.plan_tiles`.
        overlap: int. Pixels that neighbouring tiles share, at most `tile / 2`, or
            `None` for 128, less for small tiles.

    Attributes:
        stride: int. Images are padded to multiples of it, and tiles start at them.
        global_operations: bool. Whether a pixel depends on the whole tile.

    Raises:
        ValueError: if an argument does not fit or the model cannot be loaded.
    """

    def __init__(
        self, model="menet", runtime="litert", threads=None, tile="auto", overlap=None
    ):
        if runtime not in RUNTIMES:
            raise ValueError(
                f"`runtime` must be one of {', '.join(RUNTIMES)}. "
                f"Received: runtime={runtime!r}."
            )
        if threads is not None and threads < 1:
            raise ValueError(f"`threads` must be positive. Received: {threads}.")
        self.runtime = runtime
        self.tile = tile
        self.overlap = overlap
        self._network = RUNTIMES[runtime](model, threads)
        self.stride = self._network.stride
        self.global_operations = self._network.global_operations
        # Says now whether tile and overlap fit, rather than at the first image.
        tiling.plan_tiles((self.stride, self.stride), tile, overlap, self.stride)

    def derain(self, image, progress=None):
        """Derains one image or a batch, returned in the kind it came in.

        Args:
            image: array `(height, width, 3)`, `(height, width)` or
                `(batch, height, width, 3)` as `uint8`, `uint16` or float in [0, 1],
                any height and width from 1; or a PIL image of any mode, whose alpha,
                EXIF and ICC profile are kept, and whose palette or CMYK colours
                become RGB.
            progress: function called with `(done, total)` after every tile.

        Returns:
            The derained image: a new array of the same shape and dtype, or a PIL
            image.

        Raises:
            ValueError: if shape, dtype or values are others than these.
        """
        if isinstance(image, Image.Image):
            picture = images.from_pil(image)
            return images.to_pil(picture, self.derain(picture.pixels, progress))
        rainy = np.asarray(image)
        _check(rainy)
        derained = np.empty_like(rainy)
        batch = rainy.ndim == 4
        padded = (tiling.round_up(n, self.stride) for n in rainy.shape[batch:][:2])
        tiles = tiling.plan_tiles(tuple(padded), self.tile, self.overlap, self.stride)
        tick = _ticker(progress, len(tiles) * (len(rainy) if batch else 1))
        pairs = zip(rainy, derained, strict=True) if batch else [(rainy, derained)]
        for source, target in pairs:
            self._derain(source, target, tiles, tick)
        return derained

    def _derain(self, rainy, derained, tiles, tick):
        """Derains `rainy` into `derained`, strip by strip."""
        tall, wide = tiles.tile
        down, across = tiles.weights()
        strip = np.zeros((tall, tiles.size[1], 3), np.float32)
        for i, top in enumerate(tiles.rows):
            for j, left in enumerate(tiles.columns):
                tile = self._network(_cut(rainy, tiles, top, left))
                tile *= down[i][:, None, None] * across[j][:, None]
                strip[:, left : left + wide] += tile
                tick()
            # Rows above the next tile get no more contributions.
            done = (*tiles.rows[1:], tiles.size[0])[i] - top
            _store(strip[:done], derained[top : top + done])
            strip[: tall - done] = strip[done:]
            strip[tall - done :] = 0


def _check(rainy):
    """Refuses arrays that are no images; cheap for `uint8`."""
    if rainy.dtype not in (np.uint8, np.uint16) and rainy.dtype.kind != "f":
        raise ValueError(
            "Images must be uint8, uint16 or floats in [0, 1]. "
            f"Received: dtype={rainy.dtype}."
        )
    shaped = rainy.ndim == 2 or (rainy.ndim in (3, 4) and rainy.shape[-1] == 3)
    if not shaped or not rainy.size:
        raise ValueError(
            "Images must have the shape (height, width, 3), (height, width) or "
            f"(batch, height, width, 3), none of them 0. Received: shape={rainy.shape}."
        )
    if rainy.dtype.kind == "f":
        low, high = rainy.min(), rainy.max()
        # 1e-6: rounding of float32, as resizing leaves it. NaN fails both.
        if not (low >= -1e-6 and high <= 1 + 1e-6):
            raise ValueError(
                "Float images must lie in [0, 1] (divide 0..255 by 255). "
                f"Received: minimum={low}, maximum={high}."
            )


def _ticker(progress, total):
    done = 0

    def tick():
        nonlocal done
        done += 1
        if progress:
            progress(done, total)

    return tick


def _cut(rainy, tiles, top, left):
    """Returns one tile as float32 RGB; beyond the image, its mirror image."""
    (height, width), (tall, wide) = rainy.shape[:2], tiles.tile
    if top + tall <= height and left + wide <= width:
        tile = rainy[top : top + tall, left : left + wide]
    else:
        rows = tiling.reflect_index(height, tiles.size[0])[top : top + tall]
        columns = tiling.reflect_index(width, tiles.size[1])[left : left + wide]
        tile = rainy[np.ix_(rows, columns)]
    tile = images.to_float(tile)
    # A grey image is shown to the network as three equal channels.
    tile = np.repeat(tile[:, :, None], 3, axis=2) if tile.ndim == 2 else tile
    return np.ascontiguousarray(tile)


def _store(strip, derained):
    """Crops the padding and rounds to the dtype; grey is the mean of the channels."""
    strip = strip[: len(derained), : derained.shape[1]]
    if derained.ndim == 2:
        strip = strip.mean(axis=-1)
    derained[:] = images.from_float(strip, derained.dtype)
