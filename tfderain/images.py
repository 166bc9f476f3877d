"""Reads and writes pictures: the only place that knows bytes.

```python
picture = images.read("photo.jpg")  # picture.pixels: uint8 (height, width, 3)
images.write("derained.png", picture, derained)
```

Pixels stay `uint8` (`uint16` for 16-bit greyscale) until a tile goes through a
network, so that a picture of 7680x4320 takes 100 MB and not 400 MB.
"""

import contextlib
import io
import math
import os
import stat
import threading
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from tfderain import files

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
}
"""Suffixes that `write` knows, with Pillow's name of the format."""

EXTENSIONS = (*FORMATS, ".gif")
"""Suffixes that a search for pictures should pick up. GIF can only be read."""

MAX_PIXELS = 180_000_000
"""Larger pictures are refused before they are decoded. About Pillow's own limit."""

# Tried in this order, whatever the suffix says. No EPS: reading it runs a program.
_READABLE = ("PNG", "JPEG", "BMP", "GIF", "PPM", "WEBP", "TIFF")
_ORIENTATION, _PHOTOMETRIC = 0x0112, 0x0106  # tags of TIFF and EXIF
# Tags that say how a TIFF file stores its pixels; they are wrong in another file.
_STORAGE_TAGS = (
    *(254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 277, 278, 279, 284, 317),
    *(320, 322, 323, 324, 325, 330, 338, 339, 347, 529, 530, 531, 532, 700),
    *(33723, 34377, 34675),
)
_PILLOW_LIMIT = threading.Lock()


class ImageError(ValueError):
    """A file that cannot be read or written; one line that names the file."""


class TooLarge(ImageError):
    """A picture with more pixels than were allowed; it was not decoded."""


@dataclass(frozen=True, eq=False)
class Picture:
    """An image as `uint8` or `uint16` pixels, and what its file said beside them.

    Attributes:
        pixels: array. `uint8` `(height, width, 3)` RGB, or greyscale
            `(height, width)` as `uint8` or `uint16`.
        alpha: `uint8` array `(height, width)`, or `None`.
        exif: bytes or `None`. Its orientation is 1 if `read` made the picture.
        icc: bytes or `None`. The ICC profile, unchanged.
        dpi: pair of floats or `None`.
        notes: tuple of strings, each saying something that cannot be kept.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    exif: bytes | None = None
    icc: bytes | None = None
    dpi: tuple | None = None
    notes: tuple = ()


# Reading


def read(path, max_pixels: int = MAX_PIXELS) -> Picture:
    """Reads a picture; the suffix does not matter, the content does.

    The picture is turned upright as its EXIF orientation says. Greyscale stays
    greyscale, 16-bit greyscale stays 16-bit; palettes become RGB; CMYK becomes
    RGB through its ICC profile if it has one. The first frame of an animation is
    taken. `notes` of the result say what got lost.

    Args:
        path: string or path of a PNG, JPEG, WebP, TIFF, BMP, GIF or PPM file.
        max_pixels: int. Largest height times width that is decoded.

    Raises:
        ImageError: if there is no such file, or if it is empty, truncated, too
            large or no picture.
    """
    # Pillow warns of damaged metadata, which costs no pixel.
    with _explained(f"Cannot read {path}"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with _open_file(path) as file:
            return _read(file, max_pixels, upright=True)


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> Picture:
    """Reads a picture from the bytes of its file; its pixels lie as they are stored.

    May run in several threads at once; Pillow's warnings of damaged metadata pass.

    Args:
        data: bytes of a file of the formats of `read`.
        max_pixels: int. Largest height times width that is decoded.

    Raises:
        ImageError: as `read` does; `TooLarge` for `max_pixels`.
    """
    with _explained("Cannot read the picture"):
        if not data:
            raise ImageError("it is empty")
        return _read(io.BytesIO(data), max_pixels, upright=False)


def _read(file, max_pixels, upright):
    with _open_image(file) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise TooLarge(
                f"{height}x{width} pixels are more than the limit of "
                f"{max_pixels} (a decompression bomb?)"
            )
        return from_pil(image, upright)


@contextlib.contextmanager
def _explained(beginning):
    """Turns whatever reading raises into an `ImageError` of one line."""
    kind = ImageError
    try:
        yield
        return
    except UnidentifiedImageError as error:
        reason, cause = "it is not a picture of a known format", error
    # Decoders raise nearly anything on damaged files: OSError, SyntaxError,
    # struct.error, zlib.error, EOFError, KeyError, TypeError, MemoryError.
    except Exception as error:
        reason, cause = _one_line(error), error
        if isinstance(error, ImageError):
            kind = type(error)
        elif not isinstance(error, (ValueError, OSError)):
            reason = f"the picture is damaged ({type(error).__name__}: {reason})"
    raise kind(f"{beginning}: {reason}.") from cause


def _open_file(path):
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise ImageError("it is a folder, not a picture")
    if not stat.S_ISREG(mode):  # opening a pipe would wait for ever
        raise ImageError("it is not a regular file")
    if not os.path.getsize(path):
        raise ImageError("the file is empty")
    return open(path, "rb")


def _open_image(file):
    """`Image.open` without Pillow's own limit; the caller has its own."""
    with _PILLOW_LIMIT:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            return Image.open(file, formats=_READABLE)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _one_line(error):
    text = " ".join(str(getattr(error, "strerror", None) or error).split())
    return text.rstrip(".") or type(error).__name__


def from_pil(image: Image.Image, upright: bool = False) -> Picture:
    """Turns a PIL image of any mode into a `Picture`.

    Args:
        image: PIL image.
        upright: bool. Whether the pixels are turned as EXIF orientation says, and
            the orientation set to 1. Defaults to `False`: pixels and tag are kept.

    Raises:
        ImageError: if the values of a 32-bit image do not fit into 16 bits.
    """
    notes = []
    if (frames := getattr(image, "n_frames", 1)) > 1:
        notes.append(f"only the first of {frames} frames is kept")
    stored = _stored_mode(image)  # Pillow forgets it when it loads the pixels
    image.load()  # before EXIF: a TIFF is then upright already, and a PNG complete
    exif, orientation = _exif(image, upright, notes)
    icc = image.info.get("icc_profile") or None
    if stored:
        notes.append("16 bits per channel are reduced to 8")
    if "xmp" in image.info or "XML:com.adobe.xmp" in image.info:
        notes.append("XMP metadata is not kept")
    if image.mode in ("CMYK", "LAB"):
        image, icc = _to_srgb(image, icc, notes), None
    pixels, alpha = _pixels(image, stored.startswith("LA"), notes)
    if upright:
        pixels = _turn(pixels, orientation)
        alpha = None if alpha is None else _turn(alpha, orientation)
    return Picture(pixels, alpha, exif, icc, _dpi(image), tuple(notes))


def _stored_mode(image):
    """Returns how 16-bit colour is stored, of which Pillow keeps 8 bits, or ""."""
    for tile in getattr(image, "tile", ()):
        for part in tile[3] if isinstance(tile[3], tuple) else (tile[3],):
            if isinstance(part, str) and ";16" in part and part[0] != "I":
                return part
    return ""


def _exif(image, upright, notes):
    """Returns the EXIF block (orientation 1 if `upright`), and the orientation."""
    try:
        exif = Image.Exif()  # a copy, because the image is the caller's
        exif.load(image.getexif().tobytes())
        orientation = exif.get(_ORIENTATION, 1)
        for tag in _STORAGE_TAGS:
            exif.pop(tag, None)
        if upright and _ORIENTATION in exif:
            exif[_ORIENTATION] = 1
        return (exif.tobytes() if len(exif) else None), orientation
    # Damaged EXIF raises struct.error, SyntaxError, TypeError and more.
    except Exception:
        notes.append("unreadable EXIF metadata is not kept")
        return None, 1


def _turn(pixels, orientation):
    """Turns upright what EXIF says lies in another way."""
    if orientation not in range(2, 9):
        return pixels
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(pixels[::rows, ::columns])


def _dpi(image):
    try:
        dpi = tuple(float(value) for value in image.info.get("dpi", ()))
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return dpi if len(dpi) == 2 and all(0 < value < 65536 for value in dpi) else None


def _to_srgb(image, icc, notes):
    notes.append(f"{image.mode} is converted to RGB")
    profile = ImageCms.createProfile("LAB") if image.mode == "LAB" else icc
    if profile:
        profile = io.BytesIO(profile) if isinstance(profile, bytes) else profile
        # A profile that does not fit the pixels must not cost the picture.
        with contextlib.suppress(ImageCms.PyCMSError):
            return ImageCms.profileToProfile(
                image,
                profile,
                ImageCms.createProfile("sRGB"),
                ImageCms.Intent.RELATIVE_COLORIMETRIC,  # white stays white
                "RGB",
            )
    return image.convert("RGB")


def _pixels(image, grey, notes):
    """Returns pixels (see `Picture`) and alpha of an image in any other mode."""
    if image.mode.startswith("I;16"):
        if image.has_transparency_data:
            notes.append("the transparency of 16-bit greyscale is not kept")
        pixels = np.asarray(image).astype(np.uint16, copy=False)  # native byte order
        # Pillow inverts "0 is white" for 8 bits but not for 16.
        white_is_zero = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0
        return (65535 - pixels if white_is_zero else pixels), None
    if image.mode in ("I", "F"):
        return _fit_uint16(np.asarray(image)), None
    if image.mode == "1":
        notes.append("black and white pixels become 8-bit greyscale")
    grey = grey or image.mode in ("1", "L", "LA", "La") or _has_grey_palette(image)
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = np.asarray(image.getchannel("A"))
    mode = "L" if grey else "RGB"  # exact: Pillow's weights of equal channels add to 1
    return np.asarray(image if image.mode == mode else image.convert(mode)), alpha


def _has_grey_palette(image):
    if image.mode not in ("P", "PA"):
        return False
    colors = np.reshape(image.getpalette("RGB") or (), (-1, 3))
    return bool((colors == colors[:, :1]).all())


def _fit_uint16(values):
    """Brings 32-bit integers up to 65535, or floats in [0, 1], into 16 bits."""
    low, high = float(values.min()), float(values.max())
    floating = values.dtype.kind == "f"
    # Written so that NaN is refused too.
    if not (low >= 0 and high <= (1 if floating else 65535)):
        raise ImageError(
            "32-bit greyscale must hold floats in [0, 1] or integers in [0, 65535]. "
            f"Received: minimum={low:g}, maximum={high:g}"
        )
    return from_float(values, np.uint16) if floating else values.astype(np.uint16)


# Writing


def write(
    path,
    picture: Picture,
    derained=None,
    quality: int = 95,
    lossless: bool = False,
) -> tuple[str, ...]:
    """Writes pixels with the alpha and metadata of the picture that they came from.

    The file appears whole or not at all: it is written under a temporary name in
    the same folder and then moved into place, over a file that is there already.

    Args:
        path: string or path; the suffix, one of `FORMATS`, chooses the format.
        picture: `Picture` that gives alpha, EXIF, ICC profile and greyscale.
        derained: array of the height and width of the picture: `uint8`, `uint16`
            or float in [0, 1] (values outside are clipped); for a greyscale picture
            `(height, width)` or three channels, which are averaged. Defaults to
            `picture.pixels`.
        quality: int from 1 to 100, for JPEG (without chroma subsampling) and WebP.
        lossless: bool. Whether WebP is stored without loss.

    Returns:
        Tuple of strings: what this format cannot keep. The notes of the picture
        itself are not repeated.

    Raises:
        ImageError: if the suffix is unknown or the file cannot be written. Nothing
            is left behind.
    """
    path = Path(path)
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise ImageError(
            f"Cannot write {path}: the suffix must be one of {', '.join(FORMATS)}."
        )
    notes = []
    picture = _fit_format(_with_pixels(picture, derained), kind, notes)
    options = {
        "JPEG": {"quality": quality, "subsampling": 0},
        "WEBP": {"quality": quality, "lossless": lossless},
        # Pillow's compressing TIFF encoder refuses EXIF.
        "TIFF": {} if picture.exif else {"compression": "tiff_adobe_deflate"},
    }.get(kind, {}) | _metadata(picture)
    with _moved_into_place(path) as file:
        _as_image(picture).save(file, format=kind, **options)
    return tuple(notes)


def encode(picture: Picture, derained=None) -> bytes:
    """Returns the bytes of a PNG file; see `write`.

    Args:
        picture: `Picture` that gives alpha, EXIF, ICC profile and greyscale.
        derained: array, see `write`.
    """
    picture = _with_pixels(picture, derained)
    file = io.BytesIO()
    # 3 instead of Pillow's 6: a photo takes a quarter of the time, and 6 % more bytes.
    options = {"compress_level": 3, **_metadata(picture)}
    _as_image(picture).save(file, format="PNG", **options)
    return file.getvalue()


def _metadata(picture):
    known = {"exif": picture.exif, "icc_profile": picture.icc, "dpi": picture.dpi}
    return {name: value for name, value in known.items() if value}


@contextlib.contextmanager
def _moved_into_place(path):
    """Yields a file that becomes `path` at the end, and vanishes on any error."""
    try:
        # "x": never into a file of somebody else.
        with files.replacing(path) as temporary, open(temporary, "xb") as file:
            yield file
    # Pillow's encoders raise OSError, ValueError, struct.error and others.
    except Exception as error:
        raise ImageError(f"Cannot write {path}: {_one_line(error)}.") from error


def _with_pixels(picture, derained):
    """Gives the picture new pixels, in the kind that its own pixels have."""
    if derained is None:
        return picture
    grey, dtype = picture.pixels.ndim == 2, picture.pixels.dtype
    derained = np.asarray(derained)
    if derained.shape[:2] != picture.pixels.shape[:2] or not (
        derained.shape[2:] == (3,) or (grey and derained.ndim == 2)
    ):
        raise ValueError(
            "`derained` must have the height, width and channels of the picture. "
            f"Received: derained.shape={derained.shape}, "
            f"picture.pixels.shape={picture.pixels.shape}."
        )
    if grey and derained.ndim == 3:
        derained = from_float(to_float(derained).mean(axis=-1), dtype)
    elif derained.dtype != dtype:
        derained = from_float(to_float(derained), dtype)
    return replace(picture, pixels=derained)


def _fit_format(picture, kind, notes):
    """Drops what a format cannot hold, and notes it."""
    if picture.pixels.dtype == np.uint16 and kind not in ("PNG", "TIFF"):
        notes.append(f"{kind} has no 16-bit greyscale: reduced to 8 bits")
        pixels = to_uint8(picture.pixels)
        picture = replace(picture, pixels=pixels)
    if picture.alpha is not None and kind in ("JPEG", "BMP"):
        if (picture.alpha != 255).any():
            notes.append(f"{kind} has no transparency: the picture is put on white")
        picture = replace(picture, pixels=_on_white(picture), alpha=None)
    if len(picture.exif or b"") > {"BMP": 0, "JPEG": 65533}.get(kind, math.inf):
        notes.append(f"{kind} has no room for this EXIF metadata")
        picture = replace(picture, exif=None)
    if picture.icc and kind == "BMP":
        notes.append("BMP has no ICC profile: colours may look different")
        picture = replace(picture, icc=None)
    return picture


def _on_white(picture):
    image = Image.fromarray(picture.pixels)
    white = Image.new(image.mode, image.size, "white")
    white.paste(image, mask=Image.fromarray(picture.alpha))
    return np.asarray(white)


def _as_image(picture):
    image = Image.fromarray(np.ascontiguousarray(picture.pixels))
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(np.ascontiguousarray(picture.alpha)))
    return image


def to_pil(picture: Picture, derained=None) -> Image.Image:
    """Returns a PIL image in mode L, LA, I;16, RGB or RGBA, with its metadata.

    Args:
        picture: `Picture`, as `from_pil` gives it.
        derained: array, see `write`.
    """
    image = _as_image(_with_pixels(picture, derained))
    image.info.update(_metadata(picture))
    return image


def compare(picture: Picture, derained) -> Picture:
    """Returns one picture, twice as wide: rainy on the left, derained on the right.

    Args:
        picture: `Picture`, the rainy one. `Picture(array)` makes one of an array.
        derained: array, see `write`.
    """
    right = _with_pixels(picture, derained)
    alpha = picture.alpha
    return replace(
        picture,
        pixels=np.concatenate([picture.pixels, right.pixels], axis=1),
        alpha=None if alpha is None else np.concatenate([alpha, alpha], axis=1),
    )


# Values


def to_float(pixels) -> np.ndarray:
    """Brings `uint8` or `uint16` pixels to float32 in [0, 1]; floats stay as is."""
    pixels = np.asarray(pixels)
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    if pixels.dtype.kind == "f":
        return pixels.astype(np.float32, copy=False)
    raise ValueError(
        "Pixels must be uint8, uint16 or floating point. "
        f"Received: dtype={pixels.dtype}."
    )


def from_float(values, dtype) -> np.ndarray:
    """Brings floats in [0, 1] to `dtype`; clips, and rounds halves up.

    Args:
        values: float array of any shape.
        dtype: `uint8`, `uint16` or a floating point type.

    Raises:
        ValueError: if a value is not a number.
    """
    dtype = np.dtype(dtype)
    values = np.clip(values, 0, 1)
    # The sum is NaN if any value is: cheaper than a mask of the picture's size.
    if np.isnan(values.sum()):
        raise ValueError("Pixels must be numbers. Received: a picture with NaN values.")
    if dtype.kind == "f":
        return values.astype(dtype, copy=False)
    # Truncation after adding a half: white stays 255 and 0.5 / 255 becomes 1.
    return (values * np.iinfo(dtype).max + 0.5).astype(dtype)


def to_uint8(pixels) -> np.ndarray:
    """Brings floats in [0, 1] or `uint16` to `uint8`; clips, rounds halves up."""
    pixels = np.asarray(pixels)
    if pixels.dtype == np.uint8:
        return pixels
    return from_float(to_float(pixels), np.uint8)
