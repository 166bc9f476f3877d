"""Layers and helpers that several networks use."""

from typing import Any

import keras
from keras import ops

from tfderain.models import winograd


def built(layer: Any, channels: int):
    """Builds a layer for images with this many channels, and returns it."""
    layer.build((None, None, None, channels))
    return layer


def convolution(filters: int, kernel_size: int, name: str, dtype: Any):
    """Returns a convolution that keeps the height and the width."""
    return keras.layers.Conv2D(
        filters, kernel_size, padding="same", dtype=dtype, name=name
    )


def mirror_indices(size: Any, padded: Any):
    """Indices that extend an axis by mirroring it without repeating its edge.

    Unlike ordinary reflect padding it works for any `padded`, even if the axis is
    shorter than the padding: the mirrored axis repeats with a period of
    `2 * (size - 1)`; an axis of one pixel repeats that pixel.

    Args:
        size: int or scalar tensor, length of the axis.
        padded: int or scalar tensor, length after padding, at least `size`.

    Returns:
        `(padded,)` int32, the first `size` entries are `0, 1, ...`.
    """
    period = ops.maximum(2 * (size - 1), 1)
    position = ops.arange(padded, dtype="int32") % period
    return ops.minimum(position, period - position)


def pad_to_multiple(images: Any, multiple: int):
    """Pads bottom and right by mirroring, up to the next multiple.

    Args:
        images: `(batch, height, width, channels)`, height and width at least 1.
        multiple: int.

    Returns:
        `(batch, height', width', channels)` with both sizes multiples of `multiple`;
        `images` itself when its static sizes already are.
    """
    if all(size is not None and size % multiple == 0 for size in images.shape[1:3]):
        return images
    for axis in (1, 2):
        size = ops.shape(images)[axis]
        # No negative numbers: integer division rounds them towards zero in ONNX.
        padded = (size + multiple - 1) // multiple * multiple
        images = ops.take(images, mirror_indices(size, padded), axis=axis)
    return images


class Convolution(keras.layers.Conv2D):
    """`keras.layers.Conv2D` that may be computed by `winograd`."""

    def convolution_op(self, inputs, kernel):
        if winograd.suits(inputs, kernel):
            return winograd.convolve(inputs, kernel)
        return super().convolution_op(inputs, kernel)


@keras.saving.register_keras_serializable("tfderain")
class UnbiasedBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation whose moving variance is unbiased.

    TensorFlow 1 and PyTorch update the moving variance with N / (N - 1) times the
    variance of the N pixels of a batch; Keras 3 uses the variance itself, as all of
    them do to normalise in training.

    Args:
        **kwargs: see `keras.layers.BatchNormalization`.
    """

    def call(self, inputs, training=None, mask=None):
        before = self.moving_variance + 0.0  # a copy of the value
        outputs = super().call(inputs, training=training, mask=mask)
        if training and self.trainable:
            shape = ops.shape(inputs)
            count = ops.cast(shape[0] * shape[1] * shape[2], "float32")
            if self.synchronized:
                count = count * replicas()
            share = self.moving_variance - self.momentum * before
            more = share / ops.maximum(count - 1.0, 1.0)
            self.moving_variance.assign_add(more)
        return outputs


def replicas():
    """How many devices share a batch; 1 on backends without TensorFlow's strategies."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


@keras.saving.register_keras_serializable("tfderain")
class ConvNorm(keras.layers.Layer):
    """A convolution without bias and batch normalisation, or one with bias.

    Args:
        filters: int. Output channels.
        kernel_size: int. Side of the kernel. Defaults to `3`.
        normalization: `"batch"` (batch normalisation with TensorFlow 1's defaults:
            momentum 0.99, epsilon 1e-3; synchronised over replicas),
            `"batch_unbiased"` (the same with TensorFlow 1's moving variance, see
            `UnbiasedBatchNormalization`) or `None` (the convolution has a bias).
        gain: float. Scale of the variance-scaling initialisation (fan-in,
            truncated normal). Defaults to `1.0`.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, channels)` to `(batch, height, width, filters)`.

    Raises:
        ValueError: for another `normalization`.
    """

    def __init__(
        self, filters, kernel_size=3, normalization="batch", gain=1.0, **kwargs
    ):
        super().__init__(**kwargs)
        if normalization not in ("batch", "batch_unbiased", None):
            raise ValueError(
                '`normalization` must be "batch", "batch_unbiased" or None. '
                f"Received: normalization={normalization!r}."
            )
        self.filters = filters
        self.kernel_size = kernel_size
        self.normalization = normalization
        self.gain = gain

    def build(self, input_shape):
        self.convolution = Convolution(
            self.filters,
            self.kernel_size,
            padding="same",
            use_bias=self.normalization is None,
            kernel_initializer=keras.initializers.VarianceScaling(self.gain, "fan_in"),
            dtype=self.dtype_policy,
            name="convolution",
        )
        self.convolution.build(input_shape)
        self.norm = None
        if self.normalization is not None:
            unbiased = self.normalization == "batch_unbiased"
            kind = (
                UnbiasedBatchNormalization
                if unbiased
                else keras.layers.BatchNormalization
            )
            self.norm = kind(
                # Keras refuses the argument elsewhere; one device needs no sync.
                synchronized=keras.backend.backend() == "tensorflow",
                dtype=self.dtype_policy,
                name="norm",
            )
            self.norm.build((*input_shape[:-1], self.filters))

    def call(self, features, training=False):
        features = self.convolution(features)
        if self.norm is not None:
            features = self.norm(features, training=training)
        return features

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "normalization": self.normalization,
            "gain": self.gain,
        }


@keras.saving.register_keras_serializable("tfderain")
class SqueezeExcitation(keras.layers.Layer):
    """Scales each channel by a gate in (0, 1) that sees only the spatial means.

    A global operation: the gates of a tile differ slightly from those of the image.

    Args:
        ratio: int. The gate squeezes to `channels // ratio` values, but at least 1.
        activation: name in `keras.activations`, of the squeezed values.
        use_bias: bool. Whether both steps of the gate have biases.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, channels)` to the same shape.

    Reference: Hu et al., 2018, arXiv:1709.01507, Eq. (2)-(4).
    """

    def __init__(self, ratio=16, activation="relu", use_bias=True, **kwargs):
        super().__init__(**kwargs)
        self.ratio = ratio
        self.activation = activation
        self.use_bias = use_bias

    def build(self, input_shape):
        channels = input_shape[-1]
        squeezed = max(1, channels // self.ratio)
        options = {"use_bias": self.use_bias, "dtype": self.dtype_policy}
        dense = keras.layers.Dense
        self.squeeze = dense(squeezed, self.activation, name="squeeze", **options)
        self.excite = dense(channels, "sigmoid", name="excite", **options)
        self.squeeze.build((None, channels))
        self.excite.build((None, squeezed))

    def call(self, features):
        gate = self.excite(self.squeeze(ops.mean(features, axis=(1, 2))))
        return features * gate[:, None, None, :]

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "activation": self.activation,
            "use_bias": self.use_bias,
        }


def depthwise_initializer(kernel_size: int):
    """Uniform with variance `1 / (3 * kernel_size**2)`, PyTorch's default.

    Keras includes the channels in the fan-in of a depthwise kernel, although it does
    not sum over them, and so initialises wide layers near zero.
    """
    return keras.initializers.RandomUniform(-1 / kernel_size, 1 / kernel_size)


def separable(
    channels: int, kernel_size: int, name: str, dilation: int = 1, dtype: Any = None
):
    """A depthwise and a pointwise convolution, both without bias."""
    return keras.layers.SeparableConv2D(
        channels,
        kernel_size,
        padding="same",
        dilation_rate=dilation,
        use_bias=False,
        depthwise_initializer=depthwise_initializer(kernel_size),
        dtype=dtype,
        name=name,
    )


def in_few_taps(layer: Any, features: Any):
    """`layer(features)` of a separable convolution, with its kernel in four parts.

    Every second row and column of the kernel forms a dilated one, with at most 16 taps
    for 7x7; the four add up to the same sum.
    """
    total = 0.0
    for row in range(2):
        for column in range(2):
            total += ops.depthwise_conv(
                features,
                layer.depthwise_kernel[row::2, column::2],
                padding="same",
                dilation_rate=2 * layer.dilation_rate[0],
            )
    return ops.conv(total, layer.pointwise_kernel)


@keras.saving.register_keras_serializable("tfderain")
class ExpertStage(keras.layers.Layer):
    """Eight experts on the same features, weighted, and mixed by a 1x1 convolution.

    In this order: separable convolutions of 1, 3, 5 and 7 pixels, each applied twice
    with a ReLU in between; depthwise ones of 3, 5 and 7 pixels with dilation 2, each
    followed by a pointwise one; an average over 3x3 pixels that ignores the padding.

    Args:
        variant: see `MixtureOfExperts`.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: features `(batch, height, width, channels)` and weights `(batch, 8)` to
    non-negative features of the same shape.
    """

    num_experts = 8

    def __init__(self, variant="code", **kwargs):
        super().__init__(**kwargs)
        self.variant = variant
        # Set for LiteRT files: XNNPACK has fast depthwise kernels of up to 25 taps, and
        # took 6 times as long for 49 taps as for four parts of them.
        self.few_taps = False

    def build(self, input_shape):
        channels, dtype = input_shape[-1], self.dtype_policy
        self.firsts, self.seconds = (
            [
                separable(channels, size, f"{part}_{size}", dtype=dtype)
                for size in (1, 3, 5, 7)
            ]
            for part in ("first", "second")
        )
        self.dilated = [
            separable(channels, size, f"dilated_{size}", dilation=2, dtype=dtype)
            for size in (3, 5, 7)
        ]
        self.mix = keras.layers.Conv2D(
            channels, 1, use_bias=False, dtype=dtype, name="mix"
        )
        for layer in (*self.firsts, *self.seconds, *self.dilated):
            layer.build(input_shape)
        self.mix.build((*input_shape[:-1], self.num_experts * channels))

    def call(self, features, weights):
        made = [
            self.convolve(second, ops.relu(self.convolve(first, features)))
            for first, second in zip(self.firsts, self.seconds, strict=True)
        ]
        made += [self.convolve(expert, features) for expert in self.dilated]
        made.append(ops.average_pool(features, 3, strides=1, padding="same"))
        weights = ops.cast(weights, features.dtype)[:, None, None, :]
        made = [expert * weights[..., i : i + 1] for i, expert in enumerate(made)]
        if self.variant == "supplement":
            made = [expert + features for expert in made]
            return ops.relu(self.mix(ops.concatenate(made, axis=-1)))
        mixed = ops.relu(self.mix(ops.concatenate(made, axis=-1)))
        return ops.relu(mixed + features)

    def convolve(self, layer, features):
        """A depthwise convolution, in few taps if that is wanted and faster."""
        if self.few_taps and layer.kernel_size[0] == 7:
            return in_few_taps(layer, features)
        return layer(features)

    def compute_output_shape(self, input_shape, weights_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "variant": self.variant}


@keras.saving.register_keras_serializable("tfderain")
class MixtureOfExperts(keras.layers.Layer):
    """Stages of eight experts whose weights depend on the image (MEFC, MoEs).

    The weights depend only on the spatial means: a global operation, any image size.

    Args:
        num_stages: int. Defaults to `4`.
        variant: `"code"` (the authors') or `"supplement"`, Rainmer's Eq. (1)-(4) as
            printed. In the latter, the weights come from F^spa (the features after the
            first 1x1 convolution) instead of the input, without a softmax; each stage
            adds its input to every expert before the 1x1 convolution instead of after
            it; and F^1 = F^spa, so that one stage less is computed.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, channels)` to the same shape, non-negative.

    Raises:
        ValueError: for another `variant`, or too few stages for it.

    Reference: Chen et al., 2023, https://arxiv.org/abs/2303.11950 (DRSformer) and the
    supplement of https://doi.org/10.1145/3664647.3681342 (Rainmer).
    """

    def __init__(self, num_stages=4, variant="code", **kwargs):
        super().__init__(**kwargs)
        if variant not in ("code", "supplement"):
            raise ValueError(
                '`variant` must be "code" or "supplement". '
                f"Received: variant={variant!r}."
            )
        self.num_stages = num_stages
        self.variant = variant
        self.num_mixed = num_stages - (variant == "supplement")
        if self.num_mixed < 1:
            raise ValueError(
                "At least one stage must mix experts. "
                f"Received: num_stages={num_stages}, variant={variant!r}."
            )

    def build(self, input_shape):
        channels, dtype = input_shape[-1], self.dtype_policy
        made = self.num_mixed * ExpertStage.num_experts
        hidden = 2 * self.num_stages * ExpertStage.num_experts
        self.preprocess = keras.layers.Conv2D(
            channels, 1, use_bias=False, dtype=dtype, name="preprocess"
        )
        self.hidden = keras.layers.Dense(hidden, "relu", dtype=dtype, name="hidden")
        self.scores = keras.layers.Dense(made, dtype=dtype, name="scores")
        self.preprocess.build(input_shape)
        self.hidden.build((None, channels))
        self.scores.build((None, hidden))
        self.stages = []
        for index in range(self.num_mixed):
            stage = ExpertStage(self.variant, dtype=dtype, name=f"stage_{index}")
            stage.build(input_shape)
            self.stages.append(stage)

    def weigh(self, features):
        """Weights of the experts `(batch, mixing stages, 8)` from features."""
        scores = self.scores(self.hidden(ops.mean(features, axis=(1, 2))))
        scores = ops.reshape(scores, (-1, self.num_mixed, ExpertStage.num_experts))
        return ops.softmax(scores) if self.variant == "code" else scores

    def call(self, features):
        first = ops.relu(self.preprocess(features))
        weights = self.weigh(features if self.variant == "code" else first)
        for index, stage in enumerate(self.stages):
            first = stage(first, weights[:, index])
        return first

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "num_stages": self.num_stages,
            "variant": self.variant,
        }
