"""Marked parts of Markdown for `reproduce.py`: found, compared and rewritten.

A part stands between `<!-- begin NAME -->` and `<!-- end NAME -->`, which nobody sees
where the Markdown is shown. On lines of their own they hold blocks, such as a table;
inside a paragraph, some words. There neither may begin a line, or the paragraph ends.

A cell that is `None` keeps what stands there, known by the titles of rows and columns.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

EMPTY = "–"  # a cell that was never measured


@dataclass(frozen=True)
class Rows:
    """A table as it is to stand in the Markdown.

    Args:
        titles: of the columns.
        rows: texts of the cells, `None` to keep those that stand there.
        keys: how many of the first columns tell the rows apart.
    """

    titles: Sequence[str]
    rows: Sequence[Sequence[str | None]]
    keys: int = 1

    def render(self, old: str) -> str:
        """Returns the table, with cells of the `old` one in place of `None`."""
        known = read_table(old, self.keys)
        lines = [list(self.titles), ["---"] * len(self.titles)]
        for row in self.rows:
            before = known.get(tuple(row[: self.keys]), {})
            lines.append(
                [
                    before.get(title, EMPTY) if cell is None else cell
                    for title, cell in zip(self.titles, row, strict=True)
                ]
            )
        return "\n".join(map(_line, lines))


def _line(cells):
    if set(cells) == {"---"}:
        return f"|{'|'.join(cells)}|"
    return f"| {' | '.join(cells)} |"


def read_table(text: str, keys: int = 1) -> dict[tuple, dict[str, str]]:
    """Returns the rows of a Markdown table: by their keys, cells by their titles."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    if len(cells) < 2:
        return {}
    titles, _, *rows = cells
    return {
        tuple(row[:keys]): dict(zip(titles, row, strict=True))
        for row in rows
        if len(row) == len(titles)
    }


def names(text: str) -> list[str]:
    """Returns the names of the parts, in order.

    Raises:
        ValueError: a part has no end, occurs twice or lies in another one.
    """
    found, opened = [], None
    for mark in re.finditer(r"<!-- (begin|end) ([\w-]+) -->", text):
        kind, name = mark.groups()
        wrong = name != opened if kind == "end" else opened or name in found
        if wrong:
            raise ValueError(
                "Parts must begin and end one after the other, each once. "
                f"Received: {mark[0]} after {opened or ', '.join(found) or 'nothing'}."
            )
        opened = None if kind == "end" else name
        found += [name] * (kind == "begin")
    if opened:
        raise ValueError(f"A part must have an end. Received: {opened}.")
    return found


def part(text: str, name: str) -> str:
    """Returns what stands between the marks of a part.

    Raises:
        ValueError: there is no such part.
    """
    return _find(text, name)[0]


def replaced(text: str, name: str, content: str) -> str:
    """Returns the text with another content between the marks of a part.

    Raises:
        ValueError: there is no such part, or its content would end its paragraph.
    """
    old, start, end = _find(text, name)
    if not old.startswith("\n"):
        if "\n" in content:
            raise ValueError(
                f"Words inside a paragraph must be one line. Received: {content!r}."
            )
        return text[:start] + content + text[end:]
    return f"{text[:start]}\n\n{content.strip()}\n\n{text[end:]}"


def _find(text, name):
    if name not in names(text):
        raise ValueError(
            f"The Markdown must have a part of this name. Received: {name}; it has "
            f"{', '.join(names(text)) or 'none'}."
        )
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    start = text.index(begin) + len(begin)
    stop = text.index(end)
    return text[start:stop], start, stop
