"""Encoders: which codec, quality and pixel format a derained film gets.

Each is chosen by what this build of FFmpeg has and what the film was, unless an
`Encoding` says otherwise.
"""

import dataclasses
from typing import Any

from tfderain.video import colours

# By container, best first: what plays everywhere, small, at a quality that shows none
# of the coding.
CODECS = {
    "webm": ("libvpx-vp9", "libsvtav1", "libaom-av1", "libvpx"),
    None: ("libx264", "libx265", "libsvtav1", "libopenh264", "mpeg4"),
}
# Constant quality in each encoder's own measure, lower is better: about equal to
# H.264's 18, which FFmpeg's documentation calls visually lossless or nearly so.
QUALITIES = {
    "libx264": 18,
    "libx265": 20,
    "libvpx-vp9": 24,
    "libvpx": 8,
    "libsvtav1": 22,
    "libaom-av1": 22,
    "mpeg4": 2,
}
_BY_SCALE = ("mpeg4",)  # their quality is `qscale`
_FURTHER = {
    "libvpx-vp9": {"b:v": "0"},  # else its quality is a limit of the bit rate's
    "libx265": {"x265-params": "log-level=error"},  # it talks on stderr
}
_EVEN = ("libx264", "libx265", "libopenh264")  # no odd sizes where chroma is halved


@dataclasses.dataclass(frozen=True)
class Encoding:
    """How films are written; `None` leaves a choice to the film and the build.

    Args:
        codec: name of an encoder of FFmpeg, such as `"libx265"`.
        quality: number, its constant quality, lower is better (CRF, or `qscale` of
            `mpeg4`).
        pixel_format: name of FFmpeg, such as `"yuv420p"`.
    """

    codec: str | None = None
    quality: float | None = None
    pixel_format: str | None = None


def find(encoding: Encoding, container: str) -> tuple[Any, tuple[str, ...]]:
    """Finds the encoder for a container.

    Args:
        encoding: what was asked for.
        container: a value of `formats.FORMATS`.

    Returns:
        `(av.Codec, notes)`; the notes say if it is not the one one would expect.

    Raises:
        ValueError: if this build has no such encoder, or none for the container.
    """
    names = CODECS.get(container, CODECS[None])
    if encoding.codec:
        codec = _codec(encoding.codec)
        if codec is None or codec.type != "video":
            have = ", ".join(name for name in QUALITIES if _codec(name))
            raise ValueError(
                f"`codec` must be an encoder of films of this build ({have}, ...). "
                f"Received: codec={encoding.codec}."
            )
        return codec, ()
    for name in names:
        if codec := _codec(name):
            notes = () if name == names[0] else (f"no {names[0]} here: {name}",)
            return codec, notes
    raise ValueError(f"No encoder for {container} is in this build of FFmpeg.")


def _codec(name):
    av = colours.require_av()
    try:
        return av.Codec(name, "w")
    except av.error.FFmpegError:
        return None
    except ValueError:  # UnknownCodecError
        return None


def options(codec: str, quality: float | None) -> dict[str, str]:
    """Returns an encoder's options for a constant quality.

    Raises:
        ValueError: if a quality was asked of an encoder that has none that is known.
    """
    if quality is not None and codec not in QUALITIES:
        raise ValueError(
            f"`quality` needs one of {', '.join(QUALITIES)}. Received: codec={codec}."
        )
    value = QUALITIES.get(codec) if quality is None else quality
    if value is None:
        return {}
    if codec in _BY_SCALE:
        return {"qscale": f"{value:g}"}
    return {"crf": f"{value:g}", **_FURTHER.get(codec, {})}


def pixel_format(
    codec: Any, source: Any, size: tuple[int, int], wanted: str | None
) -> tuple[str, tuple[str, ...]]:
    """Chooses the pixel format: the film's own, or the nearest the encoder takes.

    Args:
        codec: `av.Codec`.
        source: `av.VideoFormat` of the film.
        size: `(height, width)`.
        wanted: name, or `None`.

    Returns:
        `(name, notes)`; the notes say what is lost: bits, colour or transparency.

    Raises:
        ValueError: if the encoder does not take `wanted`.
    """
    from av.codec.codec import find_best_pix_fmt_of_list

    # "J" is the full range, which is a tag of its own.
    takes = [f.name for f in codec.video_formats or () if not f.name.startswith("yuvj")]
    takes = takes or [f.name for f in codec.video_formats or ()]
    if wanted:
        if takes and wanted not in takes:
            raise ValueError(
                f"`pixel_format` must be one that {codec.name} takes "
                f"({', '.join(takes)}). Received: pixel_format={wanted}."
            )
        return wanted, ()
    own = source.name.replace("yuvj", "yuv")
    if any(side % 2 for side in size) and codec.name in _EVEN:
        own = "yuv444p10le" if colours.depth(source) > 8 else "yuv444p"
    best = find_best_pix_fmt_of_list(takes, own)[0] if takes else None
    name = best.name if best else own
    return name, _losses(source, name)


def _losses(source, name):
    av = colours.require_av()
    before, after = colours.depth(source), colours.depth(av.VideoFormat(name))
    notes = []
    if after < before:
        notes.append(f"{before} bits become {after}: the encoder takes no more")
    if any(component.is_alpha for component in source.components):
        notes.append("transparency is not kept in films")
    return tuple(notes)
