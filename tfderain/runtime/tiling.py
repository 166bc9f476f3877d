"""Tiles that cover large images, and padding to the stride of a network.

```python
tiles = plan_tiles((4320, 7680), tile="auto", overlap=None, stride=4)
down, across = tiles.weights()  # add up to 1 at every pixel
```
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

# Whole images up to here: MENET takes about 300 bytes per pixel of a tile in LiteRT.
AUTO_PIXELS = 1_500_000
# Longest side of a tile above: the overlaps cost a quarter more work.
AUTO_SIDE = 1280
# A little more than MENET with 13 blocks sees, 120 pixels; those beyond 48 moved no
# value of six real photos by more than 1.2 / 255 with 12 blocks.
AUTO_OVERLAP = 128


def reflect_index(length: int, padded: int) -> np.ndarray:
    """Returns indices that extend an axis at its end by mirroring it.

    The edge is not repeated, and an axis shorter than its padding is mirrored
    repeatedly (a single pixel is repeated), so that any length from 1 works: 0 1 2
    becomes 0 1 2 1 0 1.
    """
    period = max(2 * (length - 1), 1)
    position = np.arange(padded) % period
    return np.minimum(position, period - position) if length > 1 else 0 * position


def round_up(length: int, multiple: int) -> int:
    """Returns the smallest multiple that is at least `length`."""
    return -(-length // multiple) * multiple


def pad_to_multiple(array: np.ndarray, multiple: int) -> np.ndarray:
    """Pads bottom and right by reflection until both sides are multiples.

    Args:
        array: array `(height, width, channels)` or `(n, height, width, channels)`.
        multiple: int.
    """
    array = np.asarray(array)
    for axis in (-3, -2):
        length = array.shape[axis]
        padded = round_up(length, multiple)
        if padded != length:
            array = array.take(reflect_index(length, padded), axis=axis)
    return array


@dataclass(frozen=True)
class Tiles:
    """Tiles of equal size that cover an image, as starts along each axis.

    Attributes:
        size: `(height, width)` of the image, multiples of the stride.
        tile: `(height, width)` of every tile.
        rows, columns: tuples of first rows and first columns, multiples of the
            stride, evenly spaced.
        overlap: int. Neighbours share at least this many pixels.
    """

    size: tuple
    tile: tuple
    rows: tuple
    columns: tuple
    overlap: int

    def __len__(self):
        return len(self.rows) * len(self.columns)

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns float32 `(rows, tile height)` and `(columns, tile width)`.

        The weight of a tile is the product of its two rows of weights, and at each
        pixel the weights of all tiles add up to 1.
        """
        return (
            blend_weights(self.rows, self.tile[0], self.overlap),
            blend_weights(self.columns, self.tile[1], self.overlap),
        )


def plan_tiles(
    size: Sequence[int],
    tile: int | Literal["auto"] | None,
    overlap: int | None,
    stride: int,
) -> Tiles:
    """Covers an image with as few overlapping tiles of equal size as possible.

    Args:
        size: `(height, width)` of the image, multiples of `stride`.
        tile: int, longest side of a tile; `None` or 0 for one tile of the whole image;
            `"auto"` for a single tile up to `AUTO_PIXELS`, and `AUTO_SIDE` above.
        overlap: int. Least number of pixels that neighbours share; rounded up to the
            stride. At most half of `tile`. `None` for `AUTO_OVERLAP`, or a quarter of
            smaller tiles.
        stride: int. Starts are multiples of it, because a network that turns blocks of
            pixels into channels depends on where the blocks begin.

    Raises:
        ValueError: `tile` or `overlap` does not fit.
    """
    automatic = overlap is None
    if automatic:
        overlap = AUTO_OVERLAP
        if tile and tile != "auto":
            overlap = min(overlap, max(tile, 0) // 4 // stride * stride)
    shared = round_up(overlap, stride)
    if tile == "auto":
        small = size[0] * size[1] <= AUTO_PIXELS
        tile = None if small else max(AUTO_SIDE, 4 * shared)
    longest = tile // stride * stride if tile else max(size)
    if overlap < 0 or longest < stride or (tile and 2 * shared > longest):
        raise ValueError(
            f"`tile` must be at least {stride} (the model's stride) and at least twice "
            f"`overlap`. Received: tile={tile}, "
            f"overlap={None if automatic else overlap}."
        )
    sides, starts = [], []
    for length in size:
        count = 1
        if length > longest:
            count = math.ceil((length - shared) / (longest - shared))
        side = round_up(math.ceil((length + (count - 1) * shared) / count), stride)
        room = (length - side) // stride
        sides.append(side)
        starts.append([room * i // max(count - 1, 1) * stride for i in range(count)])
    rows, columns = (tuple(firsts) for firsts in starts)
    return Tiles(tuple(size), tuple(sides), rows, columns, shared)


def blend_weights(starts: ArrayLike, tile: int, overlap: int) -> np.ndarray:
    """Returns weights `(len(starts), tile)` that add up to 1 wherever tiles meet.

    In the middle of the pixels that two neighbours share there is a raised-cosine ramp
    with a quarter of the length of `overlap`. So the outermost 3/8 of `overlap` of a
    tile, where its network saw padding instead of the surroundings, have no weight: the
    blend is exact for networks that see at most this many pixels to each side.
    """
    starts = np.asarray(starts)
    cuts = np.array([-np.inf, *(starts[:-1] + starts[1:] + tile) / 2, np.inf])
    position = starts[:, None] + np.arange(tile) + 0.5

    def risen(cuts):
        phase = (position - cuts[:, None]) / max(overlap // 4, 1) + 0.5
        return 0.5 - 0.5 * np.cos(np.pi * np.clip(phase, 0, 1))

    # What has risen at a tile's first cut, but not yet at its last, adds up to 1.
    return (risen(cuts[:-1]) - risen(cuts[1:])).astype(np.float32)
