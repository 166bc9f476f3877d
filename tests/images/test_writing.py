"""Pixels and metadata that come back from written files, and what is refused."""

import numpy as np
import pytest
from pictures import DEEP, GREY, RGB, RNG, SRGB, camera_exif, parse, save
from PIL import Image

from tfderain import images


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


def test_the_longest_side_of_jpeg_is_said(tmp_path, capfd):
    wide = images.Picture(np.zeros((1, 65_501), np.uint8))
    with pytest.raises(images.ImageError, match=r"Cannot write .*a\.jpg: .*65500"):
        images.write(tmp_path / "a.jpg", wide)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().err == ""  # nothing of libjpeg's own
    images.write(tmp_path / "a.jpg", images.Picture(wide.pixels[:, 1:]))


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


def test_bytes_are_read_as_they_are_stored_and_written_with_their_metadata(tmp_path):
    path = save(tmp_path / "in.png", RGB, exif=camera_exif(6), icc_profile=SRGB)
    picture = images.decode(path.read_bytes())
    np.testing.assert_array_equal(picture.pixels, RGB)  # `read` would turn it
    (tmp_path / "out.png").write_bytes(images.encode(picture, 255 - picture.pixels))
    with Image.open(tmp_path / "out.png") as written:
        np.testing.assert_array_equal(np.asarray(written), 255 - RGB)
        assert written.getexif()[0x0112] == 6
        assert written.info["icc_profile"] == SRGB


@pytest.mark.parametrize("suffix", images.FORMATS)
@pytest.mark.parametrize("pixels", [RGB, GREY], ids=["rgb", "grey"])
def test_pixels_come_back(tmp_path, suffix, pixels):
    lossless = images.FORMATS[suffix] != "JPEG"
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


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".bmp"])
def test_16_bit_grey_is_reduced_where_it_cannot_be_kept(tmp_path, suffix):
    picture = images.Picture(np.full((16, 16), 65535, np.uint16))
    (note,) = images.write(tmp_path / f"a{suffix}", picture)
    assert "16-bit" in note and "8 bits" in note
    assert (images.read(tmp_path / f"a{suffix}").pixels == 255).all()


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
