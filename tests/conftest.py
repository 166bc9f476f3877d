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


# Files that take a minute or more begin first, so that no processor waits at the end.
LONG = (
    "test_loop",
    "test_resuming",
    "test_readme",
    "test_erlnet",
    "test_strategies",
    "test_rainmer",
    "test_base",
    "test_jrgr",
    "test_jrgr_strategies",
    "test_menet",
    "test_drsformer",
    "test_train_portable",
)


def pytest_collection_modifyitems(items):
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONG)))


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
