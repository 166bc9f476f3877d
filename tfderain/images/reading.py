"""Reading of pictures: files, bytes and PIL images of any mode to pixels."""

import contextlib
import io
import os
import stat
import threading
import warnings
from dataclasses import replace

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from tfderain import errors
from tfderain.images import camera_files, exif, png, tiff
from tfderain.images.picture import MAX_PIXELS, ImageError, Picture, TooLarge
from tfderain.images.pixels import from_float, to_rgb, to_uint8

# Tried in this order, whatever the suffix says. No EPS: reading it runs a program.
_READABLE = ("PNG", "JPEG", "BMP", "DIB", "GIF", "PPM", "WEBP", "TIFF", "AVIF")
_PHOTOMETRIC = 0x0106  # tag of TIFF
_PILLOW_LIMIT = threading.Lock()


def read(path: str | os.PathLike, max_pixels: int = MAX_PIXELS) -> Picture:
    """Reads a picture; the suffix does not matter, the content does.

    The picture is turned upright by its EXIF orientation. Greyscale stays greyscale,
    16-bit greyscale stays 16-bit; palettes become RGB; CMYK becomes RGB, through its
    ICC profile if it has one. Only the first frame of an animation is read. The `notes`
    of the result say what was lost.

    Args:
        path: string or path of a PNG, JPEG, WebP, TIFF, BMP, GIF, PPM or AVIF file;
            with the extra `heif` also of a HEIC file, with the extra `raw` also of a
            RAW file (recognised by its suffix).
        max_pixels: int. Largest height times width that is decoded.

    Raises:
        ImageError: there is no such file, or it is empty, truncated, too large or not a
            picture.
    """
    # Pillow warns of damaged metadata, which does not affect the pixels.
    with _explained(f"Cannot read {path}"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with _open_file(path) as file:
            if camera_files.is_raw(path):
                picture = camera_files.read_raw(path, max_pixels)
                if picture is not None:
                    return picture
            return _read(file, max_pixels, upright=True)


def read_rgb(path: str | os.PathLike) -> np.ndarray:
    """Reads the pixels of any picture as uint8 `(height, width, 3)`.

    Args:
        path: string or path, see `read`.

    Raises:
        ImageError: as in `read`.
    """
    return to_rgb(to_uint8(read(path).pixels))


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> Picture:
    """Reads a picture from the bytes of its file, without turning it upright.

    May run in several threads at once; lets Pillow's warnings of damaged metadata pass.

    Args:
        data: bytes of a file in one of the formats of `read`.
        max_pixels: int. Largest height times width that is decoded.

    Raises:
        ImageError: as in `read`; `TooLarge` beyond `max_pixels`.
    """
    with _explained("Cannot read the picture"):
        if not data:
            raise ImageError("it is empty")
        return _read(io.BytesIO(data), max_pixels, upright=False)


@contextlib.contextmanager
def opened(path: str | os.PathLike):
    """Opens a picture of which only the header, or a small view, is needed.

    Args:
        path: string or path, see `read`.

    Yields:
        PIL image, not turned upright, see `orientation`; its pixels are not decoded
        yet, except those of RAW files.

    Raises:
        ImageError: as in `read`; later errors are Pillow's own.
    """
    with contextlib.ExitStack() as stack:
        with _explained(f"Cannot read {path}"):
            file = stack.enter_context(_open_file(path))
            raw = camera_files.is_raw(path) and camera_files.read_raw(path, MAX_PIXELS)
            if raw:
                image = Image.fromarray(to_rgb(to_uint8(raw.pixels)))
            else:
                image = stack.enter_context(_open_image(png.sifted(file)[0]))
        yield image


def _read(file, max_pixels, upright):
    file, found = png.sifted(file)
    with _open_image(file) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise TooLarge(
                f"{height}x{width} pixels are more than the limit of "
                f"{max_pixels} (a decompression bomb?)"
            )
        picture = from_pil(image, upright)
        if image.format in ("JPEG", "MPO", "HEIF") and camera_files.has_video(file):
            found.notes.append("the video of the motion photo is not kept")
        if image.format in ("HEIF", "AVIF"):
            found.notes += camera_files.lost_meaning(file, image)
    return replace(
        picture,
        icc=picture.icc or found.icc,
        notes=picture.notes + tuple(found.notes),
        chunks=tuple(found.chunks),
    )


@contextlib.contextmanager
def _explained(beginning):
    """Turns whatever reading raises into a one-line `ImageError`."""
    kind = ImageError
    try:
        yield
        return
    except UnidentifiedImageError as error:
        reason, cause = "it is not a picture of a known format", error
    # Decoders raise nearly anything on damaged files: OSError, SyntaxError,
    # struct.error, zlib.error, EOFError, KeyError, TypeError, MemoryError.
    except Exception as error:
        reason, cause = errors.reason(error), error
        if isinstance(error, ImageError):
            kind = type(error)
        elif not isinstance(error, (ValueError, OSError)):
            reason = f"the picture is damaged ({type(error).__name__}: {reason})"
    raise kind(f"{beginning}: {reason}.") from cause


def _open_file(path):
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise ImageError("it is a folder, not a picture")
    if not stat.S_ISREG(mode):  # opening a pipe would wait forever
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
            return Image.open(file, formats=_READABLE + camera_files.formats_of(file))
        except UnidentifiedImageError:
            if not (what := tiff.description(file)):
                raise
            raise _unreadable(what) from None
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _unreadable(what):
    return ImageError(
        f"it is a {what}, which cannot be read; integers of 8 bits per channel can, "
        "uncompressed or as ZIP, LZW or JPEG"
    )


def from_pil(image: Image.Image, upright: bool = False) -> Picture:
    """Turns a PIL image of any mode into a `Picture`.

    Args:
        image: PIL image.
        upright: bool. Whether the pixels are turned by the EXIF orientation, which then
            becomes 1. Defaults to `False`: pixels and tag are kept.

    Raises:
        ImageError: the values of a 32-bit image do not fit into 16 bits, or the file is
            one that Pillow reads wrongly.
    """
    if what := tiff.misread(image):
        raise _unreadable(what)
    notes = []
    if (frames := getattr(image, "n_frames", 1)) > 1:
        notes.append(f"only the first of {frames} frames is kept")
    stored = _stored_mode(image)  # Pillow forgets it when it loads the pixels
    original = image
    image.load()  # before EXIF: a TIFF is then upright already, and a PNG complete
    turn = exif.orientation(image)
    icc = image.info.get("icc_profile") or None
    if "icc_profile" in image.info and not icc:
        notes.append("the damaged ICC profile is not kept")
    if stored:
        notes.append("16 bits per channel are reduced to 8")
    if "xmp" in image.info or "XML:com.adobe.xmp" in image.info:
        notes.append("XMP metadata is not kept")
    if _has_iptc(image):
        notes.append("IPTC metadata is not kept")
    if extra := tiff.extra_bands(image):
        notes.append(f"extra channels of TIFF are not kept: {extra}")
    if image.mode in ("CMYK", "LAB"):
        image, icc = _to_srgb(image, icc, notes), None
    pixels, alpha = _pixels(image, stored, notes)
    if upright:
        pixels = exif.turned(pixels, turn)
        alpha = None if alpha is None else exif.turned(alpha, turn)
        turn = 1
    block = exif.kept(original, turn, pixels.shape[:2], notes)
    comment = _comment(original)
    return Picture(
        pixels, alpha, block, icc, _dpi(original), tuple(notes), comment=comment
    )


def _stored_mode(image):
    """Returns the mode of 16-bit colour, of which Pillow keeps 8 bits; else ""."""
    for tile in getattr(image, "tile", ()):
        for part in tile[3] if isinstance(tile[3], tuple) else (tile[3],):
            # "BGR;16" of BMP has 16 bits of all three channels together
            if isinstance(part, str) and ";16" in part and part[0] not in "IB":
                return part
    return ""


def _has_iptc(image):
    photoshop = image.info.get("photoshop")  # JPEG: a dict by number
    tags = getattr(image, "tag_v2", {})
    return bool(photoshop and 0x0404 in photoshop) or 33723 in tags or 34377 in tags


def _comment(image):
    comment = image.info.get("comment")  # of JPEG and GIF
    return comment.encode() if isinstance(comment, str) else comment or None


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
        # The picture must not be lost to a profile that does not fit its pixels.
        with contextlib.suppress(ImageCms.PyCMSError):
            converted = ImageCms.profileToProfile(
                image,
                profile,
                ImageCms.createProfile("sRGB"),
                ImageCms.Intent.RELATIVE_COLORIMETRIC,  # white stays white
                "RGB",
            )
            return converted or image.convert("RGB")
    return image.convert("RGB")


def _pixels(image, stored, notes):
    """Returns pixels (see `Picture`) and alpha of an image in any other mode."""
    grey, deep = stored.startswith("LA"), bool(stored)
    # Pillow inverts "0 is white" for 8 bits but not for more.
    white_is_zero = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0
    if image.mode.startswith("I;16"):
        if image.has_transparency_data:
            notes.append("the transparency of 16-bit greyscale is not kept")
        pixels = np.asarray(image).astype(np.uint16, copy=False)  # native byte order
        return (65535 - pixels if white_is_zero else pixels), None
    if image.mode in ("I", "F"):
        pixels = _fit_uint16(np.asarray(image))
        return (65535 - pixels if white_is_zero else pixels), None
    if image.mode == "1":
        notes.append("black and white pixels become 8-bit greyscale")
    grey = grey or image.mode in ("1", "L", "LA", "La") or _has_grey_palette(image)
    alpha = None
    if deep and "transparency" in image.info:  # a colour in 16 bits, pixels in 8
        notes.append("the transparency of 16-bit colour is not kept")
        image = Image.fromarray(np.asarray(image))
    elif image.has_transparency_data:
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
    """Converts 32-bit integers up to 65535, or floats in [0, 1], to 16 bits."""
    low, high = float(values.min()), float(values.max())
    floating = values.dtype.kind == "f"
    # Written so that NaN is refused too.
    if not (low >= 0 and high <= (1 if floating else 65535)):
        raise ImageError(
            "32-bit greyscale must hold floats in [0, 1] or integers in [0, 65535]. "
            f"Received: minimum={low:g}, maximum={high:g}"
        )
    return from_float(values, np.uint16) if floating else values.astype(np.uint16)
