"""Encoders: codec, quality and pixel format for a container and a build of FFmpeg."""

import av
import pytest

from tfderain.video import Encoding, encoders


def lacking(monkeypatch, *names):
    find = encoders._codec
    monkeypatch.setattr(
        encoders, "_codec", lambda name: None if name in names else find(name)
    )


def test_the_first_that_the_build_has_is_taken_and_said(monkeypatch):
    assert encoders.find(Encoding(), "mp4")[0].name == "libx264"
    assert encoders.find(Encoding(), "webm")[0].name == "libvpx-vp9"
    lacking(monkeypatch, "libx264", "libx265", "libsvtav1")
    codec, notes = encoders.find(Encoding(), "mp4")
    assert codec.name == "mpeg4" and notes == ("no libx264 here: mpeg4",)


def test_a_build_without_any_is_an_error(monkeypatch):
    lacking(monkeypatch, *encoders.CODECS["webm"])
    with pytest.raises(ValueError, match="No encoder for webm"):
        encoders.find(Encoding(), "webm")


@pytest.mark.parametrize("name", ["h26x", "aac"])
def test_what_is_no_encoder_of_films_is_refused(name):
    with pytest.raises(ValueError, match=r"`codec` must be .* \(libx264, libx265, "):
        encoders.find(Encoding(name), "mp4")


def test_qualities():
    assert encoders.options("libx264", None) == {"crf": "18"}
    assert encoders.options("libvpx-vp9", 30) == {"crf": "30", "b:v": "0"}
    assert encoders.options("mpeg4", 3.5) == {"qscale": "3.5"}
    assert encoders.options("ffv1", None) == {}
    with pytest.raises(ValueError, match="`quality` needs one of"):
        encoders.options("ffv1", 3)


@pytest.mark.parametrize(
    ("codec", "source", "size", "chosen", "notes"),
    [
        ("libx264", "yuv420p", (48, 64), "yuv420p", 0),
        ("libx264", "yuvj420p", (48, 64), "yuv420p", 0),
        ("libx264", "yuv422p10le", (48, 64), "yuv422p10le", 0),
        ("libx264", "yuv420p", (47, 64), "yuv444p", 0),
        ("libx265", "yuv420p10le", (48, 63), "yuv444p10le", 0),
        ("libvpx-vp9", "yuv420p", (47, 63), "yuv420p", 0),
        ("libx264", "rgb24", (48, 64), "yuv444p", 0),
        ("libx264", "yuva420p", (48, 64), "yuv420p", 1),
        ("mpeg4", "yuv420p10le", (48, 64), "yuv420p", 1),
    ],
)
def test_pixel_formats_are_the_films_or_the_nearest(codec, source, size, chosen, notes):
    codec, format = av.Codec(codec, "w"), av.VideoFormat(source)
    name, said = encoders.pixel_format(codec, format, size, None)
    assert name == chosen and len(said) == notes


def test_a_pixel_format_must_be_one_of_the_encoder():
    codec, format = av.Codec("mpeg4", "w"), av.VideoFormat("yuv420p")
    with pytest.raises(ValueError, match=r"mpeg4 takes \(yuv420p\)"):
        encoders.pixel_format(codec, format, (8, 8), "yuv444p")
