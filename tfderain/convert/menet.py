"""MENET's official weights: a TensorFlow 1 checkpoint, read by TensorFlow's reader.

For the files saved by github.com/SumiHui/MENET: `<name>-<step>.index` with its `.data`
file, or the single file of the oldest format. Adam's moments and the step are left out.
Channel attention and the number of blocks are read from the names.
"""

import pathlib
import re
from typing import Any

from tfderain.convert.weights import Unfit, Weights, prefix_of

ARGUMENTS: dict = {}
FIRST = "derain/layer1/layer1_conv/kernel"
MOMENTS = re.compile(r"/Adam(_\d+)?$")


def load(path: Any, arguments: dict):
    """A built `MENET` with the weights of a checkpoint; see `tfderain.convert.load`."""
    from tfderain import models

    weights = read(path)
    model = models.MENET(**shape_of(weights), **arguments)
    model.build((None, None, None, 3))
    place(model.network, weights)
    weights.finish()
    return model


def read(path: Any):
    """`Weights` of the variables below `derain/`.

    Args:
        path: prefix of a checkpoint's files, any one of these files, or a folder, whose
            latest checkpoint is read.

    Raises:
        Unfit: for another kind of file, or a damaged one.
        OSError: there is no such file.
    """
    import tensorflow as tf

    text = re.sub(r"\.(index|meta|data-\d{5}-of-\d{5})$", "", str(path))
    if pathlib.Path(text).is_dir():
        latest = tf.train.latest_checkpoint(text)
        if latest is None:
            raise Unfit("the folder has no TensorFlow checkpoint")
        text = latest
    elif not (pathlib.Path(f"{text}.index").exists() or pathlib.Path(text).exists()):
        raise FileNotFoundError(2, "No such checkpoint", str(path))
    try:
        reader = tf.train.load_checkpoint(text)
        names = [
            name
            for name in reader.get_variable_to_shape_map()
            if "derain/" in name and not MOMENTS.search(name)
        ]
        tensors = {name: reader.get_tensor(name) for name in names}
    except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:
        reason = str(error).split("\n")[0].rstrip(". ")
        raise Unfit(f"it is not a complete TensorFlow checkpoint ({reason})") from None
    return _below_scope(tensors)


def _below_scope(tensors):
    """The tensors by their names from `derain/` on; the graph may be inside a scope."""
    scope = prefix_of(tensors, FIRST, separator="/")
    own = {
        name.removeprefix(scope): array
        for name, array in tensors.items()
        if name.startswith(f"{scope}derain/")
    }
    return Weights(own)


def shape_of(weights: Weights):
    """Constructor arguments of the network that these weights belong to."""
    blocks = [name for name in weights.tensors if re.match(r"derain/res_\d+_a/", name)]
    attention = any(name.startswith("derain/ca/") for name in weights.tensors)
    return {"num_blocks": max(len(blocks), 1), "channel_attention": attention}


def place(network: Any, weights: Weights):
    """Gives a built `MENETNetwork` with batch normalisation its weights."""
    for layer, kernel, norm in convolutions_of(network):
        weights.give(layer.convolution.kernel, kernel)
        for variable in layer.norm.weights:
            weights.give(variable, f"{norm}/{variable.name}")
    weights.give(network.residual.kernel, "derain/layer5/layer5_conv/kernel")


def convolutions_of(network: Any):
    """`(layer, name of its kernel, name of its batch normalisation)` for each layer."""
    main = [(network.encode_half, "layer1"), (network.encode_quarter, "layer2")]
    for index, block in enumerate(network.blocks):
        main += [(block.first, f"res_{index}_a"), (block.second, f"res_{index}_b")]
    main += [(network.decode_quarter, "layer3"), (network.decode_half, "layer4")]
    yield from _numbered(main, "derain")
    if network.attention is not None:
        gate = network.attention
        layers = [gate.squeeze_1, gate.layer_1, gate.squeeze_2, gate.layer_2]
        names = ["squeeze_1", "layer_1", "squeeze_2", "layer_2", "excitation_1"]
        pairs = zip([*layers, gate.excitation], names, strict=True)
        yield from _numbered(pairs, "derain/ca")


def _numbered(pairs, scope):
    for index, (layer, name) in enumerate(pairs):
        suffix = f"_{index}" if index else ""
        norm = f"{scope}/batch_normalization{suffix}"
        yield layer, f"{scope}/{name}/{name}_conv/kernel", norm
