"""Sparse blocks of DRSformer: attention between channels, two-scale feed-forward.

Chen et al., CVPR 2023, https://arxiv.org/abs/2303.11950; see `drsformer`. Attention is
between channels, so memory and time grow linearly with the number of pixels.
"""

from typing import Any

import keras
from keras import ops

from tfderain.models.layers import depthwise_initializer

EPSILON = 1e-5  # of the layer normalisations, PyTorch's default


def pointwise(filters: int, name: str, dtype: Any):
    """A 1x1 convolution without bias."""
    return keras.layers.Conv2D(filters, 1, use_bias=False, dtype=dtype, name=name)


def convolution(filters: int, name: str, dtype: Any, gain: float = 1.0):
    """A padded 3x3 convolution without bias; `gain` scales the variance."""
    return keras.layers.Conv2D(
        filters,
        3,
        padding="same",
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(gain, "fan_in"),
        dtype=dtype,
        name=name,
    )


def depthwise(kernel_size: int, name: str, dtype: Any):
    """A padded depthwise convolution without bias."""
    return keras.layers.DepthwiseConv2D(
        kernel_size,
        padding="same",
        use_bias=False,
        depthwise_initializer=depthwise_initializer(kernel_size),
        dtype=dtype,
        name=name,
    )


def normalization(name: str, dtype: Any):
    """Layer normalisation over the channels, with PyTorch's epsilon."""
    return keras.layers.LayerNormalization(epsilon=EPSILON, dtype=dtype, name=name)


def unit_columns(features: Any):
    """`(batch, pixels, channels)` with each channel scaled to length 1, in float32.

    A sum of squares over an image would overflow in half precision.
    """
    features = ops.cast(features, "float32")
    length = ops.sqrt(ops.sum(ops.square(features), axis=1, keepdims=True))
    return features / ops.maximum(length, 1e-12)


def top_k_counts(channels: int):
    """How many of the channels the four masks keep: 1/2, 2/3, 3/4 and 4/5 of them."""
    counts = (channels // 2, 2 * channels // 3, 3 * channels // 4, 4 * channels // 5)
    return tuple(max(count, 1) for count in counts)


def independent_attention(scores: Any, shares: Any) -> Any:
    """Softmax of each row's k largest scores, summed over four values of k (DRSformer).

    Args:
        scores: `(..., channels, channels)`, float32.
        shares: `(4,)`, weights of the four maps.

    Returns:
        `(..., channels, channels)`. Scores equal to the smallest kept are kept as well.
    """
    counts = top_k_counts(scores.shape[-1])
    largest = ops.stop_gradient(ops.top_k(scores, counts[-1])[0])
    exponentials = ops.exp(scores - largest[..., :1])
    total = 0.0
    for index, count in enumerate(counts):
        kept = scores >= largest[..., count - 1 : count]
        kept = ops.where(kept, exponentials, 0.0)
        total += shares[index] * kept / ops.sum(kept, axis=-1, keepdims=True)
    return total


def cumulative_attention(scores: Any, shares: Any) -> Any:
    """As `independent_attention`, but each k works on the map of the one before.

    Rainmer's published loop overwrites its scores. Entries dropped once are exactly 0
    from then on, and since the next k is larger, some of these ties return with weight
    e**0. Which ones is undefined there; here, as documented for `tf.math.top_k`, it is
    those with the lowest index.
    """
    channels = scores.shape[-1]
    total = 0.0
    for index, count in enumerate(top_k_counts(channels)):
        chosen = ops.one_hot(ops.top_k(scores, count)[1], channels)
        kept = ops.max(chosen, axis=-2) > 0
        # far below any score: its exponential is exactly 0
        scores = ops.softmax(ops.where(kept, scores, -1e9))
        total += shares[index] * scores
    return total


@keras.saving.register_keras_serializable("tfderain")
class SparseChannelAttention(keras.layers.Layer):
    """Top-k sparse attention between the channels of each head (TKSA).

    Args:
        num_heads: int. Must divide the channels.
        cumulative: bool. `cumulative_attention` (Rainmer's published code) instead of
            `independent_attention`. Defaults to `False`.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, channels)` to the same shape. Memory is linear in the
    number of pixels: the maps are `(channels / num_heads)**2` per head.

    Raises:
        ValueError: the heads do not divide the channels.

    Reference: Chen et al., 2023, arXiv:2303.11950, Eq. (2)-(4).
    """

    def __init__(self, num_heads=1, cumulative=False, **kwargs):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.cumulative = cumulative

    def build(self, input_shape):
        channels, dtype = input_shape[-1], self.dtype_policy
        if channels % self.num_heads:
            raise ValueError(
                "`num_heads` must divide the channels. "
                f"Received: num_heads={self.num_heads}, channels={channels}."
            )
        self.mix = pointwise(3 * channels, "mix", dtype)
        self.spread = depthwise(3, "spread", dtype)
        self.project = pointwise(channels, "project", dtype)
        self.mix.build(input_shape)
        self.spread.build((*input_shape[:-1], 3 * channels))
        self.project.build(input_shape)
        self.temperature = self.add_weight(
            (self.num_heads, 1, 1), "ones", name="temperature"
        )
        self.shares = self.add_weight(
            (4,), keras.initializers.Constant(0.2), name="shares"
        )

    def attention(self, query, key):
        """Maps `(batch, heads, c, c)`, float32, c the channels of a head."""
        channels, heads = query.shape[-1], self.num_heads
        size = channels // heads
        query, key = (
            unit_columns(ops.reshape(x, (ops.shape(x)[0], -1, channels)))
            for x in (query, key)
        )
        # All pairs of channels at once, then those of one head: this is faster on CPUs
        # than sorting the pixels by head.
        scores = ops.matmul(ops.transpose(query, (0, 2, 1)), key)
        scores = ops.reshape(scores, (-1, heads, size, channels))
        scores = ops.stack(
            [scores[:, i, :, i * size : (i + 1) * size] for i in range(heads)], axis=1
        )
        scores = scores * ops.cast(self.temperature, "float32")
        rule = cumulative_attention if self.cumulative else independent_attention
        return rule(scores, ops.cast(self.shares, "float32"))

    def call(self, features):
        channels, heads = features.shape[-1], self.num_heads
        query, key, value = ops.split(self.spread(self.mix(features)), 3, axis=-1)
        maps = self.attention(query, key)
        # Each head's map times its rows of the projection gives one matrix for the
        # image, so the pixels are multiplied only once.
        kernel = ops.cast(self.project.kernel, "float32")
        if heads == 1:
            # In three dimensions: oneDNN 3.7, in TensorFlow 2.21, confuses the rows of
            # products of (batch, 1, m, k) and (1, 1, k, n) on CPUs with AVX-512: it
            # gives wrong numbers and writes out of bounds
            # (tensorflow/tensorflow#123109).
            matrix = ops.matmul(ops.swapaxes(maps[:, 0], -1, -2), kernel[0, 0][None])
        else:
            kernel = ops.reshape(kernel, (heads, channels // heads, channels))
            matrix = ops.matmul(ops.swapaxes(maps, -1, -2), kernel)
        matrix = ops.reshape(matrix, (-1, 1, channels, channels))
        return ops.matmul(value, ops.cast(matrix, value.dtype))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "cumulative": self.cumulative,
        }


@keras.saving.register_keras_serializable("tfderain")
class MixedScaleFeedForward(keras.layers.Layer):
    """Two paths of 3x3 and 5x5 depthwise convolutions that exchange halves (MSFN).

    Args:
        expansion: float. Each path has `int(expansion * channels)` channels.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, channels)` to the same shape.

    Reference: Chen et al., 2023, arXiv:2303.11950, Eq. (5).
    """

    def __init__(self, expansion=2.66, **kwargs):
        super().__init__(**kwargs)
        self.expansion = expansion

    def build(self, input_shape):
        channels, dtype = input_shape[-1], self.dtype_policy
        wide = (*input_shape[:-1], 2 * int(self.expansion * channels))
        self.expand = pointwise(wide[-1], "expand", dtype)
        self.expand.build(input_shape)
        for name in ("first", "second"):
            for size in (3, 5):
                layer = depthwise(size, f"{name}_{size}", dtype)
                layer.build(wide)
                setattr(self, f"{name}_{size}", layer)
        self.project = pointwise(channels, "project", dtype)
        self.project.build(wide)

    def call(self, features):
        features = self.expand(features)
        small = ops.split(ops.relu(self.first_3(features)), 2, axis=-1)
        large = ops.split(ops.relu(self.first_5(features)), 2, axis=-1)
        # The authors' second convolutions see two inputs for each output, which are
        # neighbours in the concatenation rather than one from each path.
        small, large = (
            ops.concatenate([small[i], large[i]], axis=-1) for i in range(2)
        )
        small, large = self.second_3(small), self.second_5(large)
        small, large = self.add_neighbours(small), self.add_neighbours(large)
        return self.project(ops.relu(ops.concatenate([small, large], axis=-1)))

    def add_neighbours(self, features):
        """Sums of channels 0 and 1, 2 and 3...

        Slicing every second channel would be a strided copy, a tenth of a training step
        in TensorFlow on CPUs; a product with zeros and ones is nearly free. These are
        computed, because constants would double a SavedModel's graph.
        """
        half = features.shape[-1] // 2
        pairs = ops.arange(2 * half)[:, None] // 2 == ops.arange(half)
        return ops.conv(features, ops.cast(pairs, features.dtype)[None, None])

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "expansion": self.expansion}


@keras.saving.register_keras_serializable("tfderain")
class SparseBlock(keras.layers.Layer):
    """Sparse attention and feed-forward, each pre-normalised and with a skip (STB).

    Args:
        num_heads, cumulative: see `SparseChannelAttention`.
        expansion: see `MixedScaleFeedForward`.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, channels)` to the same shape.
    """

    def __init__(self, num_heads=1, expansion=2.66, cumulative=False, **kwargs):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.expansion = expansion
        self.cumulative = cumulative

    def build(self, input_shape):
        dtype = self.dtype_policy
        self.attention_norm = normalization("attention_norm", dtype)
        self.attention = SparseChannelAttention(
            self.num_heads, self.cumulative, dtype=dtype, name="attention"
        )
        self.feed_norm = normalization("feed_norm", dtype)
        self.feed = MixedScaleFeedForward(self.expansion, dtype=dtype, name="feed")
        for layer in (self.attention_norm, self.attention, self.feed_norm, self.feed):
            layer.build(input_shape)

    def call(self, features):
        features = features + self.attention(self.attention_norm(features))
        return features + self.feed(self.feed_norm(features))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "expansion": self.expansion,
            "cumulative": self.cumulative,
        }
