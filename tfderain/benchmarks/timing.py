"""Timing of models on one image, and their memory (Table R1 of ERL-Net's rebuttal).

```python
from tfderain import runtime
from tfderain.benchmarks import timing

models = {name: runtime.Restorer(name) for name in ("menet", "exported/model.tflite")}
print(timing.Timings(timing.time_models(models)).table())
```
"""

import dataclasses
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfderain import reports, runtime
from tfderain.benchmarks import fresh_process, profiling

REPEATS = 20  # so that the 90th percentile excludes more than the slowest
LEAST, PATIENCE = 5, 30.0  # at least this many, even after this many seconds
STATUS = Path("/proc/self/status")  # on Linux


@dataclass(frozen=True)
class Memory:
    """Resident bytes that a model adds to a process that has read one image.

    Args:
        loaded: after loading, including the libraries of the model's runtime.
        peak: the maximum until the first image is done.
    """

    loaded: int
    peak: int


@dataclass(frozen=True)
class Timing:
    """Seconds that a model takes for one image, and what else was measured.

    Args:
        model: name of the model.
        runtime: what runs it, or `""` if the model does not say.
        size: `(height, width)` of the image.
        first: seconds for the first image, including the runtime's compilation.
        seconds: for each image after it.
        memory: `Memory`, or `None` if it was not measured.
        profile: `tfderain.benchmarks.profiling.Profile`, or `None`.
    """

    model: str
    runtime: str
    size: tuple[int, int]
    first: float
    seconds: tuple[float, ...]
    memory: Memory | None = None
    profile: profiling.Profile | None = None

    @property
    def median(self) -> float:
        """Median seconds per image after the first."""
        return statistics.median(self.seconds)

    @property
    def p90(self) -> float:
        """Seconds that nine in ten images after the first do not exceed."""
        return float(np.percentile(self.seconds, 90))

    def as_dict(self) -> dict:
        """Returns everything as JSON-compatible values."""
        return {**dataclasses.asdict(self), "median": self.median, "p90": self.p90}


@dataclass(frozen=True)
class Timings(reports.Report):
    """Times of several models on this machine.

    Args:
        timings: a `Timing` for each model.
        threads: int or `None`, to be printed beside them.
    """

    timings: Sequence[Timing]
    threads: int | None = None

    def table(self) -> str:
        """Returns a fixed-width table (a line per model), the machine, the profiles."""
        titles = ("model", "runtime", "size", "images", "median", "p90", "least")
        titles += ("first", "loaded MB", "peak MB")
        about = "seconds per image (after the first one, and of it); resident memory "
        one = self.threads == 1
        using = [f"{self.threads} thread{'s' * (not one)}"] if self.threads else []
        where = "; ".join([*using, reports.machine()])
        rows = reports.text_table(titles, [_row(timing) for timing in self.timings])
        profiles = [
            f"{timing.model}: {timing.profile.table()}"
            for timing in self.timings
            if timing.profile
        ]
        return "\n\n".join([f"{about}added\n{where}", rows, *profiles])

    def as_dict(self) -> dict:
        """Returns everything, machine and versions as JSON-compatible values."""
        return {
            "machine": reports.machine(),
            "versions": reports.versions(),
            "threads": self.threads,
            "timings": [timing.as_dict() for timing in self.timings],
        }


def time_models(
    models: dict[str, Any],
    size: tuple[int, int] = (320, 320),
    repeats: int | None = None,
    progress: reports.Progress | None = None,
) -> list[Timing]:
    """Times models on one image, in turns, so that all find the machine alike.

    Args:
        models: dict from a name to a model, see `evaluation.evaluate`.
        size: `(height, width)`; the ERL-Net rebuttal's Table R1 is for 320x320.
        repeats: int, timed images per model after the first one; by default 20, but a
            model that has taken 30 seconds stops after the fifth or later.
        progress: called with `(done, total)`, in images, or `None`.

    Raises:
        ValueError: there is no model, or `repeats` is not positive.
    """
    patience = PATIENCE if repeats is None else math.inf
    repeats = REPEATS if repeats is None else repeats
    if not models or repeats < 1:
        raise ValueError(
            "There must be at least one model and one repetition. "
            f"Received: models={len(models)}, repeats={repeats}."
        )
    image = _noise(size)
    seconds = {name: [] for name in models}
    turns = [name for _ in range(repeats + 1) for name in models]
    for name in reports.tracked(turns, progress):
        taken = seconds[name][1:]
        if len(taken) >= LEAST and sum(taken) >= patience:
            continue
        start = time.perf_counter()
        getattr(models[name], "derain", models[name])(image)
        seconds[name].append(time.perf_counter() - start)
    return [
        Timing(name, getattr(models[name], "runtime", ""), size, first, tuple(rest))
        for name, (first, *rest) in seconds.items()
    ]


def add_memory(
    timing: Timing, runtime: str = "litert", threads: int | None = None
) -> Timing:
    """Returns a `Timing` with the memory of its model, measured in a separate process.

    Resident memory is known only on Linux; elsewhere `memory` stays `None`.

    Args:
        timing: `Timing` of a model that is named by its path or its preset's name.
        runtime, threads: as for `tfderain.runtime.Restorer`.
    """
    if not STATUS.exists():
        return timing
    memory = fresh_process.call(_memory, timing.model, runtime, threads, timing.size)
    return dataclasses.replace(timing, memory=memory)


def add_profile(timing: Timing, threads: int | None = None) -> Timing:
    """Returns a `Timing` with the profile of its model, a LiteRT file or preset.

    Raises:
        ImportError: the installed LiteRT has no working profiler.
    """
    profile = profiling.profile(timing.model, timing.size, threads)
    return dataclasses.replace(timing, profile=profile)


def _memory(model, engine, threads, size):
    image = _noise(size)
    before = _resident("VmRSS")
    restorer = runtime.Restorer(model, runtime=engine, threads=threads)
    loaded = _resident("VmRSS")
    restorer.derain(image)
    # The kernel counts per processor and adds up late: some pages may be missing.
    peak = max(loaded, _resident("VmHWM"))
    return Memory(loaded - before, peak - before)


def _resident(field):
    """Bytes in memory: now (`VmRSS`), or the most so far (`VmHWM`)."""
    lines = STATUS.read_text().splitlines()
    values = dict(line.split(":", 1) for line in lines)  # "VmHWM:	  1234 kB"
    return 1024 * int(values[field].split()[0])


def _noise(size):
    # noise: the time of a convolution does not depend on the content of the image
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def _row(one):
    seconds = (one.median, one.p90, min(one.seconds), one.first)
    memory = (one.memory.loaded, one.memory.peak) if one.memory else ()
    return (
        one.model,
        one.runtime,
        "x".join(map(str, one.size)),
        str(len(one.seconds)),
        *(f"{second:.4f}" for second in seconds),
        *([f"{size / 1e6:.0f}" for size in memory] or "--"),
    )
