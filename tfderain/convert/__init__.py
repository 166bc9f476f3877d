"""Official weights: checkpoints as the authors publish them become `.keras` files.

```python
tfderain.convert.convert("prenet", "PReNet6_latest.pth", "prenet.keras")
model = tfderain.models.load("prenet.keras")
```

Files are read, never executed, and PyTorch is not needed: see `tfderain.convert.pth`.
From the `.keras` file on, all forms are open: `tfderain export`, `serve`, `evaluate`.
"""

import importlib
import os
import pathlib

from tfderain import files

# Network to the module that knows its authors' names: `NAMES`, `place`.
NETWORKS = {"prenet": "tfderain.convert.prenet"}

__all__ = ["NETWORKS", "convert", "load"]


def convert(network: str, weights: str | os.PathLike, out: str | os.PathLike):
    """Writes the network with the authors' weights as a `.keras` file.

    Args:
        network: a key of `NETWORKS`.
        weights: path of the authors' file.
        out: path of the file to write, with the suffix `.keras`. It appears whole or
            not at all.

    Returns:
        `pathlib.Path` of the file written.

    Raises:
        ValueError: for another suffix, and see `load`.
        OSError: when a file cannot be read or written.
    """
    out = pathlib.Path(out)
    if out.suffix != ".keras":
        raise ValueError(f"`out` must end with .keras. Received: out={out}.")
    model = load(network, weights)
    with files.replacing(out) as temporary:
        model.save(temporary)
    return out


def load(network: str, weights: str | os.PathLike):
    """Builds the network with the authors' weights.

    Args:
        network: a key of `NETWORKS`.
        weights: path of the authors' file.

    Returns:
        A built `tfderain.models.Derainer`.

    Raises:
        ValueError: for an unknown network, for a file that is not one of tensors only,
            or that holds the weights of another network.
        OSError: when the file cannot be read.
    """
    from tfderain import models
    from tfderain.convert import pth

    if network not in NETWORKS:
        raise ValueError(
            f"`network` must be one of {', '.join(sorted(NETWORKS))}. "
            f"Received: network={network!r}."
        )
    tensors = pth.read(weights)
    official = importlib.import_module(NETWORKS[network])
    try:
        tensors = pth.chosen(tensors, official.NAMES)
    except ValueError as error:
        raise ValueError(
            f"`weights` must hold the weights of {network}: {error}. "
            f"Received: weights={weights}."
        ) from None
    model = models.MODELS[network]()
    model.build((None, None, None, 3))
    official.place(model, tensors)
    return model
