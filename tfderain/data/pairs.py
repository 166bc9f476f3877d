"""Pairs of image files: how they are found, checked, and compared by content.

```python
mixture = find_mixture((Source("Rain800", "left_clean"), Source("photos", "clean")))
check(mixture, crop=128)  # names what cannot be read or is too small
```

`splits` divides them. `pipeline` re-exports these names; TensorFlow is not needed.
"""

import functools
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from tfderain import images, reports
from tfderain.data import layouts
from tfderain.images import find_images

LAYOUTS = ("auto", "folders", "flat", "scenes", "left_clean", "left_rainy", "clean")
SIDE_BY_SIDE = ("left_clean", "left_rainy")
# On Rain800, correlations between different scenes go up to 0.97, those within a scene
# start at 0.99.
SAME_BACKGROUND = 0.98


@dataclass(frozen=True)
class Pairs:
    """Paths of rainy images and, at the same index, of their clean images.

    Args:
        rainy, clean: tuples of paths, of equal length.
        layout: `"files"` (two files per pair), or `"left_clean"` / `"left_rainy"`: one
            file holds both images side by side and is in both tuples.
    """

    rainy: tuple[str, ...]
    clean: tuple[str, ...]
    layout: str = "files"

    def __post_init__(self):
        if self.layout not in ("files", *SIDE_BY_SIDE):
            raise ValueError(
                f"`layout` must be one of {('files', *SIDE_BY_SIDE)}. "
                f"Received: layout={self.layout!r}."
            )
        if len(self.rainy) != len(self.clean):
            raise ValueError(
                "There must be one clean path for each rainy path. Received: "
                f"rainy={len(self.rainy)} paths, clean={len(self.clean)} paths."
            )

    def __len__(self):
        return len(self.rainy)

    # `Mixture` has these too: a set of pairs is a mixture of one.

    @property
    def parts(self) -> tuple["Pairs", ...]:
        """The set itself, alone."""
        return (self,)

    @property
    def shares(self) -> tuple[float, ...]:
        """The probability of the only part."""
        return (1.0,)

    def replaced(self, parts: Iterable["Pairs"]) -> "Pairs":
        """The only part of `parts`."""
        (part,) = parts
        return part

    def subset(self, indices: Iterable[int]) -> "Pairs":
        """The pairs at `indices`, in that order."""
        indices = [int(i) for i in indices]
        return Pairs(
            tuple(self.rainy[i] for i in indices),
            tuple(self.clean[i] for i in indices),
            self.layout,
        )

    def with_rain(self) -> "Pairs":
        """Those whose rainy image is not just the clean one, see layout `"clean"`."""
        if self.layout in SIDE_BY_SIDE:
            return self
        return self.subset(
            i for i in range(len(self)) if self.rainy[i] != self.clean[i]
        )


@dataclass(frozen=True)
class Mixture:
    """Several sets of pairs to train on at once.

    Args:
        parts: tuple of `Pairs`.
        weights: relative number of samples from each part; `None`: each pair counts
            equally, whichever part it is from.

    Raises:
        ValueError: there are no parts, or the weights do not fit them.
    """

    parts: tuple[Pairs, ...]
    weights: tuple[float, ...] | None = None

    def __post_init__(self):
        if not self.parts:
            raise ValueError("There must be at least one set of pairs. Received: ().")
        if self.weights is not None and (
            len(self.weights) != len(self.parts)
            or not all(0 < weight < float("inf") for weight in self.weights)
        ):
            raise ValueError(
                "Each set of pairs needs a positive weight. "
                f"Received: {len(self.parts)} sets, weights={self.weights}."
            )

    def __len__(self):
        return sum(len(part) for part in self.parts)

    @property
    def shares(self) -> tuple[float, ...]:
        """Probability of each part; they add up to 1."""
        weights = self.weights or [len(part) for part in self.parts]
        return tuple(weight / sum(weights) for weight in weights)

    def replaced(self, parts: Iterable[Pairs]) -> "Mixture":
        """The same shares of other parts; empty ones are dropped.

        Raises:
            ValueError: all of them are empty.
        """
        kept = [
            (part, weight)
            for part, weight in zip(parts, self.weights or self.shares, strict=True)
            if len(part)
        ]
        parts = tuple(part for part, _ in kept)
        weights = tuple(weight for _, weight in kept)
        return Mixture(parts, weights if self.weights else None)


@dataclass(frozen=True)
class Source:
    """A folder that pairs are read from.

    Args:
        folder: path; becomes absolute.
        layout, pattern: see `find_pairs`.
        weight: number of samples from it, relative to the weights of other sources;
            `None`: each pair counts equally, whichever source it is from.
    """

    folder: str
    layout: str = "auto"
    pattern: str | None = None
    weight: float | None = None

    def __post_init__(self):
        object.__setattr__(self, "folder", os.path.abspath(self.folder))
        if self.weight is not None:
            object.__setattr__(self, "weight", float(self.weight))

    @classmethod
    def each(
        cls,
        folders: Sequence,
        layouts: Sequence[str] = ("auto",),
        patterns: Sequence[str | None] = (None,),
        weights: Sequence[float | None] = (None,),
    ) -> tuple["Source", ...]:
        """One source for each folder, with one layout for all of them or one for each.

        Raises:
            ValueError: the number of layouts, patterns or weights does not fit.
        """
        columns = [folders]
        named = {"layout": layouts, "pattern": patterns, "weight": weights}
        for name, values in named.items():
            if len(values) not in (1, len(folders)):
                raise ValueError(
                    f"There must be one `{name}` for all folders or one for each. "
                    f"Received: {len(folders)} folders, {name}={tuple(values)}."
                )
            repeated = len(folders) if len(values) == 1 else 1
            columns.append(list(values) * repeated)
        return tuple(cls(*row) for row in zip(*columns, strict=True))


# Finding files


def find_pairs(
    folder: str | os.PathLike, layout: str = "auto", pattern: str | None = None
) -> Pairs:
    """Finds the rainy images of a folder and the clean image of each.

    Args:
        folder: the folder that holds the pairs.
        layout: `"folders"`: two folders such as `rainy/`+`clean/` or `input/`+`target/`
            with the same names (extensions may differ), `rain-N`/`norain-N`,
            `N_rain`/`N_clean`, or many rainy `N_j` for one clean `N`, also in matching
            subfolders. `"flat"`:
            `rain-N` and `norain-N` in one folder. `"scenes"`: GT-Rain's folders of
            many `R-` frames and one `C-000`. `"auto"`: whichever of these is found.
            `"left_clean"`, `"left_rainy"`: both images side by side in one file; never
            guessed, because a wrong guess would teach a network to add rain.
            `"clean"`: all images of the tree are clean pictures, without rain of their
            own; each is both images of its pair.
        pattern: `"RAINY:CLEAN"`, paths below `folder` with `*` for any text without
            `/`, and `**/` for any number of folders. The stars in CLEAN stand for the
            same texts as those in RAINY, in order; `{2}` repeats the second. A pattern
            without an extension matches any image extension. For side-by-side files
            and clean pictures a pattern has only one side. Examples:
            `"rain-*.png:norain-*.png"`, `"rainy_image/*_*.jpg:ground_truth/*.jpg"`.

    Raises:
        ValueError: nothing is found, or files have no partner (they are named).
    """
    if layout not in LAYOUTS:
        raise ValueError(f"`layout` must be one of {LAYOUTS}. Received: {layout=}.")
    files = relative_images(folder)
    if layout == "clean" and pattern is None:
        matches = layouts.Matches(files, files, [])
    elif layout in (*SIDE_BY_SIDE, "clean"):  # each file is its own partner
        matches = layouts.side_by_side(files, pattern)
    elif pattern is not None:
        matches = layouts.match(files, pattern)
    else:
        matches = layouts.recognise(files, layout)
    if matches.alone:
        raise ValueError(
            "Each rainy image must have a clean one and each clean image a rainy one. "
            f"Received: folder={str(folder)!r} with {name_files(matches.alone)} "
            "without a partner."
        )
    if not matches.rainy:
        raise ValueError(
            "There must be at least one pair of images (side-by-side files need "
            "layout='left_clean' or 'left_rainy'). Received: "
            f"folder={str(folder)!r}, layout={layout!r}, pattern={pattern!r}."
        )
    return from_matches(folder, matches, layout)


def find_mixture(sources: Sequence[Source]) -> Mixture:
    """The pairs of all sources, always as a mixture, even of one.

    Raises:
        ValueError: there are no sources, or only some have a weight; see also
            `find_pairs`.
    """
    weights = tuple(s.weight for s in sources if s.weight is not None)
    if weights and len(weights) < len(sources):
        raise ValueError(
            "All sources must have a weight, or none of them. "
            f"Received: weights={tuple(source.weight for source in sources)}."
        )
    parts = (find_pairs(s.folder, s.layout, s.pattern) for s in sources)
    return Mixture(tuple(parts), weights or None)


def from_matches(
    folder: str | os.PathLike, matches: layouts.Matches, layout: str
) -> Pairs:
    """The pairs among files below `folder`."""
    return Pairs(
        tuple(os.path.join(folder, f) for f in matches.rainy),
        tuple(os.path.join(folder, f) for f in matches.clean),
        layout if layout in SIDE_BY_SIDE else "files",
    )


def relative_images(folder: str | os.PathLike) -> list[str]:
    """Sorted images below `folder`, relative to it, with `/` between folders."""
    paths = (os.path.relpath(f, folder) for f in find_images(folder, recursive=True))
    return [path.replace(os.sep, "/") for path in paths]


def name_files(files: list[str], most: int = 5) -> str:
    """`"7 files (a.png, b.png, c.png, d.png, e.png, ...)"`."""
    noun = "file" if len(files) == 1 else "files"
    more = ", ..." if len(files) > most else ""
    return f"{len(files)} {noun} ({', '.join(files[:most])}{more})"


# Checking files


@dataclass(frozen=True)
class Inspection:
    """What the files of some pairs are like.

    Args:
        sizes: `(height, width)` of each pair whose images can be read.
        unreadable: files that cannot be read.
        unequal: rainy files whose clean image has another size (side by side: files of
            an odd width).
        small: rainy files smaller than the crop.
    """

    sizes: list[tuple[int, int]]
    unreadable: list[str]
    unequal: list[str]
    small: list[str]


def inspect(
    pairs: Pairs | Mixture,
    crop: int = 1,
    whole: bool = False,
    progress: reports.Progress | None = None,
) -> Inspection:
    """Looks at all files of some pairs.

    Args:
        pairs: the pairs to look at, part after part.
        crop: the least height and width allowed.
        whole: decode every file, which finds those that end too early, too; else their
            headers are read.
        progress: called with `(done, total)`, or `None`.
    """
    parts = pairs.parts
    paths = list(dict.fromkeys(p for part in parts for p in (*part.rainy, *part.clean)))
    measure = functools.partial(_size, whole=whole)
    with ThreadPoolExecutor(8) as pool:
        measured = zip(paths, pool.map(measure, paths), strict=True)
        tracked = reports.tracked(list(range(len(paths))), progress)
        sizes = {p: s for _, (p, s) in zip(tracked, measured, strict=True) if s}
    unreadable = [path for path in paths if path not in sizes]
    found, unequal, small = [], [], []
    for part in parts:
        for rainy, clean in zip(part.rainy, part.clean, strict=True):
            if rainy not in sizes or clean not in sizes:
                continue
            (height, width), other = sizes[rainy], sizes[clean]
            if part.layout != "files":
                width, other = width // 2, (height, width - width // 2)
            if (height, width) != other:
                unequal.append(rainy)
            if min(height, width) < crop:
                small.append(rainy)
            found.append((height, width))
    return Inspection(found, unreadable, unequal, small)


def check(pairs: Pairs | Mixture, crop: int = 1) -> list[tuple[int, int]]:
    """Reads the headers of all files and returns the pairs' sizes, (height, width).

    Args:
        pairs: the pairs to check, part after part.
        crop: the least height and width allowed.

    Raises:
        ValueError: that names the files which cannot be read, which are smaller than
            `crop`, or whose two images differ in size (side by side: have odd widths).
    """
    found = inspect(pairs, crop)
    if found.unreadable:
        files = name_files(found.unreadable)
        raise ValueError(f"Images must be readable. Received: {files} that are not.")
    if found.unequal:
        raise ValueError(
            "The rainy and the clean image of a pair must have the same size. "
            f"Received: {name_files(found.unequal)} where they have not."
        )
    if found.small:
        raise ValueError(
            f"Images must be at least as large as the crop. Received: crop={crop}, "
            f"{name_files(found.small, 100)} that are smaller; leave them out or crop "
            "less."
        )
    return found.sizes


def _size(path: str, whole: bool) -> tuple[int, int] | None:
    try:
        with images.opened(path) as image:
            if whole:
                image.load()
            turned = images.orientation(image) >= 5
            width, height = image.size
            return (width, height) if turned else (height, width)
    except Exception:  # decoders raise nearly anything on damaged files
        return None


# Comparing backgrounds


def thumbnails(pairs: Pairs) -> np.ndarray:
    """Thumbnails of the clean images, float32 `(len(pairs), 256)`: 16x16 grey, mean 0.

    Each row has norm one (zero for a uniformly grey image), so the dot product of two
    rows is the correlation of the two images. Mirrored or shifted views do not match.
    """
    return unit_rows(grey_thumbnails(pairs))


def grey_thumbnails(pairs: Pairs) -> np.ndarray:
    """Each clean image as 16x16 grey, uint8 `(len(pairs), 256)`.

    Raises:
        ValueError: that names the files which are damaged behind their header.
    """
    half = {"files": (0, 1), "left_clean": (0, 0.5), "left_rainy": (0.5, 1)}
    paths = list(dict.fromkeys(pairs.clean))
    with ThreadPoolExecutor(8) as pool:
        grey = pool.map(functools.partial(_thumbnail, part=half[pairs.layout]), paths)
        found: dict[str, Any] = dict(zip(paths, grey, strict=True))
    if damaged := [path for path, row in found.items() if row is None]:
        raise ValueError(
            f"Images must be whole. Received: {name_files(damaged)} damaged."
        )
    rows = [found[path] for path in pairs.clean]
    return np.stack(rows).reshape(len(pairs), -1).astype(np.uint8)


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows of mean zero and norm one, float32; of norm zero if all values are equal."""
    rows = rows.astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(norms, 1e-3)


def _thumbnail(path: str, part: tuple[float, float]) -> np.ndarray | None:
    """16x16 grey of a part of an image, `None` if the file is damaged."""
    try:
        with images.opened(path) as image:
            # lets JPEG files decode at a fraction of the size
            image.draft("L", (256, 256))
            pixels = images.from_pil(image, upright=True).pixels
    except Exception:  # decoders raise nearly anything on damaged files
        return None
    grey = Image.fromarray(images.to_uint8(pixels)).convert("L")
    left, right = (share * grey.width for share in part)
    box = (left, 0, right, grey.height)
    return np.asarray(grey.resize((16, 16), Image.Resampling.BOX, box), "float32")


def similar(first: np.ndarray, second: np.ndarray, threshold: float = SAME_BACKGROUND):
    """Yields `(i, j)` where `first[i]` and `second[j]` correlate above `threshold`."""
    for start in range(0, len(first), 1024):  # blocks limit the memory
        block = first[start : start + 1024] @ second.T
        for i, j in np.argwhere(block > threshold):
            yield int(i) + start, int(j)
