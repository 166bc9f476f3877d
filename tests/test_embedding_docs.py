"""Embedding guide: what docs/embedding.md shows runs, and does what it says."""

import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import images

ROOT = pathlib.Path(__file__).parent.parent
BLOCKS = re.findall(
    r"^```python\n(.*?)^```",
    (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8"),
    re.DOTALL | re.MULTILINE,
)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The names that the document's blocks leave behind, run in order."""
    folder = tmp_path_factory.mktemp("embedding")
    (folder / "savedmodels").symlink_to(ROOT / "savedmodels")
    names = {"rainy_photos": images(4, 21, 34, 3), "labels": np.array([0, 1, 1, 0])}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in BLOCKS:
            exec(compile(block, "docs/embedding.md", "exec"), names)
    return names | {"folder": folder}


def test_all_ways_give_the_same_pixels(shown):
    wanted = shown["derainer"](shown["rainy_photos"]).numpy()
    # float32 sums in another order in the graph of the SavedModel
    assert np.abs(shown["first"] - wanted[:2]).max() < 1e-5
    assert np.abs(shown["derained_photos"] - wanted).max() < 1e-5


def test_the_preset_kept_its_weights_and_the_rest_learned(shown):
    shipped = keras.saving.load_model(shown["path"])
    inside = shown["classifier"].layers[1]
    assert inside is shown["derainer"] and not inside.trainable_variables
    for ours, theirs in zip(inside.weights, shipped.weights, strict=True):
        assert np.array_equal(ours, theirs)
    assert len(shown["classifier"].trainable_variables) == 4  # kernels and biases


def test_gradients_flow_through_it(shown):
    photos = tf.constant(shown["rainy_photos"])
    with tf.GradientTape() as tape:
        tape.watch(photos)
        scores = shown["classifier"](photos)[:, 0]
    assert np.mean(tape.gradient(scores, photos).numpy() != 0) > 0.9


def test_the_whole_is_one_file(shown):
    loaded = keras.saving.load_model(shown["folder"] / "classifier.keras")
    photos = shown["rainy_photos"]
    assert np.array_equal(loaded(photos), shown["classifier"](photos))


def test_the_saved_model_needs_no_tfderain(tmp_path):
    code = f"""
import sys
sys.modules["tfderain"] = None  # importing it would raise ImportError
import keras, numpy
layer = keras.layers.TFSMLayer({str(ROOT / "savedmodels" / "menet" / "1")!r})
rainy = numpy.full((1, 9, 14, 3), 0.5, "float32")
assert layer(rainy)["derained"].shape == rainy.shape
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
