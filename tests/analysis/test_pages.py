"""Pages as HTML and Markdown: well-formed, self-contained, every text escaped."""

import base64
import re
from html.parser import HTMLParser

import markdown_it
import numpy as np
import pytest
from PIL import Image

from tfderain.analysis import pages

NASTY = "<b>&\"'|*x*`_a_ [l](u)"


class Reader(HTMLParser):
    """Checks that tags close in order; keeps attributes and the texts of cells."""

    VOID = {"meta", "img"}

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.cells, self.texts = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag in ("td", "th"):
            self.cells.append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data


@pytest.fixture
def page(tmp_path):
    picture = tmp_path / "pictures" / "a (1).png"
    picture.parent.mkdir()
    Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save(picture)
    table = pages.Table(
        NASTY, ["model", "psnr_y"], [[NASTY, "1"], ["b", ""]], strong=[1]
    )
    return pages.Page(
        NASTY,
        [
            pages.Heading("Two", 2),
            pages.Text(NASTY),
            pages.Code("tfderain evaluate '<b>'"),
            table,
            pages.Pictures([pages.Picture(picture, NASTY, "below")], small=True),
            pages.Details("More", [table, pages.Text("inside")]),
        ],
    )


def test_html_is_whole_and_escaped(page, tmp_path):
    page.write_html(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    read = Reader(text)
    assert "b" not in [tag for tag, _ in read.tags]
    assert read.cells == ["model", "psnr_y", NASTY, "1", "b", ""] * 2
    assert read.texts.count(NASTY) == 7  # title twice, text, captions and cells twice
    assert ("tr", {"class": "strong"}) in read.tags


def test_html_needs_no_other_file_or_host(page, tmp_path):
    page.write_html(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    (source,) = [a["src"] for tag, a in Reader(text).tags if tag == "img"]
    data = base64.b64decode(source.removeprefix("data:image/png;base64,"))
    assert data == (tmp_path / "pictures" / "a (1).png").read_bytes()
    assert not re.search(r"https?://|<script|<link|@import|url\(", text)


def test_markdown_says_the_same(page, tmp_path):
    page.write_markdown(tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    rendered = markdown_it.MarkdownIt("gfm-like", {"linkify": False}).render(text)
    read = Reader(rendered)
    tags = [tag for tag, _ in read.tags]
    assert "b" not in tags and "a" not in tags and "em" not in tags
    assert [cell for cell in read.cells if cell] == ["model", "psnr_y", NASTY, "1"] * 2
    (picture,) = [a for tag, a in read.tags if tag == "img"]
    assert picture == {"src": "pictures/a%20(1).png", "alt": NASTY}
    assert tags.count("strong") == 2 and "details" in tags and "pre" in tags
    assert "tfderain evaluate '<b>'\n" in read.texts
