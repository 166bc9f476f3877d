"""SavedModels for TF Serving: take image bytes or floats, and include warm-up requests.

Signatures and their aliases (which must not change, since clients use them):

- `serving_default`: `rainy_bytes`, strings `(n,)`: PNG, JPEG, BMP, WebP or GIF files of
  any sizes, to `derained_bytes`, PNG files.
- `tensor`: `rainy`, float32 `(n, height, width, 3)` in [0, 1], to `derained`, the same.
- `serve`: `tensor` under the name that `keras.layers.TFSMLayer` asks for.
- `mask`, of networks that find drops: `rainy` to `derained` and `mask`, float32
  `(n, height, width, 1)` in [0, 1]. It stands apart because REST answers with a name
  for each output where there are several: clients of `tensor` would read them no more.

They contain only TensorFlow's own operations, so any TF Serving of the same or a later
version can run them.
"""

import contextlib
import io
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from tfderain import files
from tfderain.export.artefact import (
    Artefact,
    deployable,
    measure,
    random_image,
    staged,
)

BYTES, TENSOR, KERAS, MASK = "serving_default", "tensor", "serve", "mask"
WARM_UP_SIZE = (64, 64)
# For servers started with --enable_per_model_batching_parameters. The images of a
# request go through the network one by one, so batches save calls, not arithmetic, and
# can be small.
BATCHING = """\
max_batch_size { value: 8 }
batch_timeout_micros { value: 1000 }
num_batch_threads { value: 2 }
max_enqueued_batches { value: 64 }
"""


def to_saved_model(
    model: Any,
    folder: str | os.PathLike,
    sizes: Sequence[tuple[int, int]] = ((64, 96), (37, 50), (1, 3)),
    overwrite: bool = False,
) -> Artefact:
    """Writes the whole `model`, padding included, as a SavedModel.

    Besides the signatures of this module it contains requests that TF Serving replays
    when it loads the model (`assets.extra/tf_serving_warmup_requests`), and
    `batching_params.pbtxt`.

    Args:
        model: a `tfderain.models.Derainer`.
        folder: where to write; TF Serving expects `<name>/<version number>`.
        sizes: `(height, width)` of the random images that are compared.
        overwrite: whether an existing `folder` is replaced.

    Raises:
        ValueError: `folder` exists, or the written model gives different results in
            TensorFlow 1's session loader, which TF Serving uses.
    """
    started = time.perf_counter()
    model = deployable(model)
    with staged(folder, overwrite) as temporary:
        write_signatures(model, temporary)
        write_warm_up(temporary, Path(folder).absolute().parent.name)
        (temporary / "batching_params.pbtxt").write_text(BATCHING)
        images = [random_image(size, batch=2) for size in sizes]
        try:
            pairs = [(run_saved_model(temporary, x), model(x).numpy()) for x in images]
            pairs.append(_compare_bytes(model, temporary, images))
        except tf.errors.OpError as error:
            raise ValueError(
                "TensorFlow's session loader must be able to run the SavedModel. "
                f"Received: {' '.join(error.message.split())}"
            ) from error
        artefact = measure(temporary, pairs, sizes, started, "saved_model")
    return artefact.moved(folder)


def write_signatures(model: Any, folder: str | os.PathLike):
    """Writes `model` with the signatures of this module, unchecked."""

    @tf.function(
        input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32, "rainy")],
        autograph=False,
    )
    def derain(rainy):
        return {"derained": model(rainy, training=False)}

    @tf.function(input_signature=derain.input_signature, autograph=False)
    def with_mask(rainy):
        return dict(zip(("derained", "mask"), model.with_mask(rainy), strict=True))

    def derain_file(image):
        rainy = tf.io.decode_image(image, channels=3, expand_animations=False)
        rainy.set_shape((None, None, 3))
        rainy = tf.cast(rainy, tf.float32) / 255.0
        derained = model(rainy[None], training=False)[0]
        derained = tf.cast(tf.round(derained * 255.0), tf.uint8)
        return tf.io.encode_png(derained)

    def derain_files(rainy_bytes):
        # One by one, since they may have any sizes, and each uses all processors.
        one_by_one = {"parallel_iterations": 1, "fn_output_signature": tf.string}
        return {"derained_bytes": tf.map_fn(derain_file, rainy_bytes, **one_by_one)}

    # The archive keeps only the variables that its functions use, so that optimizers,
    # critics and frozen teachers stay out of the file. `archive.track` would store
    # every weight a second time (Keras 3.15).
    archive = keras.export.ExportArchive()
    archive.add_endpoint(
        BYTES, derain_files, [tf.TensorSpec((None,), tf.string, "rainy_bytes")]
    )
    derain.get_concrete_function()  # one graph for both names
    archive.add_endpoint(TENSOR, derain)
    archive.add_endpoint(KERAS, derain)
    if model.makes_mask:
        archive.add_endpoint(MASK, with_mask)
    archive.write_out(str(folder), verbose=False)


def write_saved_model(
    function: Callable[[Any], Any],
    shape: tuple[int | None, ...],
    folder: str | os.PathLike,
):
    """Writes, unchecked, `function` of float32 `(*shape, 3)` as signature `tensor`."""
    archive = keras.export.ExportArchive()
    rainy = tf.TensorSpec((*shape, 3), tf.float32, name="rainy")
    archive.add_endpoint(TENSOR, function, input_signature=[rainy])
    archive.write_out(str(folder), verbose=False)


def write_warm_up(folder: str | os.PathLike, name: str):
    """Writes a request for each signature, which TF Serving runs when it starts."""
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    rainy = random_image(WARM_UP_SIZE)
    inputs = {
        BYTES: ("rainy_bytes", tf.make_tensor_proto([png(rainy[0])])),
        TENSOR: ("rainy", tf.make_tensor_proto(rainy)),
    }
    path = Path(folder) / "assets.extra" / "tf_serving_warmup_requests"
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, (alias, tensor) in inputs.items():
            request = predict_pb2.PredictRequest(inputs={alias: tensor})
            request.model_spec.name = name
            request.model_spec.signature_name = signature
            log = prediction_log_pb2.PredictLog(request=request)
            record = prediction_log_pb2.PredictionLog(predict_log=log)
            writer.write(record.SerializeToString())


def png(pixels: np.ndarray):
    """Bytes of a PNG file with `(height, width, 3)` values in [0, 1]."""
    file = io.BytesIO()
    Image.fromarray(np.rint(pixels * 255).astype("uint8")).save(file, "PNG")
    return file.getvalue()


def run_saved_model(folder: str | os.PathLike, rainy: Any, signature: str = TENSOR):
    """Derains with the SavedModel in `folder`, loaded as in TF Serving.

    `tf.saved_model.load` would not do: it also runs models whose variables the C++
    loader cannot find.

    Args:
        folder: folder with `saved_model.pb`.
        rainy: input of the signature: float32 images or a list of image files.
        signature: a signature with one input and one output.
    """
    with (
        tf.Graph().as_default(),
        tf.compat.v1.Session() as session,
        quiet(),
        files.without_wildcards(folder) as name,
    ):
        graph = tf.compat.v1.saved_model.loader.load(session, ["serve"], name)
        wanted = graph.signature_def[signature]
        (source,), (target,) = wanted.inputs.values(), wanted.outputs.values()
        return session.run(target.name, {source.name: rainy})


def _compare_bytes(model, folder, images):
    """Files of images of several sizes, from one request, next to Keras's."""
    files = [png(image[0]) for image in images]
    made = run_saved_model(folder, files, BYTES)
    written, wanted = [], []
    for file, derained in zip(files, made, strict=True):
        rainy = np.asarray(Image.open(io.BytesIO(file)), "float32") / 255
        written.append(np.asarray(Image.open(io.BytesIO(derained)), "float32").ravel())
        wanted.append(np.rint(model(rainy[None])[0] * 255.0).ravel())
    # One grey level may be due to rounding: a fifth of it is within the bound of a
    # quarter, two fifths are not.
    difference = np.abs(np.concatenate(written) - np.concatenate(wanted))
    return difference / 5 / 255, np.zeros_like(difference)


@contextlib.contextmanager
def quiet():
    """Silences the deprecation of the session loader, which servers do use."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)
