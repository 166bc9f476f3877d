"""Films derained: a file into a file, frame by frame, each in its own time.

```python
from tfderain import runtime, video

film = video.derain_film("rainy.mp4", "derained.mp4", runtime.Restorer("menet"))
print(film.frames, film.notes, film.problem)
```

Frames are never stored: memory does not grow with the length of a film.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from tfderain import reports
from tfderain.runtime import FrameRestorer, Restorer
from tfderain.video import colours, reading, temporal, writing
from tfderain.video.encoders import Encoding


@dataclass(frozen=True)
class Film:
    """What became of a film.

    Attributes:
        frames: int. As many as could be read, and are in the derained film.
        seconds: float, time that it took.
        notes: tuple of str, what cannot be kept, and how it was encoded if unusually.
        problem: str. Why there are fewer frames than there should be; `""` if there
            are all.
    """

    frames: int
    seconds: float
    notes: tuple[str, ...] = ()
    problem: str = ""


def derain_film(
    source: str | os.PathLike,
    target: str | os.PathLike,
    restorer: Restorer,
    *,
    encoding: Encoding | None = None,
    neighbours: int = 0,
    align: str = "flow",
    progress: reports.Progress | None = None,
    status: Callable[[str], object] | None = None,
) -> Film:
    """Derains a film into another, which appears under its name when it is whole.

    Sound, subtitles, chapters, rotation, tags of colour and other tags are copied.

    Args:
        source: a film that FFmpeg reads.
        target: file with a suffix of `formats.FORMATS`; one that exists is replaced.
        restorer: `runtime.Restorer`.
        encoding: codec, quality and pixel format; by default an `Encoding()`.
        neighbours: int. Frames before and after that each frame is combined with, see
            `temporal`; 0 for none.
        align: one of `temporal.ALIGNMENTS`, for neighbours.
        progress: called with `(done, total)`, in frames, or `None`.
        status: called after each frame with a line that says how fast it goes.

    Raises:
        ValueError: `source` is no film, the container does not hold its sound, or an
            option does not fit.
        ImportError: without the extra `video`.
    """
    started = time.monotonic()
    combiner = temporal.Combiner(neighbours, align) if neighbours else None
    with reading.Source(source) as film:
        examples = film.examples()
        restore = FrameRestorer(restorer, map(colours.to_pixels, examples))
        first = examples[0]
        with writing.writing(target, film, first, encoding or Encoding()) as writer:
            meter = Meter(film, progress, status)
            for derained, frame in temporal.combined(
                _derained(film, restore, writer, first), combiner
            ):
                writer.write(derained, frame)
                meter.tick()
            notes, lost = writer.notes, writer.lost
        meter.finish()
    seconds = time.monotonic() - started
    problem = film.problem
    if lost and not problem:
        problem = f"{lost} damaged packets of sound or subtitles are left out"
    return Film(film.frames, seconds, notes, problem)


def _derained(film, restore, writer, first):
    """Yields `(derained, rainy, frame)`; hands all else to the writer."""
    size = first.width, first.height
    for item in film:
        if not hasattr(item, "format"):  # a packet
            writer.copy(item)
            continue
        if (item.width, item.height) != size or item.format.name != first.format.name:
            item = _like(item, first)
        rainy = colours.to_pixels(item)
        yield restore(rainy), rainy, item


def _like(frame, first):
    """A frame of another size or format, which broadcasts change to at times."""
    changed = frame.reformat(first.width, first.height, first.format.name)
    changed.pts, changed.time_base = frame.pts, frame.time_base
    changed.duration = frame.duration
    return changed


class Meter:
    """Tells how far a film has got, and how fast.

    Args:
        film: `reading.Source`.
        progress: called with `(done, total)`.
        status: called with a line.
    """

    def __init__(self, film, progress, status):
        self.film, self.progress, self.status = film, progress, status
        self.done, self.started = 0, time.monotonic()

    def tick(self):
        self.done += 1
        total = max(self.film.count, self.done)
        if self.progress:
            self.progress(self.done, total)
        if self.status:
            self.status(self.line(total))

    def line(self, total: int) -> str:
        """Returns e.g. `rain.mp4: 120 of 3000 frames, 9.8 frames/s, 294 s left`."""
        seconds = max(time.monotonic() - self.started, 1e-9)
        rate, name = self.done / seconds, os.path.basename(self.film.path)
        if not self.film.count:
            return f"{name}: {self.done} frames, {rate:.1f} frames/s"
        left = (total - self.done) / rate
        return (
            f"{name}: {self.done} of {total} frames, {rate:.1f} frames/s, "
            f"{left:.0f} s left"
        )

    def finish(self):
        if self.progress:
            self.progress(1, 1)
