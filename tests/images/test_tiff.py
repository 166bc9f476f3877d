"""TIFF layouts as tifffile writes them: right pixels, or refused by what they are."""

import itertools
import struct

import numpy as np
import pytest
import tifffile
from pictures import camera_exif, parse, photo, save
from PIL import Image

from tfderain import images

KINDS = ("uint8", "uint16", "uint32", "int8", "int16", "float16", "float32", "float64")
CHANNELS = [
    (1, "minisblack"),
    (1, "miniswhite"),
    (2, "minisblack"),
    (3, "rgb"),
    (4, "rgb"),
]


def layouts():
    planes = ("contig", "separate")
    for (count, meaning), kind in itertools.product(CHANNELS, KINDS):
        for plane, packed in itertools.product(planes, (None, "zlib")):
            if count > 1 or plane == "contig":
                yield count, meaning, kind, plane, packed


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_pixels_are_right_or_refused_by_what_they_are(tmp_path, count, order, tile):
    values = photo(33, 40, 4)[..., :count].astype(np.float64)
    read = 0
    for _, meaning, kind, plane, packed in (x for x in layouts() if x[0] == count):
        whole = np.iinfo(kind).max if np.dtype(kind).kind in "iu" else 1
        stored = (values * whole).astype(kind)
        stored = np.moveaxis(stored, -1, 0) if plane == "separate" else stored
        path = tmp_path / "a.tif"
        tifffile.imwrite(
            path,
            stored[..., 0] if count == 1 else stored,
            photometric=meaning,
            planarconfig=None if count == 1 else plane,
            compression=packed,
            byteorder=order,
            tile=tile,
            extrasamples=["unassalpha"] if count in (2, 4) else None,
            metadata=None,
        )
        layout = (meaning, kind, plane, packed)
        try:
            picture = images.read(path)
        except images.ImageError as error:
            bits, several = np.dtype(kind).itemsize * 8, "s" * (count > 1)
            named = f"it is a TIFF with {count} channel{several} of {bits}-bit"
            by_value = "32-bit greyscale must hold" in str(error)
            assert named in str(error) or by_value, (layout, str(error))
            apart = " in separate planes" in str(error)
            assert apart == (plane == "separate"), layout
            continue
        read += 1
        pixels = images.to_float(picture.pixels)
        # int16 is read by its values, up to 65535
        pixels = pixels * 65535 / 32767 if kind == "int16" else pixels
        expected = values[..., :3] if count > 2 else values[..., 0]
        expected = 1 - expected if meaning == "miniswhite" else expected
        # 1 / 255, for truncation above and in Pillow's 16 bits to 8
        assert np.abs(pixels - expected).max() < 1.01 / 255, layout
        if count in (2, 4):
            alpha = picture.alpha / 255
            assert np.abs(alpha - values[..., -1]).max() < 1.01 / 255, layout
    assert read >= 2


def test_16_bit_colour_in_planes_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    pixels = np.zeros((3, 20, 30), np.uint16)
    tifffile.imwrite(path, pixels, photometric="rgb", planarconfig="separate")
    message = "TIFF with 3 channels of 16-bit integers in separate planes"
    with pytest.raises(images.ImageError, match=message):
        images.read(path)
    with Image.open(path) as image, pytest.raises(images.ImageError, match=message):
        images.from_pil(image)


@pytest.mark.parametrize("number, name", [(34712, "JPEG 2000"), (12345, "12345")])
def test_unknown_compressions_are_said(tmp_path, number, name):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((20, 30, 3), np.uint8), byteorder="<")
    plain, other = (struct.pack("<HHII", 259, 3, 1, n) for n in (1, number))
    data = path.read_bytes()
    assert data.count(plain) == 1
    path.write_bytes(data.replace(plain, other))
    with pytest.raises(images.ImageError, match="8-bit integers") as caught:
        images.read(path)
    assert f"compressed as {name}" in str(caught.value)


def test_damaged_tiff_is_called_so(tmp_path):
    for data in (b"II*\0\xff\xff\xff\x7f", b"MM\0*" + bytes(40)):
        (tmp_path / "a.tif").write_bytes(data)
        with pytest.raises(images.ImageError, match="TIFF"):
            images.read(tmp_path / "a.tif")


def test_further_channels_are_said(tmp_path):
    path = tmp_path / "a.tif"
    pixels = np.zeros((9, 8, 4), np.uint8)
    options = {"photometric": "rgb", "extrasamples": ["unspecified"]}
    tifffile.imwrite(path, pixels, metadata=None, **options)
    assert images.read(path).notes == ("extra channels of TIFF are not kept: 1",)


@pytest.mark.parametrize("exif", [None, camera_exif()])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_written_files_are_compressed_with_all_metadata(tmp_path, exif, dtype):
    pixels = np.full((200, 300), 7, dtype)
    picture = images.Picture(pixels, exif=exif, dpi=(300.0, 300.0))
    path = tmp_path / "a.tif"
    assert images.write(path, picture) == ()
    assert path.stat().st_size < 3000  # of 60 or 120 kB
    np.testing.assert_array_equal(tifffile.imread(path), pixels)
    back = images.read(path)
    np.testing.assert_array_equal(back.pixels, pixels)
    assert back.dpi == (300.0, 300.0) and back.notes == ()
    if exif:
        kept = parse(back.exif)
        assert kept[0x010F] == "Camera"
        assert kept.get_ifd(0x8769) == {0x9003: "2024:02:29 12:00:00"}
        assert kept.get_ifd(0x8825) == {1: "N"}
        with tifffile.TiffFile(path) as file:  # another reader
            tags = file.pages[0].tags
            assert tags["ExifTag"].value["DateTimeOriginal"] == "2024:02:29 12:00:00"


def test_a_compressed_file_stays_small(tmp_path):
    pixels = np.zeros((200, 200, 3), np.uint8)
    path = save(tmp_path / "a.tif", pixels, compression="tiff_lzw", dpi=(300, 300))
    images.write(tmp_path / "b.tif", images.read(path))
    assert (tmp_path / "b.tif").stat().st_size < 2 * path.stat().st_size
