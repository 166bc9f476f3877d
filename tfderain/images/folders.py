"""Folders of pictures: every picture below a folder, found in one natural order."""

import os
import re
from collections.abc import Iterator

from tfderain.images import camera_files
from tfderain.images.picture import EXTENSIONS, UNREADABLE


def natural_key(path: str) -> list[str | int]:
    """Sort key that puts `2.png` before `10.png` and ignores case."""
    parts = re.split(r"(\d+)", path)  # text, digits, text, ...
    return [int(part) if odd % 2 else part.lower() for odd, part in enumerate(parts)]


def find_images(
    folder: str | os.PathLike,
    recursive: bool = False,
    leave_out: str | os.PathLike | None = None,
    missed: list[tuple[str, str]] | None = None,
    more: tuple[str, ...] = (),
) -> list[str]:
    """Finds the pictures in a folder by their extensions, without opening them.

    Hidden files and folders are left out. Linked folders are searched too, except those
    that lead back to a folder that contains them.

    Args:
        folder: where to look.
        recursive: bool. Whether folders in the folder are searched, too.
        leave_out: folder below it that is not searched, such as that of the results.
        missed: list that gets `(path, reason)` of pictures that cannot be read here,
            and of folders. Without it such pictures are found like the others.
        more: suffixes of other files to find, in lower case with their dots.

    Returns:
        Paths that begin with `folder`, naturally sorted.

    Raises:
        ValueError: there is no such folder, or it cannot be read, or, without `missed`,
            a subfolder cannot be read.
    """
    folder = os.fspath(folder)
    if not os.path.isdir(folder):
        raise ValueError(f"There must be a folder. Received: folder={folder!r}.")
    names = _walk(folder, recursive, leave_out, missed)
    # the path itself breaks ties such as 1.png and 01.png
    names = sorted(names, key=lambda path: (natural_key(path), path))
    if missed is not None:
        missed += [(path, reason) for path in names if (reason := _unreadable(path))]
        names = [path for path in names if not _unreadable(path)]
    return [path for path in names if path.lower().endswith((*EXTENSIONS, *more))]


def _walk(folder, recursive, leave_out, missed) -> Iterator[str]:
    """Yields the paths of all files that are not hidden."""

    def closed(error):
        if missed is None or error.filename == folder:
            raise ValueError(
                "Every folder must be readable. "
                f"Received: {error.filename} ({error.strerror})."
            )
        missed.append(
            (error.filename, f"the folder is not readable ({error.strerror})")
        )

    within = {}  # from a folder to itself and all folders that contain it
    for parent, folders, names in os.walk(folder, onerror=closed, followlinks=True):
        above = within.pop(parent, frozenset()) | {_identity(parent)}
        folders[:] = [
            name
            for name in folders
            if recursive
            and not name.startswith(".")
            and not _same_folder(os.path.join(parent, name), leave_out)
            and _identity(os.path.join(parent, name)) not in above
        ]
        within |= {os.path.join(parent, name): above for name in folders}
        for name in names:
            if not name.startswith("."):
                yield os.path.join(parent, name)


def _identity(folder):
    try:
        found = os.stat(folder)
    except OSError:  # a link that leads nowhere or to what may not be read
        return folder
    return found.st_dev, found.st_ino


def _same_folder(path, other):
    if other is None:
        return False
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False


def _unreadable(path):
    """Why a picture with this name is left out; `""` if it is not."""
    if path.lower().endswith(UNREADABLE):
        return "tfderain does not read such files"
    return camera_files.lacking(path)
