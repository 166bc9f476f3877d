"""ResUNet in PyTorch: the network of `tfderain.models.resunet`, layer for layer.

```python
network = ResUNet()
load_weights(network, "weights.npz")  # names and shapes as in the Keras model
derained = network(rainy)  # (n, 3, height, width) in [0, 1], sizes multiples of 8
save_weights(network.state_dict(), "weights.npz", "float16")
```

Files of weights hold one array for each variable of the Keras model, under its path
without the model's own name (`network/down_0_0/first/kernel`), kernels as `(height,
width, in, out)`. `to_keras.py` makes them from a `.keras` file and vice versa.
"""

import itertools
import math
import os

import numpy as np
import torch
from torch import nn

RESIDUAL_GAIN = 0.3  # as in tfderain.models.resunet


class PlainResidualBlock(nn.Module):
    """`features + second(relu(first(features)))`, two 3x3 convolutions with bias."""

    def __init__(self, filters):
        super().__init__()
        self.first = nn.Conv2d(filters, filters, 3, padding=1)
        self.second = nn.Conv2d(filters, filters, 3, padding=1)

    def forward(self, features):
        return features + self.second(torch.relu(self.first(features)))


def space_to_depth(images, side):
    """TensorFlow's order of the new channels: row, column, then old channel."""
    n, c, h, w = images.shape
    rows = images.permute(0, 2, 3, 1).reshape(n, h // side, side, w // side, side, c)
    made = rows.transpose(2, 3).reshape(n, h // side, w // side, side * side * c)
    return made.permute(0, 3, 1, 2)  # stays channels-last in memory


def depth_to_space(features, side):
    """The inverse of `space_to_depth`."""
    n, c, h, w = features.shape
    rows = features.permute(0, 2, 3, 1).reshape(n, h, w, side, side, c // side**2)
    made = rows.transpose(2, 3).reshape(n, h * side, w * side, c // side**2)
    return made.permute(0, 3, 1, 2)


class ResUNet(nn.Module):
    """A U-Net of plain residual blocks on pixels unshuffled by `stem`.

    Args: as for `tfderain.models.resunet.ResUNet`.

    Call: rainy `(n, 3, height, width)` in [0, 1], float32, sizes multiples of
    `stem * 2 ** (len(filters) - 1)`, to the same shape, float32, not clipped.
    """

    def __init__(self, filters=(48, 96, 192), down=(2, 2, 4), up=(2, 2), stem=2):
        super().__init__()
        self.stem, self.levels = stem, len(filters)
        pixels, pairs = 3 * stem**2, list(itertools.pairwise(filters))
        self.enter = nn.Conv2d(pixels, filters[0], 3, padding=1)
        for path, counts in (("down", down), ("up", up)):
            for level, count in enumerate(counts):
                for index in range(count):
                    block = PlainResidualBlock(filters[level])
                    self.add_module(f"{path}_{level}_{index}", block)
        for i, (narrow, wide) in enumerate(pairs):
            self.add_module(f"reduce_{i}", nn.Conv2d(narrow, wide, 2, stride=2))
            self.add_module(f"expand_{i}", nn.Conv2d(wide, 4 * narrow, 1))
        self.leave = nn.Conv2d(filters[0], pixels, 3, padding=1)
        self.counts = {"down": tuple(down), "up": tuple(up)}
        start(self)

    def blocks(self, path, level, features):
        for index in range(self.counts[path][level]):
            features = getattr(self, f"{path}_{level}_{index}")(features)
        return features

    def forward(self, rainy):
        features = self.enter(space_to_depth(rainy, self.stem))
        skips = []
        for level in range(self.levels):
            features = self.blocks("down", level, features)
            if level < self.levels - 1:
                skips.append(features)
                features = getattr(self, f"reduce_{level}")(features)
        for level in reversed(range(self.levels - 1)):
            features = getattr(self, f"expand_{level}")(features)
            features = depth_to_space(features, 2) + skips[level]
            features = self.blocks("up", level, features)
        rain = depth_to_space(self.leave(features), self.stem)  # negative of the rain
        return rainy + rain.float()


def start(network):
    """Draws kernels as in the Keras model, so that the first output is the input."""
    for name, module in network.named_modules():
        if not isinstance(module, nn.Conv2d):
            continue
        gain = {"first": 2.0, "second": RESIDUAL_GAIN**2, "leave": 1e-4}
        variance = gain.get(name.rsplit(".", 1)[-1], 1.0) / module.weight[0].numel()
        # a normal distribution truncated at two deviations has 0.88 of its deviation
        deviation = math.sqrt(variance) / 0.87962566103423978
        cut = 2 * deviation
        nn.init.trunc_normal_(module.weight, 0.0, deviation, -cut, cut)
        nn.init.zeros_(module.bias)


def is_inner(name, parameter):
    """Whether Muon trains a parameter: kernels, except those that see pixels."""
    return parameter.dim() == 4 and name.split(".")[0] not in ("enter", "leave")


def path_of(name):
    """`down_0_0.first.weight` to `network/down_0_0/first/kernel`."""
    return "network/" + name.replace(".", "/").replace("weight", "kernel")


def load_weights(network, path):
    """Reads a `.npz` of weights into a network.

    Raises:
        ValueError: for names or shapes other than the network's.
    """
    with np.load(path) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    wanted = {path_of(name): p for name, p in network.named_parameters()}
    if set(found) != set(wanted):
        raise ValueError(
            "The file must hold the network's weights and nothing else. Received: "
            f"path={str(path)!r}, differing: {sorted(set(found) ^ set(wanted))[:4]}."
        )
    with torch.no_grad():
        for name, parameter in wanted.items():
            array = found[name].astype(np.float32)
            array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array
            if array.shape != tuple(parameter.shape):
                raise ValueError(
                    "Weights must have the network's shapes. Received: "
                    f"{name} of shape {found[name].shape}."
                )
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(array)))


def save_weights(state, path, dtype="float32"):
    """Writes a state dict as `.npz`, whole or not at all."""
    arrays = {}
    for name, value in state.items():
        array = value.detach().float().cpu().numpy()
        array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
        arrays[path_of(name)] = np.ascontiguousarray(array.astype(dtype))
    part = f"{path}.part.npz"
    np.savez(part, **arrays)
    os.replace(part, path)
