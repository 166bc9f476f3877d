"""ONNX files for ONNX Runtime, OpenVINO and other programs that read them."""

import dataclasses
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfderain import extras
from tfderain.export.artefact import (
    Artefact,
    deployable,
    measure,
    random_image,
    staged,
)
from tfderain.runtime.engines import METADATA

OPSET = 17
AXES = ("batch", "height", "width")


def to_onnx(
    model: Any,
    path: str | os.PathLike,
    sizes: Sequence[tuple[int, int]] = ((64, 96), (37, 50), (1, 3)),
    overwrite: bool = False,
    opset: int = OPSET,
) -> Artefact:
    """Writes the whole `model`, padding included, as an ONNX file.

    Input `rainy` and output `derained` are float32 `(batch, height, width, 3)` in
    [0, 1], each size free, the axes named so; of a network that finds drops there is
    also an output `mask`, with one channel, after it. The file is run by ONNX Runtime
    and, if it is installed, by OpenVINO, whose own default would be bfloat16 on some
    CPUs.

    Args:
        model: a `tfderain.models.Derainer`.
        path: the file to write.
        sizes: `(height, width)` of the random images that are compared.
        overwrite: whether an existing file is replaced.
        opset: of ONNX, 17 or later.

    Raises:
        ValueError: if `path` exists, or if the written file gives other results.
        ImportError: if tf2onnx or onnxruntime are not installed (extra `onnx`).
    """
    started = time.perf_counter()
    model = deployable(model)
    with staged(path, overwrite) as temporary:
        _write(model, temporary, opset)
        images = [random_image(size, batch=2) for size in sizes]
        wanted = [model(rainy).numpy() for rainy in images]
        runs = {"onnxruntime": run_onnx}
        if extras.installed("openvino"):
            runs["openvino"] = run_openvino
        made = {
            name: measure(
                temporary,
                [(run(temporary, x), y) for x, y in zip(images, wanted, strict=True)],
                sizes,
                started,
                "onnx",
            )
            for name, run in runs.items()
        }
    worst = max(made.values(), key=lambda artefact: artefact.largest_difference)
    runtimes = {name: each.largest_difference for name, each in made.items()}
    seconds = time.perf_counter() - started
    return dataclasses.replace(
        worst, path=Path(path), runtimes=runtimes, seconds=seconds
    )


def _write(model, path, opset):
    # ONNX Runtime: missing, it is named now rather than after the conversion
    onnx = extras.require("onnx", "tf2onnx", "onnxruntime", extra="onnx")
    import tf2onnx

    rainy = tf.TensorSpec((None, None, None, 3), tf.float32, name="rainy")

    def derain(rainy):
        if model.makes_mask:
            return dict(zip(("derained", "mask"), model.with_mask(rainy), strict=True))
        return {"derained": model(rainy, training=False)}

    proto, _ = tf2onnx.convert.from_function(
        tf.function(derain, input_signature=[rainy], autograph=False),
        input_signature=[rainy],
        opset=opset,
    )
    for value in (*proto.graph.input, *proto.graph.output):
        dimensions = value.type.tensor_type.shape.dim
        for dimension, axis in zip(dimensions, AXES, strict=False):
            dimension.dim_param = axis
    about = {
        "model": type(model).__name__,
        "stride": model.stride,
        "global_operations": bool(model.global_operations),
    }
    entry = proto.metadata_props.add()
    entry.key, entry.value = METADATA, json.dumps(about)
    onnx.checker.check_model(proto)
    onnx.save(proto, str(path))


def run_onnx(path: str | os.PathLike, rainy: np.ndarray):
    """Derains float32 `(batch, height, width, 3)` by ONNX Runtime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(path), providers=["CPUExecutionProvider"]
    )
    return session.run(["derained"], {"rainy": rainy})[0]


def run_openvino(path: str | os.PathLike, rainy: np.ndarray):
    """Derains float32 `(batch, height, width, 3)` by OpenVINO in float32."""
    import openvino

    model = openvino.compile_model(
        str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    return np.array(model(rainy)["derained"])
