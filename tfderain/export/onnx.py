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
LAYOUTS = {  # names of the free axes
    "nhwc": ("batch", "height", "width"),
    "nchw": ("batch", None, "height", "width"),
}


def to_onnx(
    model: Any,
    path: str | os.PathLike,
    sizes: Sequence[tuple[int, int]] = ((64, 96), (37, 50), (1, 3)),
    overwrite: bool = False,
    opset: int = OPSET,
    size: tuple[int, int] | None = None,
    layout: str = "nhwc",
) -> Artefact:
    """Writes the whole `model`, padding included, as an ONNX file.

    Input `rainy` and output `derained` are float32 `(batch, height, width, 3)` in
    [0, 1], with free sizes and these names for the axes. A network that finds drops has
    a second output `mask`, with one channel. The file is run by ONNX Runtime and, if
    installed, by OpenVINO (in float32, while its default is bfloat16 on some CPUs).

    A file of one size has no arithmetic on shapes, only convolutions and the like,
    which is what OpenCV's `dnn` module reads.

    Args:
        model: a `tfderain.models.Derainer`.
        path: the file to write.
        sizes: `(height, width)` of the random images that are compared.
        overwrite: whether an existing file is replaced.
        opset: of ONNX, 13 or later.
        size: `(height, width)` of the only images that the file takes, one at a time,
            or `None` for all.
        layout: `"nhwc"`, or `"nchw"` for `(batch, 3, height, width)`, and a mask of
            `(batch, 1, height, width)`.

    Raises:
        ValueError: if `path` exists, for an unknown layout, or if the written file
            gives other results.
        ImportError: if tf2onnx or onnxruntime are not installed (extra `onnx`).
    """
    started = time.perf_counter()
    if layout not in LAYOUTS:
        raise ValueError(
            f"`layout` must be one of {', '.join(LAYOUTS)}. Received: {layout!r}."
        )
    model = deployable(model)
    if size is not None:
        sizes = (size,)
    with staged(path, overwrite) as temporary:
        _write(model, temporary, opset, size, layout)
        images = [random_image(each, batch=1 if size else 2) for each in sizes]
        wanted = [model(rainy).numpy() for rainy in images]
        runs = {"onnxruntime": run_onnx}
        if extras.installed("openvino"):
            runs["openvino"] = run_openvino
        made = {
            name: measure(
                temporary,
                [
                    (_in_layout(run, temporary, x, layout), y)
                    for x, y in zip(images, wanted, strict=True)
                ],
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


def _in_layout(run, path, images, layout):
    if layout == "nhwc":
        return run(path, images)
    derained = run(path, np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    return derained.transpose(0, 2, 3, 1)


def _write(model, path, opset, size, layout):
    # ONNX Runtime: missing, it is named now rather than after the conversion
    onnx = extras.require("onnx", "tf2onnx", "onnxruntime", extra="onnx")
    import tf2onnx

    shape = (1, *size, 3) if size else (None, None, None, 3)
    rainy = tf.TensorSpec(shape, tf.float32, name="rainy")

    def derain(rainy):
        if model.makes_mask:
            return dict(zip(("derained", "mask"), model.with_mask(rainy), strict=True))
        return {"derained": model(rainy, training=False)}

    outputs = ["derained", *(["mask"] if model.makes_mask else [])]
    moved = {"inputs_as_nchw": ["rainy"], "outputs_as_nchw": outputs}
    proto, _ = tf2onnx.convert.from_function(
        tf.function(derain, input_signature=[rainy], autograph=False),
        input_signature=[rainy],
        opset=opset,
        **(moved if layout == "nchw" else {}),
    )
    if size is None:
        for value in (*proto.graph.input, *proto.graph.output):
            dimensions = value.type.tensor_type.shape.dim
            for dimension, axis in zip(dimensions, LAYOUTS[layout], strict=False):
                if axis:
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
    """Derains float32 images, in the file's layout, by ONNX Runtime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(path), providers=["CPUExecutionProvider"]
    )
    return session.run(["derained"], {"rainy": rainy})[0]


def run_openvino(path: str | os.PathLike, rainy: np.ndarray):
    """Derains float32 images, in the file's layout, by OpenVINO in float32."""
    import openvino

    model = openvino.compile_model(
        str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    return np.array(model(rainy)["derained"])
