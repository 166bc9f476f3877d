"""Small trained-looking networks for the tests of exports."""

import keras
import numpy as np

from tfderain import models

# Float32 sums in another order: 1e-5 was the most seen on the whole network with
# pixels of 0..255 inside; a wrong weight or border gives 1e-2 and more.
TOLERANCE = 3e-5


def make_model(**options):
    """A small compiled MENET whose every weight matters."""
    model = models.MENET(**{"num_blocks": 2, "filters": 8, **options})
    model.build((None, None, None, 3))
    model.compile("adam")
    model.optimizer.build(model.trainable_variables)
    rng = np.random.default_rng(0)
    for weight in model.network.weights:
        center = 1.0 if weight.path.endswith(("gamma", "variance")) else 0.0
        weight.assign(rng.uniform(center - 0.15, center + 0.15, weight.shape))
    return model


def make_drops_model():
    """A small network that finds drops, whose mask and picture differ by place."""
    keras.utils.set_random_seed(1)
    model = models.ResUNetDrops(filters=(8, 12), down=(1, 1), up=(1,))
    model.build((None, None, None, 3))
    rng = np.random.default_rng(0)
    for layer in (model.network.leave, model.network.mask):
        layer.kernel.assign(rng.normal(0, 0.1, layer.kernel.shape))
    model.network.mask.bias.assign(np.zeros(4))
    return model
