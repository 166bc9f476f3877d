"""Engines that run a network: LiteRT, ONNX Runtime or TensorFlow, behind one call.

Each engine is a function from a float32 RGB tile `(height, width, 3)` in [0, 1], whose
sides are multiples of its `stride`, to the derained tile. Where it `makes_mask`, its
method `with_mask` returns the tile and the mask of its drops, float32
`(height, width, 1)` in [0, 1]. Used by
`tfderain.runtime.Restorer`; only `TensorFlow` imports TensorFlow.
"""

import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tfderain import errors, extras, files, presets

# Key under which tfderain stores JSON inside LiteRT and ONNX files.
METADATA = "tfderain"
# Stride of a LiteRT file without card and metadata: a multiple of every network's.
# SavedModels and ONNX files pad images themselves, so their stride may be 1.
DEFAULT_STRIDE = 16


class LiteRT:
    """A LiteRT file of a network, float or int8, with a float or `uint8` interface.

    Args:
        model: name of a preset, path of its folder, or of a `.tflite` file. Stride and
            the like are read from the file, or else from `card.json` beside it.
        threads: int or `None`, for one per processor that this process may use.

    Attributes:
        kept: int. For how many sizes of tiles the network stays planned; 1 unless set.
            Planning takes up to a third of the time of a tile, and memory.
    """

    stride: int
    global_operations: bool

    def __init__(self, model: Any, threads: int | None = None):
        self.path = path = _file(model, ".tflite", "litert")
        self.threads = threads or processors()
        self.kept, self._others = 1, {}
        try:
            with _without_greeting():
                self.interpreter = self._open()
                (self.source,) = self.interpreter.get_input_details()
                dynamic = -1 in self.source["shape_signature"]
                if not dynamic:
                    self.interpreter.allocate_tensors()
        # RuntimeError: an operation that this build of LiteRT lacks.
        except (ValueError, RuntimeError) as error:
            raise ValueError(
                "The model must be a LiteRT file. "
                f"Received: {path} ({errors.reason(error)})."
            ) from error
        _take_card(self, path, litert_metadata, DEFAULT_STRIDE)
        # The mask of drops has one channel, the picture three.
        outputs = {
            int(o["shape"][-1]): o for o in self.interpreter.get_output_details()
        }
        self.target, self.mask = outputs[3], outputs.get(1)
        self.makes_mask = self.mask is not None
        self.shape = None if dynamic else tuple(self.source["shape"])

    def __call__(self, tile: np.ndarray):
        self._run(tile)
        return self._output(self.target)

    def with_mask(self, tile: np.ndarray):
        self._run(tile)
        return self._output(self.target), self._output(self.mask)

    def _run(self, tile):
        shape = (1, *tile.shape)
        # The file has a fixed size, so that LiteRT uses all threads. It is resized only
        # when the size changes, since that plans the network's memory anew.
        if shape != self.shape:
            self._resize(shape)
        if self.source["dtype"] == np.uint8:
            scale, zero = self.source["quantization"]
            tile = np.clip(np.rint(tile / scale + zero), 0, 255).astype(np.uint8)
        self.interpreter.set_tensor(self.source["index"], tile[None])
        self.interpreter.invoke()

    def _output(self, target):
        output = self.interpreter.get_tensor(target["index"])[0]
        if output.dtype == np.uint8:
            scale, zero = target["quantization"]
            output = (output.astype(np.float32) - zero) * np.float32(scale)
        return output

    def _open(self):
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter(os.fspath(self.path), num_threads=self.threads)

    def _resize(self, shape):
        """Goes over to another size, whose interpreter may be one of those kept."""
        if self.kept > 1:
            self._others[self.shape] = self.interpreter
            found = self._others.pop(shape, None)
            if len(self._others) >= self.kept:  # the one that was left longest ago
                del self._others[next(iter(self._others))]
            if found:
                self.interpreter, self.shape = found, shape
                return
            with _without_greeting():
                self.interpreter = self._open()
        self.interpreter.resize_tensor_input(self.source["index"], shape)
        self.interpreter.allocate_tensors()
        self.shape = shape


class ONNX:
    """An ONNX file of a network, run by ONNX Runtime on the CPU.

    Args:
        model: name of a preset, or path of its folder (with `model.onnx`) or of a file.
        threads: int, or `None` for one per processor that this process may use.

    Raises:
        ImportError: onnxruntime is not installed (extra `onnx`).
    """

    def __init__(self, model: Any, threads: int | None = None):
        path = _file(model, ".onnx", "onnx")
        onnxruntime = extras.require("onnxruntime", extra="onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or processors()
        try:
            self.session = onnxruntime.InferenceSession(
                os.fspath(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own classes are not public
            raise ValueError(
                "The model must be an ONNX file. "
                f"Received: {path} ({errors.reason(error)})."
            ) from error
        (source,) = self.session.get_inputs()
        self.nchw = source.shape[1] == 3
        if isinstance(source.shape[0], int):
            raise ValueError(
                "The ONNX file must take images of any size (`tfderain export` without "
                f"--size). Received: {path}, of {source.shape}."
            )
        properties = self.session.get_modelmeta().custom_metadata_map
        _take_card(self, path, lambda _: json.loads(properties.get(METADATA, "{}")))

        names = [output.name for output in self.session.get_outputs()]
        self.makes_mask = "mask" in names

    def __call__(self, tile: np.ndarray):
        return self._run(["derained"], tile)[0]

    def with_mask(self, tile: np.ndarray):
        return tuple(self._run(["derained", "mask"], tile))

    def _run(self, names, tile):
        if self.nchw:
            tile = np.ascontiguousarray(tile.transpose(2, 0, 1))
        made = self.session.run(names, {"rainy": tile[None]})
        return [one[0].transpose(1, 2, 0) if self.nchw else one[0] for one in made]


def litert_metadata(path: str | os.PathLike) -> dict:
    """Returns what `tfderain.export` stored inside a LiteRT file; `{}` if nothing."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(Path(path).read_bytes(), 0)
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == METADATA.encode():
            return json.loads(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
    return {}


def _take_card(engine, path, read_metadata, stride=1):
    """Sets stride and global operations from the card or the file's own metadata."""
    has_card = path.with_name("card.json").is_file()
    card = presets.read_card(path.parent) if has_card else read_metadata(path)
    engine.stride = int(card.get("stride", stride))
    engine.global_operations = bool(card.get("global_operations", False))


def _file(model, suffix, runtime):
    if not isinstance(model, (str, os.PathLike)):
        raise ValueError(
            'A model that is not a name or path needs runtime="tensorflow". '
            f"Received: model={type(model).__name__}."
        )
    path = presets.locate(model).path
    path = path / f"model{suffix}" if path.is_dir() else path
    if path.suffix != suffix or not path.is_file():
        raise ValueError(
            f'runtime="{runtime}" needs a {suffix} file or a folder with '
            f"model{suffix}, as made by `tfderain export`; "
            f'runtime="tensorflow" takes the others. Received: model={model}.'
        )
    if reason := files.damage(path):
        raise ValueError(
            f"The model must be a complete file. Received: {path} ({reason})."
        )
    return path


def processors():
    """Number of processors that this process may use, e.g. inside a container."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def _without_greeting():
    """Keeps LiteRT's INFO line off standard error; all other lines pass.

    LiteRT writes it to file descriptor 2 in C++ and has no setting for it.
    """
    with contextlib.ExitStack() as stack:
        try:
            held = stack.enter_context(tempfile.TemporaryFile())
            stderr = os.dup(2)
        # Without standard error or a place for temporary files, the greeting passes.
        except OSError:
            yield
            return
        with contextlib.suppress(OSError, ValueError):  # a closed pipe
            if sys.stderr:
                sys.stderr.flush()
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            held.seek(0)
            lines = [line for line in held if not line.startswith(b"INFO:")]
            with contextlib.suppress(OSError):
                os.write(stderr, b"".join(lines))
            os.close(stderr)


class TensorFlow:
    """A Keras model or a SavedModel, run by TensorFlow.

    Args:
        model: whatever `tfderain.models.load` accepts, a `tfderain.models.Derainer`, or
            the folder of a SavedModel.
        threads: int or `None`. No effect after TensorFlow's first computation.
    """

    def __init__(self, model: Any, threads: int | None = None):
        from keras import backend, ops

        self.to_numpy = ops.convert_to_numpy
        given = not isinstance(model, (str, os.PathLike))
        if threads and backend.backend() == "tensorflow":
            import tensorflow as tf

            # RuntimeError: TensorFlow has already started with some number of threads.
            with contextlib.suppress(RuntimeError):
                tf.config.threading.set_intra_op_parallelism_threads(threads)
        if not given and (folder := presets.locate(model).saved_model):
            self.model, self.masked = _saved_model(folder)
            self.makes_mask = self.masked is not None
            _take_card(self, folder, lambda folder: {})
            return
        self.model = model if given else _load(model)
        self.stride = self.model.stride
        self.global_operations = bool(getattr(self.model, "global_operations", False))
        self.makes_mask = bool(getattr(self.model, "makes_mask", False))
        self.masked = self.model.with_mask if self.makes_mask else None
        # A model that is loaded here is used often enough to be worth a graph.
        if not given and backend.backend() == "tensorflow":
            self.masked = self.masked and _graph(self.masked)
            model = self.model
            graph = _graph(lambda rainy: model(rainy, training=False))
            self.model = lambda tile, training: graph(tile)

    def __call__(self, tile: np.ndarray):
        # A copy, because arrays in TensorFlow's memory cannot be written to.
        return np.array(self.to_numpy(self.model(tile[None], training=False))[0])

    def with_mask(self, tile: np.ndarray):
        made: Any = self.masked
        return tuple(np.array(self.to_numpy(output)[0]) for output in made(tile[None]))


def _load(model):
    from tfderain import models

    return models.load(model)


def _graph(function):
    import tensorflow as tf

    tiles = tf.TensorSpec((1, None, None, 3), tf.float32)
    return tf.function(function, input_signature=[tiles])


def _saved_model(folder):
    """What derains, and what gives the mask as well, or `None`."""
    import tensorflow as tf

    with files.without_wildcards(folder) as name:
        loaded = tf.saved_model.load(name)
    if "tensor" not in loaded.signatures:
        raise ValueError(
            "The SavedModel must have the signature `tensor`, as written by `tfderain "
            f"export`. Received: {folder} with {sorted(loaded.signatures)}."
        )

    def derain(tile, training):
        # `loaded` must stay alive, because it holds the variables.
        return loaded.signatures["tensor"](rainy=tf.constant(tile))["derained"]

    def with_mask(tile):
        outputs = loaded.signatures["mask"](rainy=tf.constant(tile))
        return outputs["derained"], outputs["mask"]

    return derain, with_mask if "mask" in loaded.signatures else None
