"""MENET: multi-task learning enhanced single image de-raining (Fan et al., 2020).

Paper: https://arxiv.org/abs/2003.09689. Rewritten from the description of
github.com/SumiHui/MENET at 2896de966a80 (TensorFlow 1, Apache-2.0);
tests/models/test_menet.py proves equal outputs, losses and balancing weights.

Differences: `heavy/` and `light/` were the same code, so one class serves both; images
of any size are padded by mirroring, whereas the authors resize them; normalisation can
be left out (then convolutions have a bias), which makes training on CPUs 1.5 times as
fast and needs no batch statistics.
"""

import keras
from keras import ops

from tfderain import losses
from tfderain.models.base import Derainer, take_over
from tfderain.models.layers import ConvNorm, built


@keras.saving.register_keras_serializable("tfderain")
class ResidualBlock(keras.layers.Layer):
    """Convolution, ReLU, convolution, identity; ReLU after the addition.

    Args:
        filters: int. Channels of input and output.
        normalization: see `ConvNorm`.
        activate: bool. Whether a ReLU follows the sum. Defaults to `True`.
        gain: float. Initialisation scale of the second convolution.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, filters)` to the same shape.
    """

    def __init__(self, filters, normalization="batch", activate=True, gain=1.0, **kw):
        super().__init__(**kw)
        self.filters = filters
        self.normalization = normalization
        self.activate = activate
        self.gain = gain

    def build(self, input_shape):
        options = {"normalization": self.normalization, "dtype": self.dtype_policy}
        self.first = ConvNorm(self.filters, name="first", **options)
        self.second = ConvNorm(self.filters, name="second", gain=self.gain, **options)
        self.first.build(input_shape)
        self.second.build(input_shape)

    def call(self, features, training=False):
        change = ops.relu(self.first(features, training=training))
        change = self.second(change, training=training)
        features = features + change
        return ops.relu(features) if self.activate else features

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "normalization": self.normalization,
            "activate": self.activate,
            "gain": self.gain,
        }


@keras.saving.register_keras_serializable("tfderain")
class MENETChannelAttention(keras.layers.Layer):
    """Adds to each channel a share of itself: `x + x * a`, a in (0, 1).

    The gate `a` sees the features at a quarter of their size (two desubpixel steps) and
    of those only the spatial mean: a global operation.

    Args:
        filters: int. Channels of input and output.
        normalization: see `ConvNorm`.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, filters)` to the same shape; height and width must
    be multiples of 4.

    Reference: Fan et al., 2020, arXiv:2003.09689, Fig. 5.
    """

    def __init__(self, filters, normalization="batch", **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.normalization = normalization

    def build(self, input_shape):
        kernels = {
            "squeeze_1": (1, 4 * self.filters),
            "layer_1": (3, self.filters),
            "squeeze_2": (1, 4 * self.filters),
            "layer_2": (3, self.filters),
            "excitation": (3, self.filters),
        }
        for name, (kernel_size, channels) in kernels.items():
            layer = ConvNorm(
                self.filters,
                kernel_size,
                normalization=self.normalization,
                dtype=self.dtype_policy,
                name=name,
            )
            layer.build((None, None, None, channels))
            setattr(self, name, layer)

    def call(self, features, training=False):
        coarse = ops.space_to_depth(features, 2)
        coarse = ops.relu(self.squeeze_1(coarse, training=training))
        coarse = ops.relu(self.layer_1(coarse, training=training))
        coarse = ops.space_to_depth(coarse, 2)
        coarse = ops.relu(self.squeeze_2(coarse, training=training))
        coarse = ops.relu(self.layer_2(coarse, training=training))
        coarse = self.excitation(coarse, training=training)
        gate = ops.sigmoid(ops.mean(coarse, axis=(1, 2), keepdims=True))
        return features + features * gate

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "normalization": self.normalization,
        }


@keras.saving.register_keras_serializable("tfderain")
class MENETNetwork(keras.layers.Layer):
    """MENET's de-raining network (Fig. 3): a U-Net with desubpixel steps.

    Args:
        num_blocks: int. Residual blocks at a quarter of the size.
        channel_attention: bool.
        filters: int. Channels at a quarter of the size, a multiple of 4.
        normalization: see `ConvNorm`.
        value_range: float. Images in [0, 1] are multiplied by it on entry and
            divided by it on exit.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, 3)` in [0, 1] to the same shape, float32, not
    clipped; height and width must be multiples of 4, or 16 with channel attention.

    Raises:
        ValueError: `filters` is not a multiple of 4.
    """

    def __init__(
        self,
        num_blocks=8,
        channel_attention=False,
        filters=64,
        normalization="batch",
        value_range=255.0,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)  # the layers inside cast
        if filters % 4:
            raise ValueError(
                f"`filters` must be a multiple of 4. Received: filters={filters}."
            )
        self.num_blocks = num_blocks
        self.channel_attention = channel_attention
        self.filters = filters
        self.normalization = normalization
        self.value_range = value_range

    def build(self, input_shape):
        self.build_encoder()
        self.build_decoder()

    def build_encoder(self):
        """Creates and builds the layers between the image and the decoder."""
        options = {"normalization": self.normalization, "dtype": self.dtype_policy}
        half, quarter = self.filters // 4, self.filters
        self.encode_half = built(ConvNorm(half, name="encode_half", **options), 12)
        self.encode_quarter = built(
            ConvNorm(quarter, name="encode_quarter", **options), 4 * half
        )
        self.attention = None
        if self.channel_attention:
            self.attention = built(
                MENETChannelAttention(quarter, name="attention", **options), quarter
            )
        # Without normalisation, a sum of num_blocks residuals would grow with depth.
        gain = 1.0 if self.normalization else 1.0 / self.num_blocks
        self.blocks = [
            built(
                ResidualBlock(
                    quarter,
                    # the authors' last one has none
                    activate=index < self.num_blocks - 1,
                    gain=gain,
                    name=f"block_{index}",
                    **options,
                ),
                quarter,
            )
            for index in range(self.num_blocks)
        ]

    def build_decoder(self):
        """Creates and builds the layers between the features and the image."""
        options = {"normalization": self.normalization, "dtype": self.dtype_policy}
        half, quarter = self.filters // 4, self.filters
        self.decode_quarter = built(
            ConvNorm(quarter, name="decode_quarter", **options), quarter
        )
        self.decode_half = built(ConvNorm(half, name="decode_half", **options), half)
        self.residual = keras.layers.Conv2D(
            12,
            3,
            padding="same",
            use_bias=self.normalization is None,
            # With normalisation, the authors' initialisation; without it, the first
            # derained image is the rainy one, and training starts from there.
            kernel_initializer=keras.initializers.VarianceScaling(
                1.0 if self.normalization else 1e-2, "fan_in"
            ),
            dtype=self.dtype_policy,
            name="residual",
        )
        self.residual.build((None, None, None, half))

    def call(self, rainy, training=False):
        rain = self.decode(self.encode(rainy, training), training)
        rainy = ops.cast(rainy, "float32") * self.value_range
        return (rainy + rain) / self.value_range

    def compute_output_shape(self, input_shape):
        return input_shape

    def encode(self, rainy, training=False):
        """Features at half and a quarter of the size (skips), and the middle ones."""
        rainy = ops.cast(rainy, "float32") * self.value_range
        half = ops.space_to_depth(rainy, 2)  # (n, h/2, w/2, 12)
        half = self.encode_half(half, training=training)
        quarter = ops.space_to_depth(ops.relu(half), 2)  # (n, h/4, w/4, filters)
        quarter = self.encode_quarter(quarter, training=training)
        features = ops.relu(quarter)
        if self.attention is not None:
            features = self.attention(features, training=training)
        for block in self.blocks:
            features = block(features, training=training)
        return [half, quarter, features]

    def decode(self, features, training=False):
        """The negative of the rain layer, in the network's range of values."""
        half, quarter, features = features
        features = self.decode_quarter(features + quarter, training=training)
        features = ops.depth_to_space(features, 2)  # (n, h/2, w/2, filters/4)
        features = self.decode_half(features + half, training=training)
        return ops.cast(ops.depth_to_space(self.residual(features), 2), "float32")

    def ordered_weights(self, blocks):
        """The weights in the order of the call, with `blocks` for all blocks."""
        layers = [self.encode_half, self.encode_quarter]
        layers += [self.attention] if self.attention is not None else []
        layers += [*blocks, self.decode_quarter, self.decode_half, self.residual]
        return [weight for layer in layers for weight in layer.weights]

    def get_config(self):
        return {
            **super().get_config(),
            "num_blocks": self.num_blocks,
            "channel_attention": self.channel_attention,
            "filters": self.filters,
            "normalization": self.normalization,
            "value_range": self.value_range,
        }


@keras.saving.register_keras_serializable("tfderain")
class MENET(Derainer):
    """MENET with its task losses and their balancing.

    671,680 weights without and 815,680 with channel attention (1,263,552 and
    1,407,552 with 16 blocks), moving statistics not counted.

    Args:
        num_blocks: int. 8 (MENET) or 16 (MENET deep). Defaults to `8`.
        channel_attention: bool. Defaults to `False`. The gate is a mean over the image,
            so the results of tiles differ slightly from those of the whole image.
        filters: int. Channels at a quarter of the size. Defaults to `64`.
        normalization: `"batch"` (the authors' choice), `"batch_unbiased"` or `None`,
            see `ConvNorm`. Defaults to `"batch"`.
        value_range: float. Scale of the images inside the network: `255.0` (the
            authors', who do not scale 8-bit images) or `1.0`. Defaults to `255.0`.
        tasks: dict from task name to loss. Defaults to the reconstruction loss L_p.
        weighting: `tfderain.weighting.Weighting`. Defaults to a plain sum.
        clip_training: bool. See `Derainer`. Defaults to `True`, like the authors.
        **kwargs: `name`, `dtype` and the other `keras.Model` options.

    Reference: Fan et al., 2020, arXiv:2003.09689.
    """

    outer_layers = ("encode_half", "residual")

    def __init__(
        self,
        num_blocks=8,
        channel_attention=False,
        filters=64,
        normalization="batch",
        value_range=255.0,
        tasks=None,
        weighting=None,
        clip_training=True,
        **kwargs,
    ):
        super().__init__(
            stride=16 if channel_attention else 4,
            tasks=tasks or {"reconstruction": losses.Reconstruction()},
            weighting=weighting,
            clip_training=clip_training,
            **kwargs,
        )
        self.network = MENETNetwork(
            num_blocks,
            channel_attention,
            filters,
            normalization,
            value_range,
            dtype=self.dtype_policy,
            name="network",
        )

    @property
    def shared_kernel(self):
        """Kernel of the last convolution ("layer5"), through which all tasks pass."""
        return self.network.residual.kernel

    def adopt(self, other):
        """Takes over weights, even those of a MENET with fewer residual blocks.

        Without normalisation, each new block starts as the identity (its second
        convolution is zero and its input non-negative), so that the deeper network
        starts with the output of the other.
        """
        mine, theirs = self.network, other.network
        count, trained = mine.num_blocks, getattr(theirs, "num_blocks", 0)
        if not 0 < trained < count or mine.normalization is not None:
            return super().adopt(other)
        # Spread evenly; the last block has no ReLU and remains the last.
        places = [i * count // trained for i in range(trained - 1)] + [count - 1]
        for block in mine.blocks:
            block.second.set_weights([0 * w for w in block.second.get_weights()])
        take_over(
            mine.ordered_weights([mine.blocks[place] for place in places]),
            theirs.ordered_weights(theirs.blocks),
        )

    @property
    def global_operations(self):
        """Whether a derained pixel depends on the whole image."""
        return self.network.channel_attention

    def get_config(self):
        network = self.network
        return {
            **super().get_config(),
            "num_blocks": network.num_blocks,
            "channel_attention": network.channel_attention,
            "filters": network.filters,
            "normalization": network.normalization,
            "value_range": network.value_range,
        }
