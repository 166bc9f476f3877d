"""Short trainings: data, settings and what is left of a run, for several tests."""

import csv
import io
import zipfile

import numpy as np
from PIL import Image

from tfderain import training
from tfderain.training import Material, Source

# The smallest Rainmer.
SMALLEST = {
    "dim": 4,
    "num_blocks": [1, 1, 1, 1],
    "num_heads": [1, 1, 1, 1],
    "expansion": 1.0,
    "num_stages": 1,
    "filters": 8,
    "gate_ratio": 4,
    "encoder_size": 16,
}
# One epoch of two steps.
SHORT = [
    "stages=none",
    "epochs=1",
    "steps_per_epoch=2",
    "crop=16",
    "batch_size=2",
    "degrade=none",
    "validation_fraction=0.25",
    "validation_crops=2",
    "ema=0.5",
]
# Four steps of the recipe `smoke` three times.
SMOKE = [
    "epochs=3",
    "steps_per_epoch=4",
    "model_config.filters=8",
    "validation_crops=4",
]


def write_pairs(folder, count=6, size=(40, 56), seed=0):
    """Smooth random images, and the same with brighter columns."""
    rng = np.random.default_rng(seed)
    for name in ("rainy", "clean"):
        (folder / name).mkdir(parents=True)
    for i in range(count):
        coarse = rng.integers(0, 200, (5, 7, 3), dtype=np.uint8)
        clean = Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC)
        rain = np.uint8(50) * (rng.random((1, size[1], 1)) > 0.8)
        rainy = np.minimum(np.asarray(clean), 205) + rain
        clean.save(folder / "clean" / f"{i}.png")
        Image.fromarray(rainy.astype(np.uint8)).save(folder / "rainy" / f"{i}.png")
    return folder


def material(*folders, **others):
    """What a run reads: pairs of these folders."""
    return Material([Source(folder) for folder in folders], **others)


def read_history(run_dir):
    with (run_dir / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def stored_weights(path):
    """All arrays in the weights of a `.keras` file, optimizer included, by name."""
    import h5py

    found = {}
    with zipfile.ZipFile(path) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]})
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
    return found


def smoke(*settings):
    """The config of a short run of MENET, with overrides."""
    return training.resolve("smoke", overrides=[*SMOKE, *settings])
