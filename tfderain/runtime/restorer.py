"""Restorer: derains arrays and PIL images of any size in tiles, without TensorFlow.

```python
from tfderain.runtime import Restorer

restorer = Restorer("menet")
derained = restorer.derain(rainy)  # the kind, size and dtype of `rainy`
```
"""

from typing import Any, Literal

import numpy as np
from PIL import Image

from tfderain import images, presets, reports
from tfderain.runtime import engines, scales, tiling

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

    Rain that is larger than that of the training, as in photos of many megapixels, is
    first taken off reduced copies, see `tfderain.runtime.scales`.

    Networks see the scene alone: transparent pixels, bars and frames are found first
    and given back as they are, see `tfderain.images.hidden`.

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
        scales: int or `"auto"`. Number of sizes at which the image is derained, each
            half of the next; `1` for its own alone. A third more work at most.
        best: bool. Derains the mirror image as well and averages: twice the time.
        return_mask: bool. Whether `derain` also returns where drops are on the glass,
            as `derain_and_mask` does; for networks that say so.

    Attributes:
        makes_mask: bool. Whether the network says where drops are.
        stride: int. Images are padded to multiples of it, and tiles start at them.
        global_operations: bool. Whether a pixel depends on the whole tile.

    Raises:
        ValueError: if an argument does not fit or the model cannot be loaded.
    """

    def __init__(
        self,
        model: Any = presets.DEFAULT,
        runtime: str = "litert",
        threads: int | None = None,
        tile: int | Literal["auto"] | None = "auto",
        overlap: int | None = None,
        scales: int | str = "auto",
        best: bool = False,
        return_mask: bool = False,
    ):
        if runtime not in RUNTIMES:
            raise ValueError(
                f"`runtime` must be one of {', '.join(RUNTIMES)}. "
                f"Received: runtime={runtime!r}."
            )
        if threads is not None and threads < 1:
            raise ValueError(f"`threads` must be positive. Received: {threads}.")
        self.runtime = runtime
        self.tile: int | Literal["auto"] | None = tile
        self.overlap = overlap
        self.scales = scales
        self.best = best
        self._network = RUNTIMES[runtime](model, threads)
        self.stride = self._network.stride
        self.global_operations = self._network.global_operations
        self.makes_mask = getattr(self._network, "makes_mask", False)
        self.return_mask = return_mask
        if return_mask:
            self._check_mask()
        # Says now whether the settings fit, rather than at the first image.
        self._plan((self.stride, self.stride))

    def derain(
        self,
        image: np.ndarray | Image.Image,
        progress: reports.Progress | None = None,
        alpha: np.ndarray | None = None,
    ) -> Any:
        """Derains one image or a batch, returned in the kind it came in.

        Args:
            image: array `(height, width, 3)`, `(height, width)` or
                `(batch, height, width, 3)` as `uint8`, `uint16` or float in [0, 1],
                any height and width from 1; or a PIL image of any mode, whose alpha,
                EXIF and ICC profile are kept, and whose palette or CMYK colours
                become RGB.
            progress: function called with `(done, total)` after every tile.
            alpha: array `(height, width)` or `None`. Pixels where it is 0 are hidden,
                in all images of a batch; a PIL image has its own.

        Returns:
            The derained image: a new array of the same shape and dtype, or a PIL
            image. With `return_mask` what `derain_and_mask` returns.

        Raises:
            ValueError: if shape, dtype or values do not fit.
        """
        if self.return_mask:
            return self.derain_and_mask(image, progress, alpha)
        return self._derain_all(images.Like(image, alpha), progress)

    def derain_and_mask(
        self,
        image: np.ndarray | Image.Image,
        progress: reports.Progress | None = None,
        alpha: np.ndarray | None = None,
    ):
        """As `derain`, and where drops are on the glass.

        Args:
            image, progress, alpha: see `derain`.

        Returns:
            `(derained, mask)`, the mask float32 `(height, width)`, or with `batch`
            before, in [0, 1]: how much of a pixel's light comes through drops. It is 0
            where pixels are hidden. Of an image derained at several sizes it is the
            highest of them.

        Raises:
            ValueError: if the network makes no mask, and see `derain`.
        """
        self._check_mask()
        like = images.Like(image, alpha)
        masks = [np.zeros(rainy.shape[:2], np.float32) for rainy, _ in like.pairs]
        derained = self._derain_all(like, progress, masks)
        return derained, np.clip(like.whole(masks), 0, 1)

    def _check_mask(self):
        if not self.makes_mask:
            raise ValueError(
                "Only networks for drops say where drops are, and files that were "
                "exported of one. Received: a network without mask."
            )

    def _derain_all(self, like, progress, masks=None):
        """Derains the scenes of `like`, and fills `masks` if there are some."""
        plans = [self._plan(rainy.shape[:2]) for rainy, _ in like.pairs]
        views = 1 + self.best
        total = views * sum(len(tiles) for plan in plans for tiles in plan)
        tick = _ticker(progress, total)
        all_masks = masks or [None] * len(plans)
        for (rainy, derained), plan, mask in zip(
            like.pairs, plans, all_masks, strict=True
        ):
            self._derain_views(rainy, derained, plan, tick, mask=mask)
        return like.finished()

    def _derain_views(self, rainy, derained, plans, tick, mask=None):
        """Derains `rainy` into `derained`, with `best` its mirror image as well."""
        if not self.best:
            self._derain(rainy, derained, plans, tick, mask=mask)
            return
        mean = np.zeros((*rainy.shape[:2], 3), np.float32)
        for step in (1, -1):  # the image, and its mirror image
            view = np.empty_like(mean)
            seen = np.zeros_like(mask) if mask is not None else None
            self._derain(rainy[:, ::step], view, plans, tick, mask=seen)
            mean += view[:, ::step]
            if mask is not None and seen is not None:
                mask += seen[:, ::step] / 2
        images.store(mean / 2, derained)

    def _plan(self, size):
        """Tiles of the image and of its reduced copies, largest first."""
        copies = scales.sizes(size, scales.count_scales(size, self.scales))
        return [
            tiling.plan_tiles(
                tuple(tiling.round_up(side, self.stride) for side in copy),
                self.tile,
                self.overlap,
                self.stride,
            )
            for copy in copies
        ]

    def _derain(self, rainy, derained, plans, tick, reduced=False, mask=None):
        """Derains `rainy` into `derained`, its reduced copies first.

        Returns the largest detail of it and of its copies, with `scales="auto"`.
        """
        tiles, *coarser = plans
        change, largest, chosen = None, 0.0, self.scales == "auto"
        if coarser:
            half = _halved(rainy)
            change = np.empty_like(half)
            small = np.zeros(half.shape[:2], np.float32) if mask is not None else None
            largest = self._derain(half, change, coarser, tick, True, mask=small)
            if mask is not None and small is not None:
                both = (np.arange(side) // 2 for side in mask.shape)
                mask[:] = small[np.ix_(*both)]
            change -= half
            own = _detail(rainy, half) if chosen else 0.0
            if own < scales.LEAST_DETAIL * largest:
                _add(rainy, change, derained)
                for _ in range(len(tiles)):
                    tick()
                return largest
            largest = max(own, largest)
        elif reduced and chosen:  # the smallest copy
            largest = _detail(rainy, _halved(rainy))
        self._derain_tiles(rainy, derained, tiles, change, tick, mask)
        return largest

    def _derain_tiles(self, rainy, derained, tiles, change, tick, mask=None):
        """Derains `rainy`, with `change` of half its size added, strip by strip."""
        tall, wide = tiles.tile
        down, across = tiles.weights()
        network, channels = self._network, 3
        if mask is not None:  # it goes with the picture, as a fourth channel

            def network(tile):
                return np.concatenate(self._network.with_mask(tile), axis=-1)

            channels = 4
        strip = np.zeros((tall, tiles.size[1], channels), np.float32)
        for i, top in enumerate(tiles.rows):
            for j, left in enumerate(tiles.columns):
                tile = network(_cut(rainy, tiles, top, left, change))
                tile *= down[i][:, None, None] * across[j][:, None]
                strip[:, left : left + wide] += tile
                tick()
            # Rows above the next tile get no more contributions.
            done = (*tiles.rows[1:], tiles.size[0])[i] - top
            images.store(strip[:done, :, :3], derained[top : top + done])
            if mask is not None:
                rows = mask[top : top + done]
                np.maximum(rows, strip[: len(rows), : mask.shape[1], 3], out=rows)
            strip[: tall - done] = strip[done:]
            strip[tall - done :] = 0


def _halved(rainy):
    """A copy of half the size, float16 RGB, made without a float copy of the whole."""
    height, width = (-(-side // 2) for side in rainy.shape[:2])
    # float16 is 0.06 of 255 levels off at most, which the difference does not see.
    half = np.empty((height, width, 3), np.float16)
    for top in range(0, height, 128):
        rows = images.to_rgb(images.to_float(rainy[2 * top : 2 * top + 256]))
        half[top : top + 128] = scales.halved(rows)
    return half


def _strips(rainy):
    """Parts of an image as float32 RGB, with the slice of its rows."""
    for top in range(0, len(rainy), 64):
        rows = slice(top, min(top + 64, len(rainy)))
        yield rows, images.to_rgb(images.to_float(rainy[rows]))


def _detail(rainy, half):
    """`scales.detail` of a whole image, without a float copy of it."""
    total = 0.0
    for rows, part in _strips(rainy):
        copy = half[rows.start // 2 : -(-rows.stop // 2)]
        total += len(part) * scales.detail(part, copy.astype(np.float32))
    return total / len(rainy)


def _add(rainy, change, derained):
    """Adds what changed on a copy of half the size, and nothing else."""
    columns = np.arange(rainy.shape[1])
    for rows, part in _strips(rainy):
        part = part + scales.doubled(change, np.arange(rows.start, rows.stop), columns)
        images.store(np.clip(part, 0, 1), derained[rows])


def _ticker(progress, total):
    done = 0

    def tick():
        nonlocal done
        done += 1
        if progress:
            progress(done, total)

    return tick


def _cut(rainy, tiles, top, left, change):
    """Returns one tile as float32 RGB; beyond the image, its mirror image."""
    (height, width), (tall, wide) = rainy.shape[:2], tiles.tile
    rows = tiling.reflect_index(height, tiles.size[0])[top : top + tall]
    columns = tiling.reflect_index(width, tiles.size[1])[left : left + wide]
    if top + tall <= height and left + wide <= width:
        tile = rainy[top : top + tall, left : left + wide]
    else:
        tile = rainy[np.ix_(rows, columns)]
    # A grey image is shown to the network as three equal channels.
    tile = images.to_rgb(images.to_float(tile))
    if change is not None:
        tile = np.clip(tile + scales.doubled(change, rows, columns), 0, 1)
    return np.ascontiguousarray(tile)
