"""PNG chunks: damaged, long and strange ones cost no picture, and are kept or said."""

import io
import struct
import zlib

import numpy as np
import pytest
from pictures import RGB, SRGB, save
from PIL import Image, PngImagePlugin

from tfderain import images
from tfderain.images import png

TEXTS = [
    (b"tEXt", b"Author\0A. Person"),
    (b"zTXt", b"Comment\0\0" + zlib.compress(b"rain")),
    (b"iTXt", b"Title\0\0\0\0\0" + "Regen bei Köln".encode()),
]
LONG = zlib.compress(b"x" * 2_000_000)  # more than Pillow takes, in a few kilobytes


def chunk(name, data, wrong=0):
    crc = zlib.crc32(name + data) ^ wrong
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)


def written(path, *chunks, behind=False):
    """A PNG file of `RGB` with further chunks before or behind its pixels."""
    data = save(path, RGB).read_bytes()
    place = len(data) - 12 if behind else 33  # IEND is 12 bytes, the head 33
    path.write_bytes(data[:place] + b"".join(chunks) + data[place:])
    return path


def chunks_in(path):
    data, place, found = path.read_bytes(), 8, []
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        found.append((data[place + 4 : place + 8], data[place + 8 :][:length]))
        place += length + 12
    return found


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("name", [b"tEXt", b"gAMA", b"iCCP", b"eXIf", b"pHYs", b"tIME"])
def test_a_wrong_checksum_beside_the_pixels_costs_the_chunk_alone(
    tmp_path, name, behind
):
    path = written(
        tmp_path / "a.png",
        chunk(name, b"damaged data", wrong=1),
        chunk(*TEXTS[0]),
        behind=behind,
    )
    picture = images.read(path)
    np.testing.assert_array_equal(picture.pixels, RGB)
    assert picture.notes == (f"damaged PNG metadata is not kept: {name.decode()}",)
    assert picture.chunks == (TEXTS[0],)
    with images.opened(path) as image:  # as the search through a data set does
        np.testing.assert_array_equal(np.asarray(image), RGB)


def test_a_wrong_checksum_of_the_header_is_refused(tmp_path):
    path = save(tmp_path / "a.png", RGB)
    data = path.read_bytes()
    path.write_bytes(data[:29] + b"\0\0\0\0" + data[33:])
    with pytest.raises(images.ImageError, match="it is not a picture"):
        images.read(path)


@pytest.mark.parametrize(
    "long",
    [(b"zTXt", b"Comment\0\0" + LONG), (b"iTXt", b"Title\0\1\0\0\0" + LONG)],
    ids=lambda chunk: chunk[0].decode(),
)
def test_long_texts_are_kept_as_they_are(tmp_path, long):
    picture = images.read(written(tmp_path / "a.png", chunk(*long)))
    np.testing.assert_array_equal(picture.pixels, RGB)
    assert picture.notes == ()
    images.write(tmp_path / "b.png", picture, 255 - picture.pixels)
    assert long in chunks_in(tmp_path / "b.png")
    np.testing.assert_array_equal(images.read(tmp_path / "b.png").pixels, 255 - RGB)


def test_many_texts_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_MEMORY", 1000)
    many = [(b"tEXt", b"Comment\0" + bytes([65 + n]) * 400) for n in range(4)]
    picture = images.read(written(tmp_path / "a.png", *(chunk(*c) for c in many)))
    assert picture.chunks == tuple(many) and picture.notes == ()


def test_long_profiles_are_kept(tmp_path):
    profile = SRGB + bytes(2_000_000)
    data = b"long\0\0" + zlib.compress(profile)
    picture = images.read(written(tmp_path / "a.png", chunk(b"iCCP", data)))
    assert picture.icc == profile and picture.notes == ()


@pytest.mark.parametrize("size", [2_000_000, 5_000_000])
def test_profiles_that_are_bombs_are_not(tmp_path, monkeypatch, size):
    monkeypatch.setattr(png, "_LONGEST_PROFILE", 1_500_000)
    data = b"bomb\0\0" + zlib.compress(bytes(size))
    picture = images.read(written(tmp_path / "a.png", chunk(b"iCCP", data)))
    assert picture.icc is None
    assert picture.notes == ("PNG metadata is not kept: iCCP",)


def test_texts_and_the_meaning_of_colours_are_kept_or_said(tmp_path):
    colours = [
        (b"gAMA", struct.pack(">I", 100_000)),
        (b"cICP", bytes((9, 16, 0, 1))),
    ]
    both = [*colours, *TEXTS]
    path = written(tmp_path / "a.png", *(chunk(*c) for c in both))
    picture = images.read(path)
    assert picture.notes == ()
    assert images.write(tmp_path / "b.png", picture) == ()
    assert set(both) <= set(chunks_in(tmp_path / "b.png"))
    # as servers give them
    (tmp_path / "c.png").write_bytes(images.encode(images.decode(path.read_bytes())))
    assert set(both) <= set(chunks_in(tmp_path / "c.png"))
    for suffix, kind in ((".jpg", "JPEG"), (".webp", "WEBP"), (".tif", "TIFF")):
        assert images.write(tmp_path / f"b{suffix}", picture) == (
            f"{kind} has no room for the texts of PNG",
            f"{kind} has no cICP of PNG: colours may look different",
        )


@pytest.mark.parametrize(
    ("chunks", "note"),
    [
        ([(b"gAMA", struct.pack(">I", 100_000))], "gAMA"),
        ([(b"gAMA", struct.pack(">I", 45_455))], None),
        ([(b"gAMA", struct.pack(">I", 45_455)), (b"cHRM", bytes(32))], "cHRM"),
        ([(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 45_455))], None),
    ],
)
def test_only_colours_unlike_srgb_are_said(tmp_path, chunks, note):
    path = written(tmp_path / "a.png", *(chunk(*c) for c in chunks))
    expected = (f"JPEG has no {note} of PNG: colours may look different",)
    notes = images.write(tmp_path / "a.jpg", images.read(path))
    assert notes == (expected if note else ())


def test_other_metadata_is_said(tmp_path):
    path = written(
        tmp_path / "a.png",
        chunk(b"mDCV", bytes(24)),
        chunk(b"prVt", b"private"),
        chunk(b"tEXt", b"Raw profile type iptc\0\niptc\n0\n"),
        chunk(b"tIME", bytes(7)),
    )
    lost = "mDCV, prVt, Raw profile type iptc"
    assert images.read(path).notes == (f"PNG metadata is not kept: {lost}",)


def test_what_follows_the_end_is_no_chunk(tmp_path):
    path = save(tmp_path / "a.png", RGB)
    path.write_bytes(path.read_bytes() + chunk(b"tEXt", b"a\0b", wrong=1) + b"zzz")
    assert images.read(path).notes == ()


def test_files_that_pillow_takes_are_not_copied(tmp_path):
    path = written(tmp_path / "a.png", *(chunk(*c) for c in TEXTS))
    with open(path, "rb") as file:
        assert png.sifted(file)[0] is file and file.tell() == 0
    jpeg = io.BytesIO(save(tmp_path / "a.jpg", RGB).read_bytes())
    assert png.sifted(jpeg)[0] is jpeg and jpeg.tell() == 0


def test_transparent_colours_in_16_bits_are_said(tmp_path):
    rows = b"\0" + np.arange(6, dtype=">u2").tobytes()
    data = b"\x89PNG\r\n\x1a\n"
    data += chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
    data += chunk(b"tRNS", struct.pack(">HHH", 0, 1, 2))
    data += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(data)
    picture = images.read(tmp_path / "a.png")
    assert picture.alpha is None and picture.pixels.shape == (1, 2, 3)
    assert "the transparency of 16-bit colour is not kept" in picture.notes


def test_damaged_profiles_are_said(tmp_path):
    path = written(tmp_path / "a.png", chunk(b"iCCP", b"bad\0\0no zlib"))
    assert images.read(path).notes == ("the damaged ICC profile is not kept",)


def test_a_grey_profile_does_not_describe_colours(tmp_path):
    grey = SRGB[:16] + b"GRAY" + SRGB[20:]
    picture = images.Picture(np.zeros((9, 9), np.uint8), icc=grey)
    (note,) = images.write(tmp_path / "a.webp", picture)
    assert note == "WEBP has no greyscale: the grey ICC profile is not kept"
    with Image.open(tmp_path / "a.webp") as image:
        assert "icc_profile" not in image.info
    assert images.write(tmp_path / "a.jpg", picture) == ()


def test_comments_are_kept_or_said(tmp_path):
    picture = images.read(save(tmp_path / "a.jpg", RGB, comment=b"hello"))
    assert picture.comment == b"hello"
    assert images.write(tmp_path / "b.jpg", picture) == ()
    assert images.read(tmp_path / "b.jpg").comment == b"hello"
    assert images.write(tmp_path / "b.png", picture) == ()
    assert (b"tEXt", b"Comment\0hello") in chunks_in(tmp_path / "b.png")
    (note,) = images.write(tmp_path / "b.webp", picture)
    assert note == "WEBP has no room for the comment"


def test_iptc_is_said(tmp_path):
    block = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x08\x1c\x02\x19\0\x03rai"
    data = save(tmp_path / "a.jpg", RGB).read_bytes()
    segment = b"\xff\xed" + struct.pack(">H", len(block) + 2) + block
    (tmp_path / "a.jpg").write_bytes(data[:2] + segment + data[2:])
    assert images.read(tmp_path / "a.jpg").notes == ("IPTC metadata is not kept",)
