"""PReNet's official weights: the authors' names, and where their tensors belong.

For the `net_latest.pth` files of `PReNet` in github.com/csdwren/PReNet. The number of
stages is not part of the weights; the published networks have six.
"""

from typing import Any

import numpy as np

from tfderain.convert import pth
from tfderain.convert.weights import Weights, hwio

ARGUMENTS = {"stages": 6}
FIRST = "conv0.0.weight"
GATES = ("conv_i.0", "conv_f.0", "conv_g.0", "conv_o.0")


def load(path: Any, arguments: dict):
    """A built `PReNet` with the weights of a file; see `tfderain.convert.load`."""
    from tfderain import models

    weights = Weights.find(pth.read(path), FIRST)
    model = models.PReNet(**arguments)
    model.build((None, None, None, 3))
    place(model.network, weights)
    weights.finish()
    return model


def place(network: Any, weights: Weights):
    """Gives a built `PReNetNetwork` of the authors' size its weights."""
    weights.convolution(network.enter, "conv0.0")
    # Four convolutions in the file, one here.
    kernels, biases = ([f"{g}.{part}" for g in GATES] for part in ("weight", "bias"))
    weights.give_joined(network.gates.kernel, kernels, hwio)
    weights.give_joined(network.gates.bias, biases, np.copy)
    for index, (first, second) in enumerate(network.blocks, start=1):
        weights.convolution(first, f"res_conv{index}.0")
        weights.convolution(second, f"res_conv{index}.2")
    weights.convolution(network.leave, "conv.0")
