import numpy as np
import pytest
import tensorflow as tf
from helpers import check_layer, images

from tfderain.models import layers


@pytest.mark.parametrize("normalization", ["batch", "batch_unbiased", None])
def test_conv_norm(normalization):
    layer = layers.ConvNorm(5, normalization=normalization)
    check_layer(layer, images(2, 7, 6, 4), (2, 7, 6, 5), training=True)
    assert len(layer.trainable_variables) == (3 if normalization else 2)


def test_unbiased_moving_variance():
    layer = layers.UnbiasedBatchNormalization(momentum=0.75)
    features = images(2, 3, 4, 5)
    before = 1.0
    for _ in range(2):
        layer(features, training=True)
        before = 0.75 * before + 0.25 * np.var(features, axis=(0, 1, 2), ddof=1)
    # float32; the biased one is 4 % less
    np.testing.assert_allclose(layer.moving_variance, before, rtol=1e-5)
    layer(features)
    np.testing.assert_allclose(layer.moving_variance, before, rtol=1e-5)
    layer.trainable = False  # Keras keeps the averages of a frozen layer
    layer(features, training=True)
    np.testing.assert_allclose(layer.moving_variance, before, rtol=1e-5)


def test_unbiased_moving_variance_of_replicas(strategy):
    features = images(4, 3, 2, 5)
    with strategy.scope():
        layer = layers.UnbiasedBatchNormalization(momentum=0.0, synchronized=True)
        layer.build((None, None, None, 5))

    @tf.function
    def step():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return layer(tf.constant(features)[2 * replica :][:2], training=True)

    strategy.run(step)
    expected = np.var(features, axis=(0, 1, 2), ddof=1)
    # float32; the biased one is 4 % less
    variance = layer.moving_variance.value
    np.testing.assert_allclose(np.array(variance), expected, rtol=1e-4)


def test_conv_norm_rejects_other_normalizations():
    with pytest.raises(ValueError, match="Received: normalization='layer'"):
        layers.ConvNorm(5, normalization="layer")


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
def test_mirror_indices_against_numpy(size):
    padded = size + 20
    # NumPy's reflect mode is the oracle; it has no answer for one pixel
    expected = np.pad(np.arange(size), (0, 20), "reflect" if size > 1 else "edge")
    np.testing.assert_array_equal(layers.mirror_indices(size, padded), expected)


def test_pad_to_multiple():
    image = images(1, 5, 8, 3)
    padded = layers.pad_to_multiple(image, 4)
    np.testing.assert_array_equal(
        padded, np.pad(image, ((0, 0), (0, 3), (0, 0), (0, 0)), "reflect")
    )
    assert layers.pad_to_multiple(padded, 4) is padded


def test_pad_to_multiple_with_dynamic_sizes():
    padded = tf.function(
        lambda x: layers.pad_to_multiple(x, 16),
        input_signature=[tf.TensorSpec((None, None, None, 3))],
    )(images(2, 1, 17, 3))
    assert padded.shape == (2, 16, 32, 3)
