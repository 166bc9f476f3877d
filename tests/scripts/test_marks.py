"""scripts/marks.py: parts of Markdown found, rendered and replaced."""

import importlib.util
import re
from pathlib import Path

import markdown_it
import pytest

ROOT = Path(__file__).parents[2]
TEXT = """Before <!-- begin words -->1.00 dB<!-- end words --> after.

<!-- begin table -->

| set | pairs | `a` | `b` |
|---|---|---|---|
| light | 3 | 1.00 | 2.00 |
| heavy | 4 | 5.00 |  |

<!-- end table -->

The end.
"""


@pytest.fixture(scope="module")
def marks():
    spec = importlib.util.spec_from_file_location(
        "marks", ROOT / "scripts" / "marks.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_parts_are_found_and_replaced(marks):
    assert marks.names(TEXT) == ["words", "table"]
    assert marks.part(TEXT, "words") == "1.00 dB"
    text = marks.replaced(TEXT, "words", "9.00 dB")
    assert text == TEXT.replace("1.00 dB", "9.00 dB")
    assert marks.replaced(TEXT, "table", marks.part(TEXT, "table")) == TEXT
    text = marks.replaced(TEXT, "table", "| x |\n|---|\n| 1 |")
    assert "<!-- begin table -->\n\n| x |\n|---|\n| 1 |\n\n<!-- end table -->" in text
    assert text.endswith("\n\nThe end.\n") and "light" not in text


@pytest.mark.parametrize(
    "text, message",
    [
        ("<!-- begin a --> <!-- begin b -->", "begin b --> after a"),
        ("<!-- end a -->", "end a --> after nothing"),
        ("<!-- begin a --><!-- end a --><!-- begin a -->", "begin a --> after a"),
        ("<!-- begin a -->", "must have an end"),
    ],
)
def test_wrong_marks_are_named(marks, text, message):
    with pytest.raises(ValueError, match=message):
        marks.names(text)


def test_what_cannot_be_replaced(marks):
    with pytest.raises(ValueError, match="Received: other; it has words, table"):
        marks.replaced(TEXT, "other", "x")
    with pytest.raises(ValueError, match="one line"):
        marks.replaced(TEXT, "words", "two\nlines")


def test_cells_that_are_not_measured_stay(marks):
    rows = marks.Rows(
        ["set", "pairs", "`b`", "`a`", "`new`"],
        [["heavy", "4", "6.00", None, None], ["light", None, None, "7.00", None]],
    )
    assert rows.render(marks.part(TEXT, "table")) == (
        "| set | pairs | `b` | `a` | `new` |\n"
        "|---|---|---|---|---|\n"
        "| heavy | 4 | 6.00 | 5.00 | – |\n"
        "| light | 3 | 2.00 | 7.00 | – |"
    )


def test_rows_can_have_several_keys(marks):
    old = (
        "| p | form | MB |\n|---|---|---|\n| a | x | 1 |\n| a | y | 2 |\n| b | x | 3 |"
    )
    rows = marks.Rows(["p", "form", "MB"], [["b", "x", None], ["a", "y", None]], keys=2)
    assert rows.render(old).splitlines()[2:] == ["| b | x | 3 |", "| a | y | 2 |"]


def documents():
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_nobody_sees_the_marks(marks, path):
    """No mark ends the paragraph that it stands in, nor the table before it."""
    text = path.read_text(encoding="utf-8")
    found = marks.names(text)
    for name in found:
        part = marks.part(text, name)
        if part.startswith("\n"):
            continue
        place = text.index(f"<!-- begin {name} -->")
        assert text[:place].rpartition("\n")[2].strip(), f"{name} begins a line"
        assert "\n" not in part
    markdown = markdown_it.MarkdownIt("gfm-like", {"linkify": False})
    unmarked = re.sub(r"<!-- (begin|end) [\w-]+ -->", "", text)
    shown, expected = markdown.render(text), markdown.render(unmarked)
    for tag in ("<table>", "<p>", "<tr>", "<pre>"):
        assert shown.count(tag) == expected.count(tag)
