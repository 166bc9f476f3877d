"""Formats of films, by the endings of their names."""

import os

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
