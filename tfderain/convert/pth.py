"""PyTorch files (`.pth`, `.pt`): their tensors as NumPy arrays, without PyTorch.

```python
tensors = pth.read("net_latest.pth")  # {"conv0.0.weight": array, ...}
```

A `.pth` file is a pickle, which may run any code when it is loaded. This reader knows
dictionaries, numbers, texts and tensors, and refuses a file that names anything else
before that can do anything. It reads both layouts of `torch.save`: the zip archive
(PyTorch 1.6 and later) and the older pickles followed by bare storages. Tensors that
were saved on a GPU are read like all others. Needs only NumPy.

Reference: torch/serialization.py of PyTorch 2.13, `_save`, `_legacy_save`, `_load`,
`_legacy_load`.
"""

import collections
import io
import math
import os
import pathlib
import pickle
import struct
import zipfile
from typing import NamedTuple

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C  # of the layout without zip archive
PROTOCOL = 1001
STORAGES = {
    "BFloat16Storage": "bfloat16",
    "BoolStorage": "?",
    "ByteStorage": "<u1",
    "CharStorage": "<i1",
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "IntStorage": "<i4",
    "LongStorage": "<i8",
    "ShortStorage": "<i2",
}
# What reading a damaged or forged file may raise, besides ValueError.
DAMAGE = (
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    TypeError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
)


class _Storage(NamedTuple):
    """A run of numbers in the file."""

    kind: str
    key: str
    offset: int  # of a view into the storage with this key
    size: int


class _Tensor(NamedTuple):
    """Part of a storage, described but not read yet."""

    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple


def read(path: str | os.PathLike):
    """Reads the tensors of a file that `torch.save` wrote.

    Args:
        path: file of a `state_dict`, or of a dictionary that contains some.

    Returns:
        dict from names, joined by dots, to arrays; bfloat16 becomes float32. What is
        not a tensor (epochs, losses) is left out.

    Raises:
        ValueError: for a file of another kind, a damaged one, or one that holds more
            than tensors, numbers and texts.
        OSError: the file cannot be read.
    """
    path = pathlib.Path(path)
    with path.open("rb") as file:
        try:
            is_zip = file.read(4) == b"PK\x03\x04"
            file.seek(0)
            tensors = _read_zip(file) if is_zip else _read_bare(file)
            if not tensors:
                raise ValueError("it holds no tensors")
        except (ValueError, *DAMAGE) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(
                "`weights` must be a complete PyTorch file of tensors only: "
                f"{reason}. Received: weights={path}."
            ) from None
    return tensors


def _rebuild_tensor(storage, offset, shape, strides, *more):
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(tensor, *more):
    return tensor


class _Unpickler(pickle.Unpickler):
    """Knows dictionaries and tensors; refuses anything else that a file names."""

    known = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
        ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
        # strings, with which a pickle can do no harm
        **{("torch", storage): kind for storage, kind in STORAGES.items()},
    }

    def find_class(self, module, name):
        try:
            return self.known[module, name]
        except KeyError:
            raise ValueError(f"it names {module}.{name}") from None

    def persistent_load(self, reference):
        word, kind, key, _device, size, *view = reference
        if word != "storage" or kind not in STORAGES.values():
            raise ValueError("it holds a storage of an unknown kind")
        # A view of a storage in the older layout: its own key, offset and size.
        offset, size = view[0][1:] if view and view[0] else (0, size)
        return _Storage(kind, str(key), offset, size)


def _read_zip(file):
    """Tensors of a zip archive: `<name>/data.pkl`, `<name>/data/<key>`."""
    archive = zipfile.ZipFile(file)
    entries = {entry.filename: entry for entry in archive.infolist()}
    pickles = [name for name in entries if name.split("/")[1:] == ["data.pkl"]]
    if len(pickles) != 1:
        raise ValueError("it is a zip archive without one data.pkl")
    folder = pickles[0].split("/")[0]

    def content(name):
        entry = entries[f"{folder}/{name}"]
        if entry.compress_type != zipfile.ZIP_STORED:  # could expand to any size
            raise ValueError("its archive is compressed, which PyTorch never does")
        return archive.read(entry)

    if f"{folder}/byteorder" in entries and content("byteorder") != b"little":
        raise ValueError("it was written on a big-endian machine")
    tree = _Unpickler(io.BytesIO(content("data.pkl")), encoding="utf-8").load()
    return _arrays(tree, lambda key, size: content(f"data/{key}"))


def _read_bare(file):
    """Tensors of the older layout: five pickles, then the storages one by one."""

    def load():
        return _Unpickler(file, encoding="utf-8").load()

    start = file.read(2)
    file.seek(0)
    if start[:1] != b"\x80" or load() != MAGIC or load() != PROTOCOL:
        raise ValueError("it is another kind of file")
    if not load()["little_endian"]:
        raise ValueError("it was written on a big-endian machine")
    tree, keys = load(), load()
    leaves = [leaf for _, leaf in _leaves(tree, ())]
    widths = {leaf.storage.key: _width(leaf.storage.kind) for leaf in leaves}
    storages = {}
    for key in keys:
        (count,) = struct.unpack("<q", file.read(8))
        size = count * widths.get(key, 0)
        storages[key] = file.read(max(size, 0))
        if len(storages[key]) != size:
            raise ValueError("it is cut short")
        if key not in widths:
            raise ValueError("it holds a storage that no tensor uses")
    return _arrays(tree, lambda key, size: storages[key])


def _width(kind):
    """Bytes of a number."""
    return 2 if kind == "bfloat16" else np.dtype(kind).itemsize


def _leaves(tree, names):
    """`(names, tensor)` of all tensors in nested dictionaries."""
    if isinstance(tree, _Tensor):
        yield names, tree
    elif isinstance(tree, dict):
        for name, branch in tree.items():
            yield from _leaves(branch, (*names, str(name)))


def _arrays(tree, content):
    """Arrays of the tensors of a tree; `content(key, size)` gives a storage's bytes."""
    return {
        ".".join(names): _array(tensor, content) for names, tensor in _leaves(tree, ())
    }


def _array(tensor, content):
    """The numbers of a tensor, in a storage that must hold all of them."""
    storage, offset, shape, strides = tensor
    if not isinstance(storage, _Storage) or len(shape) != len(strides):
        raise ValueError("it holds a tensor without a storage")
    numbers = (storage.offset, storage.size, offset, *shape, *strides)
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError("it holds a tensor with impossible sizes")
    reach = ((side - 1) * step for side, step in zip(shape, strides, strict=True))
    last = offset + sum(reach)
    if math.prod(shape) > storage.size or (math.prod(shape) and last >= storage.size):
        raise ValueError("it holds a tensor larger than its storage")
    width, data = _width(storage.kind), content(storage.key, storage.size)
    data = data[storage.offset * width : (storage.offset + storage.size) * width]
    if len(data) != storage.size * width:
        raise ValueError("it is cut short")
    if storage.kind == "bfloat16":  # the upper half of a float32
        values = (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    else:
        values = np.frombuffer(data, storage.kind)
    steps = [step * values.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(values[offset:], shape, steps).copy()
