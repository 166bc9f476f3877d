"""Every kind of picture that people have, in and out."""

import io
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from tfderain import images

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (5, 7, 3), np.uint8)
GREY = RNG.integers(0, 256, (5, 7), np.uint8)
DEEP = np.array([[0, 1, 255, 256], [32767, 32768, 65534, 65535]], np.uint16)


def save(path, pixels, **options):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return path


def camera_exif(orientation=1):
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0x9003] = "2024:02:29 12:00:00"
    exif.get_ifd(0x8825)[1] = "N"
    return exif.tobytes()


def parse(exif):
    parsed = Image.Exif()
    parsed.load(exif)
    return parsed


def png(width, height, depth, color, rows):
    """A PNG of kinds that Pillow reads but does not write."""

    def chunk(name, data):
        crc = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


# Values


def test_every_8_bit_value_survives_the_way_through_floats():
    values = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(images.to_uint8(images.to_float(values)), values)
    deep = np.arange(65536, dtype=np.uint16)
    back = images.from_float(images.to_float(deep), np.uint16)
    np.testing.assert_array_equal(back, deep)


def test_rounding_is_half_up_and_clips():
    values = np.array([-1, 0, 0.49 / 255, 0.5 / 255, 254.5 / 255, 1, 2, np.inf])
    expected = [0, 0, 0, 1, 255, 255, 255, 255]
    assert images.to_uint8(values).tolist() == expected


def test_values_of_other_kinds():
    assert images.to_uint8(DEEP).tolist() == [[0, 0, 1, 1], [127, 128, 255, 255]]
    assert images.to_uint8(GREY) is GREY
    assert images.from_float([0.25, 1.5], np.float64).tolist() == [0.25, 1]
    assert images.to_float(np.array([0.25])).dtype == np.float32
    with pytest.raises(ValueError, match="NaN"):
        images.to_uint8(np.array([0.5, np.nan]))
    with pytest.raises(ValueError, match="Received: dtype=int64"):
        images.to_float(np.array([1]))


# Formats and modes


@pytest.mark.parametrize("suffix", images.FORMATS)
@pytest.mark.parametrize("pixels", [RGB, GREY], ids=["rgb", "grey"])
def test_pixels_come_back(tmp_path, suffix, pixels):
    lossless = suffix not in (".jpg", ".jpeg")
    path = tmp_path / f"a{suffix.upper()}"
    notes = images.write(path, images.Picture(pixels), lossless=True)
    picture = images.read(path)
    assert notes == () and picture.notes == ()
    assert picture.alpha is None
    if suffix == ".webp" and pixels.ndim == 2:  # WebP has no greyscale
        pixels = np.repeat(pixels[..., None], 3, axis=-1)
    assert picture.pixels.shape == pixels.shape
    difference = np.abs(picture.pixels.astype(int) - pixels)
    # JPEG of pure noise at quality 95 without chroma subsampling: measured 6.
    assert difference.max() <= (0 if lossless else 12)


@pytest.mark.parametrize("suffix", images.FORMATS)
def test_white_stays_white_and_black_black(tmp_path, suffix):
    for value in (0, 255):
        for shape in ((9, 17, 3), (9, 17)):
            picture = images.Picture(np.full(shape, value, np.uint8))
            derained = np.full(shape, value / 255, np.float32)
            images.write(tmp_path / f"a{suffix}", picture, derained)
            assert (images.read(tmp_path / f"a{suffix}").pixels == value).all()


def test_webp_is_lossy_unless_asked(tmp_path):
    images.write(tmp_path / "a.webp", images.Picture(RGB))
    assert (images.read(tmp_path / "a.webp").pixels != RGB).any()


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_alpha_is_kept(tmp_path, suffix):
    alpha = RNG.integers(1, 256, (5, 7), np.uint8)
    source = save(tmp_path / "in.png", np.dstack([RGB, alpha]))
    picture = images.read(source)
    assert picture.notes == ()
    notes = images.write(tmp_path / f"a{suffix}", picture, RGB[::-1], lossless=True)
    back = images.read(tmp_path / f"a{suffix}")
    assert notes == ()
    np.testing.assert_array_equal(back.alpha, alpha)
    np.testing.assert_array_equal(back.pixels, RGB[::-1])


@pytest.mark.parametrize(("suffix", "name"), [(".jpg", "JPEG"), (".bmp", "BMP")])
def test_alpha_goes_onto_white_where_it_cannot_be_kept(tmp_path, suffix, name):
    alpha = np.full((16, 16), 255, np.uint8)
    alpha[:, 8:] = 0
    picture = images.Picture(np.zeros((16, 16, 3), np.uint8), alpha)
    (note,) = images.write(tmp_path / f"a{suffix}", picture)
    assert note == f"{name} has no transparency: the picture is put on white"
    written = images.read(tmp_path / f"a{suffix}").pixels
    assert (written[:, :8] == 0).all() and (written[:, 8:] == 255).all()
    opaque = images.Picture(RGB, np.full((5, 7), 255, np.uint8))
    assert images.write(tmp_path / f"a{suffix}", opaque) == ()


def test_grey_with_alpha_stays_grey(tmp_path):
    alpha = RNG.integers(0, 256, (5, 7), np.uint8)
    image = Image.fromarray(GREY)
    image.putalpha(Image.fromarray(alpha))
    picture = images.read(save(tmp_path / "in.png", image))
    np.testing.assert_array_equal(picture.pixels, GREY)
    np.testing.assert_array_equal(picture.alpha, alpha)
    images.write(tmp_path / "out.png", picture)
    with Image.open(tmp_path / "out.png") as written:
        assert written.mode == "LA"


def test_three_derained_channels_of_a_grey_picture_are_averaged(tmp_path):
    derained = np.zeros((5, 7, 3), np.float32)
    derained[..., 0] = 0.3
    images.write(tmp_path / "a.png", images.Picture(GREY), derained)
    # 0.3 / 3 of 255 is 25.5, in float32 a little more.
    assert set(images.read(tmp_path / "a.png").pixels.ravel()) == {26}


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_grey_stays_16_bit(tmp_path, suffix):
    picture = images.read(save(tmp_path / f"in{suffix}", DEEP))
    assert picture.pixels.dtype == np.uint16 and picture.notes == ()
    np.testing.assert_array_equal(picture.pixels, DEEP)
    derained = images.to_float(DEEP)
    assert images.write(tmp_path / f"a{suffix}", picture, derained) == ()
    with Image.open(tmp_path / f"a{suffix}") as written:
        assert written.mode == "I;16"
        np.testing.assert_array_equal(np.asarray(written), DEEP)


def test_16_bit_tiff_of_other_kinds(tmp_path):
    path = save(tmp_path / "big_endian.tif", DEEP.astype(">u2"))
    np.testing.assert_array_equal(images.read(path).pixels, DEEP)
    tags = {262: 0}  # 0 is white
    path = save(tmp_path / "inverted.tif", DEEP, tiffinfo=tags)
    np.testing.assert_array_equal(images.read(path).pixels, 65535 - DEEP)


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".bmp"])
def test_16_bit_grey_is_reduced_where_it_cannot_be_kept(tmp_path, suffix):
    picture = images.Picture(np.full((16, 16), 65535, np.uint16))
    (note,) = images.write(tmp_path / f"a{suffix}", picture)
    assert "16-bit" in note and "8 bits" in note
    assert (images.read(tmp_path / f"a{suffix}").pixels == 255).all()


def test_16_bit_colour_is_reduced_and_said(tmp_path):
    rows = b"\0" + np.array([0, 65535, 32896, 65535, 0, 257], ">u2").tobytes()
    (tmp_path / "a.png").write_bytes(png(2, 1, 16, 2, rows))
    picture = images.read(tmp_path / "a.png")
    assert picture.pixels.tolist() == [[[0, 255, 128], [255, 0, 1]]]
    assert picture.notes == ("16 bits per channel are reduced to 8",)


def test_16_bit_grey_with_alpha_stays_grey(tmp_path):
    rows = b"\0" + np.array([0, 65535, 65535, 257], ">u2").tobytes()
    (tmp_path / "a.png").write_bytes(png(2, 1, 16, 4, rows))
    picture = images.read(tmp_path / "a.png")
    assert picture.pixels.tolist() == [[0, 255]]
    assert picture.alpha.tolist() == [[255, 1]]
    assert picture.notes == ("16 bits per channel are reduced to 8",)


def test_transparent_value_of_16_bit_grey_is_said(tmp_path):
    path = save(tmp_path / "a.png", Image.fromarray(DEEP), transparency=1)
    picture = images.read(path)
    np.testing.assert_array_equal(picture.pixels, DEEP)
    assert picture.notes == ("the transparency of 16-bit greyscale is not kept",)


def test_32_bit_grey(tmp_path):
    values = np.array([[0, 0.5, 1]], np.float32)
    picture = images.read(save(tmp_path / "a.tif", values))
    assert picture.pixels.tolist() == [[0, 32768, 65535]]
    picture = images.read(save(tmp_path / "b.tif", np.array([[0, 65535]], np.int32)))
    assert picture.pixels.tolist() == [[0, 65535]]
    for wrong in ([[0, 1.5]], [[0, np.nan]]):
        path = save(tmp_path / "c.tif", np.array(wrong, np.float32))
        with pytest.raises(images.ImageError, match=r"c\.tif: 32-bit greyscale must"):
            images.read(path)


def test_palette(tmp_path):
    image = Image.fromarray(RGB).quantize(16)
    picture = images.read(save(tmp_path / "a.png", image))
    np.testing.assert_array_equal(picture.pixels, np.asarray(image.convert("RGB")))
    assert picture.alpha is None and picture.notes == ()


def test_palette_with_transparency(tmp_path):
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    one = images.read(save(tmp_path / "one.gif", image, transparency=1))
    assert one.alpha.tolist() == [[255, 0, 255]]
    assert one.pixels[0, 2].tolist() == [0, 0, 255]
    many = images.read(save(tmp_path / "many.png", image, transparency=b"\x00\x80"))
    assert many.alpha.tolist() == [[0, 128, 255]]
    assert many.pixels.tolist() == [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]


def test_palette_of_greys_is_grey(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([9, 9, 9, 200, 200, 200])
    image.putdata([1, 0])
    assert images.read(save(tmp_path / "a.png", image)).pixels.tolist() == [[200, 9]]


def test_black_and_white(tmp_path):
    image = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
    picture = images.read(save(tmp_path / "a.png", image))
    assert picture.pixels.tolist() == [[0, 255]]
    assert picture.notes == ("black and white pixels become 8-bit greyscale",)


def test_cmyk_without_profile(tmp_path):
    path = save(tmp_path / "a.tif", Image.new("CMYK", (2, 2), (0, 255, 255, 0)))
    picture = images.read(path)
    assert (picture.pixels == [255, 0, 0]).all()
    assert picture.notes == ("CMYK is converted to RGB",)
    white = save(tmp_path / "b.jpg", Image.new("CMYK", (9, 9), (0, 0, 0, 0)))
    assert (images.read(white).pixels == 255).all()


def test_cmyk_goes_through_its_profile(tmp_path, monkeypatch):
    # No free CMYK profile is at hand: the conversion is watched instead.
    seen = []

    def convert(image, source, target, intent, mode):
        seen.append((image.mode, source.read(), intent, mode))
        return Image.new("RGB", image.size, (1, 2, 3))

    monkeypatch.setattr(ImageCms, "profileToProfile", convert)
    image = Image.new("CMYK", (2, 2))
    picture = images.read(save(tmp_path / "a.jpg", image, icc_profile=b"cmyk profile"))
    relative = ImageCms.Intent.RELATIVE_COLORIMETRIC
    assert seen == [("CMYK", b"cmyk profile", relative, "RGB")]
    assert (picture.pixels == [1, 2, 3]).all()
    assert picture.icc is None  # it described CMYK


def test_a_profile_that_does_not_fit_costs_no_picture(tmp_path):
    image = Image.new("CMYK", (9, 9), (0, 0, 0, 0))
    picture = images.read(save(tmp_path / "a.jpg", image, icc_profile=SRGB))
    assert (picture.pixels == 255).all()


def test_lab(tmp_path):
    path = save(tmp_path / "a.tif", Image.new("LAB", (2, 2), (255, 128, 128)))
    picture = images.read(path)
    # 8-bit LAB has no code for exactly neutral.
    assert picture.pixels.min() >= 253
    assert picture.notes == ("LAB is converted to RGB",)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tif"])
def test_first_frame_of_an_animation(tmp_path, suffix):
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "lime", "blue")]
    path = save(tmp_path / f"a{suffix}", frames[0], save_all=True)
    assert images.read(path).notes == ()
    options = {"lossless": True} if suffix == ".webp" else {}
    save(path, frames[0], save_all=True, append_images=frames[1:], **options)
    picture = images.read(path)
    assert (picture.pixels == [255, 0, 0]).all()
    assert picture.notes == ("only the first of 3 frames is kept",)


# Metadata


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_profile_exif_and_resolution_are_kept(tmp_path, suffix):
    path = tmp_path / f"in{suffix}"
    save(path, RGB, icc_profile=SRGB, exif=camera_exif(), dpi=(300, 300))
    picture = images.read(path)
    assert picture.icc == SRGB and picture.notes == ()
    for out in (".jpg", ".png", ".webp", ".tif"):
        written = tmp_path / f"out{out}"
        assert images.write(written, picture) == ()
        back = images.read(written)
        assert back.icc == SRGB
        exif = parse(back.exif)
        assert exif[0x010F] == "Camera"
        assert exif.get_ifd(0x8769)[0x9003] == "2024:02:29 12:00:00"
        assert exif.get_ifd(0x8825)[1] == "N"
        # The size and strips of a TIFF belong to that file alone.
        assert not {256, 257, 273, 279} & set(exif)
        if picture.dpi and back.dpi:
            assert back.dpi == pytest.approx((300, 300), abs=0.1)  # PNG: per metre


def test_a_greyscale_picture_keeps_its_profile(tmp_path):
    path = save(tmp_path / "a.png", GREY, icc_profile=SRGB)
    images.write(tmp_path / "b.jpg", images.read(path))
    assert images.read(tmp_path / "b.jpg").icc == SRGB


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_pictures_are_turned_upright_once(tmp_path, orientation, suffix):
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :16] = 255  # white in the upper left, so each way lies differently
    # What the camera stores: the inverse of the turn that viewers make (EXIF 2.32).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: np.rot90(upright, 2),
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    path = tmp_path / f"in{suffix}"
    options = {"lossless": True} if suffix == ".webp" else {}
    save(path, np.ascontiguousarray(stored), exif=camera_exif(orientation), **options)
    picture = images.read(path)
    np.testing.assert_array_equal(picture.pixels, upright)
    assert parse(picture.exif).get(0x0112, 1) == 1
    images.write(tmp_path / f"out{suffix}", picture, picture.pixels, lossless=True)
    # Any viewer, such as Pillow's own transposition, now leaves it as it is.
    np.testing.assert_array_equal(
        images.read(tmp_path / f"out{suffix}").pixels, upright
    )
    with Image.open(tmp_path / f"out{suffix}") as written:
        assert written.getexif().get(0x0112, 1) == 1
        assert written.size == (32, 16)


def test_alpha_is_turned_too(tmp_path):
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[0, 0, 3] = 255
    picture = images.read(save(tmp_path / "a.png", pixels, exif=camera_exif(6)))
    assert picture.alpha.tolist() == [[0, 255], [0, 0], [0, 0]]


def test_a_pil_image_keeps_its_orientation():
    image = Image.fromarray(RGB)
    image.info["exif"] = camera_exif(6)
    picture = images.from_pil(image)
    np.testing.assert_array_equal(picture.pixels, RGB)
    assert images.to_pil(picture).getexif()[0x0112] == 6


def test_xmp_is_said_and_damaged_exif_costs_no_picture(tmp_path):
    path = save(tmp_path / "a.jpg", RGB, xmp=b"<x/>")
    assert images.read(path).notes == ("XMP metadata is not kept",)
    exif = camera_exif()
    promised = exif[:14] + b"\xff\xff" + exif[16:]  # 65535 tags in the first table
    for damaged in (b"Exif\0\0II*\0\xff\xff\xff\xff", promised, exif[:40]):
        picture = images.read(save(path, RGB, exif=damaged))
        assert picture.pixels.shape == RGB.shape
        images.write(tmp_path / "b.jpg", picture)


def test_exif_that_cannot_be_parsed_is_said(monkeypatch):
    def fail(image):
        raise struct.error("unpack requires more bytes")

    monkeypatch.setattr(Image.Image, "getexif", fail)
    picture = images.from_pil(Image.fromarray(RGB), upright=True)
    assert picture.notes == ("unreadable EXIF metadata is not kept",)


def test_metadata_without_room(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "x" * 70000
    picture = images.Picture(RGB, exif=exif.tobytes(), icc=SRGB)
    assert images.write(tmp_path / "a.jpg", picture) == (
        "JPEG has no room for this EXIF metadata",
    )
    assert images.write(tmp_path / "a.png", picture) == ()
    assert images.write(tmp_path / "a.bmp", picture) == (
        "BMP has no room for this EXIF metadata",
        "BMP has no ICC profile: colours may look different",
    )


def test_unusable_resolutions_are_left_out():
    image = Image.fromarray(GREY)
    for dpi in ((0, 0), (1e9, 1e9), (float("nan"), 1), ("a", "b"), (72,), 5):
        image.info["dpi"] = dpi
        assert images.from_pil(image).dpi is None
    image.info["dpi"] = (TiffImagePlugin.IFDRational(1, 0), 1)
    assert images.from_pil(image).dpi is None


# Refusals


def refuse(path, reason, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no DecompressionBombWarning either
        with pytest.raises(images.ImageError) as caught:
            images.read(path, **options)
    message = str(caught.value)
    assert message.startswith(f"Cannot read {path}: ") and "\n" not in message
    assert reason in message


def test_what_is_no_picture_is_refused(tmp_path):
    refuse(tmp_path, "it is a folder, not a picture")
    refuse(tmp_path / "missing.png", "No such file or directory")
    (tmp_path / "empty.png").touch()
    refuse(tmp_path / "empty.png", "the file is empty")
    (tmp_path / "text.jpg").write_text("no picture\n" * 99)
    refuse(tmp_path / "text.jpg", "it is not a picture of a known format")
    (tmp_path / "header.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    refuse(tmp_path / "header.png", "")
    os.mkfifo(tmp_path / "pipe.png")
    refuse(tmp_path / "pipe.png", "it is not a regular file")


def test_missing_permission_is_refused(tmp_path, monkeypatch):
    def forbid(*args):
        raise PermissionError(13, "Permission denied")

    path = save(tmp_path / "a.png", RGB)
    # Tests may run as root, whom no permission stops.
    monkeypatch.setattr("builtins.open", forbid)
    refuse(path, "Permission denied")


@pytest.mark.parametrize("suffix", images.EXTENSIONS)
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_truncated_pictures_are_refused(tmp_path, suffix, share):
    whole = io.BytesIO()
    noise = Image.fromarray(RNG.integers(0, 256, (64, 64, 3), np.uint8))
    kind = images.FORMATS.get(suffix, "GIF")
    noise.save(whole, kind)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(whole.getvalue()[: int(share * whole.tell())])
    refuse(path, "")


@pytest.mark.parametrize("seed", range(60))
def test_damage_gives_a_picture_or_one_line(tmp_path, seed):
    rng = np.random.default_rng(seed)
    kind = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")[seed % 6]
    whole = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(whole, kind)
    damaged = np.frombuffer(whole.getvalue(), np.uint8).copy()
    where = rng.integers(0, min(len(damaged), 200), 4)
    damaged[where] = rng.integers(0, 256, 4)
    path = tmp_path / "a.png"
    path.write_bytes(damaged.tobytes())
    try:
        picture = images.read(path, max_pixels=100_000)
    except images.ImageError as error:
        assert str(error).startswith(f"Cannot read {path}: ")
        assert "\n" not in str(error)
    else:
        assert picture.pixels.dtype in (np.uint8, np.uint16)


def test_the_content_counts_not_the_suffix(tmp_path):
    path = save(tmp_path / "a.jpg", RGB, format="PNG")
    picture = images.read(path)
    np.testing.assert_array_equal(picture.pixels, RGB)
    assert picture.notes == ()


def test_bombs_are_refused_before_they_are_decoded(tmp_path):
    header = png(20_000, 10_000, 8, 2, b"")
    (tmp_path / "bomb.png").write_bytes(header)
    refuse(tmp_path / "bomb.png", "10000x20000 pixels are more than the limit of 180")
    # Beyond Pillow's own limit too: the raised limit gets as far as the pixels.
    refuse(tmp_path / "bomb.png", "truncated", max_pixels=200_000_000)
    before = Image.MAX_IMAGE_PIXELS
    path = save(tmp_path / "a.png", RGB)
    refuse(path, "5x7 pixels are more than the limit of 34 (a dec", max_pixels=34)
    assert images.read(path, max_pixels=35).pixels.shape == (5, 7, 3)
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("limit", [10, 20])
def test_the_limit_of_pillow_does_not_matter(tmp_path, monkeypatch, limit):
    # Of 35 pixels Pillow would warn at its limit of 20, and refuse them at 10.
    path = save(tmp_path / "a.png", RGB)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    np.testing.assert_array_equal(images.read(path).pixels, RGB)
    assert limit == Image.MAX_IMAGE_PIXELS


# Writing


def test_nothing_is_left_of_a_failed_write(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"precious")

    def fail(self, file, **options):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(images.ImageError) as caught:
        images.write(path, images.Picture(RGB))
    assert str(caught.value) == f"Cannot write {path}: No space left on device."
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    assert path.read_bytes() == b"precious"


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(self, file, **options):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupt)
    with pytest.raises(KeyboardInterrupt):
        images.write(tmp_path / "a.png", images.Picture(RGB))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.xyz", "the suffix must be one of .png, .jpg"),
        ("a", "the suffix must be one of"),
        ("a.gif", "the suffix must be one of"),
        ("missing/a.png", "No such file or directory"),
        ("file/a.png", "Not a directory"),
        ("folder.png", "Is a directory"),
    ],
)
def test_targets_that_cannot_be_written(tmp_path, name, reason):
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(images.ImageError) as caught:
        images.write(tmp_path / name, images.Picture(RGB))
    assert str(caught.value).startswith(f"Cannot write {tmp_path / name}: {reason}")
    assert sorted(tmp_path.rglob("*")) == before


def test_pictures_too_large_for_their_format(tmp_path):
    wide = images.Picture(np.zeros((1, 16_400), np.uint8))
    with pytest.raises(images.ImageError, match=r"Cannot write .*a\.webp: .*16383"):
        images.write(tmp_path / "a.webp", wide)
    assert list(tmp_path.iterdir()) == []
    images.write(tmp_path / "a.png", wide)


def test_written_files_have_the_usual_permissions(tmp_path):
    images.write(tmp_path / "a.png", images.Picture(RGB))
    (tmp_path / "plain").touch()
    modes = {(tmp_path / name).stat().st_mode for name in ("a.png", "plain")}
    assert len(modes) == 1


def test_derained_pixels_must_fit(tmp_path):
    for pixels, wrong in ((RGB, RGB[1:]), (RGB, GREY), (GREY, GREY[None])):
        with pytest.raises(ValueError, match=r"Received: derained\.shape="):
            images.write(tmp_path / "a.png", images.Picture(pixels), wrong)


def test_any_dtype_is_brought_to_that_of_the_picture(tmp_path):
    for derained in (np.ones((5, 7, 3)), np.full((5, 7, 3), 65535, np.uint16)):
        images.write(tmp_path / "a.png", images.Picture(RGB), derained)
        assert (images.read(tmp_path / "a.png").pixels == 255).all()
    images.write(tmp_path / "a.png", images.Picture(DEEP), np.full((2, 4), 255, "u1"))
    assert (images.read(tmp_path / "a.png").pixels == 65535).all()


# Side by side


def test_compare(tmp_path):
    alpha = RNG.integers(0, 256, (5, 7), np.uint8)
    rainy = images.Picture(RGB, alpha, icc=SRGB)
    both = images.compare(rainy, np.ones((5, 7, 3)))
    np.testing.assert_array_equal(both.pixels[:, :7], RGB)
    np.testing.assert_array_equal(both.pixels[:, 7:], 255)
    images.write(tmp_path / "a.png", both)
    back = images.read(tmp_path / "a.png")
    assert back.pixels.shape == (5, 14, 3) and back.icc == SRGB
    np.testing.assert_array_equal(back.alpha, np.hstack([alpha, alpha]))
    grey = images.compare(images.Picture(DEEP), DEEP)
    assert grey.pixels.dtype == np.uint16 and grey.pixels.shape == (2, 8)
