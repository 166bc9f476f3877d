"""Overlaps of two sets of pictures: backgrounds that occur in both, such as of training
and test.

```python
found = overlaps.find(find_pairs("RainTrainH").clean, find_pairs("Rain100H").clean)
print(found.table())
```

Two ways to see it, each with mirrored copies, too:

- a perceptual hash of 256 bits (`imagehash.phash`, from 16x16 coefficients of the
  cosine transform), which hardly changes when a picture is resized, stored as JPEG, or
  made brighter;
- phase correlation of small copies (Kuglin and Hines, 1975), whose peak says where one
  picture would lie in the other, at the same scale; it is a part of it if both
  correlate there.

Seen on 93 test pictures (Rain100, SIRR, GT-Rain, raindrop) against 1,943 others that
share no background with them, in all four mirrored views: the nearest hashes differ in
88 bits, and parts correlate with at most 0.34. Of 60 pictures all were found as a JPEG
copy of quality 50, mirrored, at half the size, and cut to 95 and 80 % of their sides;
59 of them cut to 60 %, 50 cut to 50 %; none both cut to 80 % and resized. No copy was
taken for one of another picture.
"""

import functools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tfderain import extras, images, reports
from tfderain.data.pairs import SIDE_BY_SIDE, Pairs, find_pairs, unit_rows
from tfderain.images import find_images

SIDE = 16  # of the hash
BITS = 76  # in which pictures of one background differ at most, see above
REDUCED = 6  # rows and columns that become one for the correlation
WINDOW = 128  # side of the reduced pictures
PEAK = 0.12  # of the phase correlation, where it is worth while to look
CORRELATION = 0.5  # of details, where one picture is a part of the other, see above
LEAST = 24  # rows and columns of a reduced picture, and of a part, that tell enough

VIEWS = ("as it is", "mirrored left-right", "mirrored upside down", "turned by 180")
FLIPS = ((), (1,), (0,), (0, 1))  # axes of each view

# Half of a side-by-side file that is clean: left and right end.
HALVES = {"left_clean": (0.0, 0.5), "left_rainy": (0.5, 1.0)}


@dataclass(frozen=True)
class Match:
    """One background in both sets.

    Args:
        first, second: path of the picture in each set.
        view: one of `VIEWS`: how the second shows what the first shows.
        how: `"hash"` or `"part"`: one of the two is cut out of the other.
        bits: number of bits in which the hashes differ, of 256.
        correlation: of the details in the common part; `None` where the hash is enough.
    """

    first: str
    second: str
    view: str
    how: str
    bits: int
    correlation: float | None


@dataclass(frozen=True)
class Overlap(reports.Report):
    """Backgrounds that two sets of pictures share.

    Args:
        first, second: number of different pictures in each.
        matches: each combination of files once.
        shared_first, shared_second: number of pictures of each set with a match.
        parts: whether parts of pictures were looked for as well.
    """

    first: int
    second: int
    matches: tuple[Match, ...]
    shared_first: int
    shared_second: int
    parts: bool

    def table(self, most: int = 20) -> str:
        """Returns the first matches, and how many pictures of each set have one."""
        lines = []
        if self.matches:
            rows = [
                (
                    os.path.basename(match.first),
                    os.path.basename(match.second),
                    str(match.bits),
                    "" if match.correlation is None else f"{match.correlation:.2f}",
                    match.view + (", cut" if match.how == "part" else ""),
                )
                for match in self.matches[:most]
            ]
            titles = ("first", "second", "bits", "details", "seen")
            lines.append(reports.text_table(titles, rows))
        if len(self.matches) > most:
            lines.append(f"... and {len(self.matches) - most} more (--json has all)")
        lines.append(
            f"{self.shared_first} of {self.first} pictures show a background of the "
            f"second set, {self.shared_second} of {self.second} one of the first"
        )
        return "\n".join(lines)


def backgrounds(
    folder: str | os.PathLike, layout: str = "auto", pattern: str | None = None
) -> tuple[list[str], tuple[float, float]]:
    """The pictures of a folder that show backgrounds, and which part of each.

    Args:
        folder: pairs, whose clean images count; else any pictures, which all count.
        layout, pattern: see `find_pairs`; `"clean"` takes every picture.

    Returns:
        `(paths, (left, right))`, the part of the width that is the clean image.

    Raises:
        ValueError: if there are no pictures.
    """
    try:
        found: Pairs | None = find_pairs(folder, layout, pattern)
    except ValueError:
        if layout != "auto" or pattern:
            raise
        found = None  # no pairs, or not all of it
    half = (
        HALVES[found.layout] if found and found.layout in SIDE_BY_SIDE else (0.0, 1.0)
    )
    paths = found.clean if found else find_images(folder, recursive=True)
    if not paths:
        raise ValueError(f"There must be pictures. Received: folder={str(folder)!r}.")
    return list(dict.fromkeys(paths)), half


def find(
    first: Sequence[str],
    second: Sequence[str],
    halves: tuple[tuple[float, float], tuple[float, float]] = ((0.0, 1.0), (0.0, 1.0)),
    parts: bool = True,
    progress: reports.Progress | None = None,
) -> Overlap:
    """Compares each picture of one set with each of another.

    Args:
        first, second: paths of pictures.
        halves: part of the width of the pictures that counts, for each set, see
            `backgrounds`.
        parts: look for pictures cut out of others, too: minutes for some 100,000
            combinations.
        progress: called with `(done, total)`, or `None`.

    Raises:
        ImportError: without the packages of the extra `analysis`.
        tfderain.images.ImageError: for a file that cannot be read.
    """
    extras.require("imagehash", extra="analysis")
    total = len(first) + len(second) * (1 + parts)
    hashes, small = _looked_at(first, halves[0], progress, 0, total)
    others, small_others = _looked_at(second, halves[1], progress, len(first), total)
    matches: dict[tuple[int, int], Match] = {}
    for view, flips in zip(VIEWS, others.swapaxes(0, 1), strict=True):
        distances = _distances(hashes[:, 0], flips)
        for i, j in np.argwhere(distances <= BITS).tolist():
            bits = int(distances[i, j])
            if bits < getattr(matches.get((i, j)), "bits", BITS + 1):
                matches[i, j] = Match(first[i], second[j], view, "hash", bits, None)
    if parts:
        done = len(first) + len(second)
        told = reports.part(progress, done, total)
        for i, j, view, same in _parts(small, small_others, told):
            known = matches.get((i, j))
            best = -1.0 if known is None else known.correlation
            if best is not None and same > best:  # None: the hash has it
                bits = int(_distances(hashes[i, :1], others[j, view][None])[0, 0])
                matches[i, j] = Match(
                    first[i], second[j], VIEWS[view], "part", bits, same
                )
    ordered = tuple(matches[key] for key in sorted(matches))
    return Overlap(
        len(first),
        len(second),
        ordered,
        len({match.first for match in ordered}),
        len({match.second for match in ordered}),
        parts,
    )


def _looked_at(paths, half, progress, done, total):
    """Hashes `(n, 4, 256)`, bool, of all views, and reduced grey copies."""
    with ThreadPoolExecutor(4) as pool:
        seen = pool.map(functools.partial(_look, half=half), paths)
        told = reports.part(progress, done, total)
        tracked = reports.tracked(list(paths), told)
        found = [one for _, one in zip(tracked, seen, strict=True)]
    hashes, small = zip(*found, strict=True)
    return np.stack(hashes), list(small)


def _look(path, half):
    from imagehash import phash

    with images.opened(path) as image:
        grey = images.turned(np.asarray(image.convert("L")), images.orientation(image))
    left, right = (round(share * grey.shape[1]) for share in half)
    grey = grey[:, left:right]
    views = (Image.fromarray(np.flip(grey, axes)) for axes in FLIPS)
    hashes = np.stack([phash(view, hash_size=SIDE).hash.ravel() for view in views])
    return hashes, _reduced(grey)


def _reduced(grey):
    """The middle of a picture, averaged over squares, float32."""
    rows, columns = (min(n // REDUCED, WINDOW) for n in grey.shape)
    if min(rows, columns) < LEAST:
        return None
    top, left = (
        (n - size * REDUCED) // 2
        for n, size in zip(grey.shape, (rows, columns), strict=True)
    )
    cut = grey[top : top + rows * REDUCED, left : left + columns * REDUCED]
    blocks = cut.reshape(rows, REDUCED, columns, REDUCED)
    return blocks.mean(axis=(1, 3), dtype=np.float32)


def _distances(first, second):
    """Number of bits in which each hash of one set differs from each of the other."""
    first, second = (2 * bits.astype(np.float32) - 1 for bits in (first, second))
    return (first.shape[1] - first @ second.T) / 2


def _parts(first, second, progress) -> Iterator[tuple[int, int, int, float]]:
    """`(i, j, view, correlation)` of all combinations of which one is a part."""
    fft = extras.require("scipy.fft", extra="analysis")
    first = {i: _details(small) for i, small in enumerate(first) if small is not None}
    second = {j: _details(small) for j, small in enumerate(second) if small is not None}
    known, others = list(first), list(second)
    for many in range(0, len(others), 128):  # blocks bound the memory
        some = others[many : many + 128]
        views = {
            (j, view): np.conj(_phases(np.flip(second[j], axes)))
            for j in some
            for view, axes in enumerate(FLIPS)
        }
        for start in range(0, len(known), 32):
            if progress:
                progress(many + start / len(known) * len(some), len(others))
            block = known[start : start + 32]
            spectra = np.stack([_phases(first[i]) for i in block])
            for (j, view), spectrum in views.items():
                surfaces = fft.irfft2(spectra * spectrum, (WINDOW, WINDOW))
                surfaces = surfaces.reshape(len(block), -1)
                for place in np.flatnonzero(surfaces.max(axis=1) >= PEAK):
                    shift = np.unravel_index(surfaces[place].argmax(), (WINDOW, WINDOW))
                    other = np.flip(second[j], FLIPS[view])
                    same = _correlation(first[block[place]], other, shift)
                    if same >= CORRELATION:
                        yield block[place], j, view, same
    if progress:
        progress(len(others), len(others))


def _details(small):
    """A reduced picture without its smooth parts."""
    ndimage = extras.require("scipy.ndimage", extra="analysis")
    return small - ndimage.gaussian_filter(small, 2, mode="nearest")


def _phases(details):
    """Phases of the spectrum, float32; the edges of the picture fade."""
    fft = extras.require("scipy.fft", extra="analysis")
    window = np.outer(*(np.hanning(n + 2)[1:-1] for n in details.shape))
    spectrum = fft.rfft2((details - details.mean()) * window, (WINDOW, WINDOW))
    spectrum = spectrum.astype(np.complex64)
    return spectrum / np.maximum(np.abs(spectrum), 1e-3)


def _correlation(first, second, shift):
    """Correlation of two pictures where they overlap, the second moved by `shift`.

    A shift is known but for the window's side, which may have to be taken off.
    """
    best = -1.0
    for rows in (shift[0], shift[0] - WINDOW):
        for columns in (shift[1], shift[1] - WINDOW):
            one = first[max(rows, 0) :, max(columns, 0) :]
            other = second[max(-rows, 0) :, max(-columns, 0) :]
            height, width = np.minimum(one.shape, other.shape)
            if min(height, width) < LEAST:
                continue
            one, other = one[:height, :width], other[:height, :width]
            best = max(best, float(_unit(one) @ _unit(other)))
    return best


def _unit(values):
    """All values in a row, of mean zero and norm one; zeros where all are equal."""
    return unit_rows(values.reshape(1, -1))[0]
