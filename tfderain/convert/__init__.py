"""Official weights: converts checkpoints published by the authors to `.keras` files.

```python
tfderain.convert.convert("prenet", "PReNet6_latest.pth", "prenet.keras")
model = tfderain.models.load("prenet.keras")
```

Files are read, never executed, and PyTorch is not needed: see `tfderain.convert.pth`.
The `.keras` file can then be used for anything: `tfderain export`, `serve`, `evaluate`.
There is a module for each network with the authors' names and layouts; the golden tests
use the same mapping to compare the networks with the authors' code.
"""

import importlib
import os
import pathlib

from tfderain import files

# From a network to the module with its authors' names: `load`, `ARGUMENTS`.
NETWORKS = {
    name: f"tfderain.convert.{name}"
    for name in ("airnet", "drsformer", "jrgr", "menet", "prenet", "rainmer")
}

__all__ = ["NETWORKS", "convert", "load"]


def convert(
    network: str,
    weights: str | os.PathLike,
    out: str | os.PathLike,
    arguments: dict | None = None,
):
    """Writes the network with the authors' weights as a `.keras` file.

    Args:
        network, weights, arguments: see `load`.
        out: path of the file to write, with the suffix `.keras`. The file appears whole
            or not at all.

    Returns:
        `pathlib.Path` of the written file.

    Raises:
        ValueError: for another suffix; see also `load`.
        OSError: a file cannot be read or written.
    """
    out = pathlib.Path(out)
    if out.suffix != ".keras":
        raise ValueError(f"`out` must end with .keras. Received: out={out}.")
    model = load(network, weights, arguments)
    with files.replacing(out) as temporary:
        model.save(temporary)
    return out


def load(network: str, weights: str | os.PathLike, arguments: dict | None = None):
    """Builds the network with the authors' weights.

    Args:
        network: a key of `NETWORKS`.
        weights: path of the authors' file; for JRGR also the folder with a file for
            each of its networks; for MENET the prefix of a checkpoint's files.
        arguments: constructor arguments that the weights do not reveal, `ARGUMENTS` of
            the network's module: `stages` of PReNet, `statistics` of JRGR, `cumulative`
            and `encoder_size` of Rainmer. Sizes are read from the file.

    Returns:
        A built `tfderain.models.Derainer`; for AirNet its encoder, a
        `tfderain.models.AirNet`.

    Raises:
        ValueError: the network or an argument is unknown, or the file holds more than
            tensors, or the weights of another network.
        OSError: the file cannot be read.
    """
    from tfderain.convert.weights import Unfit

    if network not in NETWORKS:
        raise ValueError(
            f"`network` must be one of {', '.join(sorted(NETWORKS))}. "
            f"Received: network={network!r}."
        )
    official, arguments = importlib.import_module(NETWORKS[network]), arguments or {}
    unknown = sorted(arguments.keys() - official.ARGUMENTS.keys())
    if unknown:
        known = ", ".join(official.ARGUMENTS) or "none"
        raise ValueError(
            f"`arguments` of {network} must be among {known}: the others are read from "
            f"the file. Received: {', '.join(unknown)}."
        )
    try:
        return official.load(weights, {**official.ARGUMENTS, **arguments})
    except Unfit as error:
        raise ValueError(
            f"`weights` must hold the weights of {network}: {error}. "
            f"Received: weights={weights}."
        ) from None
