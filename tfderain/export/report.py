"""Export reports: sizes, differences, scores and times of one model's exports."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfderain import evaluation, images, reports, runtime
from tfderain.data.pairs import Pairs
from tfderain.export.ffmpeg import NAMES, to_ffmpeg
from tfderain.export.litert import to_litert
from tfderain.export.onnx import OPSET, to_onnx
from tfderain.export.saved_model import to_saved_model

# For each target its file name, which of `runtime.RUNTIMES` runs it, and how it is
# made.
TARGETS = {
    "saved_model": ("1", "tensorflow", {}),
    "litert": ("model.tflite", "litert", {}),
    "litert_float16": (
        "model_float16.tflite",
        "litert",
        {"quantization": "float16"},
    ),
    "litert_dynamic_int8": (
        "model_dynamic_int8.tflite",
        "litert",
        {"quantization": "dynamic_int8"},
    ),
    "litert_int8": ("model_int8.tflite", "litert", {"quantization": "int8"}),
    "litert_uint8": (
        "model_uint8.tflite",
        "litert",
        {"quantization": "int8", "interface": "uint8"},
    ),
    "onnx": ("model.onnx", "onnx", {}),
    "onnx_nchw": ("model_nchw.onnx", "onnx", {"layout": "nchw"}),
    "ffmpeg": ("ffmpeg.pb", None, {}),
}
DYNAMIC = "dynamic"
REPORT = "export.json"
MOST_REPRESENTATIVE = 100


@dataclass(frozen=True)
class Exports(reports.Report):
    """Measurements of the exports in one folder.

    Args:
        records: for each target, what `Artefact.as_dict` returns and, if it was scored,
            `psnr`, `ssim`, `count`, `protocol` and the median `milliseconds` per image.
    """

    records: dict[str, dict]

    def as_dict(self) -> dict:
        """Returns the records, by target."""
        return self.records

    def table(self) -> str:
        """Returns a fixed-width table: a line per file."""
        titles = ("file", "target", "MB", "largest", "mean", "psnr", "ssim", "ms")
        rows = [_row(target, record) for target, record in self.records.items()]
        about = "difference from Keras (largest and mean, of pixels in [0, 1])"
        protocols = {record.get("protocol") for record in self.records.values()}
        scored = ", ".join(sorted(filter(None, protocols)))
        about += f"; scores ({scored}) and time per image" if scored else ""
        return f"{about}\n\n{reports.text_table(titles, rows)}"


def export_all(
    model: Any,
    folder: str | os.PathLike,
    targets: Sequence[str],
    size: tuple[int, int] | str | None = None,
    representative: Sequence[np.ndarray] | None = None,
    pairs: Pairs | None = None,
    protocol: str = "matlab_y_float",
    overwrite: bool = False,
    metadata: dict | None = None,
    names: tuple[str, str] = NAMES,
    progress: reports.Progress | None = None,
    opset: int = OPSET,
) -> Exports:
    """Writes a model in several forms, and the measurements to `export.json`.

    Args:
        model: a `tfderain.models.Derainer`.
        folder: where to write.
        targets: names in `TARGETS`.
        size: `(height, width)` of what LiteRT and ONNX files take, or `"dynamic"` for
            any; by default 256x256 for LiteRT, which can be resized, any for ONNX.
        representative: rainy images for int8, see `to_litert`.
        pairs: `data.pipeline.Pairs` to score each file on, or `None`.
        protocol: of the scores, see `tfderain.metrics.PROTOCOLS`.
        overwrite: whether existing files are replaced.
        metadata: see `to_litert`.
        names: of input and output, see `to_ffmpeg`.
        progress: called with `(done, total)`, in targets, or `None`.
        opset: of ONNX files, see `to_onnx`.

    Returns:
        The content of `export.json`, including exports already in the folder.

    Raises:
        ValueError: a target is unknown, or an export fails; earlier ones are kept.
    """
    folder = Path(folder)
    unknown = [name for name in targets if name not in TARGETS]
    if unknown:
        raise ValueError(
            f"A target must be one of {', '.join(TARGETS)}. Received: {unknown}."
        )
    report = folder / REPORT
    records = json.loads(report.read_text()) if report.is_file() else {}
    litert = {"metadata": metadata, "representative": representative}
    if size is not None:
        litert["size"] = None if size == DYNAMIC else size
    onnx = {"size": None if size == DYNAMIC else size, "opset": opset}
    for target in reports.tracked(targets, progress):
        shared = {"litert": litert, "onnx": onnx}
        made = _write(model, folder, target, overwrite, shared, names)
        records[target] = made.as_dict()
        if pairs is not None and TARGETS[target][1]:  # FFmpeg's has no engine here
            records[target] |= _scores(made.path, target, pairs, protocol)
        Exports(records).to_json(report)
    return Exports(records)


def _write(model, folder, target, overwrite, shared, names):
    name, engine, options = TARGETS[target]
    if target == "ffmpeg":
        return to_ffmpeg(model, folder / name, overwrite=overwrite, names=names)
    options = {**shared.get(engine, {}), **options}
    if engine == "litert" and options.get("quantization") != "int8":
        del options["representative"]
    write = {"litert": to_litert, "onnx": to_onnx}.get(engine, to_saved_model)
    return write(model, folder / name, overwrite=overwrite, **options)


def _scores(path, target, pairs, protocol):
    _, engine, _ = TARGETS[target]
    restorer = runtime.Restorer(path, runtime=engine)
    means = evaluation.evaluate(restorer, pairs, protocol).means
    return {
        "protocol": protocol,
        "count": len(pairs),
        "psnr": means["psnr"],
        "ssim": means["ssim"],
        "milliseconds": 1000 * means["seconds_median"],
    }


def _row(target, record):
    differences = (record["largest_difference"], record["mean_difference"])
    cells = [f"{record['bytes'] / 1e6:.1f}", *(f"{x:.1e}" for x in differences)]
    if "psnr" not in record:
        return (record["path"], target, *cells, "-", "-", "-")
    scores = (f"{record['psnr']:.2f}", f"{record['ssim']:.4f}")
    return (record["path"], target, *cells, *scores, f"{record['milliseconds']:.0f}")


def read_representative(paths: Sequence[str | os.PathLike]) -> list[np.ndarray]:
    """Reads rainy pictures for int8: float32 `(height, width, 3)` in [0, 1]."""
    pixels = [images.read_rgb(path) for path in paths[:MOST_REPRESENTATIVE]]
    return [images.to_float(image) for image in pixels]
