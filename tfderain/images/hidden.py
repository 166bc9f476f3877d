"""Hidden pixels: those that do not show the scene (transparent ones, bars, frames).

A network that sees the edge of a black bar, or the black that is stored under
transparent pixels, leaves rain far around it. So only the scene goes through it:

```python
scene = hidden.find_scene(pixels, alpha)
derained = network(scene.pixels)  # transparent pixels inside are filled from around
scene.put_hidden(pixels, result)  # the rest of `result` is copied from `pixels`
```

Bars are searched line by line from each border inwards. A bar has one colour, up to the
noise of video and of JPEG, and ends in a sharp edge along the whole side; a flat sky
ends in no such edge, and the skyline below it is not straight.
"""

from dataclasses import dataclass

import numpy as np

# Grey levels of 255 by which plain lines may differ from the colour of their bar, due
# to the noise of flat video: on average, and in all but a few stray pixels.
_PLAIN, _PLAIN_MOST, _STRAY = 3, 12, 0.02
# Lines reached by JPEG's ringing if colour is stored at half the size. Frames may be
# thinner; their first line then differs by this many levels on average.
_RINGING_LINES, _RINGING = 16, 16
# The edge: a third of a line's pixels (parts of a scene may be as dark as its bar)
# change by 24 levels at once, and the lines before it differ from the bar's colour at
# most 0.6 times as much as the edge does: measured up to 0.5, at quality 30.
_STEP, _STEP_SHARE, _BEFORE = 24, 1 / 3, 0.6
_LEAST = 16  # pixels that each side of a scene, and a line to be judged, must have
_NESTED = 3  # frames inside each other
_BLOCK = 64  # lines examined together
_FAR = 2**20  # farther away than any pixel


@dataclass(frozen=True, eq=False)
class Scene:
    """The part of an image that shows something: what a network should see.

    Attributes:
        rows, columns: slices, its place in the image.
        pixels: array like the image, of the scene's size: a view of the image, or a
            copy in which the hidden pixels inside the scene are filled.
        shown: bool array `(height, width)` of the scene's size, false where pixels are
            hidden; `None` if all are shown.
    """

    rows: slice
    columns: slice
    pixels: np.ndarray
    shown: np.ndarray | None = None

    def put_hidden(self, image: np.ndarray, result: np.ndarray):
        """Copies the hidden pixels of `image` to `result`, an array of the same kind.

        Args:
            image: the image that the scene was found in.
            result: array of its shape, which already holds the derained scene.
        """
        rows, columns = self.rows, self.columns
        outside = (
            (slice(None, rows.start), slice(None)),
            (slice(rows.stop, None), slice(None)),
            (rows, slice(None, columns.start)),
            (rows, slice(columns.stop, None)),
        )
        for part in outside:
            result[part] = image[part]
        if self.shown is not None:
            done, before = result[rows, columns], image[rows, columns]
            done[~self.shown] = before[~self.shown]


def find_scene(pixels: np.ndarray, alpha: np.ndarray | None = None) -> Scene:
    """Finds the scene in an image, without bars, frames and transparent margins.

    Args:
        pixels: array `(height, width, 3)` or `(height, width)`, `uint8`, `uint16` or
            float in [0, 1].
        alpha: array `(height, width)` or `None`. Pixels where it is 0 are hidden.

    Returns:
        `Scene`. Without bars it is all that is not transparent, also if that is of one
        colour; it is the whole image if nothing is hidden, and if everything is.
    """
    height, width = pixels.shape[:2]
    scene = Scene(slice(0, height), slice(0, width), pixels)
    if alpha is not None and (shown := np.asarray(alpha) != 0).any():
        scene = _opaque(pixels, shown)
    return _without_bars(scene) or scene


def _opaque(pixels, shown):
    """The scene of an image with transparent pixels."""
    rows, columns = (_range(shown.any(axis)) for axis in (1, 0))
    shown = shown[rows, columns]
    part = pixels[rows, columns]
    if shown.all():
        return Scene(rows, columns, part)
    return Scene(rows, columns, filled(part, shown), shown)


def _range(flags):
    """The slice from the first true flag to the last."""
    (places,) = flags.nonzero()
    return slice(int(places[0]), int(places[-1]) + 1)


def _without_bars(scene):
    """The scene without bars on any side, or `None` if it is all of one colour."""
    top, bottom, left, right = 0, len(scene.pixels), 0, scene.pixels.shape[1]
    for _ in range(_NESTED):
        before = top, bottom, left, right
        top += _bar(scene.pixels[top:bottom, left:right])
        bottom -= _bar(scene.pixels[top:bottom, left:right][::-1])
        if top >= bottom:
            break
        left += _bar(scene.pixels[top:bottom, left:right].swapaxes(0, 1))
        right -= _bar(scene.pixels[top:bottom, left:right].swapaxes(0, 1)[::-1])
        if before == (top, bottom, left, right):
            break
    if top >= bottom or left >= right:
        return None
    if scene.pixels.shape[:2] == (bottom - top, right - left):
        return scene
    box = slice(top, bottom), slice(left, right)
    return Scene(
        slice(scene.rows.start + top, scene.rows.start + bottom),
        slice(scene.columns.start + left, scene.columns.start + right),
        scene.pixels[box],
        None if scene.shown is None else scene.shown[box],
    )


def _bar(lines):
    """How many of the first lines form a bar; all of them if they have one colour."""
    count, length = lines.shape[:2]
    if length < _LEAST:
        return 0
    colour = np.median(_levels(lines[:1]), axis=1, keepdims=True)
    plain = _count_plain(lines, colour)
    if plain == count:
        return count
    start = max(plain, 1)  # an edge lies between two lines
    near = _levels(lines[start - 1 : min(plain + _RINGING_LINES, count - _LEAST) + 1])
    if len(near) < 2:
        return 0
    steps = _difference(near[1:], near[:-1])
    edge = int(steps.mean(axis=1).argmax())
    before = _difference(near, colour).mean(axis=1)
    bar = before[: edge + 1].max() <= _BEFORE * before[edge + 1]
    thin = plain > 0 or before[0] <= _RINGING
    sharp = (steps[edge] > _STEP).mean() >= _STEP_SHARE
    return start + edge if bar and thin and sharp else 0


def _count_plain(lines, colour):
    """How many lines come before the first one that does not have the colour."""
    block = 1  # most images have no bar, as their first line shows
    top = 0
    while top < len(lines):
        levels = _difference(_levels(lines[top : top + block]), colour)
        other = levels.mean(axis=1) > _PLAIN
        other |= (levels > _PLAIN_MOST).mean(axis=1) > _STRAY
        if other.any():
            return top + int(other.argmax())
        top += block
        block = _BLOCK
    return len(lines)


def _difference(lines, others):
    """Differences between pixels in grey levels, the largest of their channels."""
    return np.abs(lines - others).max(axis=-1)


def _levels(lines):
    """Lines as float32 grey levels of 255, with a last axis of channels."""
    lines = lines[..., None] if lines.ndim == 2 else lines
    white = np.iinfo(lines.dtype).max if lines.dtype.kind == "u" else 1
    return lines.astype(np.float32) * np.float32(255 / white)


def filled(pixels: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """A copy whose hidden pixels are the mirror image of what lies beside them.

    They are mirrored at the nearest pixel shown; where the mirror image is hidden too,
    that pixel itself is used.

    Args:
        pixels: array `(height, width, ...)`.
        shown: bool array `(height, width)`, true somewhere.
    """
    pixels = pixels.copy()
    down, across = nearest(shown)
    for row in np.flatnonzero(~shown.all(axis=1)):  # by rows, to save memory
        (columns,) = (~shown[row]).nonzero()
        y, x = down[row, columns], across[row, columns]
        mirror_y = np.clip(2 * y - row, 0, len(shown) - 1)
        mirror_x = np.clip(2 * x - columns, 0, shown.shape[1] - 1)
        fits = shown[mirror_y, mirror_x]
        sources = np.where(fits, mirror_y, y), np.where(fits, mirror_x, x)
        # only shown pixels are read, so the order of rows does not matter
        pixels[row, columns] = pixels[sources]
    return pixels


def nearest(shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the nearest pixel shown, for each pixel.

    Found by sweeps down, up, right and left, in which each pixel asks three neighbours
    for theirs (Danielsson, 1980, Euclidean distance mapping): the time is linear in the
    number of pixels, and the rare errors are below a pixel.

    Args:
        shown: bool array `(height, width)`, true somewhere.

    Returns:
        Two int32 arrays `(height, width)`.
    """
    places = np.indices(shown.shape, np.int32)
    places[:, ~shown] = -_FAR
    down, across = places[0], places[1]
    rows, columns = (np.arange(length) for length in shown.shape)
    _sweep(down, across, rows)
    _sweep(down[::-1], across[::-1], rows[::-1])
    _sweep(across.T, down.T, columns)
    _sweep(across.T[::-1], down.T[::-1], columns[::-1])
    return down, across


def _sweep(along, across, lines):
    """Passes sources from each line to the next; `lines` are the places along it."""
    length = along.shape[1]
    place = np.arange(length)
    for i in range(1, len(lines)):
        own = _squares(along[i], across[i], lines[i], place)
        if not own.any():
            continue
        for shift in (0, -1, 1):
            to = slice(max(shift, 0), length + min(shift, 0))
            asked = slice(max(-shift, 0), length - max(shift, 0))
            theirs = along[i - 1, asked], across[i - 1, asked]
            squares = _squares(*theirs, lines[i], place[to])
            closer = squares < own[to]
            for kept, offered in zip((along, across), theirs, strict=True):
                np.copyto(kept[i, to], offered, where=closer)
            np.copyto(own[to], squares, where=closer)


def _squares(along, across, line, place):
    return (along - line) ** 2 + (across - place) ** 2
