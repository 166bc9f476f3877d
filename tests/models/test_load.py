"""Loading of trained networks."""

import pathlib

import keras
import numpy as np
from helpers import images

from tfderain import models

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
