"""Pages: headings, texts, tables and pictures, as HTML in one file and as Markdown.

```python
page = pages.Page("Scores", [pages.Text("Of two models."), pages.Table(...)])
page.write_html("report.html")
page.write_markdown("report.md")
```

The HTML holds its pictures itself and asks no other host for anything; the Markdown
names the files beside it. All texts are escaped: a file called `<b>.png` is shown so.
"""

import base64
import mimetypes
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from tfderain import files

STYLE = """
:root { color-scheme: light; --line: #d5dbe1; --soft: #5b6875; --tint: #f3f6f9; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 72rem; color: #17202a;
  background: #fff; font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto,
  "Noto Sans", "Liberation Sans", Arial, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.35rem; margin: 2.5rem 0 .5rem; padding-top: 1rem;
  border-top: 2px solid var(--line); }
h3 { font-size: 1.08rem; margin: 1.75rem 0 .5rem; }
p { margin: .5rem 0; max-width: 48rem; }
pre { margin: .5rem 0; padding: .75rem 1rem; background: var(--tint);
  border-radius: .4rem; overflow-x: auto; font-size: .85rem; }
.table { overflow-x: auto; margin: 0 0 1.25rem; }
p.caption { margin: 1rem 0 .35rem; color: var(--soft); font-size: .88rem; }
table { border-collapse: collapse; font-size: .92rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line);
  text-align: right; vertical-align: top; white-space: nowrap; }
th { background: var(--tint); font-weight: 600; }
th.text, td.text { text-align: left; white-space: normal; min-width: 12rem; }
th:first-child, td:first-child { position: sticky; left: 0; min-width: 6rem;
  max-width: 45vw; }
td:first-child { background: #fff; }
tr.strong td { font-weight: 650; background: #eaf3fb; }
.pictures { display: grid; gap: 1rem; margin: .75rem 0 1rem; align-items: start; }
.pictures.large { grid-template-columns:
  repeat(auto-fit, minmax(min(100%, 28rem), 1fr)); }
.pictures.small { grid-template-columns:
  repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
figure { margin: 0; }
figure img { display: block; width: 100%; height: auto; }
figcaption { font-size: .85rem; color: var(--soft); margin-top: .25rem; }
details { margin: .75rem 0; }
summary { cursor: pointer; font-weight: 600; }
"""


@dataclass(frozen=True)
class Heading:
    """A heading; `level` 2 or 3, the title of the page being 1."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Code:
    """Lines to be shown as they are, such as a command."""

    text: str


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        caption: what it shows, and under which protocol.
        titles: of the columns.
        rows: sequences of texts, one for each column.
        texts: columns that hold words, flush left; the others are numbers. The first
            column is one of them.
        strong: numbers of the rows that stand out.
    """

    caption: str
    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: Sequence[int] = (0,)
    strong: Sequence[int] = ()


@dataclass(frozen=True)
class Picture:
    """A picture in a file of a kind that browsers show.

    Args:
        path: the file.
        alt: what it shows, for those who cannot see it.
        caption: text below it.
    """

    path: Path
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Pictures:
    """Pictures side by side as far as there is room; `small` ones need less."""

    each: Sequence[Picture]
    small: bool = False


@dataclass(frozen=True)
class Details:
    """Blocks that are shown when the reader asks for them."""

    summary: str
    blocks: Sequence["Block"]


Block = Heading | Text | Code | Table | Pictures | Details


@dataclass(frozen=True)
class Page:
    """A page: its title, and what follows it."""

    title: str
    blocks: Sequence[Block]

    def write_html(self, path: str | os.PathLike):
        """Writes one HTML file that needs no other; it appears whole or not at all."""
        parts = [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(self.title)}</title>",
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            f"<h1>{escape(self.title)}</h1>",
            *map(_html, self.blocks),
            "</body>",
            "</html>",
        ]
        _write(path, "\n".join(parts) + "\n")

    def write_markdown(self, path: str | os.PathLike):
        """Writes Markdown; pictures are named relative to its folder."""
        folder = Path(path).parent
        parts = [f"# {_plain(self.title)}"]
        parts += [_markdown(block, folder) for block in self.blocks]
        _write(path, "\n\n".join(parts) + "\n")


def _write(path, text):
    with files.replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


# HTML


def _html(block: Block) -> str:
    match block:
        case Heading():
            return f"<h{block.level}>{escape(block.text)}</h{block.level}>"
        case Text():
            return f"<p>{escape(block.text)}</p>"
        case Code():
            return f"<pre>{escape(block.text)}</pre>"
        case Table():
            return _html_table(block)
        case Pictures():
            figures = "\n".join(map(_html_figure, block.each))
            kind = "small" if block.small else "large"
            return f'<div class="pictures {kind}">\n{figures}\n</div>'
        case Details():
            inside = "\n".join(map(_html, block.blocks))
            summary = f"<summary>{escape(block.summary)}</summary>"
            return f"<details>\n{summary}\n{inside}\n</details>"


def _html_table(table):
    def line(tag, cells, strong=False):
        texts = [
            f'<{tag} class="text">{escape(cell)}</{tag}>'
            if column in table.texts
            else f"<{tag}>{escape(cell)}</{tag}>"
            for column, cell in enumerate(cells)
        ]
        start = '<tr class="strong">' if strong else "<tr>"
        return f"{start}{''.join(texts)}</tr>"

    rows = [line("td", row, n in table.strong) for n, row in enumerate(table.rows)]
    return "\n".join(
        [
            # Not a `caption`, which would scroll with a wide table.
            f'<p class="caption">{escape(table.caption)}</p>',
            '<div class="table"><table>',
            f"<thead>{line('th', table.titles)}</thead>",
            "<tbody>",
            *rows,
            "</tbody></table></div>",
        ]
    )


def _html_figure(picture):
    kind = mimetypes.guess_type(picture.path.name)[0]
    data = base64.b64encode(picture.path.read_bytes()).decode()
    caption = f"<figcaption>{escape(picture.caption)}</figcaption>"
    return (
        f'<figure><img alt="{escape(picture.alt)}" src="data:{kind};base64,{data}">'
        f"{caption * bool(picture.caption)}</figure>"
    )


# Markdown


def _markdown(block: Block, folder: Path) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {_plain(block.text)}"
        case Text():
            return _plain(block.text)
        case Code():
            return f"```console\n{block.text}\n```"
        case Table():
            return _markdown_table(block)
        case Pictures():
            return "\n\n".join(_markdown_picture(one, folder) for one in block.each)
        case Details():
            inside = "\n\n".join(_markdown(one, folder) for one in block.blocks)
            summary = f"<summary>{escape(block.summary)}</summary>"
            return f"<details>\n{summary}\n\n{inside}\n\n</details>"


def _markdown_table(table):
    rule = ["---" if n in table.texts else "---:" for n in range(len(table.titles))]
    rows = [list(map(_plain, row)) for row in table.rows]
    for number in table.strong:
        rows[number] = [cell and f"**{cell}**" for cell in rows[number]]
    lines = [list(map(_plain, table.titles)), rule, *rows]
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"{_plain(table.caption)}\n\n{text}"


def _markdown_picture(picture, folder):
    name = os.path.relpath(picture.path, folder).replace(os.sep, "/")
    text = f"![{_plain(picture.alt)}](<{name}>)"
    return f"{text}\n\n{_plain(picture.caption)}" if picture.caption else text


def _plain(text):
    """The text without a meaning to Markdown or HTML, in one line."""
    marks = r"[\\`*\[\]<>|~$&]|^#|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"
    return re.sub(marks, r"\\\g<0>", " ".join(text.split()))
