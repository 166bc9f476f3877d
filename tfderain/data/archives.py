"""Archives of pictures: what lies in a folder, a ZIP or a TAR file, read by name.

```python
with archives.opened("RainTrainH.zip") as tree:
    tree.images  # ["RainTrainH/norain-1.png", ...]
    tree.copy({"RainTrainH/norain-1.png": "out/clean/1.png"})
```

Nothing is unpacked to a name that an archive chooses: only the images asked for are
written, to names the caller gives. Archives with names that lead out of the folder in
which they would be unpacked are refused all the same.
"""

import contextlib
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping

from tfderain.data.pairs import relative_images
from tfderain.images import EXTENSIONS, natural_key

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
# What damaged archives raise.
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError)


class Tree:
    """The images of a folder or an archive.

    Attributes:
        images: paths below it with `/` between folders, naturally sorted; hidden ones,
            and what macOS adds to archives, are left out.
    """

    def __init__(self, names):
        shown = (name for name in names if not _hidden(name))
        found = dict.fromkeys(n for n in shown if n.lower().endswith(EXTENSIONS))
        self.images = sorted(found, key=lambda name: (natural_key(name), name))

    def size(self, name: str) -> int:
        """Bytes of one of the images."""
        raise NotImplementedError

    def copy(
        self,
        targets: Mapping[str, str | os.PathLike],
        told: Callable[[], object] = lambda: None,
    ) -> None:
        """Writes images to paths, whose folders exist.

        Args:
            targets: where each of some of `images` goes.
            told: called after each image.

        Raises:
            ValueError: for an archive that is damaged or needs a password.
        """
        raise NotImplementedError


class _Folder(Tree):
    def __init__(self, path):
        self.path = path
        super().__init__(relative_images(path))

    def size(self, name):
        return os.path.getsize(os.path.join(self.path, name))

    def copy(self, targets, told=lambda: None):
        for name, target in targets.items():
            shutil.copyfile(os.path.join(self.path, name), target)
            told()


class _Zip(Tree):
    def __init__(self, path, file):
        self.path, self.file = path, file
        members = [info for info in file.infolist() if not info.is_dir()]
        self.members = {_inside(path, info.filename): info for info in members}
        super().__init__(self.members)

    def size(self, name):
        return self.members[name].file_size

    def copy(self, targets, told=lambda: None):
        for name, target in targets.items():
            with (
                _explained(self.path),
                self.file.open(self.members[name]) as source,
                open(target, "wb") as out,
            ):
                shutil.copyfileobj(source, out)
            told()


class _Tar(Tree):
    def __init__(self, path, file):
        self.path, self.file = path, file
        # Links and devices are no images; their targets may lie anywhere.
        members = [info for info in file.getmembers() if info.isfile()]
        self.members = {_inside(path, info.name): info for info in members}
        super().__init__(self.members)

    def size(self, name):
        return self.members[name].size

    def copy(self, targets, told=lambda: None):
        # In the order of the file: to go back in a compressed one is to start anew.
        names = sorted(targets, key=lambda name: self.members[name].offset)
        for name in names:
            with _explained(self.path), open(targets[name], "wb") as out:
                source = self.file.extractfile(self.members[name])
                assert source is not None  # a regular file, see above
                shutil.copyfileobj(source, out)
            told()


class _Several(Tree):
    """A folder with archives in it, each like a folder of its name."""

    def __init__(self, trees: dict[str, Tree]):
        self.trees = trees
        names = {}
        for prefix, tree in trees.items():
            names |= {f"{prefix}{name}": (prefix, name) for name in tree.images}
        self.names = names
        super().__init__(names)

    def size(self, name):
        prefix, inner = self.names[name]
        return self.trees[prefix].size(inner)

    def copy(self, targets, told=lambda: None):
        for prefix, tree in self.trees.items():
            own = {n: t for n, t in targets.items() if self.names[n][0] == prefix}
            inner = {self.names[name][1]: target for name, target in own.items()}
            tree.copy(inner, told)


@contextlib.contextmanager
def opened(path: str | os.PathLike) -> Iterator[Tree]:
    """Opens a folder, a ZIP or a TAR file, or a folder that holds such files.

    Images of an archive are named as if it were a folder of its own name:
    `RainTrainH.zip` holds `RainTrainH/...`.

    Raises:
        ValueError: for what is none of these, an archive of another kind, one that is
            damaged, or one with names that lead out of it.
    """
    path = os.fspath(path)
    with contextlib.ExitStack() as stack:
        trees: dict[str, Tree] = {}
        inside = [path]
        if os.path.isdir(path):
            trees[""] = _Folder(path)
            inside = [
                entry.path
                for entry in sorted(os.scandir(path), key=lambda e: natural_key(e.name))
                if entry.name.lower().endswith(SUFFIXES)
            ]
        for archive in inside:
            trees[_stem(archive) + "/"] = _open_archive(archive, stack)
        yield _Several(trees)


def _open_archive(path, stack) -> Tree:
    if not os.path.isfile(path):
        raise ValueError(f"There must be a folder or an archive. Received: {path}.")
    with _explained(path):
        if zipfile.is_zipfile(path):
            return _Zip(path, stack.enter_context(zipfile.ZipFile(path)))
        if tarfile.is_tarfile(path):
            return _Tar(path, stack.enter_context(tarfile.open(path)))
    raise ValueError(
        "An archive must be a whole ZIP or TAR file; unpack others (RAR, 7z, parts "
        f"such as .zip.00) and name the folder. Received: {path}."
    )


@contextlib.contextmanager
def _explained(path):
    try:
        yield
    except DAMAGE as error:
        raise ValueError(
            "An archive must be whole and without a password. "
            f"Received: {path} ({error})."
        ) from error


def _inside(path, name: str) -> str:
    """A member's name with `/` between folders.

    Raises:
        ValueError: for a name that leads out of the archive.
    """
    parts = name.replace("\\", "/").split("/")
    if not parts[0] or ".." in parts or ":" in parts[0]:
        raise ValueError(
            "Names in an archive must stay inside it. "
            f"Received: {path} with {name!r}; it is not to be trusted."
        )
    return "/".join(part for part in parts if part != ".")


def _hidden(name):
    return any(p.startswith(".") or p == "__MACOSX" for p in name.split("/"))


def _stem(path):
    name = os.path.basename(path)
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name
