"""Files that appear whole or not at all, names that tell them apart, and damage."""

import contextlib
import os
import pathlib
import tempfile
import uuid
import zipfile
from collections.abc import Iterable, Iterator


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a temporary path beside `path`, and moves it there if all went well.

    After an error, or an interruption, nothing is left of it, and a file that was at
    `path` before is as it was. An error of the system that names no file, as that of a
    full disk, gets the name of this one.

    Args:
        path: the file to write; its folder must exist. The temporary path has the same
            suffix, by which many writers choose a format.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def stem(path: str) -> str:
    """Returns a path without its extension, but with its folders."""
    return os.path.splitext(path)[0]


def distinct(names: Iterable[str], longer: Iterable[str]) -> list[str]:
    """Returns the names, or the longer ones if two names are equal.

    Example: the stems of `1.jpg` and `2.png` tell the two apart, those of `1.jpg` and
    `1.png` do not.

    Args:
        names: one for each item.
        longer: as many, which are returned if `names` has duplicates.
    """
    names = list(names)
    return names if len(set(names)) == len(names) else list(longer)


@contextlib.contextmanager
def without_wildcards(folder: str | os.PathLike) -> Iterator[str]:
    """Yields a path of a folder without `*?[]`, through a link if need be.

    TensorFlow takes the names of checkpoints as patterns, and finds none in `run[1]`.
    """
    folder = os.path.abspath(folder)
    if not set(folder) & set("*?[]"):
        yield folder
        return
    with tempfile.TemporaryDirectory() as scratch:
        link = os.path.join(scratch, "linked")
        os.symlink(folder, link, target_is_directory=True)
        yield link


def damage(path: str | os.PathLike) -> str:
    """Returns what is obviously wrong with a file of weights; `""` if nothing is.

    Args:
        path: a file; one with the suffix `.keras` must be a complete ZIP archive.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        if file.read(40).startswith(b"version https://git-lfs"):
            return "a Git LFS pointer, not the file itself: `git lfs pull` fetches it"
    if not size:
        return "the file is empty"
    if pathlib.Path(path).suffix == ".keras" and not zipfile.is_zipfile(path):
        return f"{size} bytes that are not a Keras file, or only the beginning of one"
    return ""
