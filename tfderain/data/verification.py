"""Verification of data sets: counts, pairing, sizes and unreadable files of a folder.

```python
found = verification.verify("Rain100H", "downloads/Rain100H")
print(found.table(), found.problems)
```
"""

import os
from dataclasses import dataclass

from tfderain import reports
from tfderain.data import catalogue, recognition
from tfderain.data.pairs import from_matches, inspect, name_files, relative_images


@dataclass(frozen=True)
class Split:
    """What was found of one split.

    Args:
        split: its name in the catalogue.
        folder: where it lies.
        pairs: number of pairs found.
        expected: number that there must be; `None` where no source is certain.
        clean: number of different clean images.
        smallest, largest: `(height, width)` of images, by area; `None` without any.
        problems: one line each.
    """

    split: str
    folder: str
    pairs: int
    expected: int | None
    clean: int
    smallest: tuple[int, int] | None
    largest: tuple[int, int] | None
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Verification(reports.Report):
    """A folder beside what the catalogue says of a data set.

    Args:
        name: key in `catalogue.CATALOGUE`.
        title: the name in papers.
        splits: what was found of each split.
        missing: splits that are not in the folder. No problem: most people have a part.
        spoils: test sets whose scores are too good after training on it, and why.
        notes: pitfalls of this data set.
    """

    name: str
    title: str
    splits: tuple[Split, ...]
    missing: tuple[str, ...]
    spoils: dict[str, str]
    notes: str

    @property
    def problems(self) -> list[str]:
        """All problems, each with its split; empty if all is well."""
        return [f"{one.split}: {line}" for one in self.splits for line in one.problems]

    def as_dict(self) -> dict:
        """Returns all of it, with the problems together."""
        return {**super().as_dict(), "problems": self.problems}

    def table(self) -> str:
        """Returns a line for each split, its problems, and the warnings."""
        rows = [
            (
                one.split,
                str(one.pairs),
                "?" if one.expected is None else str(one.expected),
                str(one.clean),
                _size(one.smallest),
                _size(one.largest),
                "no" if one.problems else "yes",
            )
            for one in self.splits
        ]
        titles = ("split", "pairs", "expected", "clean", "smallest", "largest", "well")
        lines = [self.title, reports.text_table(titles, rows)]
        lines += [f"problem: {line}" for line in self.problems]
        if self.missing:
            lines.append(f"not here: {', '.join(self.missing)}")
        for why in dict.fromkeys(self.spoils.values()):
            others = [name for name, text in self.spoils.items() if text == why]
            lines.append(f"warning: spoils scores on {' and '.join(others)}: {why}.")
        if self.notes:
            lines.append(f"note: {self.notes}")
        return "\n".join(lines)


def verify(
    name: str,
    folder: str | os.PathLike,
    split: str | None = None,
    whole: bool = False,
    progress: reports.Progress | None = None,
) -> Verification:
    """Compares a folder with what the catalogue says of a data set.

    Args:
        name: a data set, see `catalogue.resolve`.
        folder: the folder of one split, or of all of them.
        split: the split it has to be; `None` for those that names and counts tell.
        whole: decode every image, instead of reading its header.
        progress: called with `(done, total)` for each split, or `None`.

    Raises:
        ValueError: for an unknown name or split, if there is no such folder, no pair in
            it, or if it is not clear which split it is.
    """
    key, part = catalogue.resolve(name)
    data_set = catalogue.CATALOGUE[key]
    folder = os.fspath(folder)
    hint = os.path.basename(os.path.abspath(folder))
    found = recognition.splits(name, relative_images(folder), hint, split)
    checked = tuple(
        _check(data_set, label, os.path.join(folder, place), matches, whole, progress)
        for label, (place, matches) in found.items()
    )
    told = split or part
    wanted = (told,) if told else tuple(data_set.counts)
    missing = tuple(label for label in wanted if label not in found)
    return Verification(
        key, data_set.title, checked, missing, data_set.spoils, data_set.notes
    )


def _check(data_set, label, folder, matches, whole, progress) -> Split:
    pairs = from_matches(folder, matches, data_set.layout)
    seen = inspect(pairs, whole=whole, progress=progress)
    expected = data_set.counts[label]
    problems = []
    if expected is not None and len(pairs) != expected:
        problems.append(f"{len(pairs)} pairs; there must be {expected}")
    for files, fault in (
        (matches.alone, "without partner"),
        (_below(folder, seen.unreadable), "that cannot be read"),
        (_below(folder, seen.unequal), "whose clean image has another size"),
    ):
        if files:
            problems.append(f"{name_files(files)} {fault}")
    sizes = sorted(seen.sizes, key=lambda size: (size[0] * size[1], size))
    smallest, largest = (sizes[0], sizes[-1]) if sizes else (None, None)
    clean = len(set(pairs.clean))
    return Split(
        label,
        os.path.normpath(folder),
        len(pairs),
        expected,
        clean,
        smallest,
        largest,
        tuple(problems),
    )


def _below(folder, paths):
    return [os.path.relpath(path, folder).replace(os.sep, "/") for path in paths]


def _size(size):
    return f"{size[0]}x{size[1]}" if size else ""
