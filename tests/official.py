"""Golden data of the authors' networks: their weights by name, images in NHWC."""

import numpy as np
from helpers import GOLDEN

from tfderain.convert.weights import Weights


def nhwc(array):
    """`(n, c, h, w)` to `(n, h, w, c)`."""
    return np.moveaxis(array, 1, -1)


def load(case):
    """The arrays of a golden file, by name."""
    return np.load(GOLDEN / f"{case}.npz", allow_pickle=False)


def tensors(golden, prefix=""):
    """The authors' names without a prefix, with their arrays."""
    start = f"w/{prefix}"
    return {n.removeprefix(start): golden[n] for n in golden if n.startswith(start)}


def weights(golden, prefix=""):
    """The `Weights` of a golden file below a prefix."""
    return Weights(tensors(golden, prefix))
