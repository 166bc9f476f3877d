"""Colours: frames to pixels and back without a drift, whatever their tags."""

import av
import numpy as np
import pytest

from tfderain.video import colours

BARS = {  # R'G'B' of 75 % bars: green in each matrix by its standard's equation
    1: (0.2126, 0.7152, 0.0722),
    6: (0.299, 0.587, 0.114),
    9: (0.2627, 0.6780, 0.0593),
}


def plain(luma, blue, red, matrix, full, format="yuv420p"):
    """A frame of one colour."""
    frame = av.VideoFrame(32, 16, format)
    deep = "10" in format
    for plane, value in zip(frame.planes, (luma, blue, red), strict=True):
        kind = np.uint16 if deep else np.uint8
        width = plane.line_size // np.dtype(kind).itemsize
        plane.update(np.full((plane.height, width), value, kind).tobytes())
    frame.colorspace, frame.color_range = matrix, 2 if full else 1
    return frame


@pytest.mark.parametrize("matrix", BARS)
@pytest.mark.parametrize("full", [False, True])
def test_pixels_are_those_of_the_standards_equations(matrix, full):
    red, green, blue = BARS[matrix]
    luma, cb, cr = 120, 140, 100
    low, span, chroma = (0, 255, 255) if full else (16, 219, 224)
    y, b, r = (luma - low) / span, (cb - 128) / chroma, (cr - 128) / chroma
    want = [y + 2 * (1 - red) * r, 0, y + 2 * (1 - blue) * b]
    want[1] = (y - red * want[0] - blue * want[2]) / green
    pixels = colours.to_pixels(plain(luma, cb, cr, matrix, full))
    # swscale's fixed point: a level, and rounding
    assert np.abs(pixels - 255 * np.array(want)).max() < 1.6


@pytest.mark.parametrize("matrix", [1, 2, 6, 9])
@pytest.mark.parametrize("full", [False, True])
def test_there_and_back_nothing_drifts(matrix, full):
    frame = plain(120, 140, 100, matrix, full)
    frame.pts, frame.duration = 7, 3
    made = colours.to_frame(colours.to_pixels(frame), frame, "yuv420p")
    for one, two in zip(frame.planes, made.planes, strict=True):
        before = np.frombuffer(bytes(one), np.uint8).astype(int)[:8]
        after = np.frombuffer(bytes(two), np.uint8)[:8]
        assert np.abs(after - before).max() <= 1  # rounding to 8 bits and back
    assert (made.colorspace, made.color_range) == (matrix, 2 if full else 1)
    assert (made.pts, made.duration) == (7, 3)


def test_luma_is_not_darkened():
    """swscale's default way takes a grey level off every frame, on average."""
    luma = np.arange(16, 236)
    frames = [plain(value, 128, 128, 1, False) for value in luma]
    back = [colours.to_frame(colours.to_pixels(f), f, "yuv420p") for f in frames]
    after = np.array([bytes(frame.planes[0])[0] for frame in back])
    assert abs((after - luma).mean()) < 0.1


def test_depths():
    assert colours.depth(av.VideoFrame(16, 16, "yuv420p10le")) == 10
    assert colours.depth(av.VideoFormat("rgb24")) == 8
    deep = plain(480, 512, 512, 1, False, "yuv420p10le")
    assert colours.to_pixels(deep).dtype == np.uint16
