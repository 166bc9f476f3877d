"""PReNet's official weights: the authors' names, and where their tensors belong.

For the `net_latest.pth` files of github.com/csdwren/PReNet, of `PReNet` with any number
of stages: it is not part of the weights, six are the published ones.
"""

from typing import Any

import numpy as np

GATES = ("conv_i.0", "conv_f.0", "conv_g.0", "conv_o.0")


def _shapes():
    """Names of the authors' tensors and their shapes, `(out, in, height, width)`."""
    layers = {"conv0.0": (32, 6), "conv.0": (3, 32)}
    layers |= {gate: (32, 64) for gate in GATES}
    blocks = [f"res_conv{index}.{place}" for index in range(1, 6) for place in (0, 2)]
    layers |= {block: (32, 32) for block in blocks}
    kernels = {f"{name}.weight": (*shape, 3, 3) for name, shape in layers.items()}
    return kernels | {f"{name}.bias": shape[:1] for name, shape in layers.items()}


NAMES = _shapes()


def place(model: Any, tensors: dict[str, np.ndarray]):
    """Gives a built `PReNet` the tensors of `NAMES`.

    Args:
        model: `tfderain.models.prenet.PReNet` with its defaults.
        tensors: dict from the authors' names to float32 arrays.
    """
    network = model.network

    def assign(layer, *names):
        kernels = [tensors[f"{name}.weight"] for name in names]
        layer.kernel.assign(np.concatenate(kernels).transpose(2, 3, 1, 0))
        layer.bias.assign(np.concatenate([tensors[f"{name}.bias"] for name in names]))

    assign(network.enter, "conv0.0")
    assign(network.gates, *GATES)
    for index, (first, second) in enumerate(network.blocks, start=1):
        assign(first, f"res_conv{index}.0")
        assign(second, f"res_conv{index}.2")
    assign(network.leave, "conv.0")
