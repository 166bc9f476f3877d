"""Colours of frames: planes of luma and chroma to RGB pixels, and back, by swscale.

Films of 8 bits become `uint8` pixels, deeper ones `uint16` pixels straight from their
planes, so that the network sees every level and the encoder gets them back. The matrix
and the range are those that the frame is tagged with; without a tag both ways take
BT.601 in the limited range, so that colours stay what they were.
"""

from typing import Any

import numpy as np

from tfderain import extras

# Matrices that swscale knows by FFmpeg's numbers of them (AVColorSpace).
MATRICES = {
    1: "ITU709",
    4: "FCC",
    5: "ITU601",
    6: "ITU601",
    7: "SMPTE240M",
    9: "BT2020",
    10: "BT2020",
}
LIMITED, FULL = 1, 2  # AVColorRange


def require_av() -> Any:
    """Returns PyAV.

    Raises:
        ImportError: naming the extra, if it is not installed.
    """
    return extras.require("av", extra="video")


def depth(frame: Any) -> int:
    """Bits of a sample of a frame, or of a pixel format (`av.VideoFormat`)."""
    format = getattr(frame, "format", frame)
    return max(component.bits for component in format.components)


def to_pixels(frame: Any) -> np.ndarray:
    """Returns the RGB pixels of an `av.VideoFrame`.

    Returns:
        array `(height, width, 3)`, `uint8`, or `uint16` if a sample has more bits.
    """
    name = "rgb48le" if depth(frame) > 8 else "rgb24"
    rgb = frame.reformat(
        format=name,
        src_colorspace=MATRICES.get(frame.colorspace, "DEFAULT"),
        src_color_range=_range(frame),
        dst_color_range=FULL,
        interpolation=_exact(),
    )
    return rgb.to_ndarray()


def to_frame(pixels: np.ndarray, like: Any, format: str) -> Any:
    """Returns an `av.VideoFrame` of RGB pixels, in the colours and time of another.

    Args:
        pixels: `uint8` or `uint16` array `(height, width, 3)`.
        like: the frame whose tags of colour, time and duration it takes.
        format: FFmpeg's name of the pixel format, such as `"yuv420p10le"`.
    """
    av = require_av()
    name = "rgb48le" if pixels.dtype == np.uint16 else "rgb24"
    rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=name)
    frame = rgb.reformat(
        format=format,
        src_color_range=FULL,
        dst_colorspace=MATRICES.get(like.colorspace, "DEFAULT"),
        dst_color_range=_range(like),
        interpolation=_exact(),
    )
    frame.colorspace, frame.color_range = like.colorspace, like.color_range
    frame.color_trc, frame.color_primaries = like.color_trc, like.color_primaries
    frame.pts, frame.duration = like.pts, like.duration
    if like.time_base:
        frame.time_base = like.time_base
    return frame


def _range(frame):
    full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
    return FULL if full else LIMITED


def _exact():
    """swscale's exact way: the default one darkens each frame by a grey level."""
    from av.video.reformatter import Interpolation as way

    rounding = way.ACCURATE_RND | way.FULL_CHR_H_INT | way.FULL_CHR_H_INP
    return int(way.BICUBIC | rounding)
