"""Losses of the de-raining networks: one value per image, Keras reduces the batch.

```python
loss = tfderain.losses.Edge(norm="l1", value_range=1.0)
loss(clean, derained)  # images in [0, 1]
```

Images are `(batch, height, width, 3)` in [0, 1]. `value_range=255.0` scales them to
0..255 first, the range in which MENET's authors compute their losses.
"""

from typing import Any

import keras
from keras import ops


class ImageLoss(keras.losses.Loss):
    """Base of the losses here: scales both images, keeps one value per image.

    Args:
        value_range: float. The images in [0, 1] are multiplied by it before they
            are compared. Defaults to `255.0`.
        **kwargs: `name`, `reduction` and the other `keras.losses.Loss` options.
    """

    def __init__(self, value_range=255.0, **kwargs):
        # Half precision overflows at 0..255 (squares reach 65,025), so losses are
        # computed in float32 whatever the policy of the network.
        super().__init__(**{"dtype": "float32", **kwargs})
        self.value_range = value_range

    def call(self, y_true, y_pred):
        return self.compare(y_true * self.value_range, y_pred * self.value_range)

    def compare(self, clean, derained):
        """Returns `(batch,)` distances of two `(batch, height, width, 3)`."""
        raise NotImplementedError(f"{type(self).__name__} must define `compare`.")

    def get_config(self):
        config = {**super().get_config(), "value_range": self.value_range}
        config.pop("dtype", None)  # always float32, see __init__
        return config


def distance(difference: Any, norm: str):
    """Mean over all but the batch axis of |difference| ("l1") or its square ("l2")."""
    size = ops.square(difference) if norm == "l2" else ops.abs(difference)
    return ops.mean(size, axis=tuple(range(1, len(difference.shape))))


def check_norm(norm: str):
    """Returns the norm if it is `"l1"` or `"l2"`, else raises a `ValueError`."""
    if norm not in ("l1", "l2"):
        raise ValueError(f'`norm` must be "l1" or "l2". Received: norm={norm!r}.')
    return norm


@keras.saving.register_keras_serializable("tfderain")
class Reconstruction(ImageLoss):
    """Mean distance of the pixels (MENET's L_p).

    Args:
        norm: `"l2"`, the mean squared error of Eq. (3)-(4), or `"l1"`.
        value_range: float, see `ImageLoss`.

    Reference: Fan et al., 2020, arXiv:2003.09689, Eq. (3).
    """

    def __init__(self, norm="l2", value_range=255.0, name="reconstruction", **kwargs):
        super().__init__(value_range=value_range, name=name, **kwargs)
        self.norm = check_norm(norm)

    def compare(self, clean, derained):
        return distance(derained - clean, self.norm)

    def get_config(self):
        return {**super().get_config(), "norm": self.norm}


def sobel_edges(images: Any):
    """Vertical and horizontal Sobel derivatives of each channel.

    The one-layer "loss network" of MENET: two fixed 3x3 filters per channel with
    reflected borders, as in `tf.image.sobel_edges`, done by plain slicing rather than
    convolution: it is memory-bound, and its gradient is cheap.

    Args:
        images: `(batch, height, width, channels)`, height and width at least 2.

    Returns:
        `(batch, height, width, 2 * channels)`: all d/dy, then all d/dx.
    """
    padded = ops.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    above, below = padded[:, :-2], padded[:, 2:]
    smooth_y = above + 2.0 * padded[:, 1:-1] + below
    slope_y = below - above
    dy = slope_y[:, :, :-2] + 2.0 * slope_y[:, :, 1:-1] + slope_y[:, :, 2:]
    dx = smooth_y[:, :, 2:] - smooth_y[:, :, :-2]
    return ops.concatenate([dy, dx], axis=-1)


@keras.saving.register_keras_serializable("tfderain")
class Edge(ImageLoss):
    """Mean distance of the Sobel edges (MENET's edge-aware loss L_e).

    Args:
        norm: `"l2"`, Eq. (5)-(6), or `"l1"`.
        value_range: float, see `ImageLoss`.

    Reference: Fan et al., 2020, arXiv:2003.09689, Eq. (5)-(6). The paper's "loss
    network" is this single layer in the authors' code.
    """

    def __init__(self, norm="l2", value_range=255.0, name="edge", **kwargs):
        super().__init__(value_range=value_range, name=name, **kwargs)
        self.norm = check_norm(norm)

    def compare(self, clean, derained):
        # Sobel filters are linear: the edges of the difference are the difference
        # of the edges, at half the work.
        return distance(sobel_edges(derained - clean), self.norm)

    def get_config(self):
        return {**super().get_config(), "norm": self.norm}


def patch_gram(images: Any, patch: int):
    """Gram matrix `(batch, c, c)`, c = channels * patch**2, of all patches, summed."""
    patches = ops.space_to_depth(images, patch)
    channels = images.shape[-1] * patch * patch
    patches = ops.reshape(patches, (ops.shape(patches)[0], -1, channels))
    return ops.matmul(ops.transpose(patches, (0, 2, 1)), patches)


@keras.saving.register_keras_serializable("tfderain")
class Texture(ImageLoss):
    """Distance of the Gram matrices of 4x4 patches (MENET's texture loss L_t).

    Args:
        mode: how two Gram matrices (48x48 for RGB) are compared.
            `"scalar"`: the authors' code: squared difference of the means of the
            matrices' entries. On 0..255 images its value is near 1e13, so that GB and
            LB weighting switch it off.
            `"gram"`: Eq. (7): squared Frobenius norm of the difference.
            `"normalized"`: ours: mean absolute difference of the entries, divided by
            the number of patches (mean second moments, so that the value does not grow
            with the image); on the scale of the l1 pixel loss.
        patch: int. Side of a patch. Defaults to `4` (the paper's K).
        value_range: float, see `ImageLoss`.

    Raises:
        ValueError: for another `mode`.

    Heights and widths must be multiples of `patch`.

    Reference: Fan et al., 2020, arXiv:2003.09689, Eq. (7)-(8).
    """

    modes = ("scalar", "gram", "normalized")

    def __init__(
        self, mode="scalar", patch=4, value_range=255.0, name="texture", **kwargs
    ):
        super().__init__(value_range=value_range, name=name, **kwargs)
        if mode not in self.modes:
            raise ValueError(
                f"`mode` must be one of {self.modes}. Received: mode={mode!r}."
            )
        self.mode = mode
        self.patch = patch

    def compare(self, clean, derained):
        ours, theirs = (patch_gram(x, self.patch) for x in (derained, clean))
        if self.mode == "scalar":
            difference = ops.mean(ours, axis=(1, 2)) - ops.mean(theirs, axis=(1, 2))
            return ops.square(difference)
        if self.mode == "gram":
            return ops.sum(ops.square(ours - theirs), axis=(1, 2))
        height, width = ops.shape(clean)[1], ops.shape(clean)[2]
        patches = ops.cast((height * width) // self.patch**2, "float32")
        return ops.mean(ops.abs(ours - theirs), axis=(1, 2)) / patches

    def get_config(self):
        return {**super().get_config(), "mode": self.mode, "patch": self.patch}


@keras.saving.register_keras_serializable("tfderain")
class Perceptual(ImageLoss):
    """Mean squared distance of VGG19 `block3_conv4` features (MENET's Table IV).

    Args:
        weights: path of a VGG19 weights file for `keras.applications.VGG19` without
            the top layers (`vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5` or
            one saved by Keras). Nothing is downloaded.
        value_range: float. VGG always sees 0..255 BGR minus the ImageNet mean; the
            distance is scaled by `(value_range / 255)**2`, as squared pixels are.

    Raises:
        ValueError: `weights` is not given or does not exist.

    Reference: Fan et al., 2020, arXiv:2003.09689, Table IV; the features of
    Simonyan and Zisserman, 2015, https://arxiv.org/abs/1409.1556
    """

    channel_means = (103.939, 116.779, 123.68)  # BGR, ImageNet, 0..255

    def __init__(self, weights=None, value_range=255.0, name="perceptual", **kwargs):
        super().__init__(value_range=value_range, name=name, **kwargs)
        if weights is None or not _is_file(weights):
            raise ValueError(
                "`weights` must be a file of VGG19's weights without the top layers "
                "(one that keras.applications.VGG19(include_top=False) reads); "
                f"tfderain ships none. Received: weights={weights!r}."
            )
        self.weights = str(weights)
        self.extractor = None

    def features(self, images):
        """Returns `(batch, height / 4, width / 4, 256)` of 0..255 RGB images."""
        if self.extractor is None:
            with keras.device("cpu:0"):
                vgg = keras.applications.VGG19(include_top=False, weights=None)
                vgg.load_weights(self.weights)
            self.extractor = keras.Model(
                vgg.input, vgg.get_layer("block3_conv4").output, trainable=False
            )
        bgr = ops.flip(images, axis=-1) - ops.convert_to_tensor(
            self.channel_means, dtype=images.dtype
        )
        return self.extractor(bgr, training=False)

    def compare(self, clean, derained):
        scale = 255.0 / self.value_range
        ours, theirs = (self.features(x * scale) for x in (derained, clean))
        return distance((ours - theirs) / scale, "l2")

    def get_config(self):
        return {**super().get_config(), "weights": self.weights}


def _is_file(path):
    import pathlib

    return pathlib.Path(path).is_file()


@keras.saving.register_keras_serializable("tfderain")
class Charbonnier(ImageLoss):
    """Mean of `sqrt(difference**2 + epsilon**2)`, an l1 distance smooth at 0.

    Args:
        epsilon: float, on the scale of `value_range`.
        value_range: float, see `ImageLoss`. Defaults to `1.0`.

    Reference: Charbonnier et al., 1994, https://doi.org/10.1109/ICIP.1994.413553
    """

    def __init__(self, epsilon=1e-3, value_range=1.0, name="charbonnier", **kwargs):
        super().__init__(value_range=value_range, name=name, **kwargs)
        self.epsilon = epsilon

    def compare(self, clean, derained):
        smooth = ops.sqrt(ops.square(derained - clean) + self.epsilon**2)
        return ops.mean(smooth, axis=(1, 2, 3))

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


def gaussian_band(length: Any, sigma: Any = 1.5, radius: int = 5):
    """A matrix that blurs an axis after it was padded by `radius` on both sides.

    Args:
        length: int or scalar tensor, of the axis before padding.
        sigma: width in pixels, float or tensor `(..., 1, 1)`.
        radius: int. The window has `2 * radius + 1` pixels.

    Returns:
        `(..., length, length + 2 * radius)`, each row adding up to 1.
    """
    row = ops.arange(length, dtype="float32")[:, None] + radius
    offset = ops.arange(length + 2 * radius, dtype="float32")[None] - row
    band = ops.exp(-0.5 * ops.square(offset / sigma))
    band = ops.where(ops.abs(offset) <= radius, band, 0.0)
    return band / ops.sum(band, axis=-1, keepdims=True)


@keras.saving.register_keras_serializable("tfderain")
class StructuralDissimilarity(ImageLoss):
    """`1 - SSIM`, the mean over pixels and colours, in [0, 2].

    A Gaussian window of 11 pixels, sigma 1.5, with zeros around the images, as in
    Rainmer's training (its evaluation leaves the border out). The blur is a product
    with two band matrices, which for patches is faster than a convolution on CPUs.

    Args:
        value_range: float, see `ImageLoss`. Defaults to `1.0`.

    Reference: Wang et al., 2004, https://doi.org/10.1109/TIP.2003.819861
    """

    def __init__(self, value_range=1.0, name="ssim", **kwargs):
        super().__init__(value_range=value_range, name=name, **kwargs)

    def compare(self, clean, derained):
        maps = [clean, derained, clean**2, derained**2, clean * derained]
        maps = ops.concatenate(maps, axis=-1)
        batch, height, width, _ = ops.shape(maps)
        # without the columns that belong to the padding, which is zero
        maps = ops.matmul(gaussian_band(width)[:, 5:-5], maps)
        maps = ops.reshape(maps, (batch, height, -1))
        maps = ops.matmul(gaussian_band(height)[:, 5:-5], maps)
        maps = ops.reshape(maps, (batch, height, width, 15))
        mean, other, square, other_square, product = ops.split(maps, 5, axis=-1)
        c1, c2 = (0.01 * self.value_range) ** 2, (0.03 * self.value_range) ** 2
        luminance = (2 * mean * other + c1) / (mean**2 + other**2 + c1)
        variances = square - mean**2 + other_square - other**2
        structure = (2 * (product - mean * other) + c2) / (variances + c2)
        return 1.0 - ops.mean(luminance * structure, axis=(1, 2, 3))


@keras.saving.register_keras_serializable("tfderain")
class LogError(ImageLoss):
    """Logarithm of an image's mean squared error: PSNR with the opposite sign.

    Every image counts equally, however much rain it has, so that light rain, whose
    errors are small, is still learned beside heavy rain. `10 / ln(10)` times this is
    minus the PSNR in dB, apart from `floor`.

    Args:
        floor: float. Added to the mean squared error of images in [0, 1], so that
            all but perfect images do not dominate. Defaults to `1e-5` (50 dB).
        value_range: float, see `ImageLoss`. Defaults to `1.0`.

    Reference: Chen et al., 2021, HINet, section 3.3, https://arxiv.org/abs/2105.06086
    """

    def __init__(self, floor=1e-5, value_range=1.0, name="log_error", **kwargs):
        super().__init__(value_range=value_range, name=name, **kwargs)
        self.floor = floor

    def compare(self, clean, derained):
        floor = self.floor * self.value_range**2
        return ops.log(distance(derained - clean, "l2") + floor)

    def get_config(self):
        return {**super().get_config(), "floor": self.floor}
