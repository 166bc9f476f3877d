"""ResUNet: a U-Net of plain residual blocks, the network of the default preset.

Our own design, for two cores, phones and browsers: 3x3 convolutions with ReLU and
nothing else. There is no normalisation, attention or depthwise convolution, so that it
is fast everywhere, accurate in int8 and equal in tiles. It works on pixels unshuffled
by 2, where the same amount of arithmetic gave more than at full size (25.8 against 25.4
dB on real pairs after five minutes of training).

Parts: residual blocks without normalisation as in EDSR (Lim et al., 2017,
https://arxiv.org/abs/1707.02921), skips that are added as in NAFNet (Chen et al., 2022,
https://arxiv.org/abs/2204.04676), desubpixel steps as in MENET.
"""

import itertools
from typing import Any

import keras
from keras import ops

from tfderain import losses
from tfderain.models.base import Derainer
from tfderain.models.layers import Convolution

RESIDUAL_GAIN = 0.3  # of the second kernels' initialisation: blocks are near identity


def convolution(
    filters: int,
    kernel_size: int,
    name: str,
    gain: float = 2.0,
    dtype: Any = None,
    **options,
):
    """A convolution with bias, its kernel initialised with variance `gain / fan_in`."""
    return Convolution(
        filters,
        kernel_size,
        padding="same",
        kernel_initializer=keras.initializers.VarianceScaling(gain, "fan_in"),
        dtype=dtype,
        name=name,
        **options,
    )


@keras.saving.register_keras_serializable("tfderain")
class PlainResidualBlock(keras.layers.Layer):
    """`features + second(relu(first(features)))`, two 3x3 convolutions with bias.

    Args:
        filters: int. Channels of input and output.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, filters)` to the same shape.

    Reference: Lim et al., 2017, https://arxiv.org/abs/1707.02921, Fig. 2 (c).
    """

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape):
        dtype = self.dtype_policy
        self.first = convolution(self.filters, 3, "first", dtype=dtype)
        gain = RESIDUAL_GAIN**2  # of the variance
        self.second = convolution(self.filters, 3, "second", gain, dtype=dtype)
        self.first.build(input_shape)
        self.second.build(input_shape)

    def call(self, features):
        return features + self.second(ops.relu(self.first(features)))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable("tfderain")
class ResUNetNetwork(keras.layers.Layer):
    """The de-raining network of `ResUNet`, on images whose sizes fit its stride.

    Args: as for `ResUNet`.

    Call: `(batch, height, width, 3)` in [0, 1] to the same shape, float32, not
    clipped; height and width must be multiples of `stem * 2 ** (len(filters) - 1)`.

    Raises:
        ValueError: `filters`, `down` and `up` describe different numbers of levels.
    """

    def __init__(
        self,
        filters=(48, 96, 192),
        down=(2, 2, 4),
        up=(2, 2),
        stem=2,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)  # the layers inside cast
        if not len(filters) == len(down) == len(up) + 1:
            raise ValueError(
                "Each level needs `filters` and `down`, and each but the last `up`. "
                f"Received: filters={filters}, {down=}, {up=}."
            )
        self.filters, self.down, self.up = list(filters), list(down), list(up)
        self.stem = stem

    def build(self, input_shape):
        dtype = self.dtype_policy

        def built(layer, channels):
            layer.build((None, None, None, channels))
            return layer

        def blocks(level, count, path):
            width = self.filters[level]
            names = [f"{path}_{level}_{index}" for index in range(count)]
            return [
                built(PlainResidualBlock(width, dtype=dtype, name=name), width)
                for name in names
            ]

        pixels, steps = 3 * self.stem**2, range(len(self.up))
        first, pairs = self.filters[0], list(itertools.pairwise(self.filters))
        self.enter = built(convolution(first, 3, "enter", 1.0, dtype), pixels)
        self.encoders = [blocks(i, count, "down") for i, count in enumerate(self.down)]
        self.reduces = [
            built(convolution(wide, 2, f"reduce_{i}", 1.0, dtype, strides=2), narrow)
            for i, (narrow, wide) in enumerate(pairs)
        ]
        self.expands = [
            built(convolution(4 * narrow, 1, f"expand_{i}", 1.0, dtype), wide)
            for i, (narrow, wide) in enumerate(pairs)
        ]
        self.decoders = [blocks(i, self.up[i], "up") for i in steps]
        # It starts near zero: the first derained image is the rainy one.
        self.leave = built(convolution(pixels, 3, "leave", 1e-4, dtype), first)

    def layers_by_name(self):
        """The convolutions and blocks of the network, by the names of their weights."""
        nested = [*self.encoders, *self.decoders]
        blocks = itertools.chain.from_iterable(nested)
        outer = (self.enter, self.leave)
        layers = [*outer, *blocks, *self.reduces, *self.expands]
        return {layer.name: layer for layer in layers}

    def features(self, rainy):
        """Maps `(batch, height / stem, width / stem, filters[0])` of float32 images."""
        pixels = ops.space_to_depth(rainy, self.stem) if self.stem > 1 else rainy
        features = self.enter(pixels)  # (n, h/2, w/2, filters[0])
        skips = []
        for level, encoder in enumerate(self.encoders):
            for block in encoder:
                features = block(features)
            if level < len(self.reduces):
                skips.append(features)
                features = self.reduces[level](features)
        for level in reversed(range(len(self.decoders))):
            features = ops.depth_to_space(self.expands[level](features), 2)
            features = features + skips[level]
            for block in self.decoders[level]:
                features = block(features)
        return features

    def call(self, rainy, training=False):
        rainy = ops.cast(rainy, "float32")
        rain = self.leave(self.features(rainy))  # the negative of the rain
        rain = ops.depth_to_space(rain, self.stem) if self.stem > 1 else rain
        return rainy + ops.cast(rain, "float32")

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "down": self.down,
            "up": self.up,
            "stem": self.stem,
        }


@keras.saving.register_keras_serializable("tfderain")
class ResUNet(Derainer):
    """A U-Net of plain residual blocks that returns the rainy image minus its rain.

    3,681,948 weights and 132 thousand multiply-adds per pixel with the defaults.

    Args:
        filters: ints. Channels of each level, from the finest to the coarsest.
            Defaults to `(48, 96, 192)`.
        down: ints. Residual blocks of each level before the next coarser one.
            Defaults to `(2, 2, 4)`.
        up: ints. Residual blocks of each level but the coarsest, on the way back.
            Defaults to `(2, 2)`.
        stem: int. Side of the squares of pixels that become one. Defaults to `2`.
        tasks: dict from task name to loss. Defaults to the mean absolute error.
        weighting: `tfderain.weighting.Weighting`. Defaults to a plain sum.
        **kwargs: `clip_training` (see `Derainer`, defaults to `False`), `name`,
            `dtype` and the other `keras.Model` options.
    """

    # What Muon leaves to Adam besides the biases: kernels that see or make pixels.
    outer_layers = ("enter", "leave")
    network_class = ResUNetNetwork

    def __init__(
        self,
        filters=(48, 96, 192),
        down=(2, 2, 4),
        up=(2, 2),
        stem=2,
        tasks=None,
        weighting=None,
        **kwargs,
    ):
        super().__init__(
            stride=stem * 2 ** (len(filters) - 1),
            tasks=tasks or {"reconstruction": losses.Reconstruction("l1", 1.0)},
            weighting=weighting,
            **{"clip_training": False, **kwargs},
        )
        self.network = self.network_class(
            filters, down, up, stem, dtype=self.dtype_policy, name="network"
        )

    @property
    def shared_kernel(self):
        """Kernel of the last convolution, through which all tasks pass."""
        return self.network.leave.kernel

    def get_config(self):
        network = self.network
        return {
            **super().get_config(),
            "filters": network.filters,
            "down": network.down,
            "up": network.up,
            "stem": network.stem,
        }
