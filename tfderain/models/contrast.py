"""Contrastive learning of representations: positives, negatives and the loss.

```python
contrast = Contrast(encoder)
contrast.build(128)  # side of the encoder's images
losses = contrast(rainy, clean, encoder(rainy))  # {"contrast_chromatic": ..., ...}
entries = contrast.entries(rainy, clean)
contrast.remember(entries, finite=True)  # after the step of the optimizer
contrast.follow(encoder, finite=True)
```

Three views of a rainy image (Rainmer, https://doi.org/10.1145/3664647.3681342):
chromatic (positive: the clean image; negative: the image in the colours of others),
degradation (positive: itself; negative: the clean image under other rain) and detail
(positive: itself; negative: the blurred clean image). Images are
`(batch, height, width, 3)` in [0, 1].
"""

from typing import Any

import keras
from keras import ops

from tfderain.losses import gaussian_band
from tfderain.models.base import take_over
from tfderain.models.entanglement import twin

# The views of each contrastive term, i.e. those that share a projector of the encoder.
TERMS = {
    "contrast_chromatic": ("chromatic",),
    "contrast_detail": ("detail", "degradation"),
}


def unit(vectors: Any, axis: Any = -1):
    """Vectors along an axis, scaled to length 1, in float32; zero stays zero."""
    vectors = ops.cast(vectors, "float32")
    length = ops.sqrt(ops.sum(ops.square(vectors), axis=axis, keepdims=True))
    return vectors / ops.maximum(length, 1e-12)


def similarities(query: Any, positive: Any, negatives: Any):
    """Cosines of a query with its positive and its negatives.

    Args:
        query, positive: `(batch, channels)`, or maps `(batch, height, width,
            channels)`, whose cosines are averaged over the positions.
        negatives: `(batch, n, channels)` or `(batch, n, height, width, channels)`.

    Returns:
        `(batch, 1 + n)` in [-1, 1], the positive first.
    """
    keys = ops.concatenate([positive[:, None], negatives], axis=1)
    cosines = ops.sum(unit(query)[:, None] * unit(keys), axis=-1)
    positions = tuple(range(2, len(cosines.shape)))
    return ops.mean(cosines, axis=positions) if positions else cosines


def cross_entropy(*views, temperature: float = 1.0):
    """Mean cross-entropy of the positives, a scalar.

    Several views share one cross-entropy: their positives are summed, their negatives
    concatenated.

    Args:
        *views: `(batch, 1 + n)` similarities, the positive first.
        temperature: float. Divides the similarities.
    """
    positive = sum(view[:, :1] for view in views)
    scores = ops.concatenate([positive, *(view[:, 1:] for view in views)], axis=1)
    scores = scores / temperature
    return ops.mean(ops.logsumexp(scores, axis=1) - scores[:, 0])


def flip(images: Any, seed: Any):
    """Mirrors each image left-right and upside down, each with probability 1/2."""
    for axis in (1, 2):
        coins = keras.random.uniform((ops.shape(images)[0], 1, 1, 1), seed=seed)
        images = ops.where(coins < 0.5, ops.flip(images, axis=axis), images)
    return images


def blur(images: Any, sigma: Any, size: int = 11):
    """Gaussian blur with a width for each image, mirrored at the borders.

    Args:
        images: `(batch, height, width, channels)`, sides above `size // 2`.
        sigma: `(batch,)`, in pixels.
        size: int, odd. Length of the kernel.
    """
    radius = size // 2
    batch, height, width, channels = ops.shape(images)
    padding = ((0, 0), (radius, radius), (radius, radius), (0, 0))
    images = ops.pad(images, padding, mode="reflect")
    sigma = sigma[:, None, None]
    across = gaussian_band(width, sigma, radius)[:, None]
    images = ops.reshape(ops.matmul(across, images), (batch, height + 2 * radius, -1))
    images = ops.matmul(gaussian_band(height, sigma, radius), images)
    return ops.reshape(images, (batch, height, width, channels))


def singular_values(rain: Any):
    """`(batch, 3, 32)` of each channel of rain layers, first resized to 32x32."""
    rain = ops.transpose(ops.image.resize(rain, (32, 32)), (0, 3, 1, 2))
    return ops.svd(rain, compute_uv=False)


def recolour(images: Any, means: Any):
    """Images in the mean colours of others.

    Args:
        images: `(batch, height, width, 3)`.
        means: `(batch, n, 3)`.

    Returns:
        `(batch, n, height, width, 3)` in [0, 1]: every channel multiplied by a gain.
    """
    own = ops.mean(images, axis=(1, 2))[:, None]
    gain = (1e-5 + means) / (1e-5 + own)
    return ops.clip(images[:, None] * gain[:, :, None, None], 0.0, 1.0)


def farthest(entries: Any, archive: Any, known: Any, count: int):
    """Indices `(batch, count)` of the entries with the largest l1 distance.

    Args:
        entries: `(batch, ...)`.
        archive: `(size, ...)`.
        known: int tensor. Only the first `known` are valid; the others are ranked last.
        count: int.
    """
    axes = tuple(range(2, len(archive.shape) + 1))
    distance = ops.sum(ops.abs(entries[:, None] - archive[None]), axis=axes)
    real = ops.arange(ops.shape(archive)[0], dtype="int32") < known
    return ops.top_k(ops.where(real, distance, -1.0), count)[1]


@keras.saving.register_keras_serializable("tfderain")
class Contrast(keras.layers.Layer):
    """Key encoder, archives and losses of the three views.

    The archives hold the rain layers `clip(rainy - clean, 0, 1)`, their singular values
    and the mean colours of the rainy images for the most recent samples. They are
    variables, saved with the model, as is the state of the random choices. The rain
    layers are stored in steps of 1/255, which takes a quarter of the memory. Each image
    is flipped in each direction with probability 1/2 (what exactly the authors' random
    flip does is not known).

    Args:
        encoder: the query encoder, a `representation.RepresentationEncoder`. The key
            encoder is a copy whose own weights follow it by a moving average.
        num_negatives: int. For each view and image.
        num_archived: int. At least `num_negatives`.
        momentum: float. Of the moving average, which is updated in each step.
        temperature: float. Divides the cosines.
        seed: int. Of the random choices.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: rainy and clean images, both at the size of the encoder, and the encoder's
    output for the rainy ones, to `{"contrast_chromatic": scalar,
    "contrast_detail": scalar}`, as far as the encoder has these views. If the images
    are only a part of the batch, `everyone` is the `entries` of the whole batch.

    Raises:
        ValueError: for fewer archived samples than negatives.
    """

    def __init__(
        self,
        encoder,
        num_negatives=4,
        num_archived=256,
        momentum=0.999,
        temperature=1.0,
        seed=0,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        if num_archived < num_negatives:
            raise ValueError(
                "`num_archived` must be at least `num_negatives`. Received: "
                f"num_negatives={num_negatives}, num_archived={num_archived}."
            )
        self.num_negatives = num_negatives
        self.num_archived = num_archived
        self.momentum = momentum
        self.temperature = temperature
        self.seed = seed
        self.key_encoder = twin(encoder, "key_encoder")
        self.random = keras.random.SeedGenerator(seed)

    def build(self, size):
        """`size`: side of the encoder's images."""
        self.key_encoder.build((None, None, None, 3))
        # Only now, because building a layer makes its weights trainable again.
        self.key_encoder.trainable = False
        shapes = {
            "rain": ((self.num_archived, size, size, 3), "uint8"),
            "singular_values": ((self.num_archived, 3, 32), "float32"),
            "colours": ((self.num_archived, 3), "float32"),
            "known": ((), "int32"),
        }
        self.archive = {
            name: self.add_weight(
                shape,
                "zeros",
                dtype=dtype,
                trainable=False,
                name=name,
                aggregation="only_first_replica",  # all replicas store the same
            )
            for name, (shape, dtype) in shapes.items()
        }

    def entries(self, rainy, clean):
        """What the archive stores about samples."""
        rain = ops.clip(rainy - clean, 0.0, 1.0)
        return {
            "rain": ops.round(rain * 255.0),
            "singular_values": singular_values(rain),
            "colours": ops.mean(rainy, axis=(1, 2)),
        }

    def merged(self, entries):
        """The archive with new entries in front and without the oldest."""
        known = self.archive["known"] + ops.shape(entries["colours"])[0]
        merged = {"known": ops.minimum(known, self.num_archived)}
        for name, new in entries.items():
            old = self.archive[name]
            both = ops.concatenate([ops.cast(new, old.dtype), old])
            merged[name] = both[: self.num_archived]
        return merged

    def negatives(self, rainy, clean, seed, everyone=None):
        """`{view: (batch, num_negatives, height, width, 3)}`, flips included."""
        entries = self.entries(rainy, clean)
        # With the batch itself, the first step has something to choose from.
        archive = self.merged(entries if everyone is None else everyone)

        def others(name, what):
            chosen = farthest(
                entries[name], archive[name], archive["known"], self.num_negatives
            )
            return ops.take(archive[what], chosen, axis=0)

        rain = ops.cast(others("singular_values", "rain"), "float32") / 255.0
        repeated = ops.repeat(clean, self.num_negatives, axis=0)
        sigma = keras.random.uniform(
            (ops.shape(repeated)[0],), 0.5, 2.0, dtype="float32", seed=seed
        )
        views = {
            "chromatic": recolour(rainy, others("colours", "colours")),
            "degradation": ops.clip(clean[:, None] + rain, 0.0, 1.0),
            "detail": blur(repeated, sigma),
        }
        shape = (-1, self.num_negatives, *rainy.shape[1:])
        return {
            view: ops.reshape(
                flip(ops.reshape(images, (-1, *rainy.shape[1:])), seed), shape
            )
            for view, images in views.items()
        }

    def positives(self, rainy, clean, seed):
        """`{view: (batch, height, width, 3)}`."""
        return {
            "chromatic": flip(clean, seed),
            "degradation": flip(rainy, seed),
            "detail": rainy,
        }

    def similarities(self, query, positives, negatives, views):
        """`{view: (batch, 1 + num_negatives)}` of the views that share a projector."""
        images, counts = [], []
        for view in views:
            far = negatives[view]
            far = ops.reshape(far, (-1, *far.shape[2:]))
            images += [positives[view], far]
            counts += [ops.shape(x)[0] for x in images[-2:]]
        # A single pass of the key encoder for all of them.
        made = self.key_encoder(ops.concatenate(images), views=views)
        logits, start = {}, 0
        for index, view in enumerate(views):
            keys = ops.stop_gradient(made[view])
            middle = start + counts[2 * index]
            end = middle + counts[2 * index + 1]
            shape = (-1, self.num_negatives, *keys.shape[1:])
            far = ops.reshape(keys[middle:end], shape)
            logits[view] = similarities(query[view], keys[start:middle], far)
            start = end
        return logits

    def call(self, rainy, clean, query, everyone=None, training=True):
        # Evaluation draws the same each time and does not affect training's draws.
        seed = self.random if training else self.seed
        images = (
            self.positives(rainy, clean, seed),
            self.negatives(rainy, clean, seed, everyone),
        )
        losses = {}
        for name, views in TERMS.items():
            if set(views) <= set(query):
                logits = self.similarities(query, *images, views).values()
                losses[name] = cross_entropy(*logits, temperature=self.temperature)
        return losses

    def start_from(self, encoder):
        """Gives the key encoder the weights of the query encoder."""
        take_over(self.key_encoder.weights, encoder.weights)

    def follow(self, encoder, finite):
        """Moves the key encoder towards the query encoder, if `finite`."""
        rate = ops.where(finite, 1.0 - self.momentum, 0.0)
        for key, query in zip(self.key_encoder.weights, encoder.weights, strict=True):
            key.assign(key + rate * (query - key))

    def remember(self, entries, finite):
        """Puts the entries of a batch into the archive, if `finite`."""
        for name, value in self.merged(entries).items():
            old = self.archive[name]
            old.assign(ops.where(finite, value, old))

    def save_own_variables(self, store):
        super().save_own_variables(store)
        # Keras does not save the state of seed generators.
        store["random"] = ops.convert_to_numpy(self.random.state)

    def load_own_variables(self, store):
        self.random.state.assign(store["random"])
        names = [name for name in store.keys() if name != "random"]  # noqa: SIM118
        super().load_own_variables({name: store[name] for name in names})

    def get_config(self):
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.key_encoder),
            "num_negatives": self.num_negatives,
            "num_archived": self.num_archived,
            "momentum": self.momentum,
            "temperature": self.temperature,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        encoder = keras.saving.deserialize_keras_object(config["encoder"])
        return cls(**{**config, "encoder": encoder})
