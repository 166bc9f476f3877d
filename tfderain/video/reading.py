"""Films read frame by frame: decoded pictures, other streams' packets, and damage.

```python
with Source("rainy.mp4") as source:
    for item in source:  # an `av.VideoFrame`, or an `av.Packet` of sound and the like
        ...
print(source.problem)  # "" if all of it was there
```
"""

import os
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from tfderain import errors
from tfderain.video import colours

EXAMPLES = (0.0, 0.15, 0.35, 0.55, 0.75, 0.9)  # where a film is looked at beforehand
# Seconds by which a whole film may end earlier than its header says, and frames of slow
# films: the padding of sound, and last frames without a duration.
SHORT, SHORT_FRAMES = 0.25, 2


class Source:
    """A film that is read once, from the first frame to the last.

    Args:
        path: of the film.

    Attributes:
        container: the open `av.InputContainer`.
        video: its main `av.VideoStream`, the first that is no cover picture.
        count: int. Frames that it has by its header; 0 if that says nothing.
        frames: int. Frames that were read so far.
        damaged: int. Packets so far that could not be decoded.
        problem: str. Why frames are missing; `""` if none are. Known at the end.

    Raises:
        ValueError: if there is no such film, or nothing to see in it.
    """

    def __init__(self, path: str | os.PathLike):
        av = colours.require_av()
        self.path = os.fspath(path)
        if not os.path.isfile(self.path):
            raise ValueError(f"There must be a film. Received: {self.path}.")
        try:
            self.container = av.open(self.path, metadata_errors="replace")
        except av.error.FFmpegError as error:
            raise ValueError(
                f"{self.path} is no film, or only a part of one "
                f"({errors.reason(error)})."
            ) from error
        self.video = _main(self.container, self.path)
        self.video.thread_type = "AUTO"
        self.count = _count(self.container, self.video)
        self.frames, self.damaged, self.problem = 0, 0, ""
        self._error, self._end, self._last = "", 0.0, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.container.close()

    def examples(self) -> list[Any]:
        """Some `av.VideoFrame`s from all over the film, which it opens again for that.

        Raises:
            ValueError: if not even one can be decoded.
        """
        av = colours.require_av()
        found = []
        with av.open(self.path, metadata_errors="replace") as container:
            video = _main(container, self.path)
            for share in EXAMPLES:
                try:
                    if share and container.duration:
                        container.seek(int(share * container.duration))
                    found.append(next(container.decode(video)))
                except (av.error.FFmpegError, StopIteration):
                    break
        if not found:
            raise ValueError(f"No frame of {self.path} can be decoded.")
        return found

    def __iter__(self) -> Iterator[Any]:
        av = colours.require_av()
        packets = self.container.demux()
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except av.error.FFmpegError as error:
                self._error = errors.reason(error)
                yield from self._decoded(None)
                break
            if packet.stream is self.video:
                self._note_end(packet)
                yield from self._decoded(packet)
            elif packet.size:
                self._note_end(packet)
                yield packet
        self.problem = self._verdict()

    def _decoded(self, packet):
        av = colours.require_av()
        try:
            frames = self.video.decode(packet)
        except av.error.EOFError:  # it was flushed before
            return
        except av.error.FFmpegError:
            self.damaged += 1
            return
        for frame in frames:
            self._set_time(frame)
            self.frames += 1
            yield frame

    def _set_time(self, frame):
        """Gives a frame without a time of its own, or with an earlier one, the next."""
        last, step = self._last or (None, 1)
        pts = frame.pts if frame.pts is not None else frame.dts
        if pts is None:
            pts = 0 if last is None else last + step
        if last is not None and pts <= last:
            pts = last + 1
        rate, base = self.video.guessed_rate, frame.time_base or self.video.time_base
        usual = round(1 / (rate * base)) if rate and base else 1
        frame.pts = pts
        self._last = pts, frame.duration or max(usual, 1)

    def _note_end(self, packet):
        if packet.is_corrupt and packet.size:
            self._error = self._error or "a packet is cut off"
        if packet.pts is not None and packet.time_base:
            end = packet.pts + (packet.duration or 0)
            self._end = max(self._end, float(end * packet.time_base))

    def _verdict(self):
        av = colours.require_av()
        missing = 0.0
        if self.container.duration and self.container.format.name not in _GUESSED:
            start = (self.container.start_time or 0) / av.time_base
            whole = self.container.duration / av.time_base
            # Tracks of chapters may be longer than the film, cut films than they play.
            tracks = [
                float(stream.duration * stream.time_base)
                for stream in (*self.container.streams.audio, self.video)
                if stream.duration and stream.time_base
            ]
            missing = start + min(whole, max(tracks, default=whole)) - self._end
        rate = self.video.guessed_rate
        if missing > max(SHORT, SHORT_FRAMES / rate if rate else 0):
            reason = self._error or "the file is cut off"
            return f"{missing:.1f} s at the end are missing ({reason})"
        if self.damaged:
            return f"{self.damaged} frames cannot be decoded"
        return self._error


# Containers without a header that knows the duration: FFmpeg guesses by the bit rate.
_GUESSED = ("mpegts", "mpeg", "h264", "hevc", "mpegvideo", "m4v")


def _main(container, path):
    from av.stream import Disposition

    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise ValueError(f"There must be pictures in a film. Received: {path}.")


def _count(container, video):
    av = colours.require_av()
    if video.frames:
        return video.frames
    rate: Fraction | None = video.guessed_rate
    if not container.duration or not rate:
        return 0
    return max(1, round(container.duration / av.time_base * rate))
