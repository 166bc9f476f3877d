"""Pixels of every kind through reading and writing."""

import numpy as np
import pytest
from pictures import DEEP, GREY, RGB, RNG, SRGB, png, save
from PIL import Image, ImageCms

from tfderain import images

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
