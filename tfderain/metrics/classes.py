"""PSNR and SSIM as Keras metrics, for `compile`."""

import keras
from keras import ops

from tfderain.metrics import functions


class ImageMetric(keras.metrics.Mean):
    """Mean over images of a score under a protocol; the base of `PSNR` and `SSIM`."""

    def __init__(
        self,
        protocol: str = "matlab_y_float",
        name: str | None = None,
        dtype: str | None = None,
    ):
        name = name or f"{type(self).__name__.lower()}_{functions.channel(protocol)}"
        super().__init__(name=name, dtype=dtype)
        self.protocol = protocol

    def score(self, derained, clean, protocol):
        """Returns one value per image for int32 tensors `(n, h, w, 3)`, 0..255."""
        raise NotImplementedError

    def update_state(self, y_true, y_pred, sample_weight=None):
        protocol = functions.find(self.protocol)
        values = self.score(_rounded(y_pred), _rounded(y_true), protocol)
        return super().update_state(values, sample_weight)

    def get_config(self):
        config = {"protocol": self.protocol, "name": self.name}
        return {**config, "dtype": super().get_config()["dtype"]}


def _rounded(image):
    """Returns a uint8 or float tensor in [0, 1] as int32, 0..255, rounding half up."""
    image = ops.convert_to_tensor(image)
    if keras.backend.standardize_dtype(image.dtype) != "uint8":
        image = ops.clip(ops.cast(image, "float32"), 0.0, 1.0)
        image = ops.floor(image * 255.0 + 0.5)
    return ops.cast(image, "int32")


@keras.saving.register_keras_serializable("tfderain")
class PSNR(ImageMetric):
    """Mean over images of the peak signal-to-noise ratio, in dB, at most `PSNR_CAP`.

    A Keras metric for `compile`; it runs in float32, in graphs and under XLA, on images
    of any size. Both inputs are rounded to uint8 first, so the values are those of the
    function `psnr` within 1e-4 dB.

    Args:
        protocol: one of `PROTOCOLS`. Defaults to `"matlab_y_float"`.
        name: defaults to `"psnr_y"` or `"psnr_rgb"`, after the channel.
        dtype: of the running mean.

    Update: `(n, h, w, 3)` clean and derained images, float on [0, 1] or uint8.
    """

    def score(self, derained, clean, protocol):
        return functions.psnr_of(ops, derained, clean, protocol)


@keras.saving.register_keras_serializable("tfderain")
class SSIM(ImageMetric):
    """Mean over images of the structural similarity, at most 1.

    A Keras metric for `compile`; it runs in float32, in graphs and under XLA, on images
    of any size from 11x11. Both inputs are rounded to uint8 first, so the values are
    those of the function `ssim` within 1e-5.

    Args:
        protocol: one of `PROTOCOLS`. Defaults to `"matlab_y_float"`.
        name: defaults to `"ssim_y"` or `"ssim_rgb"`, after the channel.
        dtype: of the running mean.

    Update: `(n, h, w, 3)` clean and derained images, float on [0, 1] or uint8.
    """

    def score(self, derained, clean, protocol):
        return functions.ssim_of(ops, derained, clean, protocol)
