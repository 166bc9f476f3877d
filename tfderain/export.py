"""Write a network for TF Serving and for devices, and prove each file by running it.

```python
from tfderain import export, models

model = models.load("menet")
export.to_saved_model(model, "serving/menet/1")  # image files or tensors, any size
export.to_litert(model, "menet.tflite")  # the network alone, runs without TensorFlow
```

An export that loads may still be wrong: variables left behind run fine in Python and
fail in the C++ server, or turn into NaN on a device. So each written file is run by
the runtime it is meant for and compared with Keras; if it differs, nothing is kept.
"""

import contextlib
import dataclasses
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras import ops

from tfderain import presets

# A quarter of a grey level: an 8-bit pixel moves by one at most, and only when it lay
# within a quarter of rounding the other way. Measured are 1e-5 and less; a lost
# weight or a wrong padding gives a hundred times the bound.
LARGEST_DIFFERENCE = 0.25 / 255
MAX_PRESET_BYTES = 15_000_000
SIGNATURE = "serve"


@dataclass(frozen=True)
class Artefact:
    """A file or folder written by an export, and how far it is from Keras.

    Args:
        path: where it lies.
        bytes: size, of a folder the sum of its files.
        largest_difference, mean_difference: absolute, of derained pixels in [0, 1],
            over `sizes`.
        sizes: `(height, width)` of the random images compared.
        seconds: time to write and to check it.
    """

    path: Path
    bytes: int
    largest_difference: float
    mean_difference: float
    sizes: tuple[tuple[int, int], ...]
    seconds: float


def to_saved_model(
    model, folder, sizes=((64, 96), (37, 50), (1, 3)), overwrite=False
) -> Artefact:
    """Writes the whole `model`, padding included, as a SavedModel.

    Signature `tensor`, also called `serve`: `rainy` float32
    `(batch, height, width, 3)` in [0, 1], each size free, to `derained`, the same.
    Signature `serving_default`: `rainy_bytes`, `(batch,)` image files (PNG, JPEG, BMP
    or GIF) of any sizes, to `derained_bytes`, as many 8-bit RGB PNG files.

    Args:
        model: a `tfderain.models.Derainer`.
        folder: where to write; TF Serving wants `<name>/<version number>`.
        sizes: `(height, width)` of the random images that are compared.
        overwrite: whether an existing `folder` is replaced.

    Raises:
        ValueError: if `folder` exists, or if TensorFlow 1's session loader (the path
            that TF Serving takes) runs the written model with other results.
    """
    started = time.perf_counter()
    model = deployable(model)

    def derain(rainy):
        return {"derained": model(rainy, training=False)}

    with staged(folder, overwrite) as temporary:
        write_saved_model(derain, (None, None, None), temporary, for_servers(derain))
        images = [random_image(size, batch=2) for size in sizes]
        try:
            pairs = [(run_saved_model(temporary, x), model(x).numpy()) for x in images]
        except tf.errors.OpError as error:
            raise ValueError(
                "TensorFlow's session loader must run the SavedModel. "
                f"Received: {' '.join(error.message.split())}"
            ) from error
        artefact = measure(temporary, pairs, sizes, started)
        check_files(temporary, model, sizes)
    return dataclasses.replace(artefact, path=Path(folder))


def to_litert(model, path, size=(256, 256), overwrite=False) -> Artefact:
    """Writes `model.network` alone, clipped to [0, 1], as a LiteRT file.

    Input and output are float32 `(1, height, width, 3)` in [0, 1], fixed to `size`,
    because on CPUs files of a dynamic size run on one thread only. A runtime resizes
    the fixed input to any other multiples of `model.stride` and keeps all threads.

    Args:
        model: a `tfderain.models.Derainer`.
        path: the file to write.
        size: `(height, width)`, multiples of `model.stride`.
        overwrite: whether an existing file is replaced.

    Raises:
        ValueError: if `path` exists, if `size` does not fit the stride, if the network
            needs other than LiteRT's builtin operations, or if the written file gives
            other results, at `size` or when resized.
    """
    started = time.perf_counter()
    stride = model.stride
    if any(side < 1 or side % stride for side in size):
        raise ValueError(
            f"`size` must be multiples of the stride {stride}. Received: size={size}."
        )
    model = deployable(model)
    sizes = (tuple(size), (6 * stride, 5 * stride), (stride, 9 * stride))

    def derain(rainy):
        return {"derained": ops.clip(model.network(rainy, training=False), 0.0, 1.0)}

    with staged(path, overwrite) as temporary:
        with tempfile.TemporaryDirectory() as scratch:
            write_saved_model(derain, (1, *size), scratch)
            converter = tf.lite.TFLiteConverter.from_saved_model(
                scratch, signature_keys=[SIGNATURE]
            )
            temporary.write_bytes(converter.convert())
        pairs = [
            (
                run_litert(temporary, rainy),
                derain(rainy)["derained"].numpy(),
            )
            for rainy in map(random_image, sizes)
        ]
        artefact = measure(temporary, pairs, sizes, started)
    return dataclasses.replace(artefact, path=Path(path))


def export_preset(
    model,
    name: str,
    root="savedmodels",
    card: dict | None = None,
    size=(256, 256),
    overwrite=False,
) -> Path:
    """Writes `root/name/` with `model.keras`, `model.tflite`, `1/` and `card.json`.

    Args:
        model: a `tfderain.models.Derainer`; its optimizer is left out.
        name: the preset's name.
        root: folder of presets.
        card: what only people know: licence, terms, data, command, protocol, scores.
        size: see `to_litert`.
        overwrite: whether an existing preset is replaced.

    Returns:
        The folder written.

    Raises:
        ValueError: if the folder exists, if an export fails its check, or if all files
            together exceed `MAX_PRESET_BYTES`; then nothing is written.
    """
    target = Path(root) / name
    with staged(target, overwrite) as temporary:
        temporary.mkdir()
        model = deployable(model)
        model.save(temporary / "model.keras")
        artefacts = {
            "model.keras": check_keras(model, temporary / "model.keras"),
            "model.tflite": to_litert(model, temporary / "model.tflite", size),
            "1/saved_model.pb": to_saved_model(model, temporary / "1"),
        }
        content = preset_card(model, name, temporary, artefacts, card or {})
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (temporary / "card.json").write_text(text, encoding="utf-8")
        if total_bytes(temporary) > MAX_PRESET_BYTES:
            raise ValueError(
                f"A preset must not exceed {MAX_PRESET_BYTES} bytes. "
                f"Received: {total_bytes(temporary)} bytes."
            )
    return target


def preset_card(model, name, folder, artefacts, card) -> dict:
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
        "global_operations": bool(getattr(model, "global_operations", False)),
        "files": files,
        "versions": {
            "python": platform.python_version(),
            **{package: metadata.version(package) for package in packages},
        },
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


# Running what was written


def run_saved_model(folder, rainy, signature=SIGNATURE):
    """Derains `rainy` by the SavedModel in `folder`, loaded as TF Serving does.

    Args:
        folder: path of the SavedModel.
        rainy: what the signature takes: an array, or a list of image files as bytes.
        signature: str. Its name.

    `tf.saved_model.load` would not do: it also runs models whose variables the C++
    loader cannot find.
    """
    with tf.Graph().as_default(), tf.compat.v1.Session() as session, quiet():
        graph = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(folder))
        signature = graph.signature_def[signature]
        (source,) = signature.inputs.values()
        (target,) = signature.outputs.values()
        return session.run(target.name, {source.name: rainy})


def check_files(folder, model, sizes):
    """Compares the signature of image files with Keras, all `sizes` in one request.

    Raises:
        ValueError: if a pixel differs by more than one of 255 grey levels, as rounding
            may make it.
    """
    rainy = [np.uint8(random_image(size)[0] * 255) for size in sizes]
    files = [tf.io.encode_png(pixels).numpy() for pixels in rainy]
    answers = run_saved_model(folder, files, "serving_default")
    for pixels, answer in zip(rainy, answers, strict=True):
        derained = tf.io.decode_png(answer).numpy().astype(float)
        expected = model(np.float32(pixels[None]) / 255).numpy()[0] * 255
        same_shape = derained.shape == expected.shape
        if not same_shape or not np.abs(derained - expected).max() <= 1:
            raise ValueError(
                "Image files must give the same pixels as Keras, within 1 of 255. "
                f"Received: others at size {pixels.shape[:2]}."
            )


def run_litert(path, rainy, threads=2):
    """Derains `rainy`, `(1, height, width, 3)`, by a LiteRT file, resized to fit."""
    interpreter = Interpreter(str(path), num_threads=threads)
    (source,) = interpreter.get_input_details()
    if tuple(source["shape"]) != rainy.shape:
        interpreter.resize_tensor_input(source["index"], rainy.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source["index"], rainy)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def check_keras(model, path) -> Artefact:
    """Loads a `.keras` file again and compares it with `model`."""
    started = time.perf_counter()
    size = (64, 96)
    rainy = random_image(size)
    loaded = keras.saving.load_model(path, compile=False)
    pairs = [(loaded(rainy).numpy(), model(rainy).numpy())]
    return measure(path, pairs, [size], started)


def measure(path, pairs, sizes, started) -> Artefact:
    """Compares `(written, Keras)` pairs of derained images, and sizes up `path`.

    Raises:
        ValueError: if they differ by more than `LARGEST_DIFFERENCE`, or by a NaN.
    """
    differences = [np.abs(np.asarray(a, "float64") - b) for a, b in pairs]
    largest = max(float(d.max()) for d in differences)
    if not all(d.max() <= LARGEST_DIFFERENCE for d in differences):  # NaN fails too
        raise ValueError(
            f"{Path(path).name} must give the same pixels as Keras, within "
            f"{LARGEST_DIFFERENCE:.1e}. Received: largest differences "
            f"{[float(d.max()) for d in differences]} at sizes {list(sizes)}."
        )
    return Artefact(
        path=Path(path),
        bytes=total_bytes(path),
        largest_difference=largest,
        mean_difference=float(np.mean([d.mean() for d in differences])),
        sizes=tuple(sizes),
        seconds=time.perf_counter() - started,
    )


# Helpers


def for_servers(derain) -> dict:
    """Returns the signatures that clients of servers ask for.

    Args:
        derain: function from float32 `(batch, height, width, 3)` to `{"derained": the
            same}`.

    Returns:
        dict from name to `(function, TensorSpec)`; see `tfderain.serving.signatures`.
    """

    def derain_file(data):
        pixels = tf.io.decode_image(data, channels=3, expand_animations=False)
        pixels.set_shape((None, None, 3))
        rainy = tf.cast(pixels, tf.float32)[None] / 255.0
        derained = tf.clip_by_value(derain(rainy)["derained"][0], 0.0, 1.0)
        return tf.io.encode_png(tf.cast(derained * 255.0 + 0.5, tf.uint8))

    def derain_files(rainy_bytes):
        # They have different sizes, and each uses all processors.
        one_by_one = {"parallel_iterations": 1, "fn_output_signature": tf.string}
        return {"derained_bytes": tf.map_fn(derain_file, rainy_bytes, **one_by_one)}

    rainy = tf.TensorSpec((None, None, None, 3), tf.float32, name="rainy")
    rainy_bytes = tf.TensorSpec((None,), tf.string, name="rainy_bytes")
    return {"tensor": (derain, rainy), "serving_default": (derain_files, rainy_bytes)}


def write_saved_model(function, shape, folder, others=None):
    """Writes `function` of float32 `(*shape, 3)` as signature `serve`, unchecked.

    Args:
        function: from `rainy` to a dict of outputs.
        shape: tuple of int or `None`.
        folder: where to write.
        others: dict of further signatures: name to `(function, TensorSpec)`.
    """
    # The archive keeps the variables that `function` uses and nothing else, so that
    # optimizers, critics and frozen teachers stay out of the file. `archive.track`
    # would store every weight a second time (Keras 3.15).
    archive = keras.export.ExportArchive()
    rainy = tf.TensorSpec((*shape, 3), tf.float32, name="rainy")
    archive.add_endpoint(SIGNATURE, function, input_signature=[rainy])
    for name, (other, spec) in (others or {}).items():
        archive.add_endpoint(name, other, input_signature=[spec])
    archive.write_out(str(folder), verbose=False)


@contextlib.contextmanager
def quiet():
    """Keeps TensorFlow from calling the session loader deprecated: servers use it."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)


def deployable(model):
    """Returns a float32 copy of `model` without its optimizer."""
    copy = type(model).from_config({**model.get_config(), "dtype": "float32"})
    copy.build((None, None, None, 3))
    copy.set_weights(model.get_weights())
    return copy


def random_image(size, batch=1):
    """Uniform float32 noise `(batch, height, width, 3)`, the same for the same size."""
    shape = (batch, *size, 3)
    return np.random.default_rng(size).uniform(size=shape).astype("float32")


def total_bytes(path) -> int:
    """Size of a file, or of all files below a folder."""
    files = [Path(path)] if Path(path).is_file() else Path(path).rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())


@contextlib.contextmanager
def staged(target, overwrite) -> Iterator[Path]:
    """Gives a temporary path beside `target`, and moves it there when all went well."""
    target = Path(target)
    if target.exists() and not overwrite:
        raise ValueError(
            f"Nothing is overwritten unless asked to. Received: {target} exists."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tfderain-", dir=target.parent) as scratch:
        temporary = Path(scratch) / target.name
        yield temporary
        if target.is_dir():  # os.replace replaces files only
            os.replace(target, Path(scratch) / "replaced")
        os.replace(temporary, target)
