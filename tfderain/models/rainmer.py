"""Rainmer: multi-view representations for image de-raining (ACM MM 2024).

Paper: https://doi.org/10.1145/3664647.3681342. Rewritten from the description of
github.com/Schizophreni/Rainmer at 9db7c6b7eb15 (PyTorch, MIT);
tests/models/test_rainmer.py proves equal outputs and contrastive losses.

A contrastively trained encoder places each image on two unit spheres: one for its
colours, one for its details and their degradation. Both prompt the decoder of a sparse
transformer.

Differences: independent top-k masks as in DRSformer (the published loop depends on the
order of ties) unless `cumulative`; the encoder sees the padded image, and in training
the patch or, with batches `((rainy, whole rainy), (clean, whole clean))`, the whole
image as in the authors' code; mirror padding; smaller forms for CPUs (`patch`,
`encoder_size`). Replicas share archives and key encoder (tests/models/test_rainmer.py).
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import keras
from keras import ops

from tfderain import losses
from tfderain import weighting as weightings
from tfderain.models.contrast import Contrast, unit
from tfderain.models.drsformer import DRSformerNetwork, SparseTransformer
from tfderain.models.layers import built, convolution, pad_to_multiple
from tfderain.models.representation import SLOPE, RepresentationEncoder
from tfderain.models.sparse import SparseBlock


@keras.saving.register_keras_serializable("tfderain")
class SpatialChannelInteraction(keras.layers.Layer):
    """Fuses features of the encoder (where) with those of the network (which channel).

    Args:
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, channels)` twice, to one of the same shape.
    """

    def build(self, location_shape, features_shape=None):
        channels, dtype = location_shape[-1], self.dtype_policy
        for name, size in (("where", 3), ("which", 1)):
            for step in ("first", "second"):
                layer = convolution(channels, size, f"{name}_{step}", dtype)
                setattr(self, f"{name}_{step}", built(layer, channels))

    def call(self, location, features):
        where = self.where_second(ops.leaky_relu(self.where_first(location), SLOPE))
        where = ops.mean(where, axis=-1, keepdims=True)
        which = ops.mean(features, axis=(1, 2), keepdims=True)
        which = self.which_second(ops.leaky_relu(self.which_first(which), SLOPE))
        by_place = ops.sigmoid(where * features) * location
        return by_place + ops.sigmoid(which * location) * features

    def compute_output_shape(self, location_shape, features_shape):
        return features_shape

    def get_config(self):
        return super().get_config()


@keras.saving.register_keras_serializable("tfderain")
class Prompt(keras.layers.Layer):
    """Turns a representation into features, scaled by a gate at each pixel.

    Args:
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: features `(batch, height, width, channels)` and a representation
    `(batch, length)`, to the shape of the features.
    """

    def build(self, features_shape, vector_shape):
        channels, dtype = features_shape[-1], self.dtype_policy
        self.gate_first = built(convolution(channels, 1, "gate_first", dtype), channels)
        self.gate_second = built(convolution(1, 1, "gate_second", dtype), channels)
        self.transform = keras.layers.Dense(
            channels, use_bias=False, dtype=dtype, name="transform"
        )
        self.transform.build(vector_shape)
        self.bias = self.add_weight((channels,), "zeros", name="bias")

    def call(self, features, vector):
        gate = self.gate_first(features)
        # Keras's own GELU uses erfc in TensorFlow, which ONNX does not have.
        gate = 0.5 * gate * (1 + ops.erf(gate * math.sqrt(0.5)))
        gate = ops.sigmoid(self.gate_second(gate))  # (n, h, w, 1)
        # The authors transform gate * vector at each pixel; since the gate is a single
        # number there, the vector can be transformed once.
        transformed = ops.cast(self.transform(vector), gate.dtype)[:, None, None]
        return ops.silu(gate * transformed + ops.cast(self.bias, gate.dtype))

    def compute_output_shape(self, features_shape, vector_shape):
        return features_shape

    def get_config(self):
        return super().get_config()


@keras.saving.register_keras_serializable("tfderain")
class PromptedBlock(SparseBlock):
    """A `SparseBlock` whose attention is followed by prompts.

    Args:
        num_heads, expansion, cumulative: see `SparseBlock`.
        filters: int. Length of the representations.
        views: names of the representations, in the order of the call.
        mixing: how two views are mixed: `"alpha"` (weights `a` and `1 - a`, with
            `a = (1 + cosine) / 2` of the first with a learned vector) or `"sum"`.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: features `(batch, height, width, channels)` and a list of representations
    `(batch, filters)`, one for each view, to the shape of the features.
    """

    def __init__(
        self,
        num_heads: int = 1,
        expansion: float = 2.66,
        cumulative: bool = False,
        filters: int = 128,
        views: Sequence[str] = ("chromatic", "degradation"),
        mixing: str = "alpha",
        **kwargs,
    ):
        super().__init__(num_heads, expansion, cumulative, **kwargs)
        self.filters = filters
        self.views = list(views)
        self.mixing = mixing

    def build(self, features_shape, vectors_shape=None):
        super().build(features_shape)
        self.prompts = []
        for view in self.views:
            prompt = Prompt(dtype=self.dtype_policy, name=f"prompt_{view}")
            prompt.build(features_shape, (None, self.filters))
            self.prompts.append(prompt)
        self.direction = None
        if len(self.views) == 2 and self.mixing == "alpha":
            self.direction = self.add_weight(
                (self.filters,), "random_normal", name="direction"
            )

    def call(self, features, vectors):
        attended = self.attention(self.attention_norm(features))
        prompts = [
            prompt(attended, vector)
            for prompt, vector in zip(self.prompts, vectors, strict=True)
        ]
        if self.direction is not None:
            share = ops.cast(self.share(vectors[0]), attended.dtype)
            prompts = [share * prompts[0], (1.0 - share) * prompts[1]]
        features = features + attended + sum(prompts)
        return features + self.feed(self.feed_norm(features))

    def share(self, vector: Any):
        """The `a` of the mixing, `(batch, 1, 1, 1)` in [0, 1], float32."""
        vector = ops.stop_gradient(ops.cast(vector, "float32"))
        cosine = ops.sum(unit(self.direction) * vector, axis=-1, keepdims=True)
        return (1.0 + cosine)[:, None, None] / 2.0

    def compute_output_shape(self, features_shape, vectors_shape):
        return features_shape

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "views": self.views,
            "mixing": self.mixing,
        }


@keras.saving.register_keras_serializable("tfderain")
class RainmerNetwork(DRSformerNetwork):
    """DRSformer's network with an encoder whose representations prompt the decoder.

    Args:
        filters: int. Length of the representations. Defaults to `128`.
        encoder_size, gate_ratio: see `RepresentationEncoder`.
        chromatic, degradation: bool. Whether these representations exist.
        interaction: bool. Whether the encoder's features of the whole image are fused
            with the network's first features.
        mixing: see `PromptedBlock`.
        **kwargs: see `DRSformerNetwork`.

    Call: `(batch, height, width, 3)` in [0, 1] to the same shape, float32, not
    clipped; height and width must be multiples of `8 * patch`.

    Raises:
        ValueError: for another `mixing`, or an `encoder_size` that is not a multiple of
            `8 * patch`.
    """

    def __init__(
        self,
        filters=128,
        encoder_size=128,
        chromatic=True,
        degradation=True,
        interaction=True,
        mixing="alpha",
        gate_ratio=16,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if mixing not in ("alpha", "sum"):
            raise ValueError(
                f'`mixing` must be "alpha" or "sum". Received: mixing={mixing!r}.'
            )
        if encoder_size % (8 * self.patch):
            raise ValueError(
                "`encoder_size` must be a multiple of 8 * patch, the detail map's "
                f"step. Received: encoder_size={encoder_size}, patch={self.patch}."
            )
        own = {
            "filters": filters,
            "encoder_size": encoder_size,
            "chromatic": chromatic,
            "degradation": degradation,
            "interaction": interaction,
            "mixing": mixing,
            "gate_ratio": gate_ratio,
        }
        self.options = {**self.options, **own}
        chosen: dict[str, Any] = {"chromatic": chromatic, "degradation": degradation}
        self.views = [view for view, exists in chosen.items() if exists]
        self.prompting = {"filters": filters, "views": self.views, "mixing": mixing}
        self.encoder: Any = None
        if self.views or interaction:
            self.encoder = RepresentationEncoder(
                self.dim,
                filters,
                encoder_size,
                patch=self.patch,
                gate_ratio=gate_ratio,
                **self.experts,
                **chosen,
                dtype=self.dtype_policy,
                name="encoder",
            )
        self.interaction: Any = None
        if interaction:
            self.interaction = SpatialChannelInteraction(
                dtype=self.dtype_policy, name="interaction"
            )

    def build(self, input_shape):
        super().build(input_shape)
        if self.encoder is not None:
            self.encoder.build((None, None, None, 3))
        if self.interaction is not None:
            built(self.interaction, self.dim)

    def make_decoder_block(self, num_heads, name):
        """A new transformer block of the decoder, with prompts if there are views."""
        if not self.views:
            return self.make_block(num_heads, name)
        return PromptedBlock(
            num_heads,
            **self.block,
            **self.prompting,
            dtype=self.dtype_policy,
            name=name,
        )

    def call(self, rainy):
        return self.restore(rainy, self.vectors(self.represent(rainy)))

    def represent(self, rainy):
        """The encoder's dict of representations; empty without any view."""
        return self.encoder(rainy) if self.views else {}

    def vectors(self, representations):
        """Those that prompt the decoder, in the order of its blocks."""
        return [representations[view] for view in self.views]

    def shallow(self, rainy):
        features = super().shallow(rainy)
        if self.interaction is None:
            return features
        return self.interaction(self.encoder.locate(rainy), features)


def with_whole(images: Any):
    """`(patches, whole images)` of a batch, which may consist only of patches."""
    return images if isinstance(images, (tuple, list)) else (images, images)


def contrastive_terms(chromatic: bool, degradation: bool):
    """Names of the losses of the existing views."""
    terms = {"contrast_chromatic": chromatic, "contrast_detail": degradation}
    return [term for term, has_view in terms.items() if has_view]


def weighed(tasks: dict[str, Any] | None, terms: Iterable[str], contrast_weight: float):
    """`(tasks, fixed weights)`: the given tasks or Rainmer's, and contrastive terms."""
    weights = dict.fromkeys(terms, contrast_weight)
    if tasks is not None:
        return tasks, weights
    ssim = losses.StructuralDissimilarity()
    return {"charbonnier": losses.Charbonnier(), "ssim": ssim}, {"ssim": 0.1, **weights}


@keras.saving.register_keras_serializable("tfderain")
class Rainmer(SparseTransformer):
    """Rainmer with the contrastive training of its representations.

    The key encoder and the archives are in `contrast`, separate from `network`.

    Args:
        dim, num_blocks, num_heads, expansion, num_stages, variant, cumulative, patch:
            see `DRSformerNetwork`.
        filters, encoder_size, chromatic, degradation, interaction, mixing, gate_ratio:
            see `RainmerNetwork`.
        contrast_weight: float. Weight of each contrastive term. `0.0` leaves out the
            contrast with its key encoder and archives, for a model to ship:
            `Rainmer(**options, contrast_weight=0.0).adopt(trained)`.
        num_negatives, num_archived, momentum, temperature: see `Contrast`.
        tasks: dict from task name to loss. Defaults to Charbonnier and 1 - SSIM.
        weighting: `tfderain.weighting.Weighting`. Defaults to 0.1 for 1 - SSIM and
            `contrast_weight` for each contrastive term.
        clip_training: bool. See `Derainer`. Defaults to `False`, like the authors.
        **kwargs: `name`, `dtype` and the other `keras.Model` options.

    35,825,344 weights with the authors' widths, the defaults. The paper's ablations
    leave out the chromatic view, the degradation view, the interaction, or all three
    (the baseline, DRSformer).
    """

    @classmethod
    def shipped(cls, model_config):
        return {**model_config, "contrast_weight": 0.0}  # without the key encoder

    def __init__(
        self,
        dim=48,
        num_blocks=(4, 6, 6, 8),
        num_heads=(1, 2, 4, 8),
        expansion=2.66,
        num_stages=4,
        variant="code",
        cumulative=False,
        patch=1,
        filters=128,
        encoder_size=128,
        chromatic=True,
        degradation=True,
        interaction=True,
        mixing="alpha",
        gate_ratio=16,
        contrast_weight=0.1,
        num_negatives=4,
        num_archived=256,
        momentum=0.999,
        temperature=1.0,
        tasks=None,
        weighting=None,
        clip_training=False,
        **kwargs,
    ):
        terms = contrastive_terms(chromatic, degradation) if contrast_weight else []
        tasks, weights = weighed(tasks, terms, contrast_weight)
        super().__init__(
            patch,
            tasks=tasks,
            weighting=weighting or weightings.Fixed(weights),
            clip_training=clip_training,
            more_losses=terms,
            **kwargs,
        )
        self.network = RainmerNetwork(
            *(filters, encoder_size, chromatic, degradation, interaction),
            *(mixing, gate_ratio),
            dim=dim,
            num_blocks=num_blocks,
            num_heads=num_heads,
            expansion=expansion,
            num_stages=num_stages,
            variant=variant,
            cumulative=cumulative,
            patch=patch,
            dtype=self.dtype_policy,
            name="network",
        )
        self.contrast_weight = contrast_weight
        names = ("num_negatives", "num_archived", "momentum", "temperature")
        values = (num_negatives, num_archived, momentum, temperature)
        self.contrast_options: dict[str, Any] = dict(zip(names, values, strict=True))
        self.contrast: Any = self.make_contrast() if terms else None

    def make_contrast(self):
        """The layer with key encoder and archives, which only training uses."""
        encoder = self.network.encoder
        return Contrast(encoder, **self.contrast_options, name="contrast")

    def build(self, input_shape):
        super().build(input_shape)
        if self.contrast is not None and not self.contrast.built:
            self.contrast.build(self.network.encoder.size)
            self.contrast.start_from(self.network.encoder)

    def adopt(self, other):
        super().adopt(other)
        if self.contrast is not None:
            self.contrast.start_from(self.network.encoder)

    def forward_losses(self, rainy, clean, training):
        (rainy, whole), (clean, whole_clean) = map(with_whole, (rainy, clean))
        alone = self.contrast is None and whole is rainy
        if self.network.encoder is None or alone:
            return super().forward_losses(rainy, clean, training)
        rainy, clean = (ops.cast(x, "float32") for x in (rainy, clean))
        padded = pad_to_multiple(rainy, self.stride)
        seen = self.seen(whole, whole_clean)
        representations = self.network.represent(seen[0])
        vectors = self.network.vectors(representations)
        derained = self.network.restore(padded, vectors)
        derained = self.finish(derained, rainy, training)
        task_losses = self.task_losses(clean, derained)
        if self.contrast is None:
            return derained, task_losses
        everyone = self.gather_batch(self.contrast.entries(*seen))
        task_losses |= self.contrast(
            *seen, representations, everyone, training=training
        )
        return derained, task_losses

    @property
    def views(self):
        """Names of the representations that prompt the decoder."""
        return self.network.views

    def represent(self, images):
        """Positions of images on the unit spheres of the views.

        Args:
            images: `(batch, height, width, 3)` in [0, 1].

        Returns:
            `{view: float32 (batch, filters)}`, rows of length 1.
        """
        encoder = self.network.encoder
        return encoder(encoder.resize(images), views=self.views)

    def seen(self, *images):
        """Images at the size of the encoder."""
        images = [pad_to_multiple(ops.cast(x, "float32"), self.stride) for x in images]
        return [self.network.encoder.resize(x) for x in images]

    def train_step(self, data):
        results = super().train_step(data)
        if self.contrast is not None:
            rainy, clean = (with_whole(images)[1] for images in data)
            finite = ops.equal(self.bad_steps_in_a_row, 0)
            entries = self.contrast.entries(*self.seen(rainy, clean))
            self.contrast.remember(self.gather_batch(entries), finite)
            # The authors move it at the start of the next step, which is equivalent.
            self.contrast.follow(self.network.encoder, finite)
        return results

    def track(self, rainy, clean, derained, losses, finite):
        rainy, clean = (with_whole(images)[0] for images in (rainy, clean))
        return super().track(rainy, clean, derained, losses, finite)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **kwargs):
        if self.contrast is not None:
            raise ValueError(
                "Only the TensorFlow backend can train with contrast; others need "
                f"contrast_weight=0. Received: {keras.backend.backend()}."
            )
        return super().compute_loss(x, y, y_pred, sample_weight, **kwargs)

    def get_config(self):
        return {
            **super().get_config(),
            **self.contrast_options,
            "contrast_weight": self.contrast_weight,
        }
