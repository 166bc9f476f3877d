"""Muon for convolutional networks."""

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
