"""The one line of an error, which names of files must not break."""

import pytest

from tfderain import errors


@pytest.mark.parametrize(
    "text, line",
    [
        ("two\n  lines\r\nor\u2028three", "two lines or three"),
        ("my  photo .png", "my  photo .png"),  # as the file is called
        ("\x1b[31mred\x07.png\x9b", "\\x1b[31mred\\x07.png\\x9b"),
        ("日本 é 😀", "日本 é 😀"),
        (" \n ", "str"),
    ],
)
def test_one_line_controls_no_terminal(text, line):
    assert errors.one_line(text) == line
    assert errors.one_line(ValueError(text)) == line.replace("str", "ValueError")
