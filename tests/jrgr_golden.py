"""Weights and images of the authors' PyTorch networks, in the layout of Keras."""

import json

import numpy as np
from helpers import GOLDEN


def load(case):
    """`(arrays, config)` of a golden case."""
    golden = np.load(GOLDEN / f"{case}.npz", allow_pickle=False)
    return golden, json.loads(str(golden["config"][0]))


def nhwc(array):
    return np.moveaxis(array, 1, -1)


def layers_of(network):
    """`[(PyTorch's name, layer)]` of a U-Net, ResNet generator or critic."""
    kind = type(network).__name__
    if kind == "PatchCritic":
        names = (0, 2, 5, 8, 11)
        return [
            (f"model.{n}", c) for n, c in zip(names, network.convolutions, strict=True)
        ]
    return (_unet if kind == "UNet" else _resnet)(network)


def _unet(network):
    found, prefix, last = [], "model.model.", network.num_levels - 1
    for level in range(network.num_levels):
        up = 3 if level in (0, last) else 5
        found.append((f"{prefix}{min(level, 1)}", network.downs[level]))
        found.append((f"{prefix}{up}", network.ups[level]))
        if level:
            found.append((f"{prefix}{up + 1}", network.up_norms[level]))
        if 0 < level < last:
            found.append((f"{prefix}2", network.down_norms[level]))
        prefix += ("3" if level else "1") + ".model."
    return found


def _resnet(network):
    blocks = len(network.blocks)
    found = [("model.1", network.stem), ("model.2", network.stem_norm)]
    for index, place in enumerate((4, 7)):
        found.append((f"model.{place}", network.downs[index]))
        found.append((f"model.{place + 1}", network.down_norms[index]))
    for index, parts in enumerate(network.blocks):
        for place, (convolution, norm) in zip((1, 5), parts, strict=True):
            found.append((f"model.{10 + index}.conv_block.{place}", convolution))
            found.append((f"model.{10 + index}.conv_block.{place + 1}", norm))
    for place, index in ((10 + blocks, 1), (13 + blocks, 0)):
        found.append((f"model.{place}", network.ups[index]))
        found.append((f"model.{place + 1}", network.up_norms[index]))
    return [*found, (f"model.{17 + blocks}", network.last)]


def variables_of(network):
    """`{PyTorch's name: variable}`."""
    words = {
        "kernel": "weight",
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    }
    return {
        f"{name}.{words.get(weight.name, weight.name)}": weight
        for name, layer in layers_of(network)
        for weight in layer.weights
    }


def keras_layout(array):
    """Kernels `(out, in, h, w)`, or transposed `(in, out, h, w)`, as Keras has them."""
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array


def give_weights(network, golden, prefix="w/"):
    """Sets all weights of a built network; none may be missing on either side."""
    variables = variables_of(network)
    assert {prefix + n for n in variables} == {
        k for k in golden if k[: len(prefix)] == prefix
    }
    for name, variable in variables.items():
        variable.assign(keras_layout(golden[prefix + name]))
