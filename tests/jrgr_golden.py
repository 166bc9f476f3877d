"""Golden data of JRGR: the authors' weights of networks and critics."""

import json

import official
from official import nhwc  # noqa: F401

from tfderain.convert import jrgr
from tfderain.convert.jrgr import keras_layout


def load(case):
    """`(arrays, config)` of a golden case."""
    golden = official.load(case)
    return golden, json.loads(str(golden["config"][0]))


def variables_of(network):
    """`{PyTorch's name: variable}` of a U-Net, ResNet generator or critic."""
    if type(network).__name__ != "PatchCritic":
        return jrgr.variables_of(network)
    layers = zip((0, 2, 5, 8, 11), network.convolutions, strict=True)
    return {
        f"model.{index}.{jrgr.WORDS.get(weight.name, weight.name)}": weight
        for index, layer in layers
        for weight in layer.weights
    }


def give_weights(network, golden, prefix="w/"):
    """Sets all weights of a built network; none may be missing on either side."""
    variables = variables_of(network)
    assert {prefix + n for n in variables} == {
        k for k in golden if k[: len(prefix)] == prefix
    }
    for name, variable in variables.items():
        variable.assign(keras_layout(golden[prefix + name]))
