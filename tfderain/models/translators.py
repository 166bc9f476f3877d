"""Image-to-image networks of pix2pix and CycleGAN: U-Net and ResNet generator.

Rewritten from the description of github.com/guyii54/JRGR at 2be5a1061582 (PyTorch, BSD;
a fork of pytorch-CycleGAN-and-pix2pix); tests/models/test_translators.py proves equal
outputs. They work on images in [-1, 1], or on rain layers.
"""

from typing import Any

import keras
from keras import ops

from tfderain.models.layers import UnbiasedBatchNormalization

NORMALIZATIONS = ("batch", "batch_unbiased", "instance", None)
STATISTICS = ("moving", "image")


def normal(mean: float = 0.0):
    """Both papers' initialisation: a normal distribution, standard deviation 0.02."""
    return keras.initializers.RandomNormal(mean, 0.02)


@keras.saving.register_keras_serializable("tfderain")
class BatchNorm(keras.layers.BatchNormalization):
    """Batch normalisation with PyTorch's defaults, and a choice for inference.

    Args:
        statistics: `"moving"` (moving averages from training), or `"image"`: every
            image is normalised by its own mean and variance, as in the default test of
            JRGR's authors. Then a pixel depends on the whole image.
        **kwargs: see `keras.layers.BatchNormalization`.
    """

    def __init__(self, statistics="moving", **kwargs):
        options = {"momentum": 0.9, "epsilon": 1e-5, "gamma_initializer": normal(1.0)}
        super().__init__(**{**options, **kwargs})
        self.statistics = statistics

    def call(self, inputs, training=None, mask=None):
        if training or self.statistics == "moving":
            return super().call(inputs, training=training, mask=mask)
        features = ops.cast(inputs, "float32")
        mean, variance = ops.moments(features, (1, 2), keepdims=True)
        scale = ops.cast(self.gamma, "float32") * ops.rsqrt(variance + self.epsilon)
        outputs = (features - mean) * scale + ops.cast(self.beta, "float32")
        return ops.cast(outputs, self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "statistics": self.statistics}


@keras.saving.register_keras_serializable("tfderain")
class UnbiasedBatchNorm(BatchNorm, UnbiasedBatchNormalization):
    """`BatchNorm` with PyTorch's moving variance, see `UnbiasedBatchNormalization`."""


class Translator(keras.layers.Layer):
    """Base of both networks: options, normalised convolutions, the last step.

    Args:
        filters: int. Channels of the first convolution.
        normalization: `"batch"`, `"batch_unbiased"` (with PyTorch's moving variance),
            `"instance"` (each image by itself, without scale and offset) or `None`
            (then convolutions have a bias).
        statistics: of batch normalisation outside training, see `BatchNorm`.
        residual: bool. `False`: the result is `tanh` of the last convolution, as in
            the paper. `True` (ours): the last convolution is added to the input, so
            that what needs no change passes through unchanged.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Raises:
        ValueError: for an unknown `normalization` or `statistics`.
    """

    def __init__(
        self,
        filters=64,
        normalization="batch",
        statistics="moving",
        residual=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value, allowed in (
            ("normalization", normalization, NORMALIZATIONS),
            ("statistics", statistics, STATISTICS),
        ):
            if value not in allowed:
                raise ValueError(
                    f"`{name}` must be one of {allowed}. Received: {name}={value!r}."
                )
        self.filters = filters
        self.normalization = normalization
        self.statistics = statistics
        self.residual = residual

    @property
    def global_operations(self):
        """Whether a pixel of the result depends on the whole image."""
        return self.normalization == "instance" or (
            self.normalization in ("batch", "batch_unbiased")
            and self.statistics == "image"
        )

    def convolution(self, channels, *arguments, up=False, bias=False, **options):
        """A built convolution, or a transposed one, for this many `channels`.

        It has a bias if asked for, or if there is no normalisation.
        """
        kind = keras.layers.Conv2DTranspose if up else keras.layers.Conv2D
        layer = kind(
            *arguments,
            use_bias=bias or self.normalization is None,
            kernel_initializer=normal(),
            dtype=self.dtype_policy,
            **options,
        )
        layer.build((None, None, None, channels))
        return layer

    def norm(self, name, channels):
        """A built normalisation, or a layer that does nothing."""
        if self.normalization in ("batch", "batch_unbiased"):
            kind = BatchNorm if self.normalization == "batch" else UnbiasedBatchNorm
            layer = kind(self.statistics, dtype=self.dtype_policy, name=name)
        elif self.normalization == "instance":
            layer = instance_norm(dtype=self.dtype_policy, name=name)
        else:
            return NoNorm(dtype=self.dtype_policy, name=name)
        layer.build((None, None, None, channels))
        return layer

    def finish(self, change, inputs):
        """From the last convolution to the result, float32."""
        change = ops.cast(change, "float32")
        return (
            ops.cast(inputs, "float32") + change if self.residual else ops.tanh(change)
        )

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "normalization": self.normalization,
            "statistics": self.statistics,
            "residual": self.residual,
        }


class NoNorm(keras.layers.Layer):
    """Replaces a normalisation; accepts its `training` and ignores it."""

    def call(self, inputs, training=None):
        return inputs


def instance_norm(**kwargs):
    """Instance normalisation as in PyTorch: without scale and offset."""
    return keras.layers.GroupNormalization(
        groups=-1, epsilon=1e-5, center=False, scale=False, **kwargs
    )


@keras.saving.register_keras_serializable("tfderain")
class UNet(Translator):
    """pix2pix's U-Net: every level halves the image and doubles the channels.

    The channels are `filters`, then 2, 4, 8, 8, ... times that; 4x4 convolutions with
    stride 2 go down, transposed ones up, and each level's features are concatenated
    with those that come up. 41.8 million weights with 64 filters and 7 levels.

    Args:
        filters, normalization, statistics, residual: see `Translator`.
        num_levels: int, at least 2. Sizes must be multiples of `2 ** num_levels`.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, 3)` in [-1, 1] (rain: [-2, 2]) to float32 of the
    same shape.

    Reference: Isola et al., 2017, arXiv:1611.07004, section 6.1.1.
    """

    def __init__(self, filters=64, num_levels=7, **kwargs):
        super().__init__(filters, **kwargs)
        self.num_levels = num_levels

    @property
    def stride(self):
        return 2**self.num_levels

    def build(self, input_shape):
        widths = [self.filters * min(2**level, 8) for level in range(self.num_levels)]
        last = self.num_levels - 1
        self.downs, self.down_norms, self.ups, self.up_norms = [], [], [], []
        for level, width in enumerate(widths):
            above = widths[level - 1] if level else 3
            # Normalising single pixels at the bottom would erase them.
            plain = level in (0, last)
            self.downs.append(
                self.convolution(
                    above, width, 4, 2, padding="same", name=f"down_{level}"
                )
            )
            self.down_norms.append(
                None if plain else self.norm(f"down_norm_{level}", width)
            )
            below = width if level == last else 2 * width
            options: dict = {"padding": "same", "name": f"up_{level}"}
            options["bias"] = level == 0
            self.ups.append(self.convolution(below, above, 4, 2, up=True, **options))
            self.up_norms.append(
                self.norm(f"up_norm_{level}", above) if level else None
            )

    def call(self, images, training=False):
        features, skips = images, []
        for level, down in enumerate(self.downs):
            if level:
                features = ops.leaky_relu(features, 0.2)
            features = down(features)
            if self.down_norms[level] is not None:
                features = self.down_norms[level](features, training=training)
            skips.append(features)
        features = ops.relu(features)
        for level in reversed(range(self.num_levels)):
            features = self.ups[level](features)
            if level:
                features = self.up_norms[level](features, training=training)
                # Concatenated maps share a range in int8 files, and the ranges of maps
                # before activation differ widely.
                both = [ops.relu(skips[level - 1]), ops.relu(features)]
                features = ops.concatenate(both, axis=-1)
        return self.finish(features, images)

    def get_config(self):
        return {**super().get_config(), "num_levels": self.num_levels}


@keras.saving.register_keras_serializable("tfderain")
class ResNetGenerator(Translator):
    """CycleGAN's generator: two halvings, residual blocks, two doublings.

    Args:
        filters, normalization, statistics, residual: see `Translator`.
        num_blocks: int. Residual blocks at a quarter of the size.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, 3)` to float32 of the same shape; sizes must be
    multiples of 4, at least 8.

    Reference: Zhu et al., 2017, arXiv:1703.10593, section 7.2.
    """

    stride = 4

    def __init__(self, filters=64, num_blocks=9, **kwargs):
        super().__init__(filters, **kwargs)
        self.num_blocks = num_blocks

    def build(self, input_shape):
        widths = [self.filters * 2**level for level in range(3)]
        make = self.convolution  # all of them with padding "valid"
        self.stem = make(3, widths[0], 7, name="stem")
        self.stem_norm = self.norm("stem_norm", widths[0])
        self.downs, self.down_norms = [], []
        self.ups, self.up_norms = [], []
        for level in (1, 2):
            above, width = widths[level - 1 : level + 1]
            self.downs.append(make(above, width, 3, 2, name=f"down_{level}"))
            self.down_norms.append(self.norm(f"down_norm_{level}", width))
            self.ups.append(make(width, above, 3, 2, up=True, name=f"up_{level}"))
            self.up_norms.append(self.norm(f"up_norm_{level}", above))
        width = widths[-1]
        self.blocks = [
            [
                (
                    make(width, width, 3, name=f"block_{index}_{part}"),
                    self.norm(f"block_{index}_{part}_norm", width),
                )
                for part in ("first", "second")
            ]
            for index in range(self.num_blocks)
        ]
        self.last = make(widths[0], 3, 7, bias=True, name="last")

    def call(self, images, training=False):
        features = self.stem(mirrored(images, 3))
        features = ops.relu(self.stem_norm(features, training=training))
        for down, norm in zip(self.downs, self.down_norms, strict=True):
            features = ops.pad(features, ((0, 0), (1, 1), (1, 1), (0, 0)))
            features = ops.relu(norm(down(features), training=training))
        for (first, first_norm), (second, second_norm) in self.blocks:
            change = first(mirrored(features, 1))
            change = ops.relu(first_norm(change, training=training))
            change = second(mirrored(change, 1))
            features = features + second_norm(change, training=training)
        for up, norm in zip(self.ups[::-1], self.up_norms[::-1], strict=True):
            # PyTorch's padding 1 and output padding 1 cut the first row and column.
            features = up(features)[:, 1:, 1:]
            features = ops.relu(norm(features, training=training))
        return self.finish(self.last(mirrored(features, 3)), images)

    def get_config(self):
        return {**super().get_config(), "num_blocks": self.num_blocks}


def mirrored(features: Any, width: int):
    """Reflection padding on all four sides."""
    return ops.pad(
        features, ((0, 0), (width, width), (width, width), (0, 0)), mode="reflect"
    )
