"""TIFF layouts: those that Pillow reads wrongly or not at all; EXIF when compressed."""

import struct
from typing import Any, BinaryIO

from PIL import ExifTags, Image, TiffImagePlugin

_BITS, _COMPRESSION, _SAMPLES, _PLANES, _FORMAT = 258, 259, 277, 284, 339
_KINDS = {1: "integers", 2: "signed integers", 3: "floats", 5: "complex integers"}
_KINDS |= {6: "complex numbers"}
# Of those that Pillow does not know: TIFF Technical Notes, libtiff's tiff.h, tifffile.
_COMPRESSIONS = {33003: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000"}
_COMPRESSIONS |= {22610: "JPEG XR", 34934: "JPEG XR", 34887: "LERC", 34933: "PNG"}
_COMPRESSIONS |= {50002: "JPEG XL", 52546: "JPEG XL"}
_MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_GROUPS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)


def misread(image: Image.Image) -> str:
    """Describes an opened picture if Pillow would give wrong pixels, else "".

    Found by reading files written by tifffile: uncompressed separate planes of more
    than 8 bits, or of grey and alpha, and signed bytes.
    """
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return ""
    samples, bits, kind, planes = _layout(image.tag_v2)
    plain = image.tag_v2.get(_COMPRESSION, 1) == 1
    wrong = (kind == 2 and bits <= 8) or (
        planes and ((plain and bits != 8) or samples == 2)
    )
    return _described(samples, bits, kind, planes) if wrong else ""


def description(file: BinaryIO) -> str:
    """Describes a TIFF file that Pillow does not know; "" for other files.

    Args:
        file: seekable binary file.
    """
    file.seek(0)
    head = file.read(8)
    if not head.startswith(_MARKS):
        return ""
    try:
        if head[2:3] == b"+" or head[3:4] == b"+":
            head += file.read(8)
        tags = TiffImagePlugin.ImageFileDirectory_v2(head)
        file.seek(tags.next)
        tags.load(file)
        return _described(*_layout(tags)) + _compressed(tags)
    # Damaged files raise struct.error, SyntaxError, TypeError and more.
    except Exception:
        return "damaged TIFF"


def _layout(tags):
    """Channels, most bits of a channel, kind of number, whether in separate planes."""
    samples = tags.get(_SAMPLES, 1)
    bits, kinds = tags.get(_BITS, (1,)), tags.get(_FORMAT, (1,))
    return samples, max(bits), max(kinds), samples > 1 and tags.get(_PLANES, 1) == 2


def _described(samples, bits, kind, planes):
    numbers = _KINDS.get(kind, "unknown numbers")
    channels = f"{samples} channel{'s' if samples > 1 else ''}"
    where = " in separate planes" if planes else ""
    return f"TIFF with {channels} of {bits}-bit {numbers}{where}"


def _compressed(tags):
    """How the pixels are compressed, if Pillow does not know that method."""
    number = tags.get(_COMPRESSION, 1)
    if number in TiffImagePlugin.COMPRESSION_INFO:
        return ""
    return f" compressed as {_COMPRESSIONS.get(number, number)}"


def extra_bands(image: Image.Image) -> int:
    """How many channels of an opened TIFF Pillow leaves out; 0 for other formats."""
    tags: Any = getattr(image, "tag_v2", {})
    return max(0, tags.get(_SAMPLES, 1) - len(image.getbands()))


def without_directories(block: bytes) -> tuple[bytes, dict]:
    """Splits EXIF into the main tags and the directories of camera and GPS.

    Pillow's compressing encoder refuses the latter, see `with_directories`.
    """
    exif = Image.Exif()
    exif.load(block)
    inner = {tag: dict(exif.get_ifd(tag)) for tag in _GROUPS if tag in exif}
    if ExifTags.IFD.Interop in inner.get(ExifTags.IFD.Exif, {}):
        interop = dict(exif.get_ifd(ExifTags.IFD.Interop))
        inner[ExifTags.IFD.Exif][ExifTags.IFD.Interop] = interop
    main = Image.Exif()
    main.update({tag: value for tag, value in exif.items() if tag not in _GROUPS})
    return main.tobytes(), inner


def with_directories(data: bytes, inner: dict) -> bytes:
    """Adds directories to a TIFF file that Pillow wrote: a new table at its end."""
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, start)
    size = struct.calcsize(order + "HHII")
    table = data[start + 2 : start + 2 + size * count]
    entries = [table[size * k : size * (k + 1)] for k in range(count)]
    data += b"\0" * (len(data) % 2)
    place = len(data) + 2 + size * (count + len(inner)) + 4
    parts = b""
    for tag, values in inner.items():
        directory = TiffImagePlugin.ImageFileDirectory_v2(data[:8], group=tag)
        for key, value in values.items():
            directory[key] = value
        offset = place + len(parts)
        entries.append(struct.pack(order + "HHII", tag, 4, 1, offset))
        part = directory.tobytes(offset)
        parts += part + b"\0" * (len(part) % 2)
    entries.sort(key=lambda entry: struct.unpack_from(order + "H", entry)[0])
    table = struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)
    return data[:4] + struct.pack(order + "I", len(data)) + data[8:] + table + parts
