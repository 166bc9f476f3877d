"""Loading of trained networks."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from helpers import images

from tfderain import models, presets, runtime

FILE = pathlib.Path(__file__).parents[2] / "savedmodels" / "menet" / "model.keras"


def test_a_file_of_an_earlier_version_loads():
    """It was written when the layers' modules had other names."""
    model = keras.saving.load_model(FILE)
    assert isinstance(model, models.MENET)
    assert keras.saving.get_registered_name(type(model)) == "tfderain>MENET"
    rainy = images(1, 9, 13, 3)
    same = models.load("menet")(rainy)
    np.testing.assert_array_equal(model(rainy), same)


def test_registered_names_count_not_modules():
    layer = models.layers.ConvNorm(8)
    saved = keras.saving.serialize_keras_object(layer)
    assert saved["registered_name"] == "tfderain>ConvNorm"
    loaded = keras.saving.deserialize_keras_object(
        {**saved, "module": "tfderain.layers"}
    )
    assert loaded.get_config() == layer.get_config()


def test_names_of_the_networks_need_no_keras():
    code = """
import sys
from tfderain import models, presets, runtime
from tfderain.training import recipes
assert "menet" in models.MODELS
assert {form.model for form in presets.FORMS.values()} <= set(models.MODELS)
assert {config.model for config in recipes.RECIPES.values()} <= set(models.MODELS)
assert not {"keras", "tensorflow"} & set(sys.modules)
assert models.MODELS["menet"] is models.MENET  # with Keras, from here on
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "lines",
    [
        "import keras, tfderain.models",
        "import tfderain.models, keras; tfderain.models.register()",
    ],
)
def test_classes_are_registered(lines):
    code = f"{lines}; keras.saving.load_model({str(FILE)!r})"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_name_stands_for_a_derainer():
    for name in models.MODELS:
        network = models.MODELS[name]
        assert issubclass(network, models.Derainer)
        assert getattr(models, network.__name__) is network
    assert "unet" not in models.MODELS
    with pytest.raises(KeyError):
        models.MODELS["unet"]


@pytest.mark.parametrize(
    ("content", "part"),
    [(b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"), (None, "half")],
)
def test_damaged_files_are_named_for_what_they_are(content, part, tmp_path):
    preset = presets.folder("menet")
    for name, load in (
        ("model.keras", models.load),
        ("model.tflite", lambda path: runtime.Restorer(path, "litert")),
    ):
        whole = (preset / name).read_bytes()
        path = tmp_path / name
        path.write_bytes(content or whole[: len(whole) // 2])
        with pytest.raises(ValueError, match=r"must be a .*file") as caught:
            load(path)
        assert str(path) in str(caught.value) and "not found" not in str(caught.value)
        if content:
            assert part in str(caught.value)
