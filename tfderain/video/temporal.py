"""Temporal: neighbouring frames, in which the rain is elsewhere and the scene the same.

A drop passes a pixel within one frame. So what a network has left of it, or has taken
off wrongly, is in one frame and not in its neighbours: those are brought onto the frame
by optical flow, and where they agree with each other the median of all is taken.

```python
for derained, frame in combined(pairs_of_derained_and_frames, neighbours=1):
    ...
```
"""

import collections
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tfderain import extras, images

ALIGNMENTS = ("flow", "none")
"""How neighbours are brought onto a frame: by optical flow, or, for cameras that stand
still, not at all."""

# Levels of [0, 1]. Neighbours that differ by less agree: what compression and the noise
# of a sensor leave; by twice that much they have no say any more.
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

    def __call__(self, derained: np.ndarray, others: list[np.ndarray]) -> np.ndarray:
        """Returns a derained frame, improved by its derained neighbours.

        Args:
            derained: array `(height, width, 3)`, `uint8`, `uint16` or float in [0, 1].
            others: neighbours like it, at least one, in any order.

        Returns:
            A new array of the same shape and dtype.
        """
        own = images.to_float(derained)
        if self.align == "flow":
            small = self._small(own)
            aligned = [self._aligned(own, small, images.to_float(x)) for x in others]
        else:
            aligned = [images.to_float(other) for other in others]
        return images.from_float(combine(own, aligned), derained.dtype)

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


def combine(own: np.ndarray, aligned: list[np.ndarray]) -> np.ndarray:
    """The median of a frame and its neighbours, where the neighbours agree.

    Args:
        own: float32 array `(height, width, 3)` in [0, 1].
        aligned: neighbours of the same shape, brought onto it.

    Returns:
        float32 array of this shape: `own` where the neighbours differ from each other
        by `2 * AGREE` or the median from it by `2 * MOST`, the median below half of
        both, and a mixture between.
    """
    stack = np.stack([own, *aligned])
    median = np.median(stack, axis=0)
    change = median - own
    others = stack[1:]
    spread = (others.max(axis=0) - others.min(axis=0)).max(axis=-1, keepdims=True)
    size = np.abs(change).max(axis=-1, keepdims=True)
    trust = np.clip(2 - spread / AGREE, 0, 1) * np.clip(2 - size / MOST, 0, 1)
    return own + trust * change


def combined(
    pairs: Iterable[tuple[np.ndarray, Any]], combiner: Combiner | None
) -> Iterator[tuple[np.ndarray, Any]]:
    """Combines each frame of a film with its neighbours, holding no more than those.

    Args:
        pairs: `(derained, anything)`, in the order of the film.
        combiner: `None` passes all on as they are.

    Returns:
        As many pairs in the same order, late by the frames looked at afterwards. The
        first and the last frames of a film have fewer neighbours.
    """
    if combiner is None:
        yield from pairs
        return
    count = combiner.neighbours
    held: collections.deque = collections.deque()
    place = 0  # of the next frame to give, in `held`
    for pair in pairs:
        held.append(pair)
        if len(held) - place > count:
            yield _with_neighbours(held, place, combiner)
            place += 1
        if place > count:
            held.popleft()
            place -= 1
    while place < len(held):
        yield _with_neighbours(held, place, combiner)
        place += 1
        if place > count:
            held.popleft()
            place -= 1


def _with_neighbours(held, place, combiner):
    derained, rest = held[place]
    count = combiner.neighbours
    nearby = range(max(0, place - count), min(len(held), place + count + 1))
    others = [held[index][0] for index in nearby if index != place]
    return (combiner(derained, others) if others else derained), rest
