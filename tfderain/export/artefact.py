"""Artefacts of exports: written beside the target, compared with Keras, then moved."""

import contextlib
import dataclasses
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfderain import files, presets


@dataclass(frozen=True)
class Bound:
    """How far a file's pixels, in [0, 1], may be from Keras's.

    Args:
        largest: absolute difference of any single value.
        mean: mean absolute difference over an image.
    """

    largest: float
    mean: float


# float32: a quarter of a grey level: an 8-bit pixel changes by one at most, and only if
# it was within a quarter of rounding the other way. Measured were 1e-5 or less; a lost
# weight or wrong padding gives a hundred times the bound.
# float16: weights keep 11 bits; 7e-4 was the most measured on a trained MENET.
# The int8 kinds: measured on a trained MENET were 0.03 and 0.10 at single pixels in
# dense rain, 0.003 and 0.006 on average. An ERL-Net in int8 that was off by 0.014 on
# average lost 2.7 dB on Rain100H: such a file must not pass.
BOUNDS = {
    "float32": Bound(0.25 / 255, 0.25 / 255),
    "float16": Bound(2 / 255, 0.5 / 255),
    "dynamic_int8": Bound(0.25, 4 / 255),
    "int8": Bound(0.5, 3 / 255),
}


@dataclass(frozen=True)
class Artefact:
    """A file or folder written by an export, and how far it is from Keras.

    Args:
        path: its path.
        format: `"saved_model"`, `"litert"`, `"onnx"`, `"ffmpeg"` or `"keras"`.
        precision: one of `BOUNDS`.
        bytes: its size; for a folder, the sum of its files.
        largest_difference, mean_difference: absolute, of derained pixels in [0, 1],
            over `sizes`.
        sizes: `(height, width)` of the images compared.
        seconds: time taken to write and check it.
        runtimes: the largest difference in each runtime, if several ran it.
    """

    path: Path
    format: str
    precision: str
    bytes: int
    largest_difference: float
    mean_difference: float
    sizes: tuple[tuple[int, int], ...]
    seconds: float
    runtimes: dict[str, float] = dataclasses.field(default_factory=dict)

    def moved(self, path: str | os.PathLike):
        """The same artefact at its new path."""
        return dataclasses.replace(self, path=Path(path))

    def as_dict(self) -> dict:
        """Returns JSON-compatible values for a card or a log, with checksums."""
        record = dataclasses.asdict(self)
        record["path"] = self.path.name
        record["sizes"] = [list(size) for size in self.sizes]
        root = self.path if self.path.is_dir() else self.path.parent
        files = [self.path] if self.path.is_file() else sorted(self.path.rglob("*"))
        record["sha256"] = {
            file.relative_to(root).as_posix(): presets.file_record(file)["sha256"]
            for file in files
            if file.is_file()
        }
        return record


def measure(
    path: str | os.PathLike,
    pairs: Sequence[tuple],
    sizes: Sequence[tuple[int, int]],
    started: float,
    format: str,
    precision: str = "float32",
) -> Artefact:
    """Compares `(written, Keras)` pairs of derained images, and measures `path`.

    Raises:
        ValueError: they differ by more than `BOUNDS[precision]`, or by NaN.
    """
    differences = [np.abs(np.asarray(a, "float64") - b) for a, b in pairs]
    largest = max(float(d.max()) for d in differences)
    bound = BOUNDS[precision]
    close = all(
        d.max() <= bound.largest and d.mean() <= bound.mean for d in differences
    )  # NaN fails too
    if not close:
        raise ValueError(
            f"{Path(path).name} must give the same pixels as Keras, within "
            f"{bound.largest:.1e} and {bound.mean:.1e} on average ({precision}). "
            f"Received: largest differences {[float(d.max()) for d in differences]}, "
            f"means {[float(d.mean()) for d in differences]} at sizes {list(sizes)}."
        )
    return Artefact(
        path=Path(path),
        format=format,
        precision=precision,
        bytes=total_bytes(path),
        largest_difference=largest,
        mean_difference=float(np.mean([d.mean() for d in differences])),
        sizes=tuple(sizes),
        seconds=time.perf_counter() - started,
    )


def deployable(model: Any):
    """Returns a float32 copy of `model` without its optimizer."""
    copy = type(model).from_config({**model.get_config(), "dtype": "float32"})
    copy.build((None, None, None, 3))
    copy.set_weights(model.get_weights())
    return copy


def random_image(size: tuple[int, int], batch: int = 1):
    """Uniform float32 noise `(batch, height, width, 3)`, the same for the same size."""
    shape = (batch, *size, 3)
    return np.random.default_rng(size).uniform(size=shape).astype("float32")


def total_bytes(path: str | os.PathLike) -> int:
    """Size of a file, or of all files below a folder."""
    files = [Path(path)] if Path(path).is_file() else Path(path).rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())


@contextlib.contextmanager
def staged(target: str | os.PathLike, overwrite: bool) -> Iterator[Path]:
    """Yields a temporary path beside `target`, and moves it there if all went well."""
    target = Path(target)
    if target.exists() and not overwrite:
        raise ValueError(
            f"Nothing is overwritten unless asked for. Received: {target} exists."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tfderain-", dir=target.parent) as scratch:
        temporary = Path(scratch) / "".join(c for c in target.name if c not in "*?[]")
        with files.without_wildcards(scratch) as name:
            yield Path(name) / temporary.name
        if target.is_dir():  # os.replace replaces only files
            os.replace(target, Path(scratch) / "replaced")
        os.replace(temporary, target)
