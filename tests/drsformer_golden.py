"""Gives layers the weights of the authors' DRSformer and Rainmer (PyTorch)."""

import numpy as np


def nhwc(array):
    """`(n, c, h, w)` to `(n, h, w, c)`."""
    return np.moveaxis(array, 1, -1)


def hwio(kernel):
    """`(out, in, h, w)` to `(h, w, in, out)`."""
    return kernel.transpose(2, 3, 1, 0)


def depthwise(kernel):
    """`(channels, 1, h, w)` to `(h, w, channels, 1)`; 2 inputs an output: adjacent."""
    channels = kernel.shape[0] * kernel.shape[1]
    return kernel.reshape(channels, 1, *kernel.shape[2:]).transpose(2, 3, 0, 1)


class Weights:
    """The arrays of a golden file below a prefix.

    Args:
        golden: the loaded file.
        prefix: begin of the names, with its dot.
    """

    def __init__(self, golden, prefix=""):
        self.golden, self.prefix = golden, prefix

    def __getitem__(self, name):
        return self.golden[f"w/{self.prefix}{name}"]

    def below(self, name):
        return Weights(self.golden, f"{self.prefix}{name}.")

    def convolution(self, layer, name):
        layer.kernel.assign(hwio(self[f"{name}.weight"]))
        if layer.use_bias:
            layer.bias.assign(self[f"{name}.bias"])

    def dense(self, layer, name):
        kernel = self[f"{name}.weight"]  # (out, in) or (out, in, 1, 1)
        layer.kernel.assign(kernel.reshape(kernel.shape[:2]).T)
        if layer.use_bias:
            layer.bias.assign(self[f"{name}.bias"])

    def separable(self, layer, depth, point):
        layer.depthwise_kernel.assign(depthwise(self[f"{depth}.weight"]))
        layer.pointwise_kernel.assign(hwio(self[f"{point}.weight"]))

    def experts(self, layer):
        """Of a `MixtureOfExperts`."""
        self.dense(layer.hidden, "layers.0.ca_fc.0")
        self.dense(layer.scores, "layers.0.ca_fc.2")
        self.convolution(layer.preprocess, "layers.1.preprocess.op.0")
        for index, stage in enumerate(layer.stages):
            experts = self.below(f"layers.1._ops.{index}")
            for i in range(4):
                names = [f"_ops.{i}.op.{part}" for part in (0, 1, 3, 4)]
                experts.separable(stage.firsts[i], *names[:2])
                experts.separable(stage.seconds[i], *names[2:])
            for i, dilated in enumerate(stage.dilated):
                experts.separable(dilated, f"_ops.{4 + i}.op.0", f"_ops.{4 + i}.op.1")
            experts.convolution(stage.mix, "_out.0")
