"""Restorer: derains arrays and PIL images of any size in tiles, without TensorFlow.

```python
from tfderain.runtime import Restorer

restorer = Restorer("menet")
derained = restorer.derain(rainy)  # the kind, size and dtype of `rainy`
```
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from tfderain import images
from tfderain.runtime import engines, tiling

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
        tile: `"auto"`, int or `None`; see `tfderain.runtime.tiling.plan_tiles`.
        overlap: int. Pixels that neighbouring tiles share, at most `tile / 2`, or
            `None` for 128, less for small tiles.

    Attributes:
        stride: int. Images are padded to multiples of it, and tiles start at them.
        global_operations: bool. Whether a pixel depends on the whole tile.

    Raises:
        ValueError: if an argument does not fit or the model cannot be loaded.
    """

    def __init__(
        self,
        model: Any = "menet",
        runtime: str = "litert",
        threads: int | None = None,
        tile: int | str | None = "auto",
        overlap: int | None = None,
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

    def derain(self, image: np.ndarray | Image.Image, progress: Callable | None = None):
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
            ValueError: if shape, dtype or values do not fit.
        """
        like = images.Like(image)
        size = like.pairs[0][0].shape[:2]
        padded = tuple(tiling.round_up(side, self.stride) for side in size)
        tiles = tiling.plan_tiles(padded, self.tile, self.overlap, self.stride)
        tick = _ticker(progress, len(tiles) * len(like.pairs))
        for rainy, derained in like.pairs:
            self._derain(rainy, derained, tiles, tick)
        return like.finished()

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
            images.store(strip[:done], derained[top : top + done])
            strip[: tall - done] = strip[done:]
            strip[tall - done :] = 0


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
    return np.ascontiguousarray(images.to_rgb(tile))
