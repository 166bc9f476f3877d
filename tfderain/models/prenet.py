"""PReNet: a small residual network that derains an image repeatedly.

Progressive Image Deraining Networks: A Better and Simpler Baseline (Ren et al., CVPR
2019, https://arxiv.org/abs/1901.09221). Written from the paper and checked against
`PReNet` of github.com/csdwren/PReNet at 6d908d1e3c7f (PyTorch, no licence stated).

Each stage sees the rainy image and the image derained so far, and a convolutional LSTM
passes on what earlier stages saw. All stages share one set of weights. The authors
train with the negative SSIM of the last stage's image, which is
`losses.StructuralDissimilarity` minus one.

Differences: the four gates of the LSTM are one convolution; training starts from
Keras's random numbers, drawn from PyTorch's distribution.
"""

from typing import Any

import keras
from keras import ops

from tfderain import losses
from tfderain.models.base import Derainer
from tfderain.models.layers import Convolution


def convolution(filters: int, channels: int, name: str, dtype: Any = None):
    """A built 3x3 convolution with bias, initialised as in PyTorch.

    Args:
        filters, channels: int. Output and input channels.
        name, dtype: as for `keras.layers.Layer`.
    """
    bound = (9 * channels) ** -0.5
    layer = Convolution(
        filters,
        3,
        padding="same",
        kernel_initializer=keras.initializers.RandomUniform(-bound, bound),
        bias_initializer=keras.initializers.RandomUniform(-bound, bound),
        dtype=dtype,
        name=name,
    )
    layer.build((None, None, None, channels))
    return layer


@keras.saving.register_keras_serializable("tfderain")
class PReNetNetwork(keras.layers.Layer):
    """The de-raining network of `PReNet`.

    Args: as for `PReNet`.

    Call: `(batch, height, width, 3)` in [0, 1], any size, to the same shape, float32,
    not clipped.

    Reference: Ren et al., 2019, https://arxiv.org/abs/1901.09221, section 3, Fig. 2.
    """

    def __init__(self, stages=6, filters=32, num_blocks=5, **kwargs):
        super().__init__(autocast=False, **kwargs)  # the layers inside cast
        if min(stages, filters, num_blocks) < 1:
            raise ValueError(
                "`stages`, `filters` and `num_blocks` must be at least 1. "
                f"Received: {stages=}, {filters=}, {num_blocks=}."
            )
        self.stages, self.filters, self.num_blocks = stages, filters, num_blocks

    def build(self, input_shape):
        width, dtype = self.filters, self.dtype_policy
        self.enter = convolution(width, 6, "enter", dtype)
        # in the order of the authors' layers: input, forget, candidate, output
        self.gates = convolution(4 * width, 2 * width, "gates", dtype)
        self.blocks = [
            [
                convolution(width, width, f"{order}_{index}", dtype)
                for order in ("first", "second")
            ]
            for index in range(self.num_blocks)
        ]
        self.leave = convolution(3, width, "leave", dtype)

    def call(self, rainy, training=False):
        return self.progress(rainy)[-1]

    def progress(self, rainy):
        """Derained images of all stages, a list of `(batch, height, width, 3)`."""
        rainy = ops.cast(rainy, "float32")
        derained, state, images = rainy, None, []
        for _ in range(self.stages):
            features = self.enter(ops.concatenate([rainy, derained], axis=-1))
            features, cell = self.remember(ops.relu(features), state)
            state = features, cell
            for first, second in self.blocks:
                change = ops.relu(second(ops.relu(first(features))))
                features = ops.relu(features + change)
            derained = rainy + ops.cast(self.leave(features), "float32")
            images.append(derained)
        return images

    def remember(self, features, state):
        """One step of the convolutional LSTM: `(hidden, cell)`, both like `features`.

        Args:
            features: `(batch, height, width, filters)`.
            state: `(hidden, cell)` of the stage before; `None` for zeros.
        """
        hidden, cell = state or (ops.zeros_like(features),) * 2
        gates = self.gates(ops.concatenate([features, hidden], axis=-1))
        enter, forget, candidate, leave = ops.split(gates, 4, axis=-1)
        cell = ops.sigmoid(forget) * cell + ops.sigmoid(enter) * ops.tanh(candidate)
        return ops.sigmoid(leave) * ops.tanh(cell), cell

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "stages": self.stages,
            "filters": self.filters,
            "num_blocks": self.num_blocks,
        }


@keras.saving.register_keras_serializable("tfderain")
class PReNet(Derainer):
    """Progressive recurrent network: residual blocks and an LSTM, repeated in stages.

    168,963 weights and 1.0 million multiply-adds per pixel with the defaults.

    Args:
        stages: int. Number of times the network runs, always with the same weights; the
            paper's T. Defaults to `6`.
        filters: int. Channels of all features. Defaults to `32`.
        num_blocks: int. Residual blocks of two convolutions. Defaults to `5`.
        tasks: dict from task name to loss. Defaults to the paper's, `1 - SSIM` of the
            last stage.
        weighting: `tfderain.weighting.Weighting`. Defaults to a plain sum.
        **kwargs: `clip_training` (see `Derainer`, defaults to `False`), `name`,
            `dtype` and the other `keras.Model` options.
    """

    # What Muon leaves to Adam besides the biases: kernels that see or make pixels.
    outer_layers = ("enter", "leave")

    def __init__(
        self,
        stages=6,
        filters=32,
        num_blocks=5,
        tasks=None,
        weighting=None,
        **kwargs,
    ):
        super().__init__(
            stride=1,
            tasks=tasks or {"ssim": losses.StructuralDissimilarity()},
            weighting=weighting,
            **{"clip_training": False, **kwargs},
        )
        self.network = PReNetNetwork(
            stages, filters, num_blocks, dtype=self.dtype_policy, name="network"
        )

    @property
    def shared_kernel(self):
        """Kernel of the last convolution, through which all tasks pass."""
        return self.network.leave.kernel

    def get_config(self):
        network = self.network
        return {
            **super().get_config(),
            "stages": network.stages,
            "filters": network.filters,
            "num_blocks": network.num_blocks,
        }
