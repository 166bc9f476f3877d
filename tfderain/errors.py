"""Errors: the one line that a user sees of each."""

import re

_BREAKS = re.compile(r"\s*[\t-\r\x1c-\x1e\x85\u2028\u2029]\s*")
_CONTROLS = re.compile(r"[\0-\x1f\x7f-\x9f]")


def one_line(error: BaseException | str) -> str:
    """Returns the message of an error on one line, or its class if it has no message.

    Args:
        error: the exception, or its text.
    """
    return printable(str(error)).strip() or type(error).__name__


def printable(text: str) -> str:
    """Returns text that a terminal shows in one line; names of files may hold anything.

    Line breaks become spaces, and characters that control a terminal are spelled out.
    """
    line = _BREAKS.sub(" ", text)
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", line)


def reason(error: BaseException) -> str:
    """Returns what another message can quote: one line without a full stop.

    For an `OSError` only what went wrong: the other message names the file.
    """
    return one_line(getattr(error, "strerror", None) or error).rstrip(".")
