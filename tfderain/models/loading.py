"""Loading of trained networks by the name of a preset or a path."""

import os

import keras

from tfderain import files, metrics, models, optimizers, presets


def register():
    """Registers all classes of a saved model with Keras, and returns them.

    `import tfderain.models` does so if Keras was imported before; `load` always does.
    """
    return (
        *models.MODELS.values(),
        *(models.AirNet, models.Entangled),
        *(metrics.PSNR, metrics.SSIM),
        *(optimizers.ConvMuon, optimizers.GroupAdam, optimizers.TwoGroupAdamW),
        *(optimizers.LinearDecay, optimizers.StableDecay, optimizers.CosineCycles),
    )


def load(name_or_path: str | os.PathLike):
    """Loads a trained network; nothing is downloaded.

    Args:
        name_or_path: name of a shipped preset (`"menet"`), or path of a `.keras` file,
            a run folder (its best weights) or a preset's folder.

    Returns:
        A `Derainer`, compiled or not, as it was saved.

    Raises:
        ValueError: for an unknown name (lists the known ones) or a damaged file.
    """
    register()
    path = presets.locate(name_or_path).keras
    if path is None:
        raise ValueError(
            "A Keras model must be a preset's name, a .keras file, a run folder or a "
            f"preset's folder. Received: {name_or_path}."
        )
    if reason := files.damage(path):
        raise ValueError(
            "A trained network must be a complete .keras file. "
            f"Received: {path} ({reason})."
        )
    return keras.saving.load_model(path)
