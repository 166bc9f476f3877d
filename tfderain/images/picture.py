"""Pictures: pixels, the metadata of their file, known formats, and errors."""

from dataclasses import dataclass

import numpy as np

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".jif": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
}
"""Suffixes that `write` knows, with Pillow's name of the format."""

HEIC = (".heic", ".heif", ".hif")
"""Suffixes of pictures that pillow-heif reads."""

RAW = (
    *(".3fr", ".arw", ".cr2", ".cr3", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mrw"),
    *(".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".sr2", ".srf", ".srw", ".x3f"),
)
"""Suffixes of camera files that rawpy develops."""

EXTENSIONS = (
    *(*FORMATS, ".gif", ".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".dib"),
    *(".apng", ".mpo", *HEIC, *RAW),
)
"""Suffixes that a search for pictures picks up; those not in `FORMATS` can only be
read."""

UNREADABLE = (
    *(".jxl", ".jp2", ".j2k", ".j2c", ".jpx", ".jxr", ".psd", ".tga", ".exr", ".hdr"),
    *(".qoi", ".pam", ".pcx", ".dds"),
)
"""Suffixes of pictures that a search counts as left out."""

MAX_PIXELS = 180_000_000
"""Larger pictures are refused before they are decoded. Close to Pillow's own limit."""


class ImageError(ValueError):
    """A file that cannot be read or written; its message is one line that names it."""


class TooLarge(ImageError):
    """A picture with more pixels than were allowed; it was not decoded."""


@dataclass(frozen=True, eq=False)
class Picture:
    """An image as `uint8` or `uint16` pixels, and the metadata of its file.

    Attributes:
        pixels: array. `uint8` `(height, width, 3)` RGB, or greyscale
            `(height, width)` as `uint8` or `uint16`.
        alpha: `uint8` array `(height, width)`, or `None`.
        exif: bytes or `None`. Its orientation is 1 if `read` made the picture.
        icc: bytes or `None`. The ICC profile, unchanged.
        dpi: pair of floats or `None`.
        notes: tuple of strings, each about something that cannot be kept.
        chunks: tuple of `(name, data)`, texts and colour information of a PNG file.
        comment: bytes or `None`, that of a JPEG or GIF file.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    exif: bytes | None = None
    icc: bytes | None = None
    dpi: tuple | None = None
    notes: tuple = ()
    chunks: tuple = ()
    comment: bytes | None = None
