"""Representation encoder of Rainmer and of its contrastive losses."""

from typing import Any

import keras
from keras import ops

from tfderain.models.contrast import unit
from tfderain.models.layers import (
    MixtureOfExperts,
    SqueezeExcitation,
    built,
    convolution,
)

SLOPE = 0.1  # of the leaky ReLUs


@keras.saving.register_keras_serializable("tfderain")
class Projector(keras.layers.Layer):
    """Convolution and a residual block with two squeeze-and-excitation layers.

    Args:
        filters: int. Output channels.
        gate_ratio: int, see `SqueezeExcitation`.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, channels)` to `(batch, height, width, filters)`.
    """

    def __init__(self, filters=128, gate_ratio=16, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.gate_ratio = gate_ratio

    def build(self, input_shape):
        dtype, filters = self.dtype_policy, self.filters
        self.enter = convolution(filters, 3, "enter", dtype)
        self.enter.build(input_shape)
        for part in ("first", "second"):
            layer = convolution(filters, 3, part, dtype)
            gate = SqueezeExcitation(
                self.gate_ratio, use_bias=False, dtype=dtype, name=f"{part}_gate"
            )
            setattr(self, part, built(layer, filters))
            setattr(self, f"{part}_gate", built(gate, filters))

    def call(self, features):
        features = ops.leaky_relu(self.enter(features), SLOPE)
        change = ops.leaky_relu(self.first_gate(self.first(features)), SLOPE)
        change = self.second_gate(self.second(change))
        return ops.leaky_relu(features + change, SLOPE)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "gate_ratio": self.gate_ratio,
        }


@keras.saving.register_keras_serializable("tfderain")
class RepresentationEncoder(keras.layers.Layer):
    """Places images on the unit spheres of colours and of details and degradation.

    Args:
        dim: int. Channels of the first convolution and the mixture of experts.
        filters: int. Channels of the projectors, length of the representations.
        size: int or `None`. Images are resized to `size` x `size` (bilinear, whatever
            their aspect ratio). Defaults to `128`; `None` leaves them as they are.
        num_stages, variant: see `MixtureOfExperts`.
        patch: see `DRSformerNetwork`.
        chromatic, degradation: bool. Which projectors exist.
        gate_ratio: int, see `SqueezeExcitation`. With few filters, a smaller ratio than
            the authors' leaves enough values in the gates to survive their ReLU.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, 3)` in [0, 1] to a dict, float32: `"chromatic"` and
    `"degradation"` `(batch, filters)` of length 1, `"detail"`
    `(batch, size / patch / 8, size / patch / 8, filters)`, not normalised.
    """

    def __init__(
        self,
        dim=48,
        filters=128,
        size=128,
        num_stages=4,
        variant="code",
        patch=1,
        chromatic=True,
        degradation=True,
        gate_ratio=16,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)  # the layers inside cast
        self.options = {
            "dim": dim,
            "filters": filters,
            "size": size,
            "num_stages": num_stages,
            "variant": variant,
            "patch": patch,
            "chromatic": chromatic,
            "degradation": degradation,
            "gate_ratio": gate_ratio,
        }
        self.size = size
        self.patch = patch

    @property
    def views(self):
        """Names of the representations that the encoder returns."""
        views = ("chromatic",) if self.options["chromatic"] else ()
        return views + (
            ("degradation", "detail") if self.options["degradation"] else ()
        )

    def build(self, input_shape):
        dtype, options = self.dtype_policy, self.options
        dim = options["dim"]
        self.embed = built(convolution(dim, 3, "embed", dtype), 3 * self.patch**2)
        self.experts = MixtureOfExperts(
            options["num_stages"], options["variant"], dtype=dtype, name="experts"
        )
        built(self.experts, dim)
        self.chromatic: Any = None
        self.degradation: Any = None
        for name in ("chromatic", "degradation"):
            if options[name]:
                projector = Projector(
                    options["filters"], options["gate_ratio"], dtype=dtype, name=name
                )
                setattr(self, name, built(projector, dim))

    def locate(self, images):
        """Features `(batch, height / patch, width / patch, dim)` before projection."""
        images = ops.cast(images, "float32")
        if self.patch > 1:
            images = ops.space_to_depth(images, self.patch)
        return self.experts(self.embed(images))

    def resize(self, images):
        """Images at the size that the encoder sees, float32."""
        images = ops.cast(images, "float32")
        if self.size is None or tuple(images.shape[1:3]) == (self.size, self.size):
            return images
        return ops.image.resize(images, (self.size, self.size))

    def call(self, images, views=None):
        features = self.locate(self.resize(images))
        views = self.views if views is None else views
        made = {}
        if "chromatic" in views:
            colours = ops.mean(self.chromatic(features), axis=(1, 2))
            made["chromatic"] = unit(colours)
        if "degradation" in views:
            details = self.degradation(features)
            made["degradation"] = unit(ops.mean(details, axis=(1, 2)))
            made["detail"] = ops.cast(
                ops.average_pool(details, 8, strides=8), "float32"
            )
        return made

    def get_config(self):
        return {**super().get_config(), **self.options}
