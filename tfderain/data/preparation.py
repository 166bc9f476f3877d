"""Preparation of data sets: an archive that one has becomes folders of pairs.

```python
made = preparation.prepare("Rain100H", "Rain100H.zip", "data/Rain100H")
print(made.table())  # data/Rain100H/test: 100 pairs, --layout auto
```

Nothing is downloaded: `catalogue.DataSet.source` says where to get the files.
"""

import os
import shutil
import uuid
from collections import Counter
from dataclasses import dataclass

from tfderain import reports
from tfderain.data import archives, catalogue, layouts, recognition
from tfderain.data.pairs import SIDE_BY_SIDE, find_pairs, name_files


@dataclass(frozen=True)
class Part:
    """One split that was written.

    Args:
        split: its name in the catalogue.
        folder: where it was written.
        pairs: number of pairs.
        expected: number that there must be; `None` where no source is certain.
        layout: what `--layout` of `train` and `evaluate` must be.
        renamed: whether the files got other names; `names.json` in the folder has the
            names in the archive.
        problems: one line each.
    """

    split: str
    folder: str
    pairs: int
    expected: int | None
    layout: str
    renamed: bool
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Preparation(reports.Report):
    """What was made of an archive.

    Args:
        name: key in `catalogue.CATALOGUE`.
        title: the name in papers.
        parts: each split.
        source: page that the data set is from.
        terms: of its use.
        spoils: test sets whose scores are too good after training on it, and why.
    """

    name: str
    title: str
    parts: tuple[Part, ...]
    source: str
    terms: str
    spoils: dict[str, str]

    @property
    def problems(self) -> list[str]:
        """All problems, each with its split; empty if all is well."""
        return [
            f"{part.split}: {line}" for part in self.parts for line in part.problems
        ]

    def as_dict(self) -> dict:
        """Returns all of it, with the problems together."""
        return {**super().as_dict(), "problems": self.problems}

    def table(self) -> str:
        """Returns a line for each split, the problems, the terms and the warnings."""
        titles = ("folder", "pairs", "expected", "--layout")
        rows = [
            (
                part.folder,
                str(part.pairs),
                "?" if part.expected is None else str(part.expected),
                part.layout,
            )
            for part in self.parts
        ]
        lines = [self.title, reports.text_table(titles, rows)]
        lines += [f"problem: {line}" for line in self.problems]
        lines.append(f"terms: {self.terms} ({self.source or 'source not known'})")
        for why in dict.fromkeys(self.spoils.values()):
            others = [name for name, text in self.spoils.items() if text == why]
            lines.append(f"warning: spoils scores on {' and '.join(others)}: {why}.")
        return "\n".join(lines)


def prepare(
    name: str,
    archive: str | os.PathLike,
    out: str | os.PathLike,
    split: str | None = None,
    overwrite: bool = False,
    progress: reports.Progress | None = None,
) -> Preparation:
    """Writes the pairs of an archive to folders that training and evaluation read.

    Each split becomes a folder below `out`. Files keep their names where the layout
    `"auto"` (side by side: the one of the data set) finds all pairs by them; else they
    become `rainy/NAME` and `clean/NAME`, or `rainy/NAME_0001` ... where one clean image
    has several rainy ones. Files that are no part of a pair are left out. A split
    appears whole or not at all.

    Args:
        name: a data set, see `catalogue.resolve`.
        archive: ZIP or TAR file, a folder, or a folder that holds such files.
        out: the folder to write to.
        split: the split that the archive is, where its names do not tell.
        overwrite: replace folders of splits that are there.
        progress: called with `(done, total)` images of each split, or `None`.

    Raises:
        ValueError: for an unknown name or split, what is no archive or an untrustworthy
            one, see `archives.opened`; without pairs; if it is not clear which folder
            is which split; if a folder exists.
        OSError: if there is no room.
    """
    key, _ = catalogue.resolve(name)
    data_set = catalogue.CATALOGUE[key]
    with archives.opened(archive) as tree:
        hint = os.path.basename(os.path.abspath(archive))
        hint = hint if os.path.isdir(archive) else ""
        found = recognition.splits(name, tree.images, hint, split)
        folders = {label: os.path.join(out, *label.split("/")) for label in found}
        there = [path for path in folders.values() if os.path.exists(path)]
        if there and not overwrite:
            raise ValueError(f"{', '.join(there)} exists; --overwrite replaces it.")
        parts = tuple(
            _write(data_set, label, tree, place, matches, folders[label], progress)
            for label, (place, matches) in found.items()
        )
    return Preparation(
        key, data_set.title, parts, data_set.source, data_set.terms, data_set.spoils
    )


def _write(data_set, label, tree, place, matches, folder, progress) -> Part:
    names, renamed = _targets(data_set, matches)
    copies = {f"{place}/{f}" if place else f: to for f, to in names.items()}
    temporary = f"{folder}.{uuid.uuid4().hex}"
    try:
        _room(tree, copies, folder)
        for to in {os.path.dirname(to) for to in copies.values()}:
            os.makedirs(os.path.join(temporary, to), exist_ok=True)
        targets = {name: os.path.join(temporary, to) for name, to in copies.items()}
        steps = iter(reports.tracked(list(targets), progress))
        next(steps)
        tree.copy(targets, lambda: next(steps, None))
        if renamed:
            to = os.path.join(temporary, "names.json")
            reports.json_text({new: old for old, new in copies.items()}, to)
        layout = data_set.layout if data_set.layout in SIDE_BY_SIDE else "auto"
        count = len(find_pairs(temporary, layout))
        assert count == len(matches.rainy), (count, len(matches.rainy))
        if os.path.isdir(folder):
            shutil.rmtree(folder)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    expected = data_set.counts[label]
    problems = []
    if expected is not None and count != expected:
        problems.append(f"{count} pairs; there must be {expected}")
    if matches.alone:
        problems.append(f"{name_files(matches.alone)} without partner, left out")
    return Part(label, folder, count, expected, layout, renamed, tuple(problems))


def _targets(data_set, matches) -> tuple[dict[str, str], bool]:
    """Where each file of the pairs goes, and whether names change."""
    if data_set.layout in SIDE_BY_SIDE:
        flat = {file: file.replace("/", "_") for file in matches.rainy}
        return flat, any(file != to for file, to in flat.items())
    files = list(dict.fromkeys((*matches.rainy, *matches.clean)))
    if _same(layouts.recognise_quietly(files), matches):
        return {file: file for file in files}, False
    return _renamed(matches), True


def _same(found, matches):
    both = (zip(m.rainy, m.clean, strict=True) for m in (found, matches))
    return not found.alone and set(next(both)) == set(next(both))


def _renamed(matches) -> dict[str, str]:
    """`rainy/` and `clean/` with the names of the clean files."""
    stems = {clean: os.path.splitext(clean)[0] for clean in matches.clean}
    above = {stem.split("/")[0] for stem in stems.values() if "/" in stem}
    if len(above) == 1 and all("/" in stem for stem in stems.values()):
        stems = {clean: stem.split("/", 1)[1] for clean, stem in stems.items()}
    stems = {clean: stem.replace("/", "-") for clean, stem in stems.items()}
    if len({stem.lower() for stem in stems.values()}) < len(stems):
        stems = {clean: f"{i:06d}" for i, clean in enumerate(stems, 1)}
    several = max(Counter(matches.clean).values()) > 1
    numbers = Counter()
    targets = {}
    for rainy, clean in zip(matches.rainy, matches.clean, strict=True):
        numbers[clean] += 1
        end = f"_{numbers[clean]:04d}" if several else ""
        targets[rainy] = f"rainy/{stems[clean]}{end}{os.path.splitext(rainy)[1]}"
        targets[clean] = f"clean/{stems[clean]}{os.path.splitext(clean)[1]}"
    return targets


def _room(tree, names, folder):
    """Says at once what would fail after hours."""
    above = os.path.abspath(folder)
    while not os.path.exists(above):
        above = os.path.dirname(above)
    needed, free = sum(map(tree.size, names)), shutil.disk_usage(above).free
    if needed > free:
        raise OSError(
            f"{folder} needs {needed / 2**30:.1f} GiB, and {free / 2**30:.1f} are free."
        )
