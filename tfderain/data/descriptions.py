"""Descriptions of the known data sets, as reports: all of them, and one.

```python
print(descriptions.listing().table())
print(descriptions.describe("Rain100H").table())
```
"""

from dataclasses import dataclass

from tfderain import reports
from tfderain.data import catalogue


@dataclass(frozen=True)
class Listing(reports.Report):
    """All known data sets, one line each.

    Args:
        data_sets: `{name: {"title", "kind", "pairs", "terms", "source"}}`; `pairs` is
            `{split: count or None}`.
    """

    data_sets: dict[str, dict]

    def table(self) -> str:
        """Returns name, kind of rain, pairs and terms of each."""
        rows = [
            (name, one["kind"], _counted(one["pairs"]), one["terms"])
            for name, one in self.data_sets.items()
        ]
        return _left_table(("name", "rain", "pairs", "terms"), rows)


@dataclass(frozen=True)
class Description(reports.Report):
    """One data set: what it is, where it comes from, how it lies on disk.

    Args:
        name: key in `catalogue.CATALOGUE`.
        title, origin, source, kind, terms, layout, patterns, spoils, confirmed, notes:
            as in `catalogue.DataSet`.
        pairs: `counts` of it.
        folders: names of each split's folder.
    """

    name: str
    title: str
    origin: str
    source: str
    kind: str
    terms: str
    layout: str
    pairs: dict[str, int | None]
    folders: dict[str, tuple[str, ...]]
    patterns: tuple[str, ...]
    spoils: dict[str, str]
    confirmed: str
    notes: str

    def table(self) -> str:
        """Returns a line for each fact."""
        rows = [
            ("name", f"{self.name}: {self.title}, {self.kind} rain"),
            ("origin", self.origin),
            ("get it from", self.source or "not known"),
            ("terms", self.terms),
            ("pairs", _counted(self.pairs)),
            ("layout", self.layout),
            *(("files", pattern) for pattern in self.patterns),
            *((f"folder of {s}", ", ".join(n)) for s, n in self.folders.items()),
            ("names seen in", self.confirmed or "not confirmed anywhere"),
            *((f"spoils {other}", why) for other, why in self.spoils.items()),
            *((("notes", self.notes),) if self.notes else ()),
        ]
        return _left_table(None, rows)


def listing() -> Listing:
    """All known data sets."""
    return Listing(
        {
            name: {
                "title": one.title,
                "kind": one.kind,
                "pairs": one.counts,
                "terms": one.terms,
                "source": one.source,
            }
            for name, one in catalogue.CATALOGUE.items()
        }
    )


def describe(name: str) -> Description:
    """All that is known of a data set.

    Raises:
        ValueError: for an unknown name.
    """
    key, _ = catalogue.resolve(name)
    one = catalogue.CATALOGUE[key]
    return Description(
        key,
        one.title,
        one.origin,
        one.source,
        one.kind,
        one.terms,
        one.layout,
        one.counts,
        one.folders,
        one.patterns,
        one.spoils,
        one.confirmed,
        one.notes,
    )


def _counted(pairs):
    texts = (f"{s} {'?' if n is None else format(n, ',')}" for s, n in pairs.items())
    return ", ".join(texts)


def _left_table(titles, rows):
    """Fixed-width text whose columns are all flush left."""
    rows = [titles, *rows] if titles else rows
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    lines = [
        "  ".join((*(f"{c:<{w}}" for c, w in zip(row, widths, strict=False)), row[-1]))
        for row in rows
    ]
    rule = ["-" * len(lines[0])] if titles else []
    return "\n".join(lines[:1] + rule + lines[1:] if titles else lines)
