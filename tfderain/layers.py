"""Layers that several networks use."""

import keras
from keras import ops


def mirror_indices(size, padded):
    """Indices that extend an axis by mirroring it without repeating its edge.

    Unlike reflect padding of the usual kind it takes any `padded`, also when the
    axis is shorter than the padding: the mirrored axis repeats with a period of
    `2 * (size - 1)`; an axis of one pixel repeats that pixel.

    Args:
        size: int or scalar tensor, length of the axis.
        padded: int or scalar tensor, length wanted, at least `size`.

    Returns:
        `(padded,)` int32, the first `size` entries are `0, 1, ...`.
    """
    period = ops.maximum(2 * (size - 1), 1)
    position = ops.arange(padded, dtype="int32") % period
    return ops.minimum(position, period - position)


def pad_to_multiple(images, multiple):
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
        padded = -(-size // multiple) * multiple
        images = ops.take(images, mirror_indices(size, padded), axis=axis)
    return images


@keras.saving.register_keras_serializable("tfderain")
class ConvNorm(keras.layers.Layer):
    """A convolution without bias and batch normalisation, or one with bias.

    Args:
        filters: int. Channels made.
        kernel_size: int. Side of the kernel. Defaults to `3`.
        normalization: `"batch"` (batch normalisation with TensorFlow 1's defaults:
            momentum 0.99, epsilon 1e-3; synchronised over replicas) or `None` (the
            convolution has a bias instead).
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
        if normalization not in ("batch", None):
            raise ValueError(
                '`normalization` must be "batch" or None. '
                f"Received: normalization={normalization!r}."
            )
        self.filters = filters
        self.kernel_size = kernel_size
        self.normalization = normalization
        self.gain = gain

    def build(self, input_shape):
        self.convolution = keras.layers.Conv2D(
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
        if self.normalization == "batch":
            self.norm = keras.layers.BatchNormalization(
                # Elsewhere Keras refuses the argument; one device needs no sync.
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
    """Weighs each channel by a gate in (0, 1) that sees only the spatial means.

    A global operation: tiles of an image give slightly other gates than the whole.

    Args:
        ratio: int. The gate squeezes to `channels // ratio` values, at least 1.
        activation: name in `keras.activations`, of the squeezed values.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, channels)` to the same shape.

    Reference: Hu et al., 2018, arXiv:1709.01507, Eq. (2)-(4).
    """

    def __init__(self, ratio=16, activation="relu", **kwargs):
        super().__init__(**kwargs)
        self.ratio = ratio
        self.activation = activation

    def build(self, input_shape):
        channels = input_shape[-1]
        squeezed = max(1, channels // self.ratio)
        dense, dtype = keras.layers.Dense, self.dtype_policy
        self.squeeze = dense(squeezed, self.activation, dtype=dtype, name="squeeze")
        self.excite = dense(channels, "sigmoid", dtype=dtype, name="excite")
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
        }
