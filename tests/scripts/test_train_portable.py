"""Training without TensorFlow: packing, batches, and weights that load in it."""

import csv
import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import script_modules
from helpers import images
from PIL import Image

from tfderain import models
from tfderain.training import recipes

SCRIPT = script_modules.SCRIPTS / "train_portable.py"
SETTINGS = ["model_config.filters=8", "validation_crops=4", "crop=16", "batch_size=2"]
portable = script_modules.script("train_portable")


def config(*settings):
    return recipes.resolve("smoke", overrides=[*SETTINGS, *settings])


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A .npz of four random pairs of 40x56 pixels."""
    folder = tmp_path_factory.mktemp("packed")
    for name, low in (("rainy", 60), ("clean", 0)):
        (folder / "data" / name).mkdir(parents=True)
        for i in range(4):
            pixels = (low + images(40, 56, 3, seed=i) * 180).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "data" / name / f"{i}.png")
    portable.pack(folder / "data", folder / "patches.npz", config(), size=24)
    return folder / "patches.npz"


def test_pack_holds_patches_rain_and_validation(packed):
    with np.load(packed) as arrays:
        assert set(arrays) == {
            "rainy",
            "clean",
            "pool_streaks",
            "validation_rainy",
            "validation_clean",
        }
        assert {arrays[name].dtype for name in arrays} == {np.dtype(np.uint8)}
        # three pairs are kept for training, 2 x 3 tiles of 24 cover each 40x56 image
        assert arrays["rainy"].shape == arrays["clean"].shape == (18, 24, 24, 3)
        assert arrays["pool_streaks"].shape == (8, 64, 64)
        assert arrays["validation_rainy"].shape == (4, 16, 16, 3)
        # the pairs stay pairs: rainy is 60 brighter, but for rounding down
        excess = arrays["rainy"].astype(int) - arrays["clean"]
        assert excess.min() >= 59 and excess.max() <= 61


def test_tiles_cover_the_image():
    image = np.arange(10 * 7).reshape(10, 7)
    parts = portable.tiles(image, 4)
    assert {part.shape for part in parts} == {(4, 4)}
    assert set(np.concatenate([p.ravel() for p in parts])) == set(range(70))


def test_batches_are_a_function_of_their_number(packed):
    patches = portable.Patches(packed, config())
    rainy, clean = patches.batch(3)
    assert rainy.shape == clean.shape == (2, 16, 16, 3)
    assert rainy.dtype == clean.dtype == np.float32
    assert rainy.min() >= 0 and rainy.max() <= 1
    again = portable.Patches(packed, config()).batch(3)
    np.testing.assert_array_equal(rainy, again[0])
    assert np.any(rainy != patches.batch(4)[0])
    plain = portable.Patches(packed, config("degrade=none")).batch(3)
    # without synthetic rain the pair is as it was packed, 60 brighter
    np.testing.assert_allclose(plain[0] - plain[1], 60 / 255, atol=1.01 / 255)


def test_an_epoch_has_every_patch_once(packed):
    patches = portable.Patches(packed, config("degrade=none", "crop=24"))
    seen = [patches.sample(number)[1] for number in range(len(patches))]
    # mirrored patches count as themselves
    found = {min(p.tobytes(), p[:, ::-1].tobytes()) for p in seen}
    assert len(found) == len(patches)


def test_worker_processes_keep_the_order(packed):
    stream = portable.stream(packed, config(), 5, workers=1)
    made = list(itertools.islice(stream, 3))
    stream.close()
    here = portable.Patches(packed, config())
    for number, (rainy, clean) in enumerate(made, start=5):
        np.testing.assert_array_equal(rainy, here.batch(number)[0])
        np.testing.assert_array_equal(clean, here.batch(number)[1])


CHILD = """
import sys

sys.modules["tensorflow"] = None  # as if it were not installed
import runpy

import keras
import numpy as np

script, patches, run, probe, output, *settings = sys.argv[1:]
arguments = ["train", patches, run, "--recipe", "smoke", "--workers", "0", "--bf16"]
sys.argv = [script, *arguments, "--set", *settings]
runpy.run_path(script, run_name="__main__")
assert keras.backend.backend() == "jax"
model = keras.saving.load_model(run + "/best.keras")
np.save(output, keras.ops.convert_to_numpy(model(np.load(probe))))
"""


def test_weights_of_another_backend_load_in_tensorflow(packed, tmp_path):
    script, probe = tmp_path / "child.py", images(1, 21, 34, 3)
    script.write_text(CHILD)
    np.save(tmp_path / "probe.npy", probe)
    command = [sys.executable, script, SCRIPT, packed, tmp_path / "run"]
    files = [tmp_path / "probe.npy", tmp_path / "jax.npy"]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    child = subprocess.run(
        [*command, *files, *SETTINGS], env=environment, capture_output=True, text=True
    )
    assert child.returncode == 0, child.stderr
    model = models.load(tmp_path / "run")
    ours, theirs = model.derain(probe), np.load(tmp_path / "jax.npy")
    # float32 sums of 8 channels in another order; images are in [0, 1]
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert model.dtype_policy.name == "float32"
    fresh = models.MENET(num_blocks=1, filters=8, normalization=None, value_range=1.0)
    fresh.build((None, None, None, 3))
    trained = [w.shape for w in model.trainable_variables]
    assert trained == [w.shape for w in fresh.trainable_variables]
    with (tmp_path / "run" / "history.csv").open(newline="") as file:
        scores = [float(row["val_psnr_rgb"]) for row in csv.DictReader(file)]
    assert len(set(scores)) == 2  # two epochs, and the second changed the weights


@pytest.mark.parametrize(
    ("recipe", "settings", "expected"),
    [
        (
            "erlnet",
            {"stem": 4, "growth": 2, "num_layers": 1, "levels": 2},
            {"stage": None},
        ),
        (
            "jrgr",
            {"filters": 2, "num_levels": 2, "normalization": None},
            {"stage": "pretrain"},
        ),
    ],
)
def test_of_recipes_with_stages_the_first_is_trained(
    packed, tmp_path, recipe, settings, expected
):
    changes = [f"model_config.{name}={json.dumps(v)}" for name, v in settings.items()]
    changes += ["stages=none", "epochs=1", "steps_per_epoch=1", *SETTINGS[1:]]
    config = recipes.resolve(recipe, overrides=changes)
    portable.train(packed, tmp_path, config)
    model = models.load(tmp_path)
    assert {name: getattr(model, name) for name in expected} == expected
    assert getattr(model.network, "entanglement", None) is None


def test_joint_training_needs_tensorflow(packed, tmp_path):
    config = recipes.resolve("jrgr", "Init-1")
    with pytest.raises(ValueError, match="Only TensorFlow can train JRGR"):
        portable.train(packed, tmp_path, config)
