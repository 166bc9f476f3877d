"""The de-raining networks.

```python
model = tfderain.models.load("menet")
derained = model.derain(rainy)
```
"""

import pathlib

import keras

from tfderain import metrics, optimizers, presets
from tfderain.models import erlnet, jrgr, menet, rainmer
from tfderain.models.airnet import AirNet
from tfderain.models.base import Derainer
from tfderain.models.drsformer import DRSformer
from tfderain.models.entanglement import Entangled
from tfderain.models.erlnet import ERLNet
from tfderain.models.jrgr import JRGR
from tfderain.models.menet import MENET
from tfderain.models.rainmer import Rainmer
from tfderain.models.resunet import ResUNet

# What a compiled model may hold: Keras finds only classes that were registered.
REGISTERED = (
    metrics.PSNR,
    metrics.SSIM,
    optimizers.ConvMuon,
    optimizers.GroupAdam,
    optimizers.LinearDecay,
    optimizers.StableDecay,
    optimizers.CosineCycles,
    optimizers.TwoGroupAdamW,
)

__all__ = [
    "JRGR",
    "MENET",
    "PRESETS",
    "AirNet",
    "DRSformer",
    "Derainer",
    "ERLNet",
    "Entangled",
    "Rainmer",
    "ResUNet",
    "load",
]

PRESETS = {
    **menet.PRESETS,
    **erlnet.PRESETS,
    **jrgr.PRESETS,
    **rainmer.PRESETS,
}


def load(name_or_path):
    """Loads a trained network; nothing is downloaded.

    Args:
        name_or_path: name of a shipped preset (`"menet"`), path of a `.keras` file,
            of a run folder (its best weights), or of a preset's folder.

    Returns:
        A compiled or uncompiled `Derainer`, as it was saved.

    Raises:
        ValueError: for an unknown name, listing the known ones.
    """
    path = pathlib.Path(name_or_path)
    if path.suffix == ".keras" and path.is_file():
        return keras.saving.load_model(path)
    for file in ("best.keras", "model.keras"):
        if (path / file).is_file():
            return keras.saving.load_model(path / file)
    folder = presets.find(name_or_path)
    if not (folder / "model.keras").is_file():
        raise ValueError(
            "A Keras model is a preset's name, a .keras file, a run folder or a "
            f"preset's folder. Received: {name_or_path}."
        )
    return keras.saving.load_model(folder / "model.keras")
