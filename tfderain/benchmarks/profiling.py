"""Profiles of LiteRT files: time of each operation, as measured by LiteRT.

```python
from tfderain.benchmarks import profiling

print(profiling.profile("menet", size=(320, 320)).table())
```

LiteRT's Python interface has no profiler; its C interface has one, and ai-edge-litert
(2.2 and newer) contains the library for it. It runs the same operations as elsewhere,
fused and with the same threads.
"""

import ctypes
import math
import os
import re
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfderain import reports
from tfderain.benchmarks import fresh_process
from tfderain.runtime import engines, tiling

RUNS = 5
# From LiteRT's C headers: the processor among accelerators, the host's memory among
# kinds of buffers, and the types of networks' inputs and outputs.
CPU, HOST_MEMORY = 1, 1
ELEMENT_TYPES = {np.float32: 1, np.uint8: 3}


@dataclass(frozen=True)
class Profile(reports.Report):
    """Seconds that each operation of a LiteRT file takes for one tile.

    Args:
        tile: `(height, width)` that the network was run on.
        tiles: number of tiles that the image needs.
        seconds: mean time of whole runs for one tile.
        operations: `(kind, seconds)` in the order they run; means over the runs.
    """

    tile: tuple[int, int]
    tiles: int
    seconds: float
    operations: tuple[tuple[str, float], ...]

    def by_kind(self) -> dict[str, tuple[int, float]]:
        """Returns count and total seconds of each kind, the slowest kind first."""
        kinds = {}
        for kind, seconds in self.operations:
            count, total = kinds.get(kind, (0, 0.0))
            kinds[kind] = count + 1, total + seconds
        return dict(sorted(kinds.items(), key=lambda item: -item[1][1]))

    def table(self) -> str:
        """Returns a fixed-width table: a line per kind of operation, slowest first."""
        total = sum(seconds for _, seconds in self.operations)
        rows = [
            (kind, str(count), f"{seconds:.4f}", f"{seconds / total:.1%}")
            for kind, (count, seconds) in self.by_kind().items()
        ]
        tile = "x".join(map(str, self.tile))
        about = (
            f"one tile of {tile} ({self.tiles} for the image): {self.seconds:.4f} s, "
            f"of which the operations take {total:.4f} s"
        )
        titles = ("operation", "number", "seconds", "share")
        return f"{about}\n\n{reports.text_table(titles, rows)}"


def profile(
    model: str | os.PathLike,
    size: tuple[int, int] = (320, 320),
    threads: int | None = None,
) -> Profile:
    """Profiles a LiteRT model in a separate process.

    Args:
        model: name of a preset, or path of its folder or of a `.tflite` file.
        size: `(height, width)` of an image; its tiles are those of
            `tfderain.runtime.Restorer`.
        threads: int, or `None` for one per processor that this process may use.

    Raises:
        ValueError: the model is not a LiteRT file.
        ImportError: the installed LiteRT has no working profiler.
    """
    return fresh_process.call(
        _profile, model, tuple(size), threads or engines.processors()
    )


# In the other process, which ends soon: nothing is freed.


def _profile(model, size, threads):
    _silence()
    engine = engines.LiteRT(model, threads)
    padded = tuple(tiling.round_up(side, engine.stride) for side in size)
    tiles = tiling.plan_tiles(padded, "auto", None, engine.stride)
    library = _Library()
    run, profiler, compiled = _compile(library, engine, tiles.tile, threads)
    run()  # plans memory and packs weights
    library.LiteRtStartProfiler(profiler)
    seconds = [run() for _ in range(RUNS)]
    library.LiteRtStopProfiler(profiler)
    summary = ctypes.c_char_p()
    library.LiteRtGetProfileSummary(profiler, compiled, ctypes.byref(summary))
    operations = tuple(read_summary((summary.value or b"").decode(), RUNS))
    if not operations:
        raise ImportError(f"The profiler saw no operation; {_needs()}")
    return Profile(tiles.tile, len(tiles), statistics.fmean(seconds), operations)


def read_summary(text: str, runs: int) -> list[tuple[str, float]]:
    """Returns `(kind, seconds per run)` from LiteRT's table, in the order of the run.

    Kinds contain spaces; the cells after them do not. If LiteRT runs a network in
    several parts, operations of the same number and kind share a row, which then has
    more calls than runs.
    """
    section = text.partition("Run Order")[2].partition("Top by")[0].splitlines()[1:]
    titles = re.findall(r"\[(.*?)\]", section[0]) if section else []
    operations = []
    for line in section[1:]:
        cells = line.strip().rsplit(maxsplit=len(titles) - 1)
        if len(cells) == len(titles):
            row = dict(zip(titles, cells, strict=True))
            kind = row["node type"].removeprefix("Delegate/")
            count = int(row["times called"]) // runs
            operations += [(kind, float(row["avg ms"]) / 1000)] * count
    return operations


def _silence():
    """Hides LiteRT's C++ messages about accelerators that it did not find."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _needs():
    from importlib import metadata

    version = metadata.version("ai-edge-litert")
    return f"profiling needs ai-edge-litert 2.2 or newer. Received: {version}."


class _Library:
    """LiteRT's C interface: its functions, which raise if they fail."""

    def __init__(self):
        import ai_edge_litert

        folder = Path(ai_edge_litert.__path__[0])
        found = [*folder.glob("libLiteRt.*")]  # .so, .dylib, .dll
        if not found:
            raise ImportError(f"There is no libLiteRt; {_needs()}")
        self._library = ctypes.CDLL(os.fspath(found[0]))

    def __getattr__(self, name):
        function = getattr(self._library, name)

        def call(*arguments):
            if status := function(*arguments):
                raise ImportError(f"{name} failed with status {status}; {_needs()}")

        return call

    def make(self, name, *arguments):
        """Calls a function whose last argument receives its result."""
        made = ctypes.c_void_p()
        getattr(self, name)(*arguments, ctypes.byref(made))
        return made


# What LiteRT calls to free the text of an option: nothing, since Python frees it.
_LEAVE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda text: None)


class _TensorType(ctypes.Structure):
    """LiteRtRankedTensorType."""

    _fields_ = [
        ("element_type", ctypes.c_int32),
        ("rank", ctypes.c_uint32),
        ("shape", ctypes.c_int32 * 8),
        ("strides", ctypes.c_uint32 * 8),
    ]


def _compile(library, engine, tile, threads):
    """Returns a function that runs and times the network; its profiler; the network."""
    environment = library.make("LiteRtCreateEnvironment", 0, None)
    path = os.fsencode(engine.path)
    model = library.make("LiteRtCreateModelFromFile", environment, path)
    texts = {  # must stay alive until the model is made
        b"runtime_options_string": b"enable_profiling = true",
        b"xnnpack": b"num_threads = %d" % threads,
    }
    options = _options(library, texts)
    compiled = library.make("LiteRtCreateCompiledModel", environment, model, options)
    profiler = library.make("LiteRtCompiledModelGetProfiler", compiled)
    shape = (1, *tile, 3)
    first, one, rank = map(ctypes.c_size_t, (0, 1, len(shape)))
    library.LiteRtCompiledModelResizeInputTensorNonStrict(
        compiled, first, first, (ctypes.c_int32 * 4)(*shape), rank
    )
    source, target = (
        ctypes.byref(_buffer(library, environment, details["dtype"], shape))
        for details in (engine.source, engine.target)
    )

    def run():
        start = time.perf_counter()
        library.LiteRtRunCompiledModel(compiled, first, one, source, one, target)
        return time.perf_counter() - start

    return run, profiler, compiled


def _options(library, texts):
    options = library.make("LiteRtCreateOptions")
    library.LiteRtSetOptionsHardwareAccelerators(options, CPU)
    for name, text in texts.items():
        option = library.make("LiteRtCreateOpaqueOptions", name, text, _LEAVE)
        library.LiteRtAddOpaqueOptions(options, option)
    return options


def _buffer(library, environment, dtype, shape):
    """Memory for an image; its content does not matter for the time."""
    tensor = _TensorType(ELEMENT_TYPES[dtype], len(shape), shape)
    size = ctypes.c_size_t(np.dtype(dtype).itemsize * math.prod(shape))
    return library.make(
        "LiteRtCreateManagedTensorBuffer",
        environment,
        HOST_MEMORY,
        ctypes.byref(tensor),
        size,
    )
