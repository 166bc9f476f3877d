"""LiteRT (TFLite) files: export for phones, browsers and small processors."""

import contextlib
import json
import os
import tempfile
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from keras import ops

from tfderain.export.artefact import (
    Artefact,
    deployable,
    measure,
    random_image,
    staged,
)
from tfderain.export.saved_model import TENSOR, write_saved_model
from tfderain.runtime.engines import METADATA, LiteRT

QUANTIZATIONS = (None, "float16", "dynamic_int8", "int8")
INTERFACES = ("float32", "uint8")
FEWEST_REPRESENTATIVE = 8


def to_litert(
    model: Any,
    path: str | os.PathLike,
    size: tuple[int, int] = (256, 256),
    overwrite: bool = False,
    quantization: str | None = None,
    representative: Sequence[np.ndarray] | None = None,
    interface: str = "float32",
    metadata: dict | None = None,
) -> Artefact:
    """Writes only `model.network`, clipped to [0, 1], as a LiteRT file.

    Of a network that finds drops the mask `(1, height, width, 1)` is a second output:
    who reads the first gets the picture, as of any other file.

    Input and output are `(1, height, width, 3)`: float32 in [0, 1], or `uint8` grey
    levels. The size is fixed to `size`, because on CPUs files with a dynamic size run
    on a single thread. A runtime can resize the fixed input to any other multiples of
    `model.stride` and keep all threads; accelerators need the size they are used with.

    Args:
        model: a `tfderain.models.Derainer`.
        path: the file to write.
        size: `(height, width)`, multiples of `model.stride`; `None` for a dynamic size.
        overwrite: whether an existing file is replaced.
        quantization: `None` for float32; `"float16"` halves the size of the weights;
            `"dynamic_int8"` quarters it and computes convolutions in int8 with ranges
            measured at run time; `"int8"` computes everything but the model's
            `float_operations` in int8, with ranges from the `representative` images, as
            microcontrollers and NPUs require.
        representative: for `"int8"`: at least 8 float32 images `(height, width, 3)` in
            [0, 1], with rain like that in use; cropped to `size`.
        interface: `"uint8"` takes and returns grey levels; only for `"int8"`.
        metadata: dict of texts and numbers stored in the file besides stride, class and
            value range; `Restorer` reads it.

    Raises:
        ValueError: `path` exists, arguments do not fit each other, the network needs
            more than LiteRT's builtin operations, or the written file gives different
            results, at `size` or when resized.
    """
    started = time.perf_counter()
    stride = model.stride
    keep = model.float_operations if quantization == "int8" else ()
    _check(stride, size, quantization, representative, interface, keep)
    model = deployable(model)
    model.prepare_for_litert()

    def derain(rainy):
        if model.makes_mask:
            derained, mask = model.network.with_mask(rainy)
            return {"derained": ops.clip(derained, 0.0, 1.0), "mask": mask}
        return {"derained": ops.clip(model.network(rainy, training=False), 0.0, 1.0)}

    with staged(path, overwrite) as temporary:
        with _converter(derain, size) as converter:
            known = _prepare(converter, quantization, representative, interface, size)
            content = _convert(converter, keep)
        about = {**(metadata or {}), **_describe(model)}
        temporary.write_bytes(with_metadata(content, about))
        # noise would say nothing about ranges measured for photos
        known = known or _noise(size, stride)
        precision = quantization or "float32"
        artefact = _compare(temporary, derain, known, started, precision)
    return artefact.moved(path)


def _check(stride, size, quantization, representative, interface, keep):
    if size and any(side < 1 or side % stride for side in size):
        raise ValueError(
            f"`size` must be multiples of the stride {stride}. Received: size={size}."
        )
    if quantization not in QUANTIZATIONS or interface not in INTERFACES:
        raise ValueError(
            f"`quantization` must be one of {QUANTIZATIONS}, `interface` one of "
            f"{INTERFACES}. Received: {quantization=}, {interface=}."
        )
    if interface == "uint8" and quantization != "int8":
        raise ValueError(
            'Only int8 files can take grey levels. Received: interface="uint8", '
            f"{quantization=}."
        )
    if interface == "uint8" and keep:
        raise ValueError(
            "Files with grey levels must compute everything in int8; use the float "
            f"interface. Received: a network that keeps {', '.join(keep)} in float32."
        )
    count = len(representative) if representative is not None else 0
    if quantization == "int8" and (count < FEWEST_REPRESENTATIVE or not size):
        raise ValueError(
            "int8 needs a fixed size and at least "
            f"{FEWEST_REPRESENTATIVE} representative images. "
            f"Received: representative={count} images, {size=}."
        )


@contextlib.contextmanager
def _converter(derain, size):
    """Returns TensorFlow's converter for a function of rainy images of a given size."""
    with tempfile.TemporaryDirectory() as scratch:
        write_saved_model(derain, (1, *(size or (None, None))), scratch)
        yield tf.lite.TFLiteConverter.from_saved_model(scratch, signature_keys=[TENSOR])


def _prepare(converter, quantization, representative, interface, size):
    """Configures the converter; returns images to check the result with."""
    if quantization:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantization != "int8":
        return []
    images = [_cut(image, size) for image in representative]
    converter.representative_dataset = lambda: ({"rainy": image} for image in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if interface == "uint8":
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.uint8
    return images[:FEWEST_REPRESENTATIVE]


def _convert(converter, keep):
    """Converts; operations named in `keep` stay in float32 inside an int8 file."""
    with warnings.catch_warnings():
        # TensorFlow's converter measures ranges with its own interpreter.
        warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated")
        if not keep:
            return converter.convert()
        tools = tf.lite.experimental  # TensorFlow's place for selective quantization
        options = tools.QuantizationDebugOptions(denylisted_ops=list(keep))
        images = converter.representative_dataset
        return tools.QuantizationDebugger(
            converter=converter, debug_dataset=images, debug_options=options
        ).get_nondebug_quantized_model()


def _compare(path, derain, images, started, precision):
    wanted = [derain(rainy) for rainy in images]
    pairs = [
        (run_litert(path, rainy), outputs["derained"].numpy())
        for rainy, outputs in zip(images, wanted, strict=True)
    ]
    if "mask" in wanted[0]:
        engine = LiteRT(path, 2)
        pairs += [
            (engine.with_mask(rainy[0])[1][None], outputs["mask"].numpy())
            for rainy, outputs in zip(images, wanted, strict=True)
        ]
    sizes = [rainy.shape[1:3] for rainy in images]
    return measure(path, pairs, sizes, started, "litert", precision)


def _noise(size, stride):
    """Images for comparing the file with Keras: of its size, and of two other sizes."""
    sizes = ((6 * stride, 5 * stride), (stride, 9 * stride))
    return [random_image(each) for each in ((size,) if size else ()) + sizes]


def _cut(image, size):
    """The centre of an image as `(1, *size, 3)`; mirrored if it is too small."""
    image = np.asarray(image, "float32")
    for axis, side in enumerate(size):
        short = max(0, side - image.shape[axis])
        pad = [(0, short if a == axis else 0) for a in range(3)]
        image = np.pad(image, pad, mode="symmetric")
        start = (image.shape[axis] - side) // 2
        image = np.take(image, range(start, start + side), axis)
    return image[None]


def _describe(model):
    return {
        "model": type(model).__name__,
        "stride": model.stride,
        "global_operations": bool(model.global_operations),
        "input": "rainy image, RGB; float: [0, 1], uint8: 0..255",
        "output": "derained image, like the input",
    }


def with_metadata(content: bytes, metadata: dict):
    """Returns a LiteRT file with `metadata` stored inside as JSON, under `METADATA`."""
    import flatbuffers

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    text = json.dumps(metadata, sort_keys=True, ensure_ascii=False)
    buffer.data = np.frombuffer(text.encode(), np.uint8)
    entry.name, entry.buffer = METADATA, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(len(content) + len(text))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def run_litert(path: str | os.PathLike, rainy: np.ndarray, threads: int = 2):
    """Derains `rainy`, `(1, height, width, 3)` in [0, 1], resizing the file to fit."""
    return LiteRT(path, threads)(rainy[0])[None]
