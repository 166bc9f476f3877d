"""Adversarial training: the critic, its losses, and the pool of generated images."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfderain.models.translators import instance_norm, normal

ADVERSARIES = ("least_squares", "log", "log_saturating")


@keras.saving.register_keras_serializable("tfderain")
class PatchCritic(keras.layers.Layer):
    """PatchGAN: judges how much each 70x70 patch looks like a real example.

    Args:
        filters: int. Channels of the first convolution; the next have 2, 4 and 8 times
            as many.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, 3)`, even sizes of at least 24, to unbounded float32
    logits `(batch, height / 8 - 2, width / 8 - 2, 1)`.

    Reference: Isola et al., 2017, arXiv:1611.07004, section 6.1.2; instance
    normalisation as in CycleGAN.
    """

    def __init__(self, filters=64, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape):
        widths = [input_shape[-1], *(self.filters * n for n in (1, 2, 4, 8)), 1]
        self.convolutions, self.norms = [], []
        for index, (before, width) in enumerate(zip(widths, widths[1:], strict=False)):
            halves = index < 3
            convolution = keras.layers.Conv2D(
                width,
                4,
                2 if halves else 1,
                # PyTorch's padding of 1 equals "same" only for even sizes and stride 2.
                padding="same" if halves else "valid",
                kernel_initializer=normal(),
                dtype=self.dtype_policy,
                name=f"convolution_{index}",
            )
            convolution.build((None, None, None, before))
            self.convolutions.append(convolution)
            norm = instance_norm(dtype=self.dtype_policy, name=f"norm_{index}")
            norm.build((None, None, None, width))
            self.norms.append(norm)

    def call(self, images):
        features = images
        for index, convolution in enumerate(self.convolutions):
            if index >= 3:
                features = ops.pad(features, ((0, 0), (1, 1), (1, 1), (0, 0)))
            features = convolution(features)
            if 0 < index < 4:
                features = self.norms[index](features)
            if index < 4:
                features = ops.leaky_relu(features, 0.2)
        return ops.cast(features, "float32")

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


def adversarial_loss(logits: Any, real: bool, form: str = "least_squares"):
    """Distance of a critic's answers from calling everything real (or generated).

    Args:
        logits: of a `PatchCritic`.
        real: bool. What the answer should be.
        form: `"least_squares"` (Mao et al., 2017, arXiv:1611.04076), `"log"` or
            `"log_saturating"`: binary cross-entropy on logits. For a generator,
            `real=True` on its own images is the non-saturating form (Goodfellow et al.,
            2014).

    Returns:
        A scalar, the mean over all patches.
    """
    if form == "least_squares":
        return ops.mean(ops.square(logits - (1.0 if real else 0.0)))
    return ops.mean(ops.softplus(-logits if real else logits))


def generator_loss(logits: Any, form: str = "least_squares"):
    """Loss of a generator: how well the critic detects its images.

    Args:
        logits: of a `PatchCritic`, on the generator's images.
        form: see `adversarial_loss`; `"log_saturating"` is `log(1 - D)` as printed by
            Goodfellow et al. and in Eqs. (2)-(4) of JRGR's paper. Its gradient vanishes
            where the critic is certain, so it trains less well.

    Returns:
        A scalar, the mean over all patches.
    """
    if form == "log_saturating":
        return -ops.mean(ops.softplus(logits))  # log(1 - sigmoid(logits))
    return adversarial_loss(logits, True, form)


@keras.saving.register_keras_serializable("tfderain")
class ImagePool(keras.layers.Layer):
    """Images generated earlier, so that a critic does not see only the newest ones.

    First the pool is filled. Then each image is, with probability 1/2, exchanged for a
    random one from the pool. Its contents are weights: they are saved with the model,
    are part of the graph and work under XLA. Images with values that are not finite are
    not stored, nor are any images if `good` is false.

    Args:
        size: int. Number of images.
        image_shape: `(height, width, channels)`.
        seed: int.
        **kwargs: `name` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, channels)`, with static batch size, and optionally
    `good`, a scalar bool, to the same number of images.

    Reference: Shrivastava et al., 2017, arXiv:1612.07828, section 2.3.
    """

    def __init__(self, size, image_shape, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.size = size
        self.image_shape = tuple(image_shape)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        options = {"trainable": False, "aggregation": "only_first_replica"}
        self.images = self.add_weight(
            (size, *self.image_shape),
            "zeros",
            dtype="float32",
            autocast=False,
            name="images",
            **options,
        )
        self.count = self.add_weight(
            (), "zeros", dtype="int32", name="count", **options
        )
        self.built = True

    def call(self, images, good=True):
        batch, shape = images.shape[0], (images.shape[0],)
        images = ops.cast(images, "float32")
        pool, count = ops.convert_to_tensor(self.images), self.count + 0
        uniform = {"seed": self.seed_generator, "dtype": "float32"}
        swaps = keras.random.uniform(shape, **uniform) > 0.5
        chosen = keras.random.randint(shape, 0, self.size, seed=self.seed_generator)
        returned = []
        for index in range(batch):
            image = images[index]
            full = count >= self.size
            slot = ops.where(full, chosen[index], ops.minimum(count, self.size - 1))
            old = pool[slot]
            swap = ops.logical_and(full, swaps[index])
            keep = ops.logical_and(
                ops.logical_or(swap, ops.logical_not(full)),
                ops.logical_and(good, ops.all(ops.isfinite(image))),
            )
            new = ops.where(keep, image, old)
            pool = ops.scatter_update(pool, ops.reshape(slot, (1, 1)), new[None])
            grows = ops.logical_and(keep, ops.logical_not(full))
            count = count + ops.cast(grows, "int32")
            returned.append(ops.where(swap, old, image))
        self.images.assign(pool)
        self.count.assign(count)
        return ops.stack(returned)

    def draw(self, number):
        """Returns `number` random images from the pool, which must not be empty."""
        places = keras.random.uniform((number,), seed=self.seed_generator)
        places = places * ops.cast(self.count, "float32")
        places = ops.minimum(ops.cast(places, "int32"), self.count - 1)
        return ops.take(self.images, places, axis=0)

    def _state(self):
        """Everything needed to resume training. Keras would omit the seed's state."""
        seed = self.seed_generator.state
        return {"images": self.images, "count": self.count, "seed": seed}

    def save_own_variables(self, store):
        for name, variable in self._state().items():
            store[name] = ops.convert_to_numpy(variable)

    def load_own_variables(self, store):
        for name, variable in self._state().items():
            variable.assign(store[name])

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "size": self.size,
            "image_shape": self.image_shape,
            "seed": self.seed,
        }


def add_critics(model: Any, critics: Sequence[str], made: Sequence[str]):
    """Gives a model what only joint training needs: critics, loss means and pools.

    Args:
        model: a network with `critic_filters`, `loss_names()`, `loss_trackers`,
            `pool_size` (0 for no pools) and `crop` (the size of the pooled images).
        critics: names of the critics, which become attributes.
        made: names of the images that are pooled, the keys of `model.pools`.
    """
    # Instance normalisation of a new critic's small features increases gradients
    # beyond the range of float16.
    half = model.compute_dtype == "float16"
    dtype = "float32" if half else model.dtype_policy
    for name in critics:
        setattr(model, name, PatchCritic(model.critic_filters, dtype=dtype, name=name))
    means = {name: keras.metrics.Mean(name=name) for name in model.loss_names()}
    model.loss_trackers.update(means)
    if model.pool_size:
        crop = model.crop
        shape = (*((crop, crop) if isinstance(crop, int) else crop), 3)
        model.pools = {
            name: ImagePool(model.pool_size, shape, seed, name=f"pool_{name}")
            for seed, name in enumerate(made)
        }
