"""Batch runs: files, folders and trees of pictures and films derained, or made rainy.

```python
from tfderain import batch, runtime

summary = batch.derain_files(["photos"], "derained", runtime.Restorer("resunet"))
print(summary.table())  # 12 derained, 0 skipped, 1 failed, 4.2 s
```

One bad picture never stops the others, nothing is overwritten unless asked, and every
picture is written under a temporary name and moved into place. Importing this module
loads neither TensorFlow nor LiteRT.
"""

import collections
import contextlib
import functools
import os
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfderain import errors, images, reports, video
from tfderain.batch import plan
from tfderain.runtime import Chain, Restorer

WET = 0.25  # of a mask: from here on a pixel counts as wet
POOL_COUNT, POOL_SIZE = 48, 512  # streak layers: seconds to render, 12 MB


@dataclass
class Summary(reports.Report):
    """Outcome of a run.

    Attributes:
        word: str, what was done to a picture.
        done, skipped: int, numbers of pictures.
        failed: list of (path, message).
        notes: dict from what could not be kept to the number of pictures.
        left_out: list of (path, reason): pictures in the folders that cannot be read
            here, and folders.
        files: list of dicts, one for each picture or film that was derained: `source`,
            `target`, and of pictures, with networks that find drops on the glass,
            `wet`, the share that lies under them (where their mask is `WET` or more).
        partial: list of (path, reason): films that are done as far as they go.
        seconds: float, wall time including the loading of the model.
    """

    word: str = "derained"
    done: int = 0
    skipped: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    files: list[dict] = field(default_factory=list)
    partial: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether nothing failed, was left out or is there in part only."""
        return not (self.failed or self.left_out or self.partial)

    def table(self) -> str:
        """Returns the line that the command prints, and one for each reason to omit."""
        left = f"{len(self.left_out)} left out, " if self.left_out else ""
        left += f"{len(self.partial)} in part only, " if self.partial else ""
        reasons = collections.Counter(reason for _, reason in self.left_out)
        first = {reason: path for path, reason in reversed(self.left_out)}
        return "\n".join(
            (
                f"{self.done} {self.word}, {self.skipped} skipped, "
                f"{len(self.failed)} failed, {left}{self.seconds:.1f} s",
                *(
                    errors.one_line(
                        f"left out: {count}, first {first[reason]}: {reason}"
                    )
                    for reason, count in reasons.items()
                ),
            )
        )


@dataclass(frozen=True)
class Films:
    """How films are derained and written, see `video.derain_film`."""

    encoding: video.Encoding = field(default_factory=lambda: video.Encoding())
    neighbours: int = 0
    align: str = "flow"


def derain_files(
    inputs: Sequence[str | os.PathLike],
    output: str | os.PathLike,
    restorer: Callable[[], Restorer],
    *,
    recursive: bool = False,
    skip_existing: bool = False,
    overwrite: bool = False,
    format: str | None = None,
    compare: bool = False,
    masks: str | os.PathLike | None = None,
    max_pixels: int = images.MAX_PIXELS,
    films: Films | None = None,
    progress: reports.Progress | None = None,
    say: Callable[[str], object] | None = None,
    status: Callable[[str], object] | None = None,
) -> Summary:
    """Derains files and folders into a file or a folder (see `plan.plan`).

    Args:
        inputs: paths of pictures, films and folders.
        output: path of a picture or film, or a folder.
        restorer: object with `derain(pixels, progress=function, alpha=array)`, and
            with `derain_and_mask` where it `makes_mask`, as `runtime.Restorer` (for
            films, a `Restorer`), or a function without arguments that returns one. It
            is called when the first picture needs it: bad usage fails before a model
            loads.
        recursive: bool. Also searches subfolders and mirrors the tree.
        skip_existing: bool. Skips pictures whose outputs all exist, and writes only
            the outputs that are missing.
        overwrite: bool. Replaces existing outputs; otherwise such a picture fails.
        format: one of `plan.FORMATS`, or None for that of `output` or of the input
            (PNG where the input's cannot be written).
        compare: bool. Also writes `NAME.compare.png`, rainy left, derained right.
        masks: folder for the masks of drops on the glass, grey PNG files; `None` for
            none.
        max_pixels: int. Larger pictures are refused (decompression bombs).
        films: how films are derained and written; by default `Films()`.
        progress: called with `(done, total)`, in pictures; `done` has a fraction while
            a picture in tiles is under way. `None` reports nothing.
        say: called with a line about each failure and note, or `None`.
        status: called with a line about the film under way, and with `""` after it.

    Returns:
        A `Summary`, which lists the pictures that failed; they raise nothing.

    Raises:
        ValueError: about the arguments, before anything is read or written; films go
            neither with `masks` nor with a `Chain`.
    """
    summary = Summary()
    planned = plan.plan(
        inputs,
        output,
        recursive=recursive,
        format=format,
        compare=compare,
        masks=masks,
        missed=summary.left_out,
    )

    film = next((job.source for job in planned if video.is_film(job.source)), None)
    if film is not None and masks is not None:
        raise ValueError(
            "Masks are written of pictures, not of films; derain these by themselves. "
            f"Received: masks={os.fspath(masks)}, with {film}."
        )
    prepare = functools.partial(_prepared, restorer, film, masks)

    def partly(job, problem):
        summary.partial.append((job.source, problem))
        (say or _ignore)(f"warning: {job.source}: {problem}; the rest is derained")

    whole = functools.partial(_derain_film, films or Films(), partly, status or _ignore)
    work = functools.partial(_derain, max_pixels, whole, summary.files)
    existing = _Existing(skip_existing, overwrite)
    return _run(planned, prepare, work, summary, existing, progress, say)


def _prepared(restorer, film, masks):
    """The restorer, or what a function returns that makes one, if it fits the work."""
    tool: Any = restorer if hasattr(restorer, "derain") else restorer()
    if film is not None and isinstance(tool, Chain):
        raise ValueError(
            "Films take one model at a time; derain them once for each. "
            f"Received: {len(tool.restorers)} models, with {film}."
        )
    if masks is not None and not getattr(tool, "makes_mask", False):
        raise ValueError(
            "Masks need a network that finds drops on the glass, such as the "
            f"preset drops. Received: masks={os.fspath(masks)}."
        )
    return tool


def synthesize_files(
    inputs: Sequence[str | os.PathLike],
    output: str | os.PathLike,
    *,
    kind: str = "mixed",
    seed: int = 0,
    copies: int = 1,
    streaks: str | os.PathLike | None = None,
    maker: Callable | None = None,
    recursive: bool = False,
    overwrite: bool = False,
    progress: reports.Progress | None = None,
    say: Callable[[str], object] | None = None,
) -> Summary:
    """Adds synthetic weather to clean pictures and keeps the pairs (`plan_pairs`).

    The rain on a picture depends only on `seed`, the picture's name below its folder
    and the number of the copy, not on the other pictures. With `night`, all copies show
    one dark scene, which is then the clean picture.

    Args:
        inputs: paths of clean pictures and folders.
        output: path of a folder; `rainy/` and `clean/` appear in it.
        kind: see `data.rain.add_weather`; a maker knows only those of `add_rain`.
        seed: non-negative int.
        copies: int. Rainy pictures for each clean one.
        streaks: folder of streak pictures to mix in; None for rendered streaks only.
        maker: function from the pool of streak layers (or None) to a
            `rainmaking.RainMaker`, whose rain is used instead; called once, before the
            first picture.
        recursive, overwrite, progress, say: see `derain_files`.

    Raises:
        ValueError: about the arguments, before anything is written.
    """
    from tfderain.data import rain

    kinds = rain.WEATHER if maker is None else rain.KINDS
    if kind not in kinds or seed < 0:
        raise ValueError(
            f"`kind` must be one of {', '.join(kinds)} and `seed` at least 0. "
            f"Received: kind={kind}, seed={seed}."
        )
    summary = Summary("made rainy")
    planned = plan.plan_pairs(
        inputs, output, recursive=recursive, copies=copies, missed=summary.left_out
    )
    prepare = functools.partial(_weather, kind, seed, streaks, maker)
    work = functools.partial(_make_rainy, os.fspath(output), seed, kind == "night")
    existing = _Existing(overwrite=overwrite)
    return _run(planned, prepare, work, summary, existing, progress, say)


def _derain(max_pixels, film, records, restorer, job, due, part) -> tuple[str, ...]:
    """Derains one picture into `due`; returns notes on what cannot be kept."""
    record, mask = {"source": job.source, "target": job.target}, None
    if video.is_film(job.source):
        notes = film(restorer, job, part)
        records.append(record)
        return notes
    picture = images.read(job.source, max_pixels=max_pixels)
    if getattr(restorer, "makes_mask", False):
        derained, mask = restorer.derain_and_mask(
            picture.pixels, progress=part, alpha=picture.alpha
        )
        record["wet"] = round(float((mask >= WET).mean()), 4)
    else:
        derained = restorer.derain(picture.pixels, progress=part, alpha=picture.alpha)
    notes = picture.notes
    if job.target in due:
        notes += _write(job.target, picture, derained)
    for path in set(job.others) & set(due):
        _write(path, images.compare(picture, derained))
    if mask is not None and job.mask in due:
        _write(job.mask, images.Picture(images.to_uint8(mask)))
    records.append(record)
    return notes


def _derain_film(films, partly, status, restorer, job, part) -> tuple[str, ...]:
    """Derains one film; returns notes on what cannot be kept."""
    os.makedirs(os.path.dirname(job.target) or ".", exist_ok=True)
    try:
        made = video.derain_film(
            job.source,
            job.target,
            restorer,
            encoding=films.encoding,
            neighbours=films.neighbours,
            align=films.align,
            progress=part,
            status=status,
        )
    finally:
        status("")
    if made.problem:
        partly(job, made.problem)
    return made.notes


def _make_rainy(output, seed, dark, add_weather, job, due, part) -> tuple[str, ...]:
    """Writes the pairs of one picture; returns notes on what cannot be kept.

    `add_weather(clean, rng, scene_rng)` returns the rainy and the clean image; the
    latter is the picture itself unless it was made `dark`.
    """
    picture = images.read(job.source)
    clean = images.Picture(picture.pixels, icc=picture.icc, chunks=picture.chunks)
    if job.target in due and not dark:
        _write(job.target, clean)  # as it is, even with 16 bits
    # bytes, because not all names can be decoded
    name = os.fsencode(os.path.relpath(job.target, output).replace(os.sep, "/"))
    for copy, path in enumerate(job.others):
        rng = np.random.default_rng([seed, copy, *name])
        scene_rng = np.random.default_rng([seed, *name])
        part(copy, len(job.others))
        rainy, target = add_weather(images.to_float(clean.pixels), rng, scene_rng)
        if job.target in due and dark and copy == 0:
            _write(job.target, clean, target)
        _write(path, clean, rainy)
    lost = ("transparency is not kept in pairs",)
    return picture.notes + (() if picture.alpha is None else lost)


def _weather(kind, seed, streaks, maker):
    """Returns `add_weather` of `_make_rainy`, once there are streaks to add."""
    from tfderain.data import rain

    pool = rain.streak_pool(POOL_COUNT, POOL_SIZE, seed, streaks) if streaks else None
    if maker is not None:
        make = maker(pool)
        return lambda clean, rng, _: (make(clean, rng), clean)
    return lambda clean, rng, scene_rng: rain.add_weather(
        clean, rng, kind, pool, scene_rng
    )


@dataclass(frozen=True)
class _Existing:
    """What to do about outputs that already exist; by default they are an error."""

    skip: bool = False
    overwrite: bool = False

    def __post_init__(self):
        if self.skip and self.overwrite:
            raise ValueError(
                "Existing outputs are either skipped or overwritten. Received: "
                "skip_existing=True, overwrite=True."
            )


def _ignore(*_):
    """Stands in for a callback that is `None`."""


def _run(planned, prepare, work, summary, existing, progress, say):
    """Calls `work(tool, job, due, part) -> notes` for each job that has something due.

    `part(done, total)` reports on one picture. `tool` is what `prepare()` returned,
    which is called once, before the first picture: its errors are about the model, not
    about a picture, and end the run.
    """
    progress, say, started = progress or _ignore, say or _ignore, time.monotonic()
    tool, prepared = None, False
    written = {}  # what identifies an output -> the picture that became it
    for number, job in enumerate(planned):

        def part(done, total, number=number):
            progress(number + done / total, len(planned))

        part(0, 1)
        due = None
        with _recorded(job, summary, say):
            due = _due(job, existing, written)
        if due and not prepared:
            tool, prepared = prepare(), True
        if due:
            with _recorded(job, summary, say):
                notes = work(tool, job, due, part)
                summary.done += 1
                _tell(notes, job, summary, say)
            found = {plan.identity(path): job.source for path in due}
            written |= {key: source for key, source in found.items() if key}
        summary.skipped += due == ()
    progress(len(planned), len(planned))
    summary.seconds = time.monotonic() - started
    return summary


def _due(job, rule, written) -> tuple[str, ...]:
    """Returns the outputs to write. Checked late: two runs may share a tree.

    Outputs of different names may be one file, behind a link or where upper and lower
    case are equal. Then the first picture keeps it.
    """
    if job.problem:
        raise ValueError(job.problem)
    existing = [path for path in job.outputs if os.path.lexists(path)]
    for path in existing:
        if first := written.get(plan.identity(path)):
            raise ValueError(f"{first} has become {path} already, under another name")
    if existing and not (rule.skip or rule.overwrite):
        raise FileExistsError(f"{existing[0]} exists; --overwrite replaces it")
    return tuple(path for path in job.outputs if rule.overwrite or path not in existing)


def _write(path, picture, pixels=None):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    return images.write(path, picture, pixels)


def _tell(notes, job, summary, say: Callable):
    for note in dict.fromkeys(notes):
        if note not in summary.notes:
            say(errors.one_line(f"note: {note} (first in {job.source}; said once)"))
        summary.notes[note] = summary.notes.get(note, 0) + 1


@contextlib.contextmanager
def _recorded(job, summary, say: Callable):
    """Turns an error into a line about this picture; the run goes on."""
    try:
        yield
    except Exception as error:  # whatever is wrong with one file, the others go on
        message = _message(error)
        summary.failed.append((job.source, message))
        source = errors.one_line(job.source)
        named = source in message
        say(f"error: {message}" if named else f"error: {source}: {message}")
        if os.environ.get("TFDERAIN_DEBUG"):
            say(traceback.format_exc())


def _message(error):
    if isinstance(error, MemoryError):
        return "not enough memory; a smaller --tile needs less"
    message, name = errors.one_line(error), type(error).__name__
    plain = isinstance(error, (ValueError, OSError)) or message == name
    return message if plain else f"{name}: {message}"
