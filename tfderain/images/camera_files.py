"""Camera files that need a package of their own: HEIC (pillow-heif) and RAW (rawpy).

```python
camera_files.lacking("IMG_1.HEIC")  # what is missing to read it, or ""
```
"""

import contextlib
import os
import re
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from tfderain import extras
from tfderain.images.picture import HEIC, RAW, ImageError, Picture, TooLarge

# Brands in a file's first box, for pictures that are, or may be, compressed by HEVC.
_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
# The beginning of an MP4 or QuickTime file, which phones append to a photo.
_VIDEO = re.compile(rb"\0\0\0.ftyp(mp4|isom|qt  |avc1|hvc1|M4V|3gp)", re.DOTALL)
_HEAD = 2**16  # bytes, in which boxes come before the pixels
_HDR = {b"\0\x10": "PQ", b"\0\x12": "HLG"}  # ITU-T H.273, transfer characteristics
_KINDS = (
    (HEIC, "HEIC", "pillow_heif", "pillow-heif", "heif"),
    (RAW, "camera RAW", "rawpy", "rawpy", "raw"),
)


def lacking(path: str | os.PathLike) -> str:
    """Returns why a file with this name cannot be read here; `""` if it can."""
    for suffixes, kind, module, package, extra in _KINDS:
        if os.fspath(path).lower().endswith(suffixes):
            return "" if extras.installed(module) else _missing(kind, package, extra)
    return ""


def _missing(kind, package, extra):
    return f'{kind} needs {package}: pip install "tfderain[{extra}]"'


def is_raw(path: str | os.PathLike) -> bool:
    """Whether a file is RAW by its name; the content of most looks like TIFF."""
    return os.fspath(path).lower().endswith(RAW)


def formats_of(file: BinaryIO) -> tuple[str, ...]:
    """Further formats for Pillow to try on a file, registered with it if need be.

    Raises:
        ImageError: for HEIC without pillow-heif.
    """
    start = file.read(12)
    file.seek(0)
    if start[4:8] != b"ftyp" or start[8:12] not in _BRANDS:
        return ()
    if not extras.installed("pillow_heif"):
        raise ImageError(_missing("HEIC", "pillow-heif", "heif"))
    extras.require("pillow_heif", extra="heif").register_heif_opener()
    return ("HEIF",)


def has_video(file: BinaryIO) -> bool:
    """Whether the file of a JPEG or HEIC picture is that of a motion photo.

    Args:
        file: binary file that can be sought.
    """
    file.seek(0)
    return _VIDEO.search(file.read()) is not None


def lost_meaning(file: BinaryIO, image: Image.Image) -> list[str]:
    """What decoders take from the pixels of a HEIC or AVIF file, one line for each.

    Args:
        file: binary file that can be sought.
        image: what Pillow made of it.
    """
    lost = []
    if (bits := image.info.get("bit_depth", 8)) > 8:
        lost.append(f"{bits} bits per channel are reduced to 8")
    file.seek(0)
    # ISO/IEC 14496-12: a box `colr` of the type `nclx`, primaries, transfer function
    _, box, colours = file.read(_HEAD).partition(b"colrnclx")
    if box and (name := _HDR.get(colours[2:4])):
        lost.append(f"HDR ({name}) is taken for sRGB: colours may look different")
    return lost


def read_raw(path: str | os.PathLike, max_pixels: int) -> Picture | None:
    """Develops a RAW file, upright, with the camera's white balance; 8 bits.

    Returns:
        `Picture`, or `None` if the file holds something else.

    Raises:
        ImageError: rawpy is missing or the file damaged; `TooLarge` over `max_pixels`.
    """
    if reason := lacking(path):
        raise ImageError(reason)
    rawpy: Any = extras.require("rawpy", extra="raw")
    try:
        with rawpy.imread(os.fspath(path)) as raw:
            height, width = raw.sizes.height, raw.sizes.width
            if height * width > max_pixels:
                raise TooLarge(
                    f"{height}x{width} pixels are more than the limit of {max_pixels}"
                )
            pixels = np.ascontiguousarray(raw.postprocess(use_camera_wb=True))
    except rawpy.LibRawFileUnsupportedError:
        return None
    except rawpy.LibRawError as error:
        raise ImageError(f"the RAW file is damaged ({_text(error)})") from error
    return Picture(pixels, notes=("the metadata of RAW files is not kept",))


def _text(error):
    """LibRaw's messages are bytes."""
    with contextlib.suppress(AttributeError, IndexError):
        return error.args[0].decode()
    return str(error)
