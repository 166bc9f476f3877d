"""Derains arrays and PIL images of any size, in tiles, without TensorFlow.

```python
from tfderain.runtime import Restorer

restorer = Restorer("menet")
derained = restorer.derain(rainy)  # the kind, size and dtype of `rainy`
```
"""

import contextlib
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from tfderain import images, presets, tiling

RUNTIMES = ("litert", "tensorflow")

# A LiteRT file without a card: a multiple of every network's stride.
_DEFAULT_STRIDE = 16


class Restorer:
    """Removes rain from images of any size with a trained network.

    Large images go through the network in tiles of one size that overlap and are
    blended; finished rows leave as `uint8` strip by strip, so that memory beside the
    two images depends on the tile and the width only. For networks without global
    operations the tiles change the result only through what the network sees beyond
    3/8 of `overlap`. A network with channel attention (`global_operations` in its
    card) weighs channels by their mean over the tile instead of the image, so there
    the tiles differ slightly from the whole image: keep them large, or give
    `tile=None`.

    One thread at a time may use a `Restorer`.

    Args:
        model: name of a preset, path of its folder or of a `.tflite` file (with
            `card.json` beside it, which holds the stride; else 16 is taken). With
            `runtime="tensorflow"` anything that `tfderain.models.load` takes, the
            folder of a SavedModel, or a `tfderain.models.Derainer`.
        runtime: `"litert"`, which leaves TensorFlow unloaded, or `"tensorflow"`;
            `suited` chooses one for a path.
        threads: int or `None`, for one per processor that this process may use. With
            `"tensorflow"` it counts only before TensorFlow has computed anything.
        tile: `"auto"`, int or `None`; see `tfderain.tiling.plan_tiles`.
        overlap: int. Pixels that neighbouring tiles share, at most `tile / 2`, or
            `None` for 128, less for small tiles.

    Attributes:
        stride: int. Images are padded to multiples of it, and tiles start at them.
        global_operations: bool. Whether a pixel depends on the whole tile.

    Raises:
        ValueError: if an argument does not fit or the model cannot be loaded.
    """

    def __init__(
        self, model="menet", runtime="litert", threads=None, tile="auto", overlap=None
    ):
        if runtime not in RUNTIMES:
            raise ValueError(
                f"`runtime` must be one of {', '.join(RUNTIMES)}. "
                f"Received: runtime={runtime!r}."
            )
        if threads is not None and threads < 1:
            raise ValueError(f"`threads` must be positive. Received: {threads}.")
        self.runtime = runtime
        self.tile = tile
        self.overlap = overlap
        network = _LiteRT if runtime == "litert" else _TensorFlow
        self._network = network(model, threads)
        self.stride = self._network.stride
        self.global_operations = self._network.global_operations
        # Says now whether tile and overlap fit, rather than at the first image.
        tiling.plan_tiles((self.stride, self.stride), tile, overlap, self.stride)

    def derain(self, image, progress=None):
        """Derains one image or a batch, returned in the kind it came in.

        Args:
            image: array `(height, width, 3)`, `(height, width)` or
                `(batch, height, width, 3)` as `uint8`, `uint16` or float in [0, 1],
                any height and width from 1; or a PIL image of any mode, whose alpha,
                EXIF and ICC profile are kept, and whose palette or CMYK colours
                become RGB.
            progress: function called with `(done, total)` after every tile.

        Returns:
            The derained image: a new array of the same shape and dtype, or a PIL
            image.

        Raises:
            ValueError: if shape, dtype or values are others than these.
        """
        if isinstance(image, Image.Image):
            picture = images.from_pil(image)
            return images.to_pil(picture, self.derain(picture.pixels, progress))
        rainy = np.asarray(image)
        _check(rainy)
        derained = np.empty_like(rainy)
        batch = rainy.ndim == 4
        padded = (tiling.round_up(n, self.stride) for n in rainy.shape[batch:][:2])
        tiles = tiling.plan_tiles(tuple(padded), self.tile, self.overlap, self.stride)
        tick = _ticker(progress, len(tiles) * (len(rainy) if batch else 1))
        pairs = zip(rainy, derained, strict=True) if batch else [(rainy, derained)]
        for source, target in pairs:
            self._derain(source, target, tiles, tick)
        return derained

    def _derain(self, rainy, derained, tiles, tick):
        """Derains `rainy` into `derained`, strip by strip."""
        tall, wide = tiles.tile
        down, across = tiles.weights()
        strip = np.zeros((tall, tiles.size[1], 3), np.float32)
        for i, top in enumerate(tiles.rows):
            for j, left in enumerate(tiles.columns):
                tile = self._network(_cut(rainy, tiles, top, left))
                tile *= down[i][:, None, None] * across[j][:, None]
                strip[:, left : left + wide] += tile
                tick()
            # Rows above the next tile get no more contributions.
            done = (*tiles.rows[1:], tiles.size[0])[i] - top
            _store(strip[:done], derained[top : top + done])
            strip[: tall - done] = strip[done:]
            strip[tall - done :] = 0


def _check(rainy):
    """Refuses arrays that are no images; cheap for `uint8`."""
    if rainy.dtype not in (np.uint8, np.uint16) and rainy.dtype.kind != "f":
        raise ValueError(
            "Images must be uint8, uint16 or floats in [0, 1]. "
            f"Received: dtype={rainy.dtype}."
        )
    shaped = rainy.ndim == 2 or (rainy.ndim in (3, 4) and rainy.shape[-1] == 3)
    if not shaped or not rainy.size:
        raise ValueError(
            "Images must have the shape (height, width, 3), (height, width) or "
            f"(batch, height, width, 3), none of them 0. Received: shape={rainy.shape}."
        )
    if rainy.dtype.kind == "f":
        low, high = rainy.min(), rainy.max()
        # 1e-6: rounding of float32, as resizing leaves it. NaN fails both.
        if not (low >= -1e-6 and high <= 1 + 1e-6):
            raise ValueError(
                "Float images must lie in [0, 1] (divide 0..255 by 255). "
                f"Received: minimum={low}, maximum={high}."
            )


def _ticker(progress, total):
    done = 0

    def tick():
        nonlocal done
        done += 1
        if progress:
            progress(done, total)

    return tick


def _cut(rainy, tiles, top, left):
    """Returns one tile as float32 RGB; beyond the image, its mirror image."""
    (height, width), (tall, wide) = rainy.shape[:2], tiles.tile
    if top + tall <= height and left + wide <= width:
        tile = rainy[top : top + tall, left : left + wide]
    else:
        rows = tiling.reflect_index(height, tiles.size[0])[top : top + tall]
        columns = tiling.reflect_index(width, tiles.size[1])[left : left + wide]
        tile = rainy[np.ix_(rows, columns)]
    tile = images.to_float(tile)
    # A grey image is shown to the network as three equal channels.
    tile = np.repeat(tile[:, :, None], 3, axis=2) if tile.ndim == 2 else tile
    return np.ascontiguousarray(tile)


def _store(strip, derained):
    """Crops the padding and rounds to the dtype; grey is the mean of the channels."""
    strip = strip[: len(derained), : derained.shape[1]]
    if derained.ndim == 2:
        strip = strip.mean(axis=-1)
    derained[:] = images.from_float(strip, derained.dtype)


def suited(model) -> str:
    """Returns the runtime for the path of a model: `"litert"` where that can be.

    Args:
        model: name of a preset or a path.
    """
    trained = str(model).endswith(".keras") or Path(model, "best.keras").exists()
    lite = Path(model, "model.tflite").exists()
    return "tensorflow" if trained or (saved_model(model) and not lite) else "litert"


def saved_model(model) -> Path | None:
    """Returns the SavedModel in a folder, or the newest of its numbered folders.

    Folders that hold the weights in Keras's own format as well give `None`.
    """
    folder = Path(model)
    if any((folder / name).exists() for name in ("best.keras", "model.keras")):
        return None
    numbered = [path for path in folder.glob("*") if path.name.isdecimal()]
    newest_first = sorted(numbered, key=lambda path: int(path.name), reverse=True)
    for candidate in (folder, *newest_first):
        if (candidate / "saved_model.pb").is_file():
            return candidate
    return None


class _LiteRT:
    """A LiteRT file as a function from one float32 RGB tile to another.

    Call: `(height, width, 3)`, multiples of the stride, to the same shape.
    """

    def __init__(self, model, threads):
        from ai_edge_litert.interpreter import Interpreter

        path = _litert_file(model)
        card = _card(path)
        self.stride = int(card.get("stride", _DEFAULT_STRIDE))
        self.global_operations = bool(card.get("global_operations", False))
        try:
            with _without_greeting():
                self.interpreter = Interpreter(
                    os.fspath(path), num_threads=threads or processors()
                )
                self.interpreter.allocate_tensors()
        # RuntimeError: an operation that this build of LiteRT lacks.
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(
                f"The model must be a LiteRT file. Received: {path} ({reason})."
            ) from error
        (source,) = self.interpreter.get_input_details()
        (target,) = self.interpreter.get_output_details()
        self.source, self.target = source["index"], target["index"]
        self.shape = tuple(source["shape"])

    def __call__(self, tile):
        shape = (1, *tile.shape)
        # The file has a fixed size, so that LiteRT uses all threads. It is resized
        # only when the size changes: that plans the network's memory anew.
        if shape != self.shape:
            self.interpreter.resize_tensor_input(self.source, shape)
            self.interpreter.allocate_tensors()
            self.shape = shape
        self.interpreter.set_tensor(self.source, tile[None])
        self.interpreter.invoke()
        return self.interpreter.get_tensor(self.target)[0]


def _card(path):
    """Returns the card beside a file or folder, or an empty one."""
    beside = path.with_name("card.json").is_file()
    return presets.read_card(path.parent) if beside else {}


def _litert_file(model):
    if not isinstance(model, (str, os.PathLike)):
        raise ValueError(
            'A model that is no name or path needs runtime="tensorflow". '
            f"Received: model={type(model).__name__}."
        )
    path = Path(presets.find(model))
    path = path / "model.tflite" if path.is_dir() else path
    if path.suffix != ".tflite" or not path.is_file():
        raise ValueError(
            'runtime="litert" needs a .tflite file or a folder with model.tflite, '
            "which `tfderain export` makes of a model; "
            f'runtime="tensorflow" takes the others. Received: model={model}.'
        )
    return path


def processors():
    """Number of processors that this process may use, which containers restrict."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def _without_greeting():
    """Keeps LiteRT's INFO line from standard error; all other lines pass.

    LiteRT writes it in C++ to file descriptor 2 and has no setting for it.
    """
    try:
        stderr = os.dup(2)
    except OSError:  # a process without standard error
        yield
        return
    if sys.stderr:
        sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            held.seek(0)
            lines = [line for line in held if not line.startswith(b"INFO:")]
            os.write(stderr, b"".join(lines))
            os.close(stderr)


class _TensorFlow:
    """A Keras model as a function from one float32 RGB tile to another."""

    def __init__(self, model, threads):
        from keras import backend, ops

        self.to_numpy = ops.convert_to_numpy
        given = not isinstance(model, (str, os.PathLike))
        if threads and backend.backend() == "tensorflow":
            import tensorflow as tf

            # RuntimeError: TensorFlow has started, with the threads that it has.
            with contextlib.suppress(RuntimeError):
                tf.config.threading.set_intra_op_parallelism_threads(threads)
        self.model = model if given else _load(model)
        self.stride = self.model.stride
        self.global_operations = bool(getattr(self.model, "global_operations", False))
        # A model that was loaded here is used often enough to trace a graph of it.
        if not given and backend.backend() == "tensorflow":
            self.model = _graph(self.model)

    def __call__(self, tile):
        # A copy, because arrays of TensorFlow's memory cannot be written to.
        return np.array(self.to_numpy(self.model(tile[None], training=False))[0])


def _load(model):
    if folder := saved_model(model):
        return _SavedModel(folder)
    from tfderain import models

    return models.load(model)


class _SavedModel:
    """The tensor signature of a SavedModel in the place of its Keras model."""

    def __init__(self, folder):
        import tensorflow as tf

        card = _card(folder)
        self.stride = int(card.get("stride", _DEFAULT_STRIDE))
        self.global_operations = bool(card.get("global_operations", False))
        self.loaded = tf.saved_model.load(str(folder))  # owns the variables
        signatures = self.loaded.signatures
        if "serve" not in signatures:
            raise ValueError(
                "The SavedModel must have the signature serve, as `tfderain export` "
                f"writes it. Received: {folder} ({', '.join(signatures)})."
            )
        self.signature = signatures["serve"]

    def __call__(self, rainy, training=False):
        return self.signature(rainy=rainy)["derained"]


def _graph(model):
    import tensorflow as tf

    tiles = tf.TensorSpec((1, None, None, 3), tf.float32)
    function = tf.function(
        lambda rainy: model(rainy, training=False), input_signature=[tiles]
    )
    return lambda tile, training: function(tile)
