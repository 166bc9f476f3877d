"""FFmpeg's graphs: frozen GraphDefs for its filters `derain` and `dnn_processing`.

```sh
ffmpeg -i rainy.mp4 -vf derain=dnn_backend=1:model=ffmpeg.pb derained.mp4
ffmpeg -i rainy.mp4 -vf format=rgb24,dnn_processing=dnn_backend=tensorflow:\\
model=ffmpeg.pb:input=x:output=y derained.mp4
```

Both need an FFmpeg built with `--enable-libtensorflow`. It feeds one placeholder, found
by its name, with float32 `(1, height, width, 3)` in [0, 1], RGB, of the size of the
film, and takes one output by its name, whose height and width it reads off the tensor
(libavfilter/dnn/dnn_backend_tf.c).
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_v2,
)

from tfderain.export.artefact import (
    Artefact,
    deployable,
    measure,
    random_image,
    staged,
)

NAMES = ("x", "y")  # what the filter `derain` asks for unless told otherwise


def to_ffmpeg(
    model: Any,
    path: str | os.PathLike,
    sizes: Sequence[tuple[int, int]] = ((64, 96), (37, 50), (1, 3)),
    overwrite: bool = False,
    names: tuple[str, str] = NAMES,
) -> Artefact:
    """Writes the whole `model`, padding included, as a graph with weights inside.

    Args:
        model: a `tfderain.models.Derainer`.
        path: the file to write, usually `.pb`.
        sizes: `(height, width)` of the random images that are compared.
        overwrite: whether an existing file is replaced.
        names: of the input and the output.

    Raises:
        ValueError: if `path` exists, if the names are no names of operations, or if the
            written graph gives other results in a session, as FFmpeg opens one.
    """
    started = time.perf_counter()
    _check(names)
    model = deployable(model)
    with staged(path, overwrite) as temporary:
        temporary.write_bytes(_frozen(model, *names).SerializeToString())
        images = [random_image(size) for size in sizes]
        pairs = [(run_ffmpeg(temporary, x, names), model(x).numpy()) for x in images]
        artefact = measure(temporary, pairs, sizes, started, "ffmpeg")
    return artefact.moved(path)


def _check(names):
    whole = all(name and not set(name) & set(":/^ ") for name in names)
    if not whole or len(set(names)) != 2:
        raise ValueError(
            "Input and output need different names of letters, digits and _. "
            f"Received: names={names}."
        )


def _frozen(model, source, target):
    @tf.function(
        input_signature=[tf.TensorSpec((1, None, None, 3), tf.float32, source)],
        autograph=False,
    )
    def derain(rainy):
        return tf.identity(model(rainy, training=False), name=target)

    # Functions are taken apart: the graph holds operations only, one beside the other.
    frozen = convert_variables_to_constants_v2(derain.get_concrete_function())
    return frozen.graph.as_graph_def()


def run_ffmpeg(
    path: str | os.PathLike, rainy: Any, names: tuple[str, str] = NAMES
) -> Any:
    """Derains by the graph in `path`, in a session of its own, as FFmpeg runs it.

    Args:
        path: what `to_ffmpeg` wrote.
        rainy: float32 array `(1, height, width, 3)` in [0, 1].
        names: of the input and the output.
    """
    definition = tf.compat.v1.GraphDef.FromString(Path(path).read_bytes())
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(definition, name="")
        source, target = (f"{name}:0" for name in names)
        with tf.compat.v1.Session(graph=graph) as session:
            return session.run(target, {source: rainy})
