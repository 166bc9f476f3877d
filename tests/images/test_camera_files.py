"""HEIC and RAW files: read with their packages, and named without."""

import numpy as np
import pillow_heif
import pytest
import tifffile
from pictures import photo
from PIL import Image

from tfderain import extras, images
from tfderain.data import pairs as pairing
from tfderain.images import camera_files

COLOURS = (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1)  # fractions


def heic(path, pixels):
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(path, quality=95)
    return path


def raw(path, height=40, width=60):
    """A DNG whose mosaic gets brighter to the right, and below by four times that."""
    rows, columns = np.mgrid[:height, :width]
    mosaic = (2000 + 400 * rows + 100 * columns).astype(np.uint16)
    tags = [
        (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, "B", 4, bytes([0, 1, 1, 2]), True),  # CFAPattern: red, green, blue
        (50706, "B", 4, bytes([1, 4, 0, 0]), True),  # DNGVersion
        (50708, "s", 0, "Test", True),  # UniqueCameraModel
        (50717, "H", 1, 65535, True),  # WhiteLevel
        (50721, "2i", 9, COLOURS, True),  # ColorMatrix1: none
        (50728, "2I", 3, (1, 1) * 3, True),  # AsShotNeutral
    ]
    options = {"photometric": 32803, "metadata": None, "software": None}
    tifffile.imwrite(path, mosaic, extratags=tags, **options)
    return path


@pytest.fixture
def nothing_installed(monkeypatch):
    monkeypatch.setattr(extras, "installed", lambda *packages: False)


def test_heic_is_read_whatever_its_name(tmp_path):
    # iPhones' pictures are often renamed to .jpg
    pixels = np.rint(photo(48, 64) * 255).astype(np.uint8)
    for name in ("a.heic", "b.jpg"):
        read = images.read(heic(tmp_path / name, pixels)).pixels
        assert read.shape == pixels.shape
        # lossy, with half the colours; neighbours differ by 13 on average
        assert np.abs(read.astype(int) - pixels).mean() < 8


def test_more_than_8_bits_of_heic_are_said(tmp_path):
    deep = np.rint(photo(48, 64) * 65535).astype("<u2")
    file = pillow_heif.from_bytes(mode="RGB;16", size=(64, 48), data=deep.tobytes())
    file.save(tmp_path / "a.heic")  # 10 bits
    picture = images.read(tmp_path / "a.heic")
    assert picture.pixels.dtype == np.uint8
    assert picture.notes == ("10 bits per channel are reduced to 8",)


@pytest.mark.parametrize("suffix", [".heic", ".avif"])
def test_hdr_is_said(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    pixels = np.rint(photo(48, 64) * 255).astype(np.uint8)
    if suffix == ".heic":
        heic(path, pixels)
    else:
        Image.fromarray(pixels).save(path)
    assert images.read(path).notes == ()
    data = path.read_bytes()
    place = data.index(b"colrnclx") + 10  # behind the primaries
    for transfer, name in ((16, "PQ"), (18, "HLG")):  # ITU-T H.273, table 3
        path.write_bytes(data[:place] + bytes([0, transfer]) + data[place + 2 :])
        (note,) = images.read(path).notes
        assert note.startswith(f"HDR ({name})")


def test_raw_is_developed(tmp_path):
    picture = images.read(raw(tmp_path / "a.dng"))
    assert picture.pixels.shape == (40, 60, 3) and picture.pixels.dtype == np.uint8
    grey = picture.pixels.astype(float).mean(axis=-1)
    assert grey[0, -8:].mean() > grey[0, :8].mean()
    assert grey[20, :8].mean() > grey[0, :8].mean()
    assert picture.notes == ("the metadata of RAW files is not kept",)
    with pytest.raises(images.TooLarge, match="40x60"):
        images.read(tmp_path / "a.dng", max_pixels=2399)


def test_a_damaged_raw_file_is_one_line(tmp_path):
    path = raw(tmp_path / "a.dng")
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(images.ImageError, match=r"Cannot read .*a\.dng: ") as caught:
        images.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.heic", "a.dng", "renamed.jpg"])
def test_without_its_package_a_file_says_what_it_needs(
    name, tmp_path, nothing_installed
):
    make = raw if name.endswith("dng") else heic
    path = make(tmp_path / name, *(() if make is raw else (np.zeros((8, 8, 3), "u1"),)))
    extra = "raw" if make is raw else "heif"
    with pytest.raises(images.ImageError, match=rf'pip install "tfderain\[{extra}\]"'):
        images.read(path)


def test_what_is_lacking(nothing_installed):
    assert camera_files.lacking("A.HEIC").startswith("HEIC needs pillow-heif")
    assert camera_files.lacking("a.nef").startswith("camera RAW needs rawpy")
    assert camera_files.lacking("a.png") == ""


def test_pairs_may_be_camera_files(tmp_path):
    pixels = np.rint(photo(48, 64) * 255).astype(np.uint8)
    for side in ("rainy", "clean"):
        (tmp_path / side).mkdir()
        heic(tmp_path / side / "a.heic", pixels)
        raw(tmp_path / side / "b.dng")
    found = pairing.find_pairs(tmp_path)
    assert pairing.check(found) == [(48, 64), (40, 60)]
    assert pairing.thumbnails(found).shape == (2, 256)
