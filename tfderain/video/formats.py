"""Formats of films, by the endings of their names, and what is no file but live."""

import os
import re

FORMATS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
}
"""Suffixes that can be written, with FFmpeg's name of the container."""

EXTENSIONS = (
    *(*FORMATS, ".avi", ".mts", ".m2ts", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp"),
    *(".ogv", ".mxf", ".vob", ".asf"),
)
"""Suffixes that a search for films picks up; what is not in `FORMATS` becomes `.mkv`,
which holds all of them."""

# Not searched for: in folders these are mostly programs.
_NAMED_ONLY = (".ts",)


def is_film(path: str | os.PathLike) -> bool:
    """Returns whether a file is a film by its name."""
    return os.fspath(path).lower().endswith((*EXTENSIONS, *_NAMED_ONLY))


def is_live(source: str) -> bool:
    """Returns whether a source is an address, a camera's device or standard input."""
    address = re.match(r"(rtsps?|rtmps?|rtp|udp|tcp|srt|https?)://", source)
    return bool(address) or source.startswith("/dev/video") or source == "-"
