"""Weights by the authors' names: each one is used exactly once, none is left over.

```python
weights = Weights.find(pth.read("net.pth"), "conv0.0.weight")
weights.convolution(network.enter, "conv0.0")
weights.finish()
```

Tensors that a file lacks, has in excess or in another shape raise `Unfit`. Kernels are
converted from PyTorch's layouts to those of Keras's layers. Needs only NumPy.
"""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


class Unfit(ValueError):
    """Says briefly why a file does not hold the weights of a network."""


def prefix_of(names: Iterable[str], first: str, separator: str = ".") -> str:
    """What stands before the network's own names in a file.

    Args:
        names: names of the tensors in the file.
        first: one of the network's own names.
        separator: what separates the parts of a name.

    Raises:
        Unfit: no name ends with `first`.
    """
    ends = [n for n in names if f"{separator}{n}".endswith(f"{separator}{first}")]
    if not ends:
        raise Unfit(f"it has no {first}")
    return min(ends, key=len).removesuffix(first)


class Weights:
    """Tensors of a network by the authors' names, below a prefix.

    Args:
        tensors: dict from names to arrays.
        prefix: beginning of the names, including its dot.
        taken: set that collects the full names of the tensors used.
    """

    def __init__(self, tensors: dict, prefix: str = "", taken: set | None = None):
        self.tensors, self.prefix = tensors, prefix
        self.taken = set() if taken is None else taken

    @classmethod
    def find(cls, tensors: dict, first: str):
        """The weights of one network among the tensors of a file.

        Names may have a prefix (`state_dict.`, `module.`), as in checkpoints of whole
        training runs or of several GPUs. Batch normalisation's counters are ignored.

        Args:
            tensors: dict from names to arrays, see `pth.read`.
            first: name of one of the network's tensors.

        Returns:
            `Weights` with only the network's names.

        Raises:
            Unfit: no name ends with `first`.
        """
        prefix = prefix_of(tensors, first)
        own = {
            name.removeprefix(prefix): array
            for name, array in tensors.items()
            if name.startswith(prefix) and not name.endswith(".num_batches_tracked")
        }
        return cls(own)

    def __contains__(self, name: str):
        return self.prefix + name in self.tensors

    def __getitem__(self, name: str) -> np.ndarray:
        """The tensor as float32; from then on it counts as used."""
        whole = self.prefix + name
        if whole not in self.tensors:
            raise Unfit(f"it has no {whole}")
        array = np.asarray(self.tensors[whole])
        if not np.all(np.isfinite(array)):
            raise Unfit(f"{whole} is not finite")
        self.taken.add(whole)
        return array.astype(np.float32)

    def below(self, name: str) -> "Weights":
        """The weights whose names continue after `name` and a dot."""
        return Weights(self.tensors, f"{self.prefix}{name}.", self.taken)

    def without(self, *names: str) -> "Weights":
        """The weights except those below these names, which are not converted."""
        out = tuple(f"{self.prefix}{name}." for name in names)
        kept = {n: a for n, a in self.tensors.items() if not n.startswith(out)}
        return Weights(kept, self.prefix, self.taken)

    def size(self, name: str, axis: int = 0) -> int:
        """Length of an axis of a tensor, which does not count as used."""
        whole = self.prefix + name
        if whole not in self.tensors:
            raise Unfit(f"it has no {whole}")
        shape = np.shape(self.tensors[whole])
        if len(shape) <= axis or not shape[axis]:
            raise Unfit(f"{whole} has shape {shape}")
        return shape[axis]

    def count(self, name: str) -> int:
        """How many parts `<name>.0`, `<name>.1`, ... there are."""
        pattern = re.compile(re.escape(f"{self.prefix}{name}.") + r"(\d+)\.")
        found = {int(hit[1]) for hit in map(pattern.match, self.tensors) if hit}
        return next(index for index in range(len(found) + 1) if index not in found)

    def finish(self):
        """Raises `Unfit` if something was not used: then it is another network."""
        left = sorted(self.tensors.keys() - self.taken)
        if left:
            raise Unfit(f"it also has {left[0]}")

    # Setting the weights of layers

    def give(self, variable: Any, name: str, change: Any = lambda array: array):
        """Gives a variable the tensor `name`, changed to Keras's layout.

        Args:
            variable: variable of a built layer.
            name: the authors' name.
            change: function of the float32 array.
        """
        self.give_joined(variable, [name], change)

    def give_joined(self, variable: Any, names: Sequence[str], change: Any):
        """Gives a variable several tensors, concatenated along their first axis.

        Args:
            variable: variable of a built layer.
            names: the authors' names.
            change: function of the joined float32 array.
        """
        arrays = [self[name] for name in names]
        try:
            changed = change(np.concatenate(arrays) if arrays[1:] else arrays[0])
        except (ValueError, IndexError):  # other numbers of dimensions
            changed = None
        if changed is None or tuple(variable.shape) != changed.shape:
            raise Unfit(
                f"{self.prefix}{names[0]} has shape {arrays[0].shape}, "
                "which does not fit the others"
            )
        variable.assign(changed)

    def convolution(self, layer: Any, name: str, change: Any = lambda kernel: kernel):
        """Sets a `Conv2D`; `change` is applied to its `(height, width, in, out)`."""
        self.give(layer.kernel, f"{name}.weight", lambda array: change(hwio(array)))
        if layer.use_bias:
            self.give(layer.bias, f"{name}.bias")

    def dense(self, layer: Any, name: str):
        """Sets a `Dense`, whose kernel may be stored as that of a 1x1 convolution."""
        self.give(layer.kernel, f"{name}.weight", matrix)
        if layer.use_bias:
            self.give(layer.bias, f"{name}.bias")

    def depthwise(self, layer: Any, name: str):
        """Sets a `DepthwiseConv2D`, or a grouped one with two inputs per output."""
        self.give(layer.kernel, f"{name}.weight", depthwise)

    def separable(self, layer: Any, depth: str, point: str):
        """Sets a `SeparableConv2D`, stored as two convolutions."""
        self.give(layer.depthwise_kernel, f"{depth}.weight", depthwise)
        self.give(layer.pointwise_kernel, f"{point}.weight", hwio)

    def normalization(self, layer: Any, name: str):
        """Sets a `BatchNormalization`."""
        for weight, theirs in (
            *((layer.gamma, "weight"), (layer.beta, "bias")),
            *(
                (layer.moving_mean, "running_mean"),
                (layer.moving_variance, "running_var"),
            ),
        ):
            self.give(weight, f"{name}.{theirs}")


def hwio(kernel: Any):
    """`(out, in, height, width)` to `(height, width, in, out)`."""
    return kernel.transpose(2, 3, 1, 0)


def matrix(kernel: Any):
    """`(out, in)`, or the kernel of a 1x1 convolution, to `(in, out)`."""
    if math.prod(kernel.shape[2:]) != 1:
        raise ValueError
    return kernel.reshape(kernel.shape[:2]).T


def depthwise(kernel: Any):
    """`(channels, 1, height, width)` to `(height, width, channels, 1)`.

    With two inputs per output, `(channels / 2, 2, height, width)`, they are neighbours.
    """
    channels = kernel.shape[0] * kernel.shape[1]
    return kernel.reshape(channels, 1, *kernel.shape[2:]).transpose(2, 3, 0, 1)
