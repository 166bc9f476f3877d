"""EXIF of every kind of damage: orientation, and the tags that are kept."""

import struct
import zlib

import numpy as np
import pytest
from pictures import RGB, camera_exif, parse, save
from PIL import ExifTags, Image

from tfderain import images

# Pillow's, of damaged metadata; `images.read` silences them.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

# type: bytes of a number of it
TYPES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
MAIN, EXIF, GPS = 0, 0x8769, 0x8825
COMMON = {
    MAIN: (*range(0x010E, 0x0111), 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B)
    + (0x8298, 0x9C9B, 0xC4A5, 0xEA1C),
    EXIF: tuple(tag for tag in ExifTags.Base if 0x829A <= tag <= 0xA435),
    GPS: tuple(ExifTags.GPS),
}
STORED = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)  # two rows, three columns
UPRIGHT = np.rot90(STORED, -1)  # of orientation 6


def directory(entries, start, order="<"):
    """An IFD at the offset `start`: sorted `(tag, type, count, bytes of the value)`."""
    head, tail = struct.pack(order + "H", len(entries)), b""
    end = start + 2 + 12 * len(entries) + 4
    for tag, kind, count, value in sorted(entries):
        if len(value) > 4:
            tail, value = tail + value, struct.pack(order + "I", end + len(tail))
        head += struct.pack(order + "HHI", tag, kind, count) + value.ljust(4, b"\0")
    return head + bytes(4) + tail


def block(group, entry, turn=b"\6\0"):
    """EXIF with the maker, a date or latitude in the group, and one entry more."""
    turn = (0x0112, 3, 1, turn)
    good = {
        MAIN: (0x010F, 2, 7, b"Camera\0"),
        EXIF: (0x9003, 2, 20, b"2024:02:29 12:00:00\0"),
        GPS: (1, 2, 2, b"N\0"),
    }
    main = [e for e in (turn, good[MAIN]) if e[0] != entry[0] or group != MAIN]
    if group == MAIN:
        return b"Exif\0\0II*\0\x08\0\0\0" + directory([*main, entry], 8)
    start = 8 + len(directory([*main, (group, 4, 1, bytes(4))], 8))
    main.append((group, 4, 1, struct.pack("<I", start)))
    inner = [e for e in (good[group],) if e[0] != entry[0]]
    data = directory(main, 8) + directory([*inner, entry], start)
    return b"Exif\0\0II*\0\x08\0\0\0" + data


def pil(exif):
    image = Image.fromarray(STORED)
    image.info["exif"] = exif
    return image


@pytest.mark.parametrize("group", COMMON)
def test_a_tag_of_any_type_costs_no_more_than_itself(group):
    dropped = 0
    for tag in COMMON[group]:
        for kind, size in TYPES.items():
            for count in (1, 3):
                value = (b"0" if kind in (2, 7) else b"\xf7") * (size * count)
                exif = block(group, (tag, kind, count, value))
                picture = images.from_pil(pil(exif), upright=True)
                where = (ExifTags.TAGS.get(tag), kind, count)
                assert (picture.pixels == UPRIGHT).all(), where
                kept = parse(picture.exif)
                assert kept[0x0112] == 1, where
                assert tag == 0x010F or kept[0x010F] == "Camera", where
                if group == EXIF and tag != 0x9003:
                    assert kept.get_ifd(EXIF)[0x9003] == "2024:02:29 12:00:00", where
                if group == GPS and tag != 1:
                    assert kept.get_ifd(GPS)[1] == "N", where
                there = tag in (kept if group == MAIN else kept.get_ifd(group))
                assert there == (not picture.notes), where
                if picture.notes:
                    dropped += 1
                    names = ExifTags.GPSTAGS if group == GPS else ExifTags.TAGS
                    assert picture.notes == (
                        f"damaged EXIF tags are not kept: {names[tag]}",
                    )
    assert dropped  # what this is about


def test_damaged_tags_are_said_in_one_line():
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(GPS).update({1: "N", 5: b"\0", 6: 1.5})
    data = exif.tobytes()
    for tag, kind, wrong in ((5, 1, 2), (6, 5, 10)):  # BYTE, RATIONAL
        right = struct.pack(">HH", tag, kind)
        assert data.count(right) == 1
        data = data.replace(right, struct.pack(">HH", tag, wrong))
    data = data.replace(struct.pack(">II", 3, 2), struct.pack(">ii", -3, 2))
    picture = images.from_pil(pil(data), upright=True)
    assert picture.notes == (
        "damaged EXIF tags are not kept: GPSAltitudeRef, GPSAltitude",
    )
    assert parse(picture.exif).get_ifd(GPS) == {1: "N"}


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("kind", "form"),
    [(1, "B"), (2, "2s"), (3, "H"), (4, "I"), (5, "II"), (6, "b"), (7, "B")]
    + [(8, "h"), (9, "i"), (10, "ii"), (11, "f"), (12, "d")],
)
def test_orientation_of_any_type_is_read(kind, form, order):
    numbers = {"II": (6, 1), "ii": (12, 2), "2s": (b"6\0",)}.get(form, (6,))
    value = struct.pack(order + form, *numbers)
    mark = {"<": b"II*\0\x08\0\0\0", ">": b"MM\0*\0\0\0\x08"}[order]
    entry = (0x0112, kind, 2 if form == "2s" else 1, value)
    image = pil(b"Exif\0\0" + mark + directory([entry], 8, order))
    assert images.orientation(image) == 6
    picture = images.from_pil(image, upright=True)
    assert (picture.pixels == UPRIGHT).all()
    assert parse(picture.exif)[0x0112] == 1
    # a server leaves the turning to those who look
    assert parse(images.from_pil(image).exif)[0x0112] == 6


@pytest.mark.parametrize("value", [b"\0\0", b"\x09\0", b"\xff\xff"])
def test_unknown_orientations_turn_nothing(value):
    exif = block(MAIN, (0x010E, 2, 1, b"\0"), value)
    assert images.orientation(pil(exif)) == 1
    picture = images.from_pil(pil(exif), upright=True)
    assert (picture.pixels == STORED).all() and parse(picture.exif)[0x0112] == 1


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_files_with_a_damaged_tag_are_upright(tmp_path, suffix):
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :8] = 255
    path = tmp_path / f"a{suffix}"
    # Pillow writes no such tag into a TIFF file
    exif = camera_exif(6) if suffix == ".tif" else block(GPS, (5, 2, 2, b"0\0"))
    options = {"lossless": True} if suffix == ".webp" else {}
    save(path, pixels, exif=exif, **options)
    picture = images.read(path)
    assert picture.pixels.shape == (32, 16, 3)
    assert picture.pixels[:8, -8:].min() > 250
    # what the header says is what is read
    with Image.open(path) as image:
        assert images.orientation(image) == 6


def test_the_orientation_of_a_png_may_follow_its_pixels(tmp_path):
    path = save(tmp_path / "a.png", STORED)
    data = path.read_bytes()
    exif = block(GPS, (5, 2, 2, b"0\0"))[6:]
    end = data[-12:]
    crc = struct.pack(">I", zlib.crc32(b"eXIf" + exif))
    chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif + crc
    path.write_bytes(data[:-12] + chunk + end)
    with Image.open(path) as image:
        assert images.orientation(image) == 6
        np.testing.assert_array_equal(np.asarray(image), STORED)
    assert (images.read(path).pixels == UPRIGHT).all()


def test_sizes_in_exif_are_those_of_the_picture():
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(EXIF).update({0xA002: 3, 0xA003: 2})
    turned = parse(images.from_pil(pil(exif.tobytes()), upright=True).exif)
    assert turned.get_ifd(EXIF) == {0xA002: 2, 0xA003: 3}
    stored = parse(images.from_pil(pil(exif.tobytes())).exif)
    assert stored.get_ifd(EXIF) == {0xA002: 3, 0xA003: 2}
    assert images.from_pil(Image.fromarray(RGB)).exif is None
