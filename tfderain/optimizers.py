"""Optimizers and a schedule that Keras lacks."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable("tfderain")
class ConvMuon(keras.optimizers.Muon):
    """Keras's Muon, with the kernels of convolutions among its matrices.

    Keras leaves every weight that is not a matrix to Adam, so that a convolutional
    network would get plain Adam. Here a kernel `(height, width, in, out)` is
    orthogonalised as the matrix `(height * width * in, out)`, as the authors of Muon
    do. Biases, and kernels of layers named in `exclude_layers`, are left to Adam.

    Args:
        learning_rate: of both; the update is scaled so that Adam's rates fit.
        weight_decay: of the matrices. Defaults to `None`: restoration networks are
            trained without.
        adam_weight_decay: of the other weights. Defaults to `None`.
        **kwargs: see `keras.optimizers.Muon`.

    Reference: Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/;
    scale of the update: Liu et al., 2025, https://arxiv.org/abs/2502.16982
    """

    def __init__(
        self, learning_rate=1e-3, weight_decay=None, adam_weight_decay=None, **kwargs
    ):
        super().__init__(
            learning_rate,
            weight_decay=weight_decay,
            adam_weight_decay=adam_weight_decay,
            **kwargs,
        )

    def _should_use_adamw(self, variable):
        if len(variable.shape) != 4:
            return super()._should_use_adamw(variable)
        return any(name in variable.path for name in self.exclude_layers)

    def zeropower_via_newtonschulz5(self, x, steps):
        matrix = ops.reshape(x, (-1, x.shape[-1]))
        return ops.reshape(super().zeropower_via_newtonschulz5(matrix, steps), x.shape)

    def lr_adjust(self, x):
        if self.rms_rate is None:
            return x
        rows, columns = math.prod(x.shape[:-1]), x.shape[-1]
        return x * (math.sqrt(max(rows, columns)) * self.rms_rate)


@keras.saving.register_keras_serializable("tfderain")
class GroupAdam(keras.optimizers.Adam):
    """Adam with a learning rate of its own for each part of a model.

    Args:
        learning_rate: of parts that are not named.
        rates: dict from the name of a layer to a factor; it counts for all weights
            below that layer.
        **kwargs: see `keras.optimizers.Adam`.
    """

    def __init__(self, learning_rate=1e-3, rates=None, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.rates = dict(rates or {})

    def update_step(self, gradient, variable, learning_rate):
        # The TensorFlow trainer passes its own variables, whose name is the path.
        path = getattr(variable, "path", variable.name)
        parts = path.split("/")
        for name, rate in self.rates.items():
            if name in parts:
                learning_rate = learning_rate * rate
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "rates": self.rates}


@keras.saving.register_keras_serializable("tfderain")
class LinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A constant learning rate, then a straight line down to 0.

    Args:
        initial_learning_rate: float.
        constant_steps: int. Steps at this rate.
        steps: int. Steps down to 0.

    Reference: Zhu et al., 2017, https://arxiv.org/abs/1703.10593, section 4.
    """

    def __init__(self, initial_learning_rate, constant_steps, steps):
        super().__init__()
        self.initial_learning_rate = initial_learning_rate
        self.constant_steps = constant_steps
        self.steps = steps

    def __call__(self, step):
        done = (ops.cast(step, "float32") - self.constant_steps) / self.steps
        return self.initial_learning_rate * (1 - ops.clip(done, 0.0, 1.0))

    def get_config(self):
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "constant_steps": self.constant_steps,
            "steps": self.steps,
        }
