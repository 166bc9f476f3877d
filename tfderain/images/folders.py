"""Folders of pictures: every picture below a folder, found in one natural order."""

import os
import re
from collections.abc import Iterator

from tfderain.images.picture import EXTENSIONS


def natural_key(path: str) -> list[str | int]:
    """Sort key that puts `2.png` before `10.png`; upper and lower case are equal."""
    parts = re.split(r"(\d+)", path)  # text, digits, text, ...
    return [int(part) if odd % 2 else part.lower() for odd, part in enumerate(parts)]


def find_images(
    folder: str | os.PathLike,
    recursive: bool = False,
    leave_out: str | os.PathLike | None = None,
) -> list[str]:
    """Finds the pictures in a folder by their extensions, without opening them.

    Hidden files and folders are left out.

    Args:
        folder: where to look.
        recursive: bool. Whether folders in the folder are searched, too.
        leave_out: folder below it that is not searched, such as that of the results.

    Returns:
        Paths that begin with `folder`, naturally sorted.

    Raises:
        ValueError: if there is no such folder, or one cannot be read.
    """
    folder = os.fspath(folder)
    if not os.path.isdir(folder):
        raise ValueError(f"There must be a folder. Received: folder={folder!r}.")
    names = _walk(folder, recursive, leave_out)
    paths = [path for path in names if path.lower().endswith(EXTENSIONS)]
    # the path itself decides between 1.png and 01.png
    return sorted(paths, key=lambda path: (natural_key(path), path))


def _walk(folder, recursive, leave_out) -> Iterator[str]:
    """Yields the paths of all files that are not hidden."""
    for parent, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = [
            name
            for name in folders
            if recursive
            and not name.startswith(".")
            and not _same_folder(os.path.join(parent, name), leave_out)
        ]
        for name in names:
            if not name.startswith("."):
                yield os.path.join(parent, name)


def _same_folder(path, other):
    return other is not None and os.path.exists(other) and os.path.samefile(path, other)


def _unreadable(error):
    raise ValueError(
        f"Every folder must be readable. Received: {error.filename} ({error.strerror})."
    )
