"""Files that appear whole or not at all, and names that tell them apart."""

import contextlib
import os
import pathlib
import uuid
from collections.abc import Iterable, Iterator


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a name beside `path` to write to, and moves it there when all went well.

    After an error, or an interruption, nothing is left of it, and a file that was at
    `path` before is as it was.

    Args:
        path: the file to write; its folder must exist. The temporary name has the same
            suffix, by which many writers choose a format.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def stem(path: str) -> str:
    """Returns a path without its extension; folders stay."""
    return os.path.splitext(path)[0]


def distinct(names: Iterable[str], longer: Iterable[str]) -> list[str]:
    """Returns the names, or the longer ones where two names are equal.

    Example: the stems of `1.jpg` and `2.png` tell the two apart, those of `1.jpg` and
    `1.png` do not.

    Args:
        names: one for each thing.
        longer: as many, which are returned if `names` has one twice.
    """
    names = list(names)
    return names if len(set(names)) == len(names) else list(longer)
