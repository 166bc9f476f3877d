"""Restorer: derains arrays and PIL images of any size in tiles, without TensorFlow.

```python
from tfderain.runtime import Restorer

restorer = Restorer("resunet")
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

    Large images go through the network in tiles of equal size that overlap and are
    blended; finished rows leave as `uint8` strip by strip, so that the memory besides
    the two images depends only on the tile and the width. For networks without global
    operations, tiles change the result only through what the network sees beyond 3/8 of
    `overlap`. A network with channel attention (`global_operations` in its card) scales
    channels by their mean over the tile instead of the image, so that its tiles differ
    slightly from the whole image: keep them large, or use `tile=None`.

    Rain that is larger than in training, as in photos of many megapixels, is first
    removed from reduced copies, see `tfderain.runtime.scales`.

    Networks see only the scene: transparent pixels, bars and frames are found first and
    returned as they are, see `tfderain.images.hidden`.

    Only one thread at a time may use a `Restorer`.

    Args:
        model: name of a preset, or path of its folder or of a `.tflite` file; with
            `runtime="onnx"`, of an `.onnx` file; with `runtime="tensorflow"`, anything
            that `tfderain.models.load` accepts, a SavedModel's folder, or a
            `tfderain.models.Derainer`.
        runtime: `"litert"` or `"onnx"` (extra `onnx`), which leave TensorFlow unloaded,
            or `"tensorflow"`.
        threads: int, or `None` for one per processor that this process may use. With
            `"tensorflow"` it has an effect only before TensorFlow's first computation.
        tile: `"auto"`, int or `None`; see `tfderain.runtime.tiling.plan_tiles`.
        overlap: int. Pixels that neighbouring tiles share, at most `tile / 2`, or
            `None` for 128, or fewer for small tiles.
        scales: int or `"auto"`. Number of sizes at which the image is derained, each
            half of the next; `1` for only its own. Adds at most a third to the work.
        best: bool. Averages with the derained mirror image: takes twice the time.
        return_mask: bool. Whether `derain` also returns where drops are on the glass,
            as `derain_and_mask` does; for networks that say so.

    Attributes:
        makes_mask: bool. Whether the network says where drops are.
        stride: int. Images are padded to multiples of it, and tiles start at these.
        global_operations: bool. Whether a pixel depends on the whole tile.

    Raises:
        ValueError: an argument does not fit, or the model cannot be loaded.
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
        # Fails now rather than at the first image if the settings do not fit.
        self._plan((self.stride, self.stride))

    def derain(
        self,
        image: np.ndarray | Image.Image,
        progress: reports.Progress | None = None,
        alpha: np.ndarray | None = None,
    ) -> Any:
        """Derains one image or a batch and returns it in the kind it came in.

        Args:
            image: array `(height, width, 3)`, `(height, width)` or
                `(batch, height, width, 3)` as `uint8`, `uint16` or float in [0, 1], of
                any height and width from 1; or a PIL image of any mode, whose alpha,
                EXIF and ICC profile are kept, and whose palette or CMYK colours become
                RGB.
            progress: function called with `(done, total)` after every tile.
            alpha: array `(height, width)` or `None`. Pixels where it is 0 are hidden,
                in all images of a batch; a PIL image has its own.

        Returns:
            The derained image: a new array of the same shape and dtype, or a PIL
            image. With `return_mask` what `derain_and_mask` returns.

        Raises:
            ValueError: shape, dtype or values do not fit.
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

    def sizes_used(self, scene: np.ndarray) -> tuple[bool, ...]:
        """At which of its sizes an image is derained, its own first.

        Args:
            scene: array `(height, width, 3)` or `(height, width)` without hidden
                pixels, `uint8`, `uint16` or float in [0, 1].

        Returns:
            bool for each size, see `tfderain.runtime.scales.used`.
        """
        copies = [scene]
        for _ in self._plan(scene.shape[:2])[1:]:
            copies.append(_halved(copies[-1]))
        if self.scales != "auto" or len(copies) == 1:
            return (True,) * len(copies)
        halves = [*copies[1:], _halved(copies[-1])]
        return scales.used(
            [_detail(copy, half) for copy, half in zip(copies, halves, strict=True)]
        )

    def derain_scene(self, scene: np.ndarray, used: tuple[bool, ...]) -> np.ndarray:
        """Derains an image of which everything is known, as of the frames of a film.

        Args:
            scene: see `sizes_used`; no bars are looked for.
            used: at which of its sizes it is derained, the last of them always.

        Returns:
            A new array of the same shape and dtype.
        """
        derained = np.empty_like(scene)
        plans = self._plan(scene.shape[:2])
        self._derain_views(scene, derained, plans, lambda: None, used=used)
        return derained

    def keep_sizes(self, count: int):
        """Keeps the network ready for so many sizes of tiles, for films."""
        if isinstance(self._network, engines.LiteRT):
            self._network.kept = count

    def _derain_views(self, rainy, derained, plans, tick, used=None, mask=None):
        """Derains `rainy` into `derained`, with `best` its mirror image as well."""
        if not self.best:
            self._derain(rainy, derained, plans, tick, used=used, mask=mask)
            return
        mean = np.zeros((*rainy.shape[:2], 3), np.float32)
        for step in (1, -1):  # the image, and its mirror image
            view = np.empty_like(mean)
            seen = np.zeros_like(mask) if mask is not None else None
            self._derain(rainy[:, ::step], view, plans, tick, used=used, mask=seen)
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

    def _derain(
        self, rainy, derained, plans, tick, reduced=False, used=None, mask=None
    ):
        """Derains `rainy` into `derained`, its reduced copies first.

        Returns the largest detail of it and of its copies, with `scales="auto"`, unless
        it was decided before which of them are `used`.
        """
        tiles, *coarser = plans
        change, largest = None, 0.0
        chosen = self.scales == "auto" and used is None
        if coarser:
            half = _halved(rainy)
            change = np.empty_like(half)
            rest = used and used[1:]
            small = np.zeros(half.shape[:2], np.float32) if mask is not None else None
            largest = self._derain(half, change, coarser, tick, True, rest, small)
            if mask is not None and small is not None:
                both = (np.arange(side) // 2 for side in mask.shape)
                mask[:] = small[np.ix_(*both)]
            change -= half
            own = _detail(rainy, half) if chosen else 0.0
            skipped = own < scales.LEAST_DETAIL * largest
            if skipped if used is None else not used[0]:
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
        """Derains `rainy` strip by strip, after adding `change`, of half its size."""
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
    # float16 is off by at most 0.06 of 255 levels, which cancels in the difference.
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
    """Adds the change of a copy of half the size, and nothing else."""
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
    # The network sees a grey image as three equal channels.
    tile = images.to_rgb(images.to_float(tile))
    if change is not None:
        tile = np.clip(tile + scales.doubled(change, rows, columns), 0, 1)
    return np.ascontiguousarray(tile)
