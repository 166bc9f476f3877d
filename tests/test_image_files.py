"""Metadata, refusals and writing of picture files."""

import io
import os
import struct
import warnings

import numpy as np
import pytest
from pictures import DEEP, GREY, RGB, RNG, SRGB, camera_exif, parse, png, save
from PIL import Image, TiffImagePlugin

from tfderain import images

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


# Bytes


def test_bytes_are_read_as_they_are_stored_and_written_with_their_metadata(tmp_path):
    path = save(tmp_path / "in.png", RGB, exif=camera_exif(6), icc_profile=SRGB)
    picture = images.decode(path.read_bytes())
    np.testing.assert_array_equal(picture.pixels, RGB)  # `read` would turn it
    (tmp_path / "out.png").write_bytes(images.encode(picture, 255 - picture.pixels))
    with Image.open(tmp_path / "out.png") as written:
        np.testing.assert_array_equal(np.asarray(written), 255 - RGB)
        assert written.getexif()[0x0112] == 6
        assert written.info["icc_profile"] == SRGB


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
