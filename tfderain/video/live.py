"""Live films: cameras and streams, derained as they come; frames are dropped, not late.

```python
with Camera("rtsp://10.0.0.7/stream") as camera:
    derain_live(camera, runtime.Restorer("menet"), [Recording("derained.mkv")])
```

A thread reads and decodes whatever comes and keeps the newest frame only. So a network
that is slower than the camera works on what is to be seen now.
"""

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np

from tfderain import errors, files
from tfderain.runtime import FrameRestorer, Restorer
from tfderain.video import colours, encoders, temporal
from tfderain.video.formats import FORMATS, is_live

_BASE = Fraction(1, 1000)  # times of a recording: milliseconds since its first frame
_OPTIONS = {"flags": "low_delay", "rtsp_transport": "tcp"}


class Camera:
    """The newest frame of a live source.

    Args:
        source: address (`rtsp://`, `udp://`, `tcp://`, `http://`, ...), a device
            (`/dev/video0`), or `-` for standard input.
        timeout: float, seconds after which a silent source has ended.

    Attributes:
        read, dropped: int. Frames that came, and that were never asked for.
        problem: str. Why it ended; `""` if the source itself ended.

    Raises:
        ValueError: for what is no live source.
        OSError: if it cannot be opened.
    """

    def __init__(self, source: str, timeout: float = 10.0):
        if not is_live(source):
            raise ValueError(
                "A live source is an address such as rtsp://..., a device such as "
                f"/dev/video0, or - for standard input. Received: {source}."
            )
        av = colours.require_av()
        place = "pipe:0" if source == "-" else source
        format = "v4l2" if source.startswith("/dev/") else None
        options = dict(_OPTIONS) if re.match("rtsps?:", source) else {}
        try:
            self.container = av.open(
                place, "r", format=format, options=options, timeout=timeout
            )
            self.video = self.container.streams.video[0]
        except (av.error.FFmpegError, IndexError, ValueError) as error:
            raise OSError(
                f"{source} cannot be opened as a film ({errors.reason(error)})"
            ) from error
        self.source, self.read, self.dropped, self.problem = source, 0, 0, ""
        self._newest: tuple[Any, float] | None = None
        self._ended, self._changed = False, threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        with self._changed:
            self._ended = True
        # A source that is silent holds the thread up, for which nobody should wait.
        self._thread.join(1.0)
        if not self._thread.is_alive():
            self.container.close()

    def newest(self) -> tuple[Any, float] | None:
        """Waits for a frame that was not given yet.

        Returns:
            `(av.VideoFrame, time.monotonic() when it came)`; `None` at the end.
        """
        with self._changed:
            # The limit lets Ctrl-C through.
            while self._newest is None and not self._ended:
                self._changed.wait(0.2)
            found, self._newest = self._newest, None
            return found

    def _run(self):
        av = colours.require_av()
        try:
            for frame in self.container.decode(self.video):
                self._put(frame)
                if self._ended:
                    return
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self.problem = errors.reason(error)
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, frame):
        with self._changed:
            self.read += 1
            self.dropped += self._newest is not None
            self._newest = frame, time.monotonic()
            self._changed.notify_all()


@dataclass(frozen=True)
class Live:
    """What became of a live source.

    Attributes:
        frames, dropped: int. Derained, and left out because newer ones were there.
        latency: float. Median seconds from a frame's coming to its leaving.
        problem: str. Why it ended; `""` if it ended by itself or was stopped.
    """

    frames: int
    dropped: int
    latency: float
    problem: str = ""


def derain_live(
    camera: Camera,
    restorer: Restorer,
    sinks: Sequence[Callable[[np.ndarray, Any, float], object]],
    *,
    neighbours: int = 0,
    align: str = "flow",
    status: Callable[[str], object] | None = None,
) -> Live:
    """Derains the newest frame again and again, until the source ends or Ctrl-C.

    Args:
        camera: `Camera`, open.
        restorer: `runtime.Restorer`.
        sinks: called with `(pixels, frame, when)`: the derained RGB pixels, the
            `av.VideoFrame` that they are of, and `time.monotonic()` when that came.
        neighbours, align: see `video.derain_film`. Frames leave later by `neighbours`.
        status: called after each frame with a line of speed and latency.
    """
    combiner = temporal.Combiner(neighbours, align) if neighbours else None
    latencies, started = [], time.monotonic()
    with contextlib.suppress(KeyboardInterrupt):
        items = _derained(camera, restorer)
        for pixels, (frame, when) in temporal.combined(items, combiner):
            for sink in sinks:
                sink(pixels, frame, when)
            now = time.monotonic()
            latencies = [*latencies[-99:], now - when]
            if status:
                done = camera.read - camera.dropped
                status(
                    f"{camera.source}: {done / (now - started):.1f} frames/s, "
                    f"{1000 * (now - when):.0f} ms late, {camera.dropped} dropped"
                )
    middle = float(np.median(latencies)) if latencies else 0.0
    done = camera.read - camera.dropped
    return Live(done, camera.dropped, middle, camera.problem)


def _derained(camera, restorer):
    """Yields `(derained, rainy, (frame, when))`; the first frame decides for all."""
    restore = first = None
    while found := camera.newest():
        frame, when = found
        if first and (frame.width, frame.height) != (first.width, first.height):
            frame = frame.reformat(first.width, first.height, first.format.name)
        rainy = colours.to_pixels(frame)
        if restore is None:
            restore, first = FrameRestorer(restorer, [rainy]), frame
        yield restore(rainy), rainy, (frame, when)


class Recording:
    """Writes a live film into a file, each frame at the time at which it came.

    The file appears under its name when the recording is closed; Ctrl-C is the usual
    end of one, and keeps it.

    Args:
        path: with a suffix of `formats.FORMATS`.
        encoding: `encoders.Encoding`, or `None`.

    Attributes:
        notes: tuple of str, what was chosen unexpectedly.

    Raises:
        ValueError: for another suffix.
    """

    def __init__(
        self, path: str | os.PathLike, encoding: encoders.Encoding | None = None
    ):
        self.path, self.encoding = os.fspath(path), encoding or encoders.Encoding()
        suffix = os.path.splitext(self.path)[1].lower()
        if suffix not in FORMATS:
            raise ValueError(
                f"A film must end in {', '.join(FORMATS)}. Received: {self.path}."
            )
        self.format, self.notes = FORMATS[suffix], ()
        self.stack, self.container = contextlib.ExitStack(), None
        self.codec, self.notes = encoders.find(self.encoding, self.format)

    def __enter__(self):
        return self

    def __exit__(self, kind, *details):
        if self.container and kind is None:
            self.container.mux(self.stream.encode(None))
        self.stack.__exit__(kind, *details)

    def __call__(self, pixels: np.ndarray, frame: Any, when: float):
        if self.container is None:
            self.container = self._open(frame, when)
        made = colours.to_frame(pixels, frame, self.pixel_format)
        now = round((when - self.started) / _BASE)
        made.pts = self.last = max(self.last + 1, now)
        made.time_base, made.duration = _BASE, 0
        self.container.mux(self.stream.encode(made))

    def _open(self, frame, when):
        """Returns the open container, once it is known what comes."""
        av = colours.require_av()
        size = frame.height, frame.width
        self.pixel_format, lost = encoders.pixel_format(
            self.codec, frame.format, size, self.encoding.pixel_format
        )
        self.notes += lost
        temporary = self.stack.enter_context(files.replacing(self.path))
        container = self.stack.enter_context(
            av.open(str(temporary), "w", format=self.format)
        )
        options = encoders.options(self.codec.name, self.encoding.quality)
        options.pop("qscale", None)
        if self.codec.name == "libx264":
            options |= {"preset": "veryfast", "tune": "zerolatency"}
        self.stream = container.add_stream(
            self.codec.name, 25, options, time_base=_BASE
        )
        self.stream.width, self.stream.height = frame.width, frame.height
        self.stream.pix_fmt = self.pixel_format
        context = self.stream.codec_context
        context.color_range, context.colorspace = frame.color_range, frame.colorspace
        self.started, self.last = when, -1
        return container


class RawFrames:
    """Writes frames as they are in memory, for another program to read.

    `ffmpeg -f rawvideo -pixel_format rgb24 -video_size 640x360 -i -` reads them, with
    `rgb48le` where the film has more than 8 bits.

    Args:
        stream: binary, such as `sys.stdout.buffer`.
        say: called once with the line of options that reads them.
    """

    def __init__(self, stream: BinaryIO, say: Callable[[str], object]):
        self.stream, self.say, self.told = stream, say, False

    def __call__(self, pixels: np.ndarray, frame: Any, when: float):
        if not self.told:
            name = "rgb24" if pixels.dtype == np.uint8 else "rgb48le"
            size = f"{pixels.shape[1]}x{pixels.shape[0]}"
            self.say(f"stdout: -f rawvideo -pixel_format {name} -video_size {size}")
            self.told = True
        self.stream.write(np.ascontiguousarray(pixels).tobytes())
        self.stream.flush()
