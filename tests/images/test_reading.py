"""Pixels of every format and mode, metadata, and what is refused."""

import io
import os
import struct
import warnings

import numpy as np
import pytest
from pictures import DEEP, GREY, RGB, RNG, SRGB, camera_exif, parse, png, save
from PIL import Image, ImageCms, TiffImagePlugin

from tfderain import images


def test_16_bit_tiff_of_other_kinds(tmp_path):
    path = save(tmp_path / "big_endian.tif", DEEP.astype(">u2"))
    np.testing.assert_array_equal(images.read(path).pixels, DEEP)
    tags = {262: 0}  # 0 is white
    path = save(tmp_path / "inverted.tif", DEEP, tiffinfo=tags)
    np.testing.assert_array_equal(images.read(path).pixels, 65535 - DEEP)


def test_16_bit_colour_is_reduced_and_said(tmp_path):
    rows = b"\0" + np.array([0, 65535, 32896, 65535, 0, 257], ">u2").tobytes()
    (tmp_path / "a.png").write_bytes(png(2, 1, 16, 2, rows))
    picture = images.read(tmp_path / "a.png")
    assert picture.pixels.tolist() == [[[0, 255, 128], [255, 0, 1]]]
    assert picture.notes == ("16 bits per channel are reduced to 8",)


def test_16_bits_of_all_channels_together_lose_nothing(tmp_path):
    # BITMAPINFOHEADER (Windows GDI) with masks: 5 bits of red, 6 of green, 5 of blue
    head = struct.pack("<IiiHHIIiiII", 40, 2, 1, 1, 16, 3, 4, 0, 0, 0, 0)
    masks, pixels = (0xF800, 0x07E0, 0x001F), (0xF800, 0x07FF)
    data = head + struct.pack("<III", *masks) + struct.pack("<HH", *pixels)
    (tmp_path / "a.bmp").write_bytes(
        struct.pack("<2sIHHI", b"BM", 14 + len(data), 0, 0, 66) + data
    )
    picture = images.read(tmp_path / "a.bmp")
    assert picture.pixels.tolist() == [[[255, 0, 0], [0, 255, 255]]]
    assert picture.notes == ()


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


def test_exif_that_cannot_be_parsed_is_said(monkeypatch):
    def fail(image):
        raise struct.error("unpack requires more bytes")

    monkeypatch.setattr(Image.Image, "getexif", fail)
    picture = images.from_pil(Image.fromarray(RGB), upright=True)
    assert picture.notes == ("unreadable EXIF metadata is not kept",)


def test_xmp_is_said_and_damaged_exif_costs_no_picture(tmp_path):
    path = save(tmp_path / "a.jpg", RGB, xmp=b"<x/>")
    assert images.read(path).notes == ("XMP metadata is not kept",)
    exif = camera_exif()
    promised = exif[:14] + b"\xff\xff" + exif[16:]  # 65535 tags in the first table
    for damaged in (b"Exif\0\0II*\0\xff\xff\xff\xff", promised, exif[:40]):
        picture = images.read(save(path, RGB, exif=damaged))
        assert picture.pixels.shape == RGB.shape
        images.write(tmp_path / "b.jpg", picture)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_exif_without_any_tag_that_can_be_read_is_said(tmp_path, suffix):
    path = save(tmp_path / f"a{suffix}", RGB, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert images.read(path).notes == ("unreadable EXIF metadata is not kept",)
    path = save(tmp_path / f"a{suffix}", RGB, exif=Image.Exif().tobytes())
    assert images.read(path).notes == ()


@pytest.mark.parametrize("between", [b"", b"MotionPhoto_Data"])
def test_the_video_of_a_motion_photo_is_said(tmp_path, between):
    path = save(tmp_path / "a.jpg", RGB)
    photo = path.read_bytes()
    path.write_bytes(photo + between + b"\0\0\0\x18ftypmp42" + bytes(500))
    picture = images.read(path)
    assert picture.notes == ("the video of the motion photo is not kept",)
    path.write_bytes(photo + bytes(500))  # as cameras fill a file up
    assert images.read(path).notes == ()


def test_unusable_resolutions_are_left_out():
    image = Image.fromarray(GREY)
    for dpi in ((0, 0), (1e9, 1e9), (float("nan"), 1), ("a", "b"), (72,), 5):
        image.info["dpi"] = dpi
        assert images.from_pil(image).dpi is None
    image.info["dpi"] = (TiffImagePlugin.IFDRational(1, 0), 1)
    assert images.from_pil(image).dpi is None


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


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "it is empty"), (b"text", "it is not a picture of a known format")],
)
def test_bytes_that_are_no_picture(data, reason):
    with pytest.raises(images.ImageError, match=f"^Cannot read the picture: {reason}"):
        images.decode(data)


def test_bytes_of_too_many_pixels_have_an_error_of_their_own(tmp_path):
    data = save(tmp_path / "in.png", RGB).read_bytes()
    assert images.decode(data, max_pixels=35).pixels.shape == (5, 7, 3)
    with pytest.raises(images.TooLarge, match="more than the limit of 34"):
        images.decode(data, max_pixels=34)
