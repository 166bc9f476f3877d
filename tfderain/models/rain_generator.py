"""JRGR's networks as they are deployed: one removes rain, one makes it look real."""

import keras
from keras import ops

from tfderain.models.base import Derainer
from tfderain.models.translators import UNet


@keras.saving.register_keras_serializable("tfderain")
class JRGRNetwork(keras.layers.Layer):
    """The removal network as it is deployed: from images in [0, 1] to such images.

    Args:
        filters, num_levels, normalization, statistics, residual: see
            `tfderain.models.translators.UNet`.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, 3)` in [0, 1], multiples of the stride, to float32
    of the same shape, not clipped.
    """

    def __init__(
        self,
        filters=64,
        num_levels=7,
        normalization="batch",
        statistics="moving",
        residual=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.translator = UNet(
            filters,
            num_levels,
            normalization=normalization,
            statistics=statistics,
            residual=residual,
            dtype=self.dtype_policy,
            name="unet",
        )
        self.stride = self.translator.stride

    def build(self, input_shape):
        self.translator.build(input_shape)

    def call(self, rainy, training=False):
        rainy = ops.cast(rainy, "float32")
        return (self.translator(2 * rainy - 1, training=training) + 1) / 2

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        unet = self.translator.get_config()
        names = ("filters", "num_levels", "normalization", "statistics", "residual")
        return {**super().get_config(), **{name: unet[name] for name in names}}


@keras.saving.register_keras_serializable("tfderain")
class RainGeneratorNetwork(keras.layers.Layer):
    """Synthetic rain in a picture made real: derain, translate the rain, add it again.

    Args:
        removal: `JRGRNetwork`, `derain_synthetic`.
        generation: `UNet` or `ResNetGenerator`, `make_rain_real`.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, 3)` in [0, 1], multiples of both networks' strides, to
    float32 of the same shape, not clipped.
    """

    def __init__(self, removal, generation, **kwargs):
        super().__init__(**kwargs)
        self.removal = removal
        self.generation = generation

    def build(self, input_shape):
        for layer in (self.removal, self.generation):
            if not layer.built:
                layer.build(input_shape)

    def call(self, rainy, training=False):
        derained = self.removal(rainy, training=training)
        made = self.generation(2 * (rainy - derained), training=training)
        return derained + made / 2

    def get_config(self):
        parts = {"removal": self.removal, "generation": self.generation}
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            **{name: serialize(layer) for name, layer in parts.items()},
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in ("removal", "generation"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)


@keras.saving.register_keras_serializable("tfderain")
class RainGenerator(Derainer):
    """Makes the synthetic rain in pictures look real; for export, not for training.

    Args:
        network: `RainGeneratorNetwork`.
        stride: int. Heights and widths are padded to a multiple of it.
        **kwargs: `name`, `dtype` and the other `keras.Model` options.

    Call: pictures with synthetic rain, `(batch, height, width, 3)` in [0, 1], any size
    from 1x1, to pictures with real rain, float32 in [0, 1].
    """

    def __init__(self, network, stride, **kwargs):
        config = ("tasks", "weighting", "clip_training")
        kwargs = {name: v for name, v in kwargs.items() if name not in config}
        super().__init__(stride=stride, tasks={}, **kwargs)
        self.network = network

    def get_config(self):
        network = keras.saving.serialize_keras_object(self.network)
        return {**super().get_config(), "network": network, "stride": self.stride}

    @classmethod
    def from_config(cls, config):
        network = keras.saving.deserialize_keras_object(config["network"])
        return cls(**{**config, "network": network})
