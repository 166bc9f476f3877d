"""EXIF metadata: the orientation of a picture, and the tags that its result keeps.

```python
with Image.open(path) as image:
    upright = exif.turned(np.asarray(image), exif.orientation(image))
```

Cameras and editors write tags with types that the standard forbids. Only such a tag is
lost, not the orientation or the other tags.
"""

import functools
import struct
from collections.abc import Callable, Iterator

import numpy as np
from PIL import ExifTags, Image

_ORIENTATION = ExifTags.Base.Orientation
_EXIF, _GPS, _INTEROP = ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo, ExifTags.IFD.Interop
# Tags that say how a TIFF file stores its pixels; they are wrong in another file.
_STORAGE_TAGS = (
    *(254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 277, 278, 279, 284, 317),
    *(320, 322, 323, 324, 325, 330, 338, 339, 347, 529, 530, 531, 532, 700),
    *(33723, 34377, 34675),
)
_SIZES = ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight


def orientation(image: Image.Image) -> int:
    """Returns how a picture is turned, from 1 (upright) to 8, as EXIF 2.32 defines it.

    Every other tag may be damaged, and this one may be of any type. Values that make
    no sense count as 1. The pixels are not decoded.

    Args:
        image: PIL image.
    """
    try:
        # The method of the base class: PNG's own decodes the pixels.
        tags = Image.Image.getexif(image)
        if not len(tags) and (data := _behind_pixels(image)):
            tags = Image.Exif()
            tags.load(data)
        number = _as_int(tags.get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF raises struct.error, SyntaxError, TypeError, ...
        return 1
    return number if 1 <= number <= 8 else 1


def _as_int(value):
    if isinstance(value, (tuple, list)):
        value = value[0]
    if isinstance(value, bytes):  # a number in either byte order
        value = max(value)
    return int(value.strip(" \0") if isinstance(value, str) else value)


def _behind_pixels(image):
    """The EXIF block of an open PNG file, which may also follow the pixels."""
    file = getattr(image, "fp", None)
    if image.format != "PNG" or file is None:
        return None
    place = file.tell()
    try:
        file.seek(8)  # the signature
        while len(head := file.read(8)) == 8:
            length, name = struct.unpack(">I4s", head)
            if name == b"eXIf":
                return file.read(length)
            file.seek(length + 4, 1)
    finally:
        file.seek(place)
    return None


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turns upright pixels `(height, width, ...)` that are stored with an orientation.

    Args:
        pixels: array.
        orientation: int, see `orientation`; anything but 2 to 8 changes nothing.
    """
    if orientation not in range(2, 9):
        return pixels
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(pixels[::rows, ::columns])


def kept(
    image: Image.Image, orientation: int, size: tuple[int, int], notes: list
) -> bytes | None:
    """Returns the EXIF block of the result, or `None` if the picture has none.

    Args:
        image: PIL image. Its own metadata is left as it is.
        orientation: int, written to the block if that has an orientation.
        size: `(height, width)` of the pixels, written to the block if that has a size.
        notes: list to which a note on what is not kept is appended.
    """
    try:
        found = Image.Image.getexif(image)
        tags, damaged = {None: {}, _EXIF: {}, _GPS: {}}, []
        for group, tag, read in _entries(found):
            try:
                value = read()
                Image.Exif().load(_block({group: {tag: value}}))
            except Exception:  # see `orientation`
                damaged.append(_name(group, tag))
            else:
                tags[group][tag] = value
        if _ORIENTATION in found:
            tags[None][_ORIENTATION] = orientation
        for tag, length in zip(_SIZES, size[::-1], strict=True):
            if tag in tags[_EXIF]:
                tags[_EXIF][tag] = length
        if damaged:
            notes.append(f"damaged EXIF tags are not kept: {', '.join(damaged)}")
        if not len(found) and _promised(image.info.get("exif")):
            notes.append("unreadable EXIF metadata is not kept")
        return _block(tags) if any(tags.values()) else None
    except Exception:  # see `orientation`
        notes.append("unreadable EXIF metadata is not kept")
        return None


def _entries(found) -> Iterator[tuple[int | None, int, Callable]]:
    """Yields `(group, tag, function that reads its value)` for all tags to keep."""
    for tag in list(found):
        if tag in _STORAGE_TAGS or tag == _ORIENTATION:
            continue
        if tag not in (_EXIF, _GPS):
            yield None, tag, functools.partial(found.__getitem__, tag)
        elif not (entries := _directory(found, tag)):
            if not isinstance(found[tag], (int, dict)):  # does not say where it is
                yield None, tag, functools.partial(_fail, tag)
        else:
            for inner in entries:
                read = functools.partial(entries.__getitem__, inner)
                if inner == _INTEROP:
                    read = functools.partial(_directory, found, inner)
                yield tag, inner, read


def _promised(block):
    """Whether a block of EXIF is not empty: Pillow does not say that it is damaged."""
    data = (block or b"").removeprefix(b"Exif\0\0")
    order = "<" if data[:2] == b"II" else ">"
    try:
        (start,) = struct.unpack_from(order + "I", data, 4)
        return struct.unpack_from(order + "H", data, start) != (0,)
    except struct.error:  # shorter than it says
        return bool(data)


def _directory(found, tag):
    try:
        return dict(found.get_ifd(tag))
    except Exception:  # see `orientation`
        return {}


def _fail(tag):
    raise KeyError(tag)


def _block(tags):
    """The bytes of tags by group: `None` for the main ones, or a directory."""
    block = Image.Exif()
    block.update(tags.get(None, {}))
    for group in (_EXIF, _GPS):
        if tags.get(group):
            block.get_ifd(group).update(tags[group])
    return block.tobytes()


def _name(group, tag):
    names = ExifTags.GPSTAGS if group == _GPS else ExifTags.TAGS
    return names.get(tag, f"{tag:#06x}")
