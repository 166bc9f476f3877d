"""Files that appear whole or not at all."""

import contextlib
import os
import pathlib
import uuid
from collections.abc import Iterator


@contextlib.contextmanager
def replacing(path) -> Iterator[pathlib.Path]:
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
