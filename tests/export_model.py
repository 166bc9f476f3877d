"""A small trained-looking MENET for the tests of exports."""

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
