"""Short trainings: data, settings and what is left of a run, for several tests."""

import contextlib
import csv
import io
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from tfderain import training
from tfderain.training import Material, Source, run_folder

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


@contextlib.contextmanager
def killed_after_first_epoch(run_dir, copy):
    """Copies a run folder as a kill leaves it at the end of the first epoch.

    Two trainings instead of three are enough to compare a run that goes on with a whole
    one; building their graphs takes nearly all of the time.
    """
    write = run_folder.write_json

    def keep(path, value):
        write(path, value)
        first = path.name == "state.json" and value["epoch"] == 1
        if first and path.parent == run_dir:
            shutil.copytree(run_dir, copy)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_folder, "write_json", keep)
        yield


def assert_same_weights_and_state(first, second, rtol=0.0, atol=0.0, moments=0.0):
    """Of two checkpoints; to the last bit, as both runs were `deterministic`.

    Or within tolerances: `moments` is the relative one of the optimizer's variables.
    """
    expected, found = stored_weights(first), stored_weights(second)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        near = moments if name.startswith("optimizer") else rtol
        now, wanted = np.float64(found[name]), np.float64(value)
        np.testing.assert_allclose(now, wanted, near, atol, err_msg=name)


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
