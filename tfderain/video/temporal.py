"""Temporal: neighbouring frames, in which the rain is elsewhere and the scene the same.

A drop passes a pixel within one frame. So what a network guesses behind a streak, or
leaves of it, is in one frame and not in its neighbours: those are brought onto the
frame by optical flow, and where it rained in the frame and the neighbours agree with
each other, the median of all is taken. Elsewhere the frame stays as it is: it shows the
scene itself there, and more sharply than neighbours that were moved.

```python
for derained, frame in combined(derained_rainy_and_frame, Combiner(neighbours=2)):
    ...
```
"""

import collections
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tfderain import extras, images

ALIGNMENTS = ("flow", "none")
"""How neighbours are brought onto a frame: by optical flow, or, for cameras that stand
still, not at all."""

# Levels of [0, 1]. It rained where the network changed this much, or within a pixel of
# it, half of that being its noise: five grey levels.
RAIN = 0.02
# Neighbours that differ by less agree: what compression and the noise of a sensor
# leave; by twice that much they have no say any more.
AGREE = 0.04
# The median moves a pixel by so much at most; more is an object that came or went.
MOST = 0.25
_GREY = (0.299, 0.587, 0.114)
_LONGER_SIDE = 640  # of the copies on which the flow is found


class Combiner:
    """Combines derained frames with their neighbours.

    Args:
        neighbours: int from 1. Frames before, and as many after, that are looked at.
        align: one of `ALIGNMENTS`.

    Raises:
        ValueError: for other values.
        ImportError: if OpenCV is not installed (extra `video`).
    """

    def __init__(self, neighbours: int, align: str = "flow"):
        if neighbours < 1:
            raise ValueError(
                f"`temporal` must be at least 1. Received: temporal={neighbours}."
            )
        if align not in ALIGNMENTS:
            raise ValueError(
                f"`align` must be one of {', '.join(ALIGNMENTS)}. "
                f"Received: align={align}."
            )
        self.neighbours, self.align = neighbours, align
        self.cv = extras.require("cv2", extra="video")
        self.flow = self.cv.DISOpticalFlow_create(self.cv.DISOPTICAL_FLOW_PRESET_FAST)

    def __call__(
        self, derained: np.ndarray, rainy: np.ndarray, others: list[np.ndarray]
    ) -> np.ndarray:
        """Returns a derained frame, improved by its derained neighbours.

        Args:
            derained: array `(height, width, 3)`, `uint8`, `uint16` or float in [0, 1].
            rainy: the frame before, like it.
            others: derained neighbours like it, at least one, in any order.

        Returns:
            A new array of the same shape and dtype.
        """
        own = images.to_float(derained)
        rain = np.abs(images.to_float(rainy) - own).max(axis=-1)
        rain = self.cv.dilate(rain, np.ones((3, 3), np.uint8))
        if self.align == "flow":
            small = self._small(own)
            aligned = [self._aligned(own, small, images.to_float(x)) for x in others]
        else:
            aligned = [images.to_float(other) for other in others]
        return images.from_float(combine(own, rain, aligned), derained.dtype)

    def _small(self, image):
        """A grey `uint8` copy, on which the flow is found."""
        grey = (image @ np.array(_GREY, np.float32) * 255).astype(np.uint8)
        factor = _LONGER_SIDE / max(grey.shape)
        if factor >= 1:
            return grey
        size = [max(16, round(side * factor)) for side in grey.shape[::-1]]
        return self.cv.resize(grey, size, interpolation=self.cv.INTER_AREA)

    def _aligned(self, own, small, other):
        """Another frame as it would look at the time of this one."""
        height, width = own.shape[:2]
        flow = self.flow.calc(small, self._small(other), None)
        if flow.shape[:2] != (height, width):
            scale = np.array(
                (width / flow.shape[1], height / flow.shape[0]), np.float32
            )
            flow = self.cv.resize(flow, (width, height)) * scale
        columns, rows = np.meshgrid(
            np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
        )
        return self.cv.remap(
            other,
            columns + flow[..., 0],
            rows + flow[..., 1],
            self.cv.INTER_CUBIC,
            borderMode=self.cv.BORDER_REPLICATE,
        )


def combine(own: np.ndarray, rain: np.ndarray, aligned: list[np.ndarray]) -> np.ndarray:
    """The median of a frame and its neighbours, where it rained and they agree.

    Args:
        own: float32 array `(height, width, 3)` in [0, 1].
        rain: float32 array `(height, width)`, how much the network changed there.
        aligned: neighbours like `own`, brought onto it.

    Returns:
        float32 array like `own`: `own` itself where it rained less than `RAIN`, or the
        neighbours, but for the lowest and the highest of four or more, differ by
        `2 * AGREE`, or the median would change it by `2 * MOST`; the median where it
        rained twice as much and both differences are below half of that; and a
        mixture between.
    """
    change = np.median(np.stack([own, *aligned]), axis=0) - own
    ranked = np.sort(np.stack(aligned), axis=0)
    if len(aligned) > 3:
        ranked = ranked[1:-1]
    spread = (ranked[-1] - ranked[0]).max(axis=-1)
    size = np.abs(change).max(axis=-1)
    trust = np.clip(rain / RAIN - 1, 0, 1)
    trust *= np.clip(2 - spread / AGREE, 0, 1)
    trust *= np.clip(2 - size / MOST, 0, 1)
    return own + trust[..., None] * change


def combined(
    items: Iterable[tuple[np.ndarray, np.ndarray, Any]], combiner: Combiner | None
) -> Iterator[tuple[np.ndarray, Any]]:
    """Combines each frame of a film with its neighbours, holding no more than those.

    Args:
        items: `(derained, rainy, anything)`, in the order of the film.
        combiner: `None` passes all on as they are.

    Returns:
        As many `(derained, anything)` in the same order, late by the frames looked at
        afterwards. The first and the last frames of a film have fewer neighbours.
    """
    if combiner is None:
        yield from ((derained, rest) for derained, _, rest in items)
        return
    count = combiner.neighbours
    held: collections.deque = collections.deque()
    place = 0  # of the next frame to give, in `held`
    for item in itertools.chain(items, [None] * count):
        if item:
            held.append(item)
        if len(held) - place > (count if item else 0):
            yield _with_neighbours(held, place, combiner)
            place += 1
        if place > count:
            held.popleft()
            place -= 1


def _with_neighbours(held, place, combiner):
    derained, rainy, rest = held[place]
    count = combiner.neighbours
    nearby = range(max(0, place - count), min(len(held), place + count + 1))
    others = [held[index][0] for index in nearby if index != place]
    return (combiner(derained, rainy, others) if others else derained), rest
