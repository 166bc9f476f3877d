"""scripts/gpu/to_keras.py: weights under the Keras model's names, there and back."""

import numpy as np
import pytest
from gpu_kit import script

from tfderain.models.resunet import ResUNet

to_keras = script("to_keras")


@pytest.fixture(scope="module")
def model():
    model = ResUNet()
    model.build((None, None, None, 3))
    rng = np.random.default_rng(3)
    for weight in model.trainable_weights:  # biases are zero at the start
        weight.assign_add(0.01 * rng.standard_normal(weight.shape))
    return model


def test_weights_come_back(model, tmp_path):
    keras_file, arrays_file = tmp_path / "resunet.keras", tmp_path / "weights.npz"
    model.save(keras_file)
    to_keras.main([str(keras_file), str(arrays_file)])
    with np.load(arrays_file) as arrays:
        assert len(arrays.files) == len(model.trainable_weights)
        assert arrays["network/down_0_1/second/kernel"].shape == (3, 3, 48, 48)
        assert sum(arrays[name].size for name in arrays.files) == 3_681_948
    to_keras.main([str(arrays_file), str(tmp_path / "again.keras")])
    again = to_keras.models.load(tmp_path / "again.keras")
    rainy = np.random.default_rng(0).random((1, 24, 40, 3), np.float32)
    np.testing.assert_array_equal(again(rainy), model(rainy))


def test_half_precision_halves_the_file(model, tmp_path):
    keras_file, half = tmp_path / "resunet.keras", tmp_path / "half.npz"
    model.save(keras_file)
    to_keras.main([str(keras_file), str(half), "--dtype", "float16"])
    assert half.stat().st_size < 7.5e6
    again = to_keras.to_model(half)
    for old, new in zip(model.trainable_weights, again.trainable_weights, strict=True):
        np.testing.assert_allclose(old, new, rtol=1e-3, atol=1e-6)  # 11 bits


def test_other_names_are_refused(tmp_path):
    np.savez(
        tmp_path / "other.npz", **{"network/enter/kernel": np.zeros((3, 3, 12, 48))}
    )
    with pytest.raises(ValueError, match=r"nothing else\. Received: path="):
        to_keras.to_model(tmp_path / "other.npz")


def test_outputs_are_those_of_the_network(model, tmp_path):
    keras_file, check = tmp_path / "resunet.keras", tmp_path / "check.npz"
    model.save(keras_file)
    to_keras.main([str(keras_file), str(check), "--outputs"])
    with np.load(check) as arrays:
        rainy, derained = arrays["rainy"], arrays["derained"]
        assert len(arrays.files) == len(model.trainable_weights) + 2
    assert np.abs(derained - rainy).max() > 1e-3  # the weights do something
    np.testing.assert_allclose(model.network(rainy), derained, atol=1e-6)
