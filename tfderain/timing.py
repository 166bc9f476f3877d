"""Running times of models on one image (Table R1 of the ERL-Net rebuttal).

```python
from tfderain import runtime, timing

models = {name: runtime.Restorer(name) for name in ("menet", "exported/model.tflite")}
print(timing.table(timing.time_models(models)))
```
"""

import dataclasses
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfderain import evaluation, scoring


@dataclass(frozen=True)
class Timing:
    """Seconds that a model takes for one image.

    Args:
        model: name of the model.
        runtime: what runs it, or `""` where the model does not say.
        size: `(height, width)` of the image.
        first: seconds of the first image, which includes what a runtime compiles.
        seconds: of each image after it.
    """

    model: str
    runtime: str
    size: tuple[int, int]
    first: float
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median seconds per image after the first."""
        return statistics.median(self.seconds)

    def as_dict(self) -> dict:
        """Returns the times as values that JSON knows."""
        return {**dataclasses.asdict(self), "median": self.median}


def time_models(models, size=(320, 320), repeats=5, progress=None) -> list[Timing]:
    """Times models on one image, turn by turn, so that all meet the same machine.

    Args:
        models: dict from a name to a model, see `evaluation.evaluate`.
        size: `(height, width)`; the ERL-Net rebuttal's Table R1 is for 320x320.
        repeats: int, timed images per model after the first one.
        progress: callable that is given the numbers of images done and to do.

    Raises:
        ValueError: there is no model, or `repeats` is not positive.
    """
    if not models or repeats < 1:
        raise ValueError(
            "There must be at least one model and one repetition. "
            f"Received: models={len(models)}, repeats={repeats}."
        )
    # noise: the time of a convolution does not depend on what the image shows
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    seconds = {name: [] for name in models}
    done, total = 0, len(models) * (repeats + 1)
    for _ in range(repeats + 1):
        for name, model in models.items():
            start = time.perf_counter()
            getattr(model, "derain", model)(image)
            seconds[name].append(time.perf_counter() - start)
            done += 1
            if progress:
                progress(done, total)
    return [
        Timing(
            name, getattr(models[name], "runtime", ""), tuple(size), first, tuple(rest)
        )
        for name, (first, *rest) in seconds.items()
    ]


def table(timings: Iterable[Timing]) -> str:
    """Returns a fixed-width text: a line per model, and the machine."""
    titles = ("model", "runtime", "size", "seconds", "least", "first")
    rows = [
        (one.model, one.runtime, "x".join(map(str, one.size)))
        + tuple(f"{s:.4f}" for s in (one.median, min(one.seconds), one.first))
        for one in timings
    ]
    about = "seconds per image: median and least after the first image, and the first"
    return f"{about}; {machine()}\n\n{scoring.text_table(titles, rows)}"


def to_json(timings, path=None) -> str:
    """Returns times as JSON text, and writes it to `path` if one is given."""
    content = {"machine": machine(), "versions": evaluation.versions()}
    content["timings"] = [one.as_dict() for one in timings]
    return scoring.json_text(content, path)


def machine() -> str:
    """Returns processor, cores, and GPUs if TensorFlow was loaded and uses some."""
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
