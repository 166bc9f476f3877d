"""Export reports: sizes, differences, scores and times of one model's exports."""

import json
from pathlib import Path

import numpy as np

from tfderain import evaluation, images, reports, runtime
from tfderain.export.litert import to_litert
from tfderain.export.onnx import to_onnx
from tfderain.export.saved_model import to_saved_model

# What each target is called, what runs it, and how it is made.
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
}
REPORT = "export.json"
MOST_REPRESENTATIVE = 100


def export_all(
    model,
    folder,
    targets,
    size=(256, 256),
    representative=None,
    pairs=None,
    protocol="matlab_y_float",
    overwrite=False,
    metadata=None,
    progress=None,
) -> dict[str, dict]:
    """Writes a model in several forms and keeps what was measured in `export.json`.

    Args:
        model: a `tfderain.models.Derainer`.
        folder: where to write.
        targets: names in `TARGETS`.
        size: of LiteRT files, see `to_litert`.
        representative: rainy images for int8, see `to_litert`.
        pairs: `data.pipeline.Pairs` that each file is scored on; `None` for none.
        protocol: of the scores, see `tfderain.metrics.PROTOCOLS`.
        overwrite: whether existing files are replaced.
        metadata: see `to_litert`.
        progress: callable that is given each target and its record when it is done.

    Returns:
        For each target what `Artefact.as_dict` says, and, with `pairs`, `psnr`, `ssim`,
        `count`, `protocol` and the median `milliseconds` per image.

    Raises:
        ValueError: for an unknown target, or where an export fails; those done before
            stay.
    """
    folder = Path(folder)
    unknown = [name for name in targets if name not in TARGETS]
    if unknown:
        raise ValueError(
            f"A target must be one of {', '.join(TARGETS)}. Received: {unknown}."
        )
    report = folder / REPORT
    records = json.loads(report.read_text()) if report.is_file() else {}
    for target in targets:
        name, engine, options = TARGETS[target]
        path = folder / name
        if engine == "litert":
            options = {**options, "size": size, "metadata": metadata}
            if options.get("quantization") == "int8":
                options["representative"] = representative
            made = to_litert(model, path, overwrite=overwrite, **options)
        else:
            write = to_onnx if target == "onnx" else to_saved_model
            made = write(model, path, overwrite=overwrite)
        record = made.as_dict()
        if pairs is not None:
            restorer = runtime.Restorer(path, runtime=engine)
            means = evaluation.evaluate(restorer, pairs, protocol).means
            record |= {
                "protocol": protocol,
                "count": len(pairs),
                "psnr": means["psnr"],
                "ssim": means["ssim"],
                "milliseconds": 1000 * means["seconds_median"],
            }
        records[target] = record
        reports.json_text(records, report)
        if progress:
            progress(target, record)
    return records


def read_representative(paths) -> list[np.ndarray]:
    """Reads rainy pictures for int8: float32 `(height, width, 3)` in [0, 1]."""
    pixels = [images.read_rgb(path) for path in paths[:MOST_REPRESENTATIVE]]
    return [images.to_float(image) for image in pixels]


def line(target, record) -> str:
    """Returns one line about an export for people."""
    text = (
        f"{record['path']} ({target}): {record['bytes'] / 1e6:.1f} MB, differs from "
        f"Keras by at most {record['largest_difference']:.1e}, "
        f"{record['mean_difference']:.1e} on average"
    )
    if "psnr" in record:
        text += (
            f"; {record['psnr']:.2f} dB, SSIM {record['ssim']:.4f}, "
            f"{record['milliseconds']:.0f} ms per image"
        )
    return text
