"""Preset export: a folder with a network in all shipped forms, and its card."""

import json
import os
import platform
import tempfile
import time
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfderain import extras, presets
from tfderain.export.artefact import (
    Artefact,
    deployable,
    measure,
    random_image,
    staged,
    total_bytes,
)
from tfderain.export.litert import to_litert
from tfderain.export.onnx import to_onnx
from tfderain.export.saved_model import to_saved_model

MAX_PRESET_BYTES = 40_000_000


def export_preset(
    model: Any,
    name: str,
    root: str = "savedmodels",
    card: dict | None = None,
    size: tuple[int, int] = (256, 256),
    overwrite: bool = False,
    representative: Sequence[np.ndarray] | None = None,
) -> Path:
    """Writes `root/name/` with `model.keras`, `model.tflite`, `1/` and `card.json`.

    With `representative` images, also writes `model_int8.tflite`. An ONNX file is not
    shipped, but if tf2onnx and onnxruntime are installed (extra `onnx`), it is made,
    run and compared, and the card has the outcome. If float16 can hold all weights
    exactly, `model.tflite` stores them as float16.

    Args:
        model: a `tfderain.models.Derainer`; its optimizer is left out.
        name: the preset's name.
        root: folder of presets.
        card: what only people know: licence, terms, data, command, protocol, scores.
        size, representative: see `to_litert`.
        overwrite: whether an existing preset is replaced.

    Returns:
        The written folder.

    Raises:
        ValueError: the folder exists, an export fails its check, or all files together
            exceed `MAX_PRESET_BYTES`; then nothing is written.
    """
    target = Path(root) / name
    with staged(target, overwrite) as temporary:
        temporary.mkdir()
        model = deployable(model)
        artefacts = write_files(model, temporary, size, representative)
        content = preset_card(model, name, temporary, artefacts, card or {})
        if extras.installed("tf2onnx", "onnxruntime"):
            content["onnx"] = try_onnx(model)
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (temporary / "card.json").write_text(text, encoding="utf-8")
        if total_bytes(temporary) > MAX_PRESET_BYTES:
            raise ValueError(
                f"A preset must not exceed {MAX_PRESET_BYTES} bytes. "
                f"Received: {total_bytes(temporary)} bytes."
            )
    return target


def write_files(
    model: Any, folder: Path, size: tuple[int, int], representative: Any
) -> dict[str, Artefact]:
    """Writes the files of a preset and returns, by name, what their checks measured."""
    # Weights that float16 can hold are the same numbers in half the bytes.
    precision = "float16" if fits_half(model) else None
    keras_file, litert_file = folder / "model.keras", folder / "model.tflite"
    save_small(model, keras_file)
    artefacts = {
        "model.keras": check_keras(model, keras_file),
        "model.tflite": to_litert(model, litert_file, size, quantization=precision),
        "1/saved_model.pb": to_saved_model(model, folder / "1"),
    }
    if representative is not None:
        artefacts["model_int8.tflite"] = to_litert(
            model,
            folder / "model_int8.tflite",
            size,
            quantization="int8",
            representative=representative,
        )
    return artefacts


def fits_half(model: Any) -> bool:
    """Whether float16 can hold every weight of a model exactly."""
    with np.errstate(over="ignore"):
        return all(
            np.array_equal(weight.astype(np.float16).astype(weight.dtype), weight)
            for weight in model.get_weights()
        )


def save_small(model: Any, path: Path):
    """Saves a model as a compressed `.keras` file; Keras itself does not compress."""
    plain = path.with_suffix(".plain.keras")
    model.save(plain)
    with (
        zipfile.ZipFile(plain) as stored,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as small,
    ):
        for name in stored.namelist():
            small.writestr(name, stored.read(name))
    plain.unlink()


def preset_card(
    model: Any,
    name: str,
    folder: Path,
    artefacts: dict[str, Artefact],
    card: dict,
) -> dict:
    """Returns the content of `card.json`: given fields first, measured ones after."""
    files = {
        path.relative_to(folder).as_posix(): presets.file_record(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    for file, artefact in artefacts.items():
        files[file]["largest_difference"] = artefact.largest_difference
        files[file]["mean_difference"] = artefact.mean_difference
    packages = ("tfderain", "tensorflow", "keras", "numpy", "ai-edge-litert")
    return {
        "name": name,
        "model": type(model).__name__,
        **card,
        "parameters": int(sum(np.prod(w.shape) for w in model.trainable_variables)),
        "stride": model.stride,
        "global_operations": bool(model.global_operations),
        "files": files,
        "versions": {
            "python": platform.python_version(),
            **{package: metadata.version(package) for package in packages},
        },
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def try_onnx(model: Any) -> dict:
    """Returns size and differences of a model's ONNX file, which is not kept."""
    with tempfile.TemporaryDirectory() as scratch:
        made = to_onnx(model, Path(scratch) / "model.onnx")
    return {
        "bytes": made.bytes,
        "largest_difference": made.runtimes,
        "mean_difference": made.mean_difference,
    }


def check_keras(model: Any, path: str | os.PathLike) -> Artefact:
    """Loads a written `.keras` file and compares it with `model`."""
    started = time.perf_counter()
    size = (64, 96)
    rainy = random_image(size)
    loaded = keras.saving.load_model(path, compile=False)
    pairs = [(loaded(rainy).numpy(), model(rainy).numpy())]
    return measure(path, pairs, [size], started, "keras")
