"""PyTorch files written without PyTorch: both layouts of `torch.save`, for tests."""

import pickle
import struct
import zipfile

import numpy as np

KINDS = {"f4": "FloatStorage", "f2": "HalfStorage", "f8": "DoubleStorage"}
KINDS |= {"i8": "LongStorage", "u1": "ByteStorage"}


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def whole(value):
    return b"J" + struct.pack("<i", value)


def numbers(values):
    return b"(" + b"".join(map(whole, values)) + b"t"


def tensor(array, key, kind=None, bare=False, device="cuda:0"):
    """Opcodes of `torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, ...)`."""
    kind = kind or KINDS[array.dtype.str[1:]]
    storage = text("storage") + f"ctorch\n{kind}\n".encode() + text(key)
    storage += text(device) + whole(array.size) + (b"N" if bare else b"")
    strides = [int(step) // array.itemsize for step in array.strides]
    arguments = b"(" + storage + b"tQ" + whole(0) + numbers(array.shape)
    arguments += numbers(strides) + b"\x89" + b"ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR"


def dictionary(items):
    """Opcodes of an `OrderedDict` with the given opcodes as values."""
    content = b"".join(text(name) + code for name, code in items.items())
    return b"ccollections\nOrderedDict\n)R(" + content + b"u"


def state_dict(arrays, bare=False, **options):
    """Opcodes of a `state_dict` with its `_metadata`; storages have keys 0, 1, ..."""
    codes = {
        name: tensor(array, str(key), bare=bare, **options)
        for key, (name, array) in enumerate(arrays.items())
    }
    metadata = b"}" + text("_metadata") + b"ccollections\nOrderedDict\n)Rs"
    return dictionary(codes) + metadata + b"b"


def write_bare(path, arrays, code=None, **options):
    """Writes the layout of PyTorch before 1.6: pickles, then storages."""
    magic = 0x1950A86A20F9469CFC6C
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    head = [pickle.dumps(value, 2) for value in (magic, 1001, system)]
    code = code or state_dict(arrays, bare=True, **options)
    keys = pickle.dumps([str(key) for key in range(len(arrays))], 2)
    storages = [
        struct.pack("<q", array.size) + array.tobytes("A") for array in arrays.values()
    ]
    path.write_bytes(b"".join([*head, b"\x80\x02" + code + b".", keys, *storages]))
    return path


def write_zip(path, arrays, code=None, compression=zipfile.ZIP_STORED, **options):
    """Writes the layout of PyTorch 1.6 and later: a zip archive."""
    code = code or state_dict(arrays, **options)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + code + b".")
        archive.writestr("archive/byteorder", "little")
        for key, array in enumerate(arrays.values()):
            archive.writestr(f"archive/data/{key}", array.tobytes("A"))
        archive.writestr("archive/version", "3\n")
    return path


def transposed(*shape):
    """An array whose strides are not those of its shape."""
    return np.arange(np.prod(shape), dtype="<f4").reshape(shape[::-1]).T
