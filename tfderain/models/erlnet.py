"""ERL-Net: entangled representation learning (Wang, Sun and Sowmya, ICCV 2019).

The authors never published code. The paper specifies dense blocks in a U-Net, three 2x
average-pooling steps, transposed convolutions for upsampling, skips by concatenation
followed by a fusion layer, a residual encoder like the main one, and features summed
before activation. What it leaves open is our choice, as stated at each place. There is
no normalisation: batches hold one image, and the authors' related code (AFR-Net) has
none either.
"""

from typing import Any

import keras
from keras import ops

from tfderain.models.entanglement import Entangled
from tfderain.models.layers import SqueezeExcitation

# The published plots of the middle layer's 225 feature maps show growth 16, seven
# layers, and 113 channels before them. With a transition that halves the channels
# before each 2x step, a stem of 120 to 127 channels gives exactly these.
PUBLISHED_WIDTHS = {"stem": 120, "growth": 16, "num_layers": 7, "compression": 0.5}
SLOPE = 0.1  # of the leaky ReLUs, as in AFR-Net


def convolution(filters: int, name: str, kernel_size: int = 3, dtype: Any = None):
    """A padded convolution with bias and without activation."""
    return keras.layers.Conv2D(
        filters, kernel_size, padding="same", dtype=dtype, name=name
    )


@keras.saving.register_keras_serializable("tfderain")
class DenseBlock(keras.layers.Layer):
    """Leaky ReLUs and 3x3 convolutions, each of which sees all previous maps.

    Args:
        num_layers: int.
        growth: int. Channels that each layer adds.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, channels)` to `(batch, height, width,
    channels + num_layers * growth)`, not activated.

    Reference: Huang et al., 2017, arXiv:1608.06993, without bottlenecks.
    """

    def __init__(self, num_layers=3, growth=16, **kwargs):
        super().__init__(**kwargs)
        self.num_layers = num_layers
        self.growth = growth

    def build(self, input_shape):
        channels = input_shape[-1]
        self.convolutions = []
        for index in range(self.num_layers):
            layer = convolution(self.growth, f"layer_{index}", dtype=self.dtype_policy)
            layer.build((None, None, None, channels + index * self.growth))
            self.convolutions.append(layer)

    def call(self, features, training=False):
        maps = self._train(features) if training else self._infer(features)
        return ops.concatenate(maps, axis=-1)

    def _infer(self, features):
        # Activated one by one before concatenation: concatenated maps share a range in
        # int8 files, and the ranges of maps before activation differ widely.
        maps, activated = [features], [ops.leaky_relu(features, SLOPE)]
        for layer in self.convolutions:
            maps.append(layer(ops.concatenate(activated, axis=-1)))
            activated.append(ops.leaky_relu(maps[-1], SLOPE))
        return maps

    def _train(self, features):
        # A convolution of concatenated maps is the sum of convolutions of the maps. So
        # each map is convolved once for all layers after it: there are fewer and wider
        # convolutions, and a training step takes 0.8 times as long.
        kernels = [ops.cast(c.kernel, self.compute_dtype) for c in self.convolutions]
        maps, sums, start = [features], 0, 0
        for index, layer in enumerate(self.convolutions):
            end = start + maps[-1].shape[-1]
            kernel = [k[:, :, start:end] for k in kernels[index:]]
            kernel = ops.concatenate(kernel, axis=-1)
            activated = ops.leaky_relu(maps[-1], SLOPE)
            sums += ops.conv(activated, kernel, padding="same")
            bias = ops.cast(layer.bias, self.compute_dtype)
            maps.append(sums[..., : self.growth] + bias)
            sums, start = sums[..., self.growth :], end
        return maps

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + self.num_layers * self.growth)

    def get_config(self):
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "growth": self.growth,
        }


def _halve(features, training):
    """Means of 2x2 pixels."""
    if training:
        return ops.average_pool(features, 2, strides=2)
    # In int8 files, a pool's output has the range of its input, and so on through all
    # levels; a convolution has its own.
    kernel = ops.full((2, 2, features.shape[-1], 1), 0.25, features.dtype)
    return ops.depthwise_conv(features, kernel, strides=2)


@keras.saving.register_keras_serializable("tfderain")
class FeatureFusion(keras.layers.Layer):
    """FUS: recalibrates a skip concatenation, then combines it guided by a residual.

    Only this and Fig. 2(c) are known about it. Here it is squeeze-and-excitation over
    the concatenated channels, a 1x1 convolution `u` to `filters` channels, and
    `u + conv(act(conv(act(u))))`.

    Args:
        filters: int. Output channels.
        ratio: int. Squeeze ratio of the recalibration.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, channels)` to `(batch, height, width, filters)`.
    """

    def __init__(self, filters, ratio=16, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.ratio = ratio

    def build(self, input_shape):
        dtype = self.dtype_policy
        made = (None, None, None, self.filters)
        # Leaky: in narrow networks a single dead ReLU shuts off the whole gate.
        self.recalibrate = SqueezeExcitation(
            self.ratio, "leaky_relu", name="recalibrate", dtype=dtype
        )
        self.combine = convolution(self.filters, "combine", 1, dtype)
        self.first = convolution(self.filters, "first", dtype=dtype)
        self.second = convolution(self.filters, "second", dtype=dtype)
        self.recalibrate.build(input_shape)
        self.combine.build(input_shape)
        self.first.build(made)
        self.second.build(made)

    def call(self, features):
        combined = self.combine(self.recalibrate(features))
        residual = self.first(ops.leaky_relu(combined, SLOPE))
        return combined + self.second(ops.leaky_relu(residual, SLOPE))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "ratio": self.ratio}


@keras.saving.register_keras_serializable("tfderain")
class DenseEncoder(keras.layers.Layer):
    """MEN and REN: a stem, then a dense block at each of four sizes.

    A stem of 32 channels and three layers of growth 16 per level, without compression,
    give 80, 128, 176 and 224 channels: close to the 225 of the published feature maps
    of the middle layer (all from growth 16, three 2x steps). `PUBLISHED_WIDTHS` gives
    exactly 225, with transitions, as those maps suggest.

    Args:
        stem: int. Channels of the first convolution.
        growth, num_layers: see `DenseBlock`.
        compression: `None`, or the share of a level's channels that a transition (leaky
            ReLU and 1x1 convolution) keeps before the next 2x step, rounded down.
        levels: int. Sizes, each half of the one before.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, 3)`, sizes multiples of `2 ** (levels - 1)`, to a list
    of `levels` feature maps before activation, the middle layer last.
    """

    def __init__(
        self, stem=32, growth=16, num_layers=3, levels=4, compression=None, **kwargs
    ):
        super().__init__(**kwargs)
        if compression is not None and not 0 < compression <= 1:
            raise ValueError(
                "`compression` must be None or in (0, 1]. "
                f"Received: compression={compression}."
            )
        self.compression = compression
        self.stem_filters = stem
        self.growth = growth
        self.num_layers = num_layers
        self.levels = levels

    def channels(self, level):
        """Channels of the feature map of a level, counted from 0."""
        return self.entering(level) + self.num_layers * self.growth

    def entering(self, level):
        """Channels that enter the dense block of a level."""
        if level == 0:
            return self.stem_filters
        before = self.channels(level - 1)
        return before if self.compression is None else int(before * self.compression)

    def build(self, input_shape):
        dtype = self.dtype_policy
        self.stem = convolution(self.stem_filters, "stem", dtype=dtype)
        self.stem.build(input_shape)
        self.blocks, self.transitions = [], []
        for level in range(self.levels):
            if level and self.compression is not None:
                layer = convolution(
                    self.entering(level), f"transition_{level}", 1, dtype
                )
                layer.build((None, None, None, self.channels(level - 1)))
                self.transitions.append(layer)
            block = DenseBlock(
                self.num_layers, self.growth, name=f"block_{level}", dtype=dtype
            )
            block.build((None, None, None, self.entering(level)))
            self.blocks.append(block)

    def call(self, rainy, training=False):
        features, outputs = self.stem(rainy), []
        for level, block in enumerate(self.blocks):
            if level and self.transitions:
                transition = self.transitions[level - 1]
                features = transition(ops.leaky_relu(features, SLOPE))
            if level:
                features = _halve(features, training)
            features = block(features, training=training)
            outputs.append(features)
        return outputs

    def compute_output_shape(self, input_shape):
        def size(side, level):
            return None if side is None else side // 2**level

        batch, height, width, _ = input_shape
        return [
            (batch, size(height, i), size(width, i), self.channels(i))
            for i in range(self.levels)
        ]

    def get_config(self):
        return {
            **super().get_config(),
            "stem": self.stem_filters,
            "growth": self.growth,
            "num_layers": self.num_layers,
            "levels": self.levels,
            "compression": self.compression,
        }


@keras.saving.register_keras_serializable("tfderain")
class DenseDecoder(keras.layers.Layer):
    """MDE: transposed convolution, skip, fusion and dense block at each size.

    Args:
        growth, num_layers: see `DenseBlock`.
        skip: bool. Whether the encoder's features are concatenated (MEMD-, MEMD).
        fusion: bool. Whether `FeatureFusion` follows (MEMD). Without it, the dense
            block takes the plain concatenation.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: a list of feature maps, as from `DenseEncoder`, to `(batch, height, width,
    3)`, linear. Transposed convolutions have half as many output channels as the skip.

    Raises:
        ValueError: for fusion without skips.
    """

    def __init__(self, growth=16, num_layers=3, skip=True, fusion=True, **kwargs):
        super().__init__(**kwargs)
        if fusion and not skip:
            raise ValueError(
                "`fusion` needs skip connections. "
                f"Received: skip={skip}, fusion={fusion}."
            )
        self.growth = growth
        self.num_layers = num_layers
        self.skip = skip
        self.fusion = fusion

    def build(self, input_shape):
        dtype = self.dtype_policy
        *skips, channels = (shape[-1] for shape in input_shape)
        self.ups, self.fusions, self.blocks = [], [], []
        for level, skip in reversed([*enumerate(skips)]):
            filters = skip // 2
            up = keras.layers.Conv2DTranspose(
                filters, 3, strides=2, padding="same", name=f"up_{level}", dtype=dtype
            )
            up.build((None, None, None, channels))
            self.ups.append(up)
            channels = filters + skip * self.skip
            if self.fusion:
                fusion = FeatureFusion(filters, name=f"fusion_{level}", dtype=dtype)
                fusion.build((None, None, None, channels))
                self.fusions.append(fusion)
                channels = filters
            block = DenseBlock(
                self.num_layers, self.growth, name=f"block_{level}", dtype=dtype
            )
            block.build((None, None, None, channels))
            self.blocks.append(block)
            channels += self.num_layers * self.growth
        self.output_convolution = convolution(3, "output", dtype=dtype)
        self.output_convolution.build((None, None, None, channels))

    def call(self, features, training=False):
        *skips, features = features
        for step, skip in enumerate(reversed(skips)):
            features = self.ups[step](ops.leaky_relu(features, SLOPE))
            if self.skip:
                features = ops.concatenate([features, skip], axis=-1)
            if self.fusion:
                features = self.fusions[step](features)
            features = self.blocks[step](features, training=training)
        return self.output_convolution(ops.leaky_relu(features, SLOPE))

    def compute_output_shape(self, input_shape):
        return (*input_shape[0][:-1], 3)

    def get_config(self):
        return {
            **super().get_config(),
            "growth": self.growth,
            "num_layers": self.num_layers,
            "skip": self.skip,
            "fusion": self.fusion,
        }


@keras.saving.register_keras_serializable("tfderain")
class ERLNet(Entangled):
    """ERL-Net, or, with `entanglement=None`, its base network MEMD.

    Args:
        stem, growth, num_layers, levels, compression: see `DenseEncoder`; those of
            `PUBLISHED_WIDTHS` match the published feature maps.
        skip, fusion: see `DenseDecoder`: MEMD-- (neither), MEMD- (skips), MEMD (both).
        entanglement: `None`, `"clgd"` or `"mlgd"`, see `EntangledNetwork`.
        stage, feature_weight, tasks, weighting: see `Entangled`.
        **kwargs: `clip_training`, `name`, `dtype` and the other `keras.Model` options.

    Raises:
        ValueError: for `"mlgd"` without skip connections.
    """

    outer_layers = ("stem", "output")

    def __init__(
        self,
        stem=32,
        growth=16,
        num_layers=3,
        levels=4,
        skip=True,
        fusion=True,
        entanglement=None,
        compression=None,
        **kwargs,
    ):
        if entanglement == "mlgd" and not skip:
            raise ValueError(
                '`entanglement="mlgd"` needs skip connections. '
                f"Received: skip={skip}, entanglement={entanglement!r}."
            )
        dtype = keras.dtype_policies.get(kwargs.pop("dtype", None))
        dense = {"growth": growth, "num_layers": num_layers, "dtype": dtype}
        sizes = {"levels": levels, "compression": compression}
        encoder = DenseEncoder(stem, name="main_encoder", **sizes, **dense)
        decoder = DenseDecoder(skip=skip, fusion=fusion, name="decoder", **dense)
        super().__init__(
            encoder,
            decoder,
            entanglement,
            stride=2 ** (levels - 1),
            dtype=dtype,
            **kwargs,
        )
        self.options = {
            "stem": stem,
            "growth": growth,
            "num_layers": num_layers,
            "levels": levels,
            "skip": skip,
            "fusion": fusion,
            "entanglement": entanglement,
            "compression": compression,
        }

    @property
    def shared_kernel(self):
        """Kernel of the last convolution, through which all tasks pass."""
        return self.network.decoder.output_convolution.kernel

    @property
    def global_operations(self):
        """Whether a derained pixel depends on the whole image (recalibration)."""
        return self.network.decoder.fusion

    def get_config(self):
        config = super().get_config()
        for name in ("encoder", "decoder", "stride", "global_skip"):
            del config[name]
        return {**config, **self.options}
