"""PNG chunks: a file's metadata, including what Pillow would fail on.

Pillow refuses a picture if the checksum of a comment is wrong, or if a text or profile
exceeds its limits. So these are taken out before it reads the file.
"""

import io
import struct
import zlib
from dataclasses import dataclass, field
from typing import BinaryIO

from PIL import PngImagePlugin

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_COLOURS = (b"cHRM", b"cICP", b"gAMA", b"sRGB")
_FRAMES = (b"acTL", b"fcTL", b"fdAT")
# Kept in other ways, or of no use to another picture: transparency, profile, EXIF,
# resolution; background, histogram, significant bits, suggested palette, time.
_OTHERS = (b"tRNS", b"iCCP", b"eXIf", b"pHYs", b"bKGD", b"hIST", b"sBIT", b"sPLT")
_OTHERS += (b"tIME",)
_XMP, _EXIF, _RAW = b"XML:com.adobe.xmp", b"Raw profile type exif", b"Raw profile type"
_LONGEST_PROFILE = 64 * 2**20  # bytes; larger than any profile, smaller than a bomb


@dataclass
class Found:
    """The content of a PNG file's chunks other than the pixels.

    Attributes:
        chunks: list of `(name, data)`, texts and colour information, to be written into
            another PNG file as they are.
        icc: bytes or `None`, an ICC profile that is too long for Pillow.
        notes: list of strings, each about something that cannot be kept.
    """

    chunks: list = field(default_factory=list)
    icc: bytes | None = None
    notes: list = field(default_factory=list)


def sifted(file: BinaryIO) -> tuple[BinaryIO, Found]:
    """Returns a file that Pillow can read, and what was found in the chunks.

    The pixels are not read. Other formats, and PNG files without anything that Pillow
    would refuse, are returned as they are, at their beginning.

    Args:
        file: seekable binary file, at its beginning.
    """
    found = Found()
    if file.read(len(_SIGNATURE)) != _SIGNATURE:
        file.seek(0)
        return file, found
    kept, damaged, lost, texts = [(0, len(_SIGNATURE))], [], [], 0
    while len(head := file.read(8)) == 8:
        start, name = file.tell() - 8, head[4:]
        length = int.from_bytes(head[:4], "big")
        if name == b"IEND":  # what follows is not a chunk
            kept.append((start, file.seek(0, io.SEEK_END)))
            break
        if not name[0] & 32 or name in _FRAMES:  # needed for the pixels
            file.seek(length + 4, 1)
            kept.append((start, file.tell()))
            continue
        data, checksum = file.read(length), file.read(4)
        texts += length if name in TEXTS else 0
        if len(checksum) < 4:  # a truncated file, as Pillow will report
            kept.append((start, file.tell()))
        elif zlib.crc32(name + data) != int.from_bytes(checksum, "big"):
            damaged.append(name.decode("latin-1"))
        else:
            if _fits(name, data) and texts <= PngImagePlugin.MAX_TEXT_MEMORY:
                kept.append((start, file.tell()))
            elif name == b"iCCP":
                found.icc = _profile(data)
                lost += [] if found.icc else ["iCCP"]
            _sort(name, data, found, lost)
    if damaged:
        found.notes.append(f"damaged PNG metadata is not kept: {_named(damaged)}")
    if lost:
        found.notes.append(f"PNG metadata is not kept: {_named(lost)}")
    return _parts(file, kept), found


def _sort(name, data, found, lost):
    """Puts an undamaged chunk where it belongs."""
    keyword = data[:80].partition(b"\0")[0]
    if name in TEXTS and keyword.startswith((_XMP, _RAW)):
        if keyword not in (_XMP, _EXIF):  # which are handled elsewhere
            lost.append(keyword.decode("latin-1"))
    elif name in TEXTS + _COLOURS:
        found.chunks.append((name, data))
    elif name not in _OTHERS:
        lost.append(name.decode("latin-1"))


def _fits(name, data):
    """Whether Pillow accepts the compressed content of a chunk."""
    packed = b""
    rest = data.partition(b"\0")[2]
    if name in (b"zTXt", b"iCCP"):
        packed = rest[1:]
    elif name == b"iTXt" and rest[:1] == b"\1":
        packed = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    limit = PngImagePlugin.MAX_TEXT_CHUNK
    try:
        return len(zlib.decompressobj().decompress(packed, limit + 1)) <= limit
    except zlib.error:
        return True  # Pillow ignores it by itself


def _profile(data):
    """The ICC profile in a chunk, or `None` if it is damaged or a bomb."""
    unpacking = zlib.decompressobj()
    try:
        packed = data.partition(b"\0")[2][1:]
        profile = unpacking.decompress(packed, _LONGEST_PROFILE)
    except zlib.error:
        return None
    return profile if unpacking.eof else None


def _parts(file, kept):
    """The file with the parts to keep; the file itself if all of it is kept."""
    whole = all(
        start == stop for (_, stop), (start, _) in zip(kept, kept[1:], strict=False)
    )
    file.seek(0)
    if whole:
        return file
    parts = io.BytesIO()
    for start, stop in kept:
        file.seek(start)
        parts.write(file.read(stop - start))
    parts.seek(0)
    return parts


def _named(names):
    return ", ".join(dict.fromkeys(names))


def unlike_srgb(chunks: tuple) -> list[str]:
    """Names of the chunks that make colours differ from the sRGB of other formats."""
    known = dict(chunks)
    if b"cICP" in known:
        return ["cICP"]
    if b"sRGB" in known:
        return []
    # 1 / 2.2, about the gamma of sRGB
    names = [b"cHRM"] if known.get(b"gAMA") == struct.pack(">I", 45455) else []
    names = names or [b"cHRM", b"gAMA"]
    return [name.decode() for name in names if name in known]


def info(chunks: tuple, comment: bytes | None) -> PngImagePlugin.PngInfo:
    """Chunks for Pillow to write, and a comment as text."""
    made = PngImagePlugin.PngInfo()
    for name, data in chunks:
        made.add(name, data)
    if comment:
        made.add_text("Comment", comment.decode("latin-1"))
    return made
