"""Settings that must stand before TensorFlow starts."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest
import tensorflow as tf

# Two logical devices, so that distribution strategies run on one machine.
_CPU = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    _CPU, [tf.config.LogicalDeviceConfiguration()] * 2
)


@pytest.fixture(autouse=True)
def seeded():
    """Each test starts from the same random state."""
    import keras

    keras.utils.set_random_seed(1)


@pytest.fixture(scope="session")
def strategy():
    """Two replicas. One for all tests: TensorFlow mixes up collectives of a second."""
    devices = tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices[:2]])
