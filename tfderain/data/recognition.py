"""Recognition of data sets: which folder is which, and where its pairs lie.

```python
from tfderain.data import recognition

recognition.identify("Rain100H")  # [("rain100l", "test"), ("rain100h", "test")]
pairs = recognition.find("rain100h", "Rain100H")
```

Names of files decide, see `catalogue`; no image is opened.
"""

import fnmatch
import os

from tfderain.data import catalogue, layouts
from tfderain.data.pairs import (
    SIDE_BY_SIDE,
    Pairs,
    from_matches,
    name_files,
    relative_images,
)


def find(name: str, folder: str | os.PathLike) -> Pairs:
    """The pairs of one split of a data set, by the layout found in `folder`.

    Raises:
        ValueError: for an unknown name, or if no pairs or files without partner are
            found (they are named).
    """
    data_set = catalogue.get(name)
    matches = best_match(data_set, relative_images(folder))
    if not matches.rainy or matches.alone:
        found = name_files(matches.alone) if matches.alone else "no pairs"
        raise ValueError(
            f"Each file of {data_set.title} needs a partner, by one of the patterns "
            f"{', '.join(data_set.patterns)}. "
            f"Received: folder={str(folder)!r} with {found}."
        )
    return from_matches(folder, matches, data_set.layout)


def identify(folder: str | os.PathLike) -> list[tuple[str, str]]:
    """Names and splits of the data sets that a folder can be.

    Names of files and the count of pairs decide, so data sets that differ in pixels
    only (Rain100L and Rain100H) both come back. A split whose count is not known, or
    of which files are missing, is not found.

    Args:
        folder: the folder of one split.
    """
    files = relative_images(folder)
    found = []
    for name, data_set in catalogue.CATALOGUE.items():
        pairs = best_match(data_set, files)
        if pairs.rainy and not pairs.alone:
            counts = data_set.counts.items()
            found += [(name, split) for split, n in counts if n == len(pairs.rainy)]
    return found


def warnings(folder: str | os.PathLike) -> list[str]:
    """What to know before training on a folder: test sets whose scores it spoils.

    A folder is taken for a data set of which it has the names of files and the count,
    or whose name it or the folder that it lies in has: `RainTrainH`, also with pairs
    missing.
    """
    folder = os.path.abspath(folder)
    path = {catalogue.plain(part) for part in folder.split(os.sep)[-2:]}
    known = dict.fromkeys(name for name, _ in identify(folder))
    known |= dict.fromkeys(name for name in catalogue.CATALOGUE if name in path)
    lines = {}
    for name in known:
        one = catalogue.CATALOGUE[name]
        for other, why in one.spoils.items():
            lines.setdefault((one.title, why), []).append(other)
    return [
        f"{folder} looks like {title}: {why}. Scores on {' and '.join(others)} will be "
        "too good; `tfderain data overlap` names the pictures."
        for (title, why), others in lines.items()
    ]


# Splits in a tree


def best_match(data_set: catalogue.DataSet, files: list[str]) -> layouts.Matches:
    """The pairs by the pattern of a data set that pairs most of the files."""
    nothing = layouts.Matches([], [], [])
    found = (_matches(data_set, files, pattern) for pattern in data_set.patterns)
    return max(found, key=lambda matches: len(matches.rainy), default=nothing)


def splits(
    name: str, files: list[str], hint: str = "", split: str | None = None
) -> dict[str, tuple[str, layouts.Matches]]:
    """Where the splits of a data set lie in a tree of files.

    Args:
        name: see `resolve`.
        files: paths with `/` between folders.
        hint: name of the tree itself, such as `RainTrainH`.
        split: the split that the tree is, where it holds one only.

    Returns:
        `{split: (folder, matches)}`, with paths relative to the folder.

    Raises:
        ValueError: for an unknown name or split, if there are no pairs, and where
            names and counts do not tell which split a folder is.
    """
    key, part = catalogue.resolve(name)
    data_set = catalogue.CATALOGUE[key]
    split = split or part
    if split is not None and split not in data_set.counts:
        raise ValueError(
            f"`split` must be one of {tuple(data_set.counts)}. Received: {split=}."
        )
    roots = _roots(data_set, files)
    if not roots:
        patterns = ", ".join(data_set.patterns)
        raise ValueError(
            f"There must be pairs of {data_set.title} ({patterns}). "
            f"Received: {hint or 'a folder'} with {len(files)} images and no such pair."
        )
    found: dict[str, tuple[str, layouts.Matches]] = {}
    unclear = []
    for folder, matches in roots.items():
        # Folders of the pairs count, too: SPA-Data has no other name of its split.
        path = f"{hint}/{folder}/{os.path.dirname(matches.rainy[0])}"
        label = _label(data_set, path, len(matches.rainy))
        if split and (label == split or len(roots) == 1):
            found[split] = (folder, matches)
        elif split and label:
            continue  # another split than the one asked for
        elif label is None or label in found:
            unclear.append(folder or hint or ".")
        else:
            found[label] = (folder, matches)
    if unclear or not found:
        raise ValueError(
            f"It must be clear which folder is which split of {data_set.title} "
            f"({', '.join(data_set.counts)}): name one folder, and its split. "
            f"Received: {', '.join(unclear or roots)}."
        )
    return {label: found[label] for label in data_set.counts if label in found}


def _roots(data_set, files):
    """`{folder: matches}` by the best pattern; a pair counts in its highest folder."""
    best: dict[str, layouts.Matches] = {}
    for pattern in data_set.patterns:
        merged: dict[str, layouts.Matches] = {}
        for alternative in pattern.split(" | "):
            for folder, matches in layouts.below(files, alternative).items():
                known = merged.get(folder)
                merged[folder] = layouts.merge(known, matches) if known else matches
        for folder, matches in merged.items():
            if len(matches.rainy) > len(best.get(folder, matches).rainy) or (
                folder not in best
            ):
                best[folder] = matches
    outermost: dict[str, layouts.Matches] = {}
    taken: set[str] = set()
    for folder in sorted(best, key=lambda folder: folder.count("/") + bool(folder)):
        files = {f"{folder}/{f}".lstrip("/") for f in best[folder].rainy}
        if not files <= taken:
            outermost[folder] = best[folder]
            taken |= files
    return outermost


def _label(data_set, path, count):
    """The split that a folder's path names; else the only one, or the count's."""
    parts = [part.lower() for part in path.split("/") if part]
    best = (0, None)
    for split in data_set.counts:
        for name in (split, *data_set.folders.get(split, ())):
            wanted = name.lower().split("/")
            for start in range(len(parts) - len(wanted) + 1):
                pairs = zip(parts[start:], wanted, strict=False)
                end = start + len(wanted)
                # The deepest name counts, of two the one of more folders.
                rank = end * 10 + len(wanted)
                if rank > best[0] and all(fnmatch.fnmatch(p, w) for p, w in pairs):
                    best = (rank, split)
    if best[1] or len(data_set.counts) == 1:
        return best[1] or next(iter(data_set.counts))
    fitting = [split for split, known in data_set.counts.items() if known == count]
    return fitting[0] if len(fitting) == 1 else None


def _matches(data_set, files, pattern) -> layouts.Matches:
    if data_set.layout in SIDE_BY_SIDE:
        return layouts.side_by_side(files, pattern)
    first, *others = (layouts.match(files, part) for part in pattern.split(" | "))
    for other in others:
        first = layouts.merge(first, other)
    return first
