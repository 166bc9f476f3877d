"""ResUNet: its size, its start, its contract, and its arithmetic against NumPy."""

import numpy as np
import pytest
from helpers import check_layer, check_model, images
from scipy.signal import correlate

from tfderain.models import resunet


def tiny(**kwargs):
    """A ResUNet of some thousand weights."""
    levels = {"filters": (8, 12), "down": (1, 2), "up": (1,)}
    return resunet.ResUNet(**{**levels, **kwargs})


def test_parameter_count():
    model = resunet.ResUNet()
    model.build((None, None, None, 3))
    assert sum(w.numpy().size for w in model.trainable_weights) == 3_681_948
    assert model.stride == 8


def test_model_contract(tmp_path):
    check_model(tiny(), tmp_path)


def test_other_stems_and_depths():
    for stem, filters, stride in ((1, (8, 8), 2), (4, (8,), 4)):
        count = len(filters)
        model = tiny(
            stem=stem, filters=filters, down=(1,) * count, up=(1,) * (count - 1)
        )
        assert model.stride == stride
        assert model(images(1, 11, 9, 3)).shape == (1, 11, 9, 3)


def test_training_starts_from_the_rainy_image():
    rainy = images(1, 32, 32, 3)
    derained = resunet.ResUNet(clip_training=False)(rainy, training=True)
    # the last kernel starts at a hundredth of the usual size
    assert 0 < np.abs(derained - rainy).max() < 0.1


def convolved(features, layer):
    """`layer`, a 3x3 convolution with bias, by SciPy."""
    kernel, bias = (np.asarray(w, "float64") for w in layer.weights)
    # SciPy would cast memory that it has not written yet to another type.
    padded = np.pad(np.asarray(features, "float64"), ((1, 1), (1, 1), (0, 0)))
    maps = [
        sum(
            correlate(padded[..., i], kernel[..., i, o], "valid")
            for i in range(kernel.shape[2])
        )
        for o in range(kernel.shape[3])
    ]
    return np.stack(maps, axis=-1) + bias


def test_block_against_scipy():
    block, features = resunet.PlainResidualBlock(4), images(1, 6, 5, 4)
    check_layer(block, features, features.shape)
    inner = np.maximum(convolved(features[0], block.first), 0)
    expected = features[0] + convolved(inner, block.second)
    # float32 sums of 36 products
    np.testing.assert_allclose(block(features)[0], expected, atol=1e-5)


def test_levels_must_fit():
    with pytest.raises(ValueError, match="Each level needs `filters`"):
        resunet.ResUNet(filters=(8, 8), down=(1, 1), up=(1, 1))
