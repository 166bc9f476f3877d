"""Extremes: the worst and the best images of models, in small pictures.

```python
watch = extremes.Extremes()
comparison.compare(models, sets, "matlab_y_float", watch=watch)
watch.worst("menet", "Rain100L")[0].row  # name and scores of the worst image
```
"""

import bisect
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from tfderain import images
from tfderain.analysis import examples
from tfderain.evaluation import scores

COUNT = 5  # worst and best images of each model
CROP, WIDTH = 96, 192  # side of a crop, and of what it is shown at, in pixels


@dataclass(frozen=True)
class Extreme:
    """One of the worst or best images of a model.

    Args:
        row: its scores.
        parts: two rows of uint8 images `(h, w, 3)`, rainy, derained and clean: the
            whole images, reduced, and one part of them, enlarged.
        place: `(top, left)` of that part.
        side: its height and width.
    """

    row: scores.Row
    parts: tuple[tuple[np.ndarray, ...], ...]
    place: tuple[int, int]
    side: int


class Extremes:
    """Keeps the worst and the best images by PSNR while models are scored.

    Give it to `comparison.compare` as `watch`. Of each image that may be among them it
    keeps a few small parts, so that memory does not grow with the data sets.

    Args:
        count: how many of either kind, of each model on each data set.
    """

    def __init__(self, count: int = COUNT):
        self.count = count
        self._kept: dict[tuple[str, str], tuple[list, list]] = {}
        self._seen: dict[tuple[str, str], int] = {}

    def __call__(self, model: str, data: str, row: scores.Row, shown):
        """Looks at one image: `shown` is the given, the derained and the clean one."""
        number = self._seen.get((model, data), 0)
        self._seen[model, data] = number + 1
        worst, best = self._kept.setdefault((model, data), ([], []))
        # The number tells equal scores apart, so that images are never compared.
        for kept, order, taken_off in (
            (worst, row.psnr, False),
            (best, -row.psnr, True),
        ):
            key = (order, number)
            if len(kept) < self.count or key < kept[-1][:2]:
                bisect.insort(kept, (*key, _extreme(row, shown, taken_off)))
                del kept[self.count :]

    def worst(self, model: str, data: str) -> list[Extreme]:
        """The images with the least PSNR, worst first; at most half of all."""
        return self._of(model, data, 0, (self._seen.get((model, data), 0) + 1) // 2)

    def best(self, model: str, data: str) -> list[Extreme]:
        """The images with the largest PSNR, best first; none of them is a worst one."""
        return self._of(model, data, 1, self._seen.get((model, data), 0) // 2)

    def _of(self, model, data, which, most):
        kept = self._kept.get((model, data), ([], []))[which]
        return [extreme for *_, extreme in kept[:most]]


def _extreme(row, shown, taken_off):
    """Its part is where most error was taken off, or where most is left."""
    given, derained, clean = map(images.to_float, shown)
    left = np.abs(derained - clean).mean(-1)
    gain = np.abs(given - clean).mean(-1) - left
    side = min(CROP, *left.shape)
    top, start = examples.best_place(gain if taken_off else left, side)
    zoom = max(1, WIDTH // side)
    crops = [x[top : top + side, start : start + side] for x in shown]
    crops = [x.repeat(zoom, axis=0).repeat(zoom, axis=1) for x in crops]
    wholes = [_reduced(x, side * zoom, (top, start, side)) for x in shown]
    return Extreme(row, (tuple(wholes), tuple(crops)), (top, start), side)


def _reduced(pixels, width, part):
    """The image at a width, with a frame around one part of it."""
    height = max(1, round(pixels.shape[0] * width / pixels.shape[1]))
    small = Image.fromarray(np.ascontiguousarray(pixels)).resize((width, height))
    top, left, side = (x * width / pixels.shape[1] for x in part)
    corners = (left, top, min(left + side, width - 1), min(top + side, height - 1))
    draw = ImageDraw.Draw(small)
    draw.rectangle(corners, outline=(255, 255, 255))
    if side > 4:  # white and black: one of them shows on any background
        inner = [x + d for x, d in zip(corners, (1, 1, -1, -1), strict=True)]
        draw.rectangle(inner, outline=(0, 0, 0))
    return np.asarray(small)
