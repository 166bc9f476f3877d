"""Reports: results as tables and JSON, versions, the machine, progress of work."""

import abc
import dataclasses
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import tfderain
from tfderain import errors, files

Made = TypeVar("Made")

# A function that is told how far the work has got: `(done, total)`, see `tracked`.
Progress = Callable[[float, float], object]


class Report(abc.ABC):
    """Base of results: a table for people, values for programs, and these as JSON.

    Results are frozen dataclasses; `as_dict` returns their fields unless overridden.
    """

    @abc.abstractmethod
    def table(self) -> str:
        """Returns the text that a command prints."""

    def as_dict(self) -> dict:
        """Returns everything as JSON-compatible values."""
        assert dataclasses.is_dataclass(self)
        return dataclasses.asdict(self)

    def to_json(self, path: str | os.PathLike | None = None) -> str:
        """Returns everything as JSON text, and writes it to `path` if one is given."""
        return json_text(self.as_dict(), path)


def read_json(path: str | os.PathLike, make: Callable[[Any], Made], rule: str) -> Made:
    """Returns what `make` makes of the content of a JSON file.

    Raises:
        ValueError: `make` cannot use the content; quotes the rule and the path.
    """
    try:
        return make(json.loads(Path(path).read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{rule} Received: path={str(path)!r} ({type(error).__name__}: {error})."
        ) from error


def tracked(items: Sequence, progress: Progress | None = None) -> Iterator:
    """Yields the items of a sequence, and reports how many of them are done.

    Args:
        items: a sequence.
        progress: called with `(done, total)` before each item and after the last, as by
            all functions with an argument `progress`; `None` reports nothing.
    """
    for done, item in enumerate(items):
        if progress:
            progress(done, len(items))
        yield item
    if progress:
        progress(len(items), len(items))


def part(progress: Progress | None, before: float, total: float) -> Progress | None:
    """Returns the `progress` of a part of the work, before which `before` was done."""
    return progress and (lambda done, _: progress(before + done, total))


def json_text(content: Any, path: str | os.PathLike | None = None) -> str:
    """Returns `content` as JSON text, and writes it to `path` if one is given."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    if path is not None:
        with files.replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return text


def text_table(titles: Sequence[str], *blocks) -> str:
    """Returns a fixed-width table with a rule above each block of rows.

    Args:
        titles: of the columns. The first column is flush left, the others flush right.
        blocks: sequences of rows; a row is a sequence of texts, one for each column.
    """
    titles = [errors.printable(title) for title in titles]
    blocks = [[[errors.printable(x) for x in row] for row in block] for block in blocks]
    rows = [titles, *(row for block in blocks for row in block)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths = [widths[0], *(max(8, width) for width in widths[1:])]

    def line(cells):
        first, *others = zip(cells, widths, strict=True)
        texts = [f"{first[0]:<{first[1]}}", *(f"{c:>{width}}" for c, width in others)]
        return "  ".join(texts).rstrip()

    heading = line(titles)
    text = [heading]
    for block in blocks:
        text += ["-" * len(heading), *map(line, block)]
    return "\n".join(text)


def versions() -> dict[str, str]:
    """Versions of Python, tfderain, NumPy and the loaded libraries that run models."""
    found = {"python": platform.python_version(), "tfderain": tfderain.__version__}
    libraries = ("numpy", "tensorflow", "keras", "ai_edge_litert", "onnxruntime")
    loaded = [library for library in libraries if library in sys.modules]
    return found | {library: importlib.metadata.version(library) for library in loaded}


def machine() -> str:
    """Returns the processor, cores, and the GPUs of TensorFlow if it was loaded."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [x.partition(":")[2].strip() for x in lines if x.startswith("model name")]
    processor = (models or [platform.processor() or platform.machine()])[0]
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count()
    text = f"{processor}, {cores} cores"
    if tensorflow := sys.modules.get("tensorflow"):
        gpus = tensorflow.config.list_physical_devices("GPU")
        details = [tensorflow.config.experimental.get_device_details(g) for g in gpus]
        names = [detail.get("device_name", "GPU") for detail in details]
        text += f"; TensorFlow on {', '.join(names)}" if names else ""
    return text
