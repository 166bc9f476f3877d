"""Films written: derained frames encoded, all else copied without encoding it again."""

import contextlib
import os
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from tfderain import files
from tfderain.video import colours, encoders
from tfderain.video.formats import FORMATS

# Tags that say how the film was stored, which is the writer's business now.
_OF_THE_FILE = ("major_brand", "minor_version", "compatible_brands", "encoder")
_OF_THE_STREAM = ("encoder", "rotate", "duration", "bps", "number_of")
_LARGEST_BASE = 65535  # denominator of MPEG-4's time base


class Writer:
    """Writes one film beside an open `reading.Source`.

    Args:
        path: of the film, with a suffix of `formats.FORMATS`; usually a temporary name.
        source: the film that it is made of.
        example: a decoded frame of it, which has its size and tags.
        encoding: `encoders.Encoding`.

    Attributes:
        notes: tuple of str, what cannot be kept and what was chosen unexpectedly.
        lost: int. Packets that were too damaged to be copied.

    Raises:
        ValueError: if the container does not take the sound, or the options do not fit.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        source: Any,
        example: Any,
        encoding: encoders.Encoding,
    ):
        av = colours.require_av()
        path = os.fspath(path)
        self.format = FORMATS[os.path.splitext(path)[1].lower()]
        self.notes: tuple[str, ...] = ()
        self.lost = 0
        codec, notes = encoders.find(encoding, self.format)
        size = example.height, example.width
        self.pixel_format, lost = encoders.pixel_format(
            codec, example.format, size, encoding.pixel_format
        )
        self._note(*notes, *lost)
        mov = self.format in ("mp4", "mov")
        flags = "+faststart"
        if any(key.startswith("com.") for key in source.container.metadata):
            flags += "+use_metadata_tags"
        self.container = av.open(
            path,
            "w",
            format=self.format,
            container_options={"movflags": flags} if mov else {},
        )
        try:
            self._add_streams(source, example, codec, encoding)
        except BaseException:
            self.container.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.container.mux(self.video.encode(None))
        self.container.close()

    def write(self, pixels: np.ndarray, like: Any):
        """Encodes a derained frame with the time and the tags of its original."""
        frame = colours.to_frame(pixels, like, self.pixel_format)
        self.container.mux(self.video.encode(frame))

    def copy(self, packet: Any):
        """Copies a packet of sound, subtitles and the like."""
        stream = self.copies.get(packet.stream.index)
        if stream is None:
            return
        packet.stream = stream
        try:
            self.container.mux(packet)
        except OSError:  # a full disk and the like
            raise
        except colours.require_av().error.FFmpegError:
            self.lost += 1

    def _note(self, *notes):
        self.notes = tuple(dict.fromkeys((*self.notes, *notes)))

    def _add_streams(self, source, example, codec, encoding):
        self.copies = {}
        for stream in source.container.streams:
            if stream.index == source.video.index:
                self.video = self._encoded(source.video, example, codec, encoding)
            elif copied := self._copied(stream):
                self.copies[stream.index] = copied
        self.container.metadata.update(_tags(source.container, _OF_THE_FILE))
        if chapters := source.container.chapters():
            self.container.set_chapters(chapters)

    def _encoded(self, video, example, codec, encoding):
        options = encoders.options(codec.name, encoding.quality)
        scale = options.pop("qscale", None)
        base = _time_base(video.time_base, codec.name)
        stream = self.container.add_stream(
            codec.name, video.guessed_rate or 25, options, time_base=base
        )
        context = stream.codec_context
        context.width, context.height = example.width, example.height
        context.pix_fmt = self.pixel_format
        if scale:
            context.qscale = True
            context.global_quality = round(118 * float(scale))  # FF_QP2LAMBDA
        context.color_range = example.color_range
        context.colorspace = example.colorspace
        context.color_trc = example.color_trc
        context.color_primaries = example.color_primaries
        if video.sample_aspect_ratio:
            context.sample_aspect_ratio = video.sample_aspect_ratio
        from av.codec.context import Flags

        context.flags |= Flags.frame_duration
        if codec.name == "libx265" and self.format in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # which Apple's players ask for
        if matrix := _display_matrix(example):
            stream.set_display_matrix(matrix)
        stream.metadata.update(_tags(video, _OF_THE_STREAM))
        stream.disposition = video.disposition
        self._note(*_unkept(example))
        return stream

    def _copied(self, stream):
        """The stream that takes over the packets of another; `None` if none does."""
        if stream.type in ("data", "unknown"):
            # The writer makes its own of a timecode and of chapters, which MOV has so.
            if "timecode" not in stream.metadata and not stream.container.chapters():
                self._note(f"{stream.type} streams are not kept")
            return None
        try:
            copied = self.container.add_stream_from_template(stream, opaque=True)
        except ValueError as error:
            name = getattr(stream.codec_context, "name", stream.type)
            if stream.type == "audio":
                raise ValueError(
                    f"{self.format} cannot hold this film's sound ({name}); .mkv "
                    "holds any."
                ) from error
            self._note(f"{self.format} cannot hold {stream.type} streams of {name}")
            return None
        copied.metadata.update(stream.metadata)
        copied.disposition = stream.disposition
        if stream.type == "video":
            self._note("further picture tracks are copied as they are")
        return copied


@contextlib.contextmanager
def writing(path: str | os.PathLike, *arguments: Any) -> Iterator[Writer]:
    """Yields a `Writer` whose film appears under its name whole or not at all.

    Args:
        path: of the film; a file there is replaced.
        arguments: of `Writer` behind its path.
    """
    with files.replacing(path) as temporary, Writer(temporary, *arguments) as writer:
        yield writer


def _tags(owner, without):
    return {
        key: value
        for key, value in owner.metadata.items()
        if not key.lower().startswith(without)
    }


def _time_base(base, codec):
    base = base or Fraction(1, 90000)
    if codec == "mpeg4" and base.denominator > _LARGEST_BASE:
        return Fraction(1, 1000)
    return base


def _display_matrix(frame):
    """How the film is to be turned: nine numbers, or `None`."""
    data = _side_data(frame).get("DISPLAYMATRIX")
    return struct.unpack("=9i", bytes(data)) if data else None


def _side_data(frame):
    return {data.type.name: data for data in frame.side_data}


def _unkept(example):
    notes = []
    if example.interlaced_frame:
        notes.append("interlaced films become progressive, frame by frame")
    if _side_data(example).keys() & {"MASTERING_DISPLAY_METADATA", "DOVI_METADATA"}:
        notes.append("the brightness of the display it was made on is not kept (HDR)")
    return notes
