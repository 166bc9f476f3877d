"""Parity with tensorflow-addons 0.23: its stored outputs against those of Keras 3."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import GOLDEN
from keras import ops


@pytest.fixture(scope="module")
def golden():
    return np.load(GOLDEN / "tensorflow_addons.npz", allow_pickle=False)


@pytest.mark.parametrize(("name", "groups"), [("in", -1), ("gn", 4)])
def test_normalization(golden, name, groups):
    layer = keras.layers.GroupNormalization(groups)
    layer.build(golden["x"].shape)
    layer.set_weights([golden["g"], golden["b"]])
    # float32 means of about a hundred values of order one
    np.testing.assert_allclose(layer(golden["x"]), golden[name], atol=2e-6)


def test_gaussian_filter(golden):
    padded = ops.pad(golden["img"], ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    blurred = ops.image.gaussian_blur(padded, (5, 5), (1.5, 1.5))[:, 2:-2, 2:-2]
    np.testing.assert_allclose(blurred, golden["gauss"], atol=1e-6)  # float32 sums


def test_spectral_normalization(golden):
    convolution = keras.layers.Conv2D(5, 3, padding="same", use_bias=False)
    layer = keras.layers.SpectralNormalization(convolution)
    layer.build(golden["x"].shape)
    convolution.kernel.assign(golden["k"])
    layer.vector_u.assign(golden["u"])
    # one power iteration and a division by the norm, in float32, three times over
    for step in range(3):
        output = layer(golden["x"], training=True)
        np.testing.assert_allclose(output, golden[f"sn_tr{step}"], atol=2e-5)
    output = layer(golden["x"], training=False)
    np.testing.assert_allclose(output, golden["sn_inf"], atol=2e-5)


def test_adamw(golden):
    variable = keras.Variable(golden["k"])
    optimizer = keras.optimizers.AdamW(1e-2, weight_decay=1e-2 / 1e-2)
    optimizer.build([variable])
    for step in range(5):
        optimizer.apply([tf.sin(golden["k"] * (step + 1))])
    # five steps of 1e-2; float32 square roots and quotients
    np.testing.assert_allclose(variable, golden["opt_adamw"], atol=2e-6)
