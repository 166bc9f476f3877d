"""Representation entanglement for any encoder-decoder (ERL-Net, Wang et al., 2019).

A second encoder adds residuals to the features of a trained one, so that they come
close to the features of a clean image: `Phi(x_r) + R(x_r) ~ Phi(x_c)` (Eq. 2). Sums
do not change shapes, so this works for every encoder-decoder. Paper:
https://openaccess.thecvf.com/content_ICCV_2019/papers/Wang_ERL-Net_Entangled_Representation_Learning_for_Single_Image_De-Raining_ICCV_2019_paper.pdf

```python
# encoder: images -> [skip, ..., middle]; decoder: these features -> images
model = Entangled(encoder, decoder, "mlgd", stage="residual", stride=8)
model.adopt(trained)  # main encoder and decoder of a trained `Entangled`
model.learn_from(clean_to_clean)  # the same network, trained on clean images
model.compile("adam")
model.fit(batches)
```
"""

from typing import Any

import keras
from keras import ops

from tfderain import losses
from tfderain import weighting as weightings
from tfderain.models.base import Derainer, take_over
from tfderain.models.layers import pad_to_multiple
from tfderain.models.stages import Stage

# Parts that a stage trains, and whether the features have a loss of their own.
STAGES = {
    "main": (("main_encoder", "decoder"), False),
    "residual": (("residual_encoder",), True),
    "residual_decoder": (("residual_encoder", "decoder"), True),
    "refine_decoder": (("decoder",), False),
    "refine": (("residual_encoder", "decoder"), False),
    "direct": (("main_encoder", "residual_encoder", "decoder"), True),
}
# Table 1. The clean-to-clean network is trained before the first stage that needs it.
STRATEGIES = {
    "MA_A": ("main", "residual"),
    "MA_B": ("main", "residual_decoder"),
    "MA_C": ("main", "residual", "refine_decoder"),
    "MA_D": ("main", "residual", "refine"),
    "DT": ("direct",),
}
ENTANGLEMENTS = (None, "clgd", "mlgd")


def twin(encoder: Any, name: str):
    """An encoder of the same structure with its own weights."""
    return type(encoder).from_config({**encoder.get_config(), "name": name})


@keras.saving.register_keras_serializable("tfderain")
class EntangledNetwork(keras.layers.Layer):
    """Main encoder (MEN), residual encoder (REN) and decoder (MDE), Fig. 2.

    Args:
        encoder: layer or model from `(batch, height, width, 3)` images in [0, 1] to a
            list of features, the middle layer last.
        decoder: layer or model from that list to `(batch, height, width, 3)`.
        entanglement: `None` (no residual encoder), `"clgd"` (residuals for the middle
            layer) or `"mlgd"` (for all features).
        global_skip: bool. Whether the decoder's output is added to the rainy image.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, 3)` in [0, 1] to the same shape, float32, not
    clipped; the sizes must suit encoder and decoder.

    Raises:
        ValueError: for another `entanglement`.
    """

    def __init__(
        self, encoder, decoder, entanglement=None, global_skip=False, **kwargs
    ):
        super().__init__(autocast=False, **kwargs)  # the layers inside cast
        if entanglement not in ENTANGLEMENTS:
            raise ValueError(
                f"`entanglement` must be one of {ENTANGLEMENTS}. "
                f"Received: entanglement={entanglement!r}."
            )
        self.entanglement = entanglement
        self.global_skip = global_skip
        self.main_encoder = encoder
        self.residual_encoder = None
        if entanglement is not None:
            self.residual_encoder = twin(encoder, "residual_encoder")
        self.decoder = decoder

    def build(self, input_shape):
        shape = (None, None, None, 3)
        for encoder in (self.main_encoder, self.residual_encoder):
            if encoder is not None and not encoder.built:
                encoder.build(shape)
        if not self.decoder.built:
            features = self.main_encoder.compute_output_shape(shape)
            self.decoder.build(features)

    def branches(self, rainy, training=False):
        """`{"main": [...], "residual": [...], "entangled": [...]}` (Eq. 2).

        Residuals of features that are not entangled are `None`, as are all residuals
        without a residual encoder.
        """
        main = list(self.main_encoder(rainy, training=training))
        residual = [None] * len(main)
        if self.residual_encoder is not None:
            residual = list(self.residual_encoder(rainy, training=training))
        if self.entanglement == "clgd":
            residual[:-1] = [None] * (len(main) - 1)
        entangled = [
            m if r is None else m + r for m, r in zip(main, residual, strict=True)
        ]
        return {"main": main, "residual": residual, "entangled": entangled}

    def decode(self, features, rainy, training=False):
        """Derained images from features; only the global skip uses the rainy ones."""
        derained = ops.cast(self.decoder(features, training=training), "float32")
        return rainy + derained if self.global_skip else derained

    def call(self, rainy, training=False):
        rainy = ops.cast(rainy, "float32")
        features = self.branches(rainy, training=training)["entangled"]
        return self.decode(features, rainy, training=training)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.main_encoder),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "entanglement": self.entanglement,
            "global_skip": self.global_skip,
        }

    @classmethod
    def from_config(cls, config):
        parts = {
            name: keras.saving.deserialize_keras_object(config[name])
            for name in ("encoder", "decoder")
        }
        return cls(**{**config, **parts})


@keras.saving.register_keras_serializable("tfderain")
class Entangled(Derainer):
    """An encoder-decoder with entangled representations, trained stage by stage.

    Args:
        encoder, decoder, entanglement, global_skip: see `EntangledNetwork`.
        stage: what is trained, and with which loss: a name in `STAGES`, or `None` for
            everything with the pixel loss. Only in a stage with the feature loss does
            the model have a `teacher`, which is never part of `network`.
        stride: int. Sizes for the encoder and decoder must be multiples of it.
        feature_weight: float. lambda of Eq. (5). Defaults to `0.01`.
        tasks: dict from task name to loss on the image. Defaults to the l1 distance to
            the clean image. (Eq. 3 as printed has the rainy image, a misprint.)
        weighting: `tfderain.weighting.Weighting`. Defaults to Eq. (5).
        **kwargs: `clip_training`, `name`, `dtype` and the other `keras.Model` options.

    Raises:
        ValueError: for an unknown stage, or one that trains a residual encoder if there
            is none.
    """

    strategies = tuple(STRATEGIES)

    @classmethod
    def training_stages(cls, strategy, model_config):
        form = model_config.get("entanglement")
        if form is None:
            raise ValueError(
                "A strategy needs a network with entanglement (`model_config`). "
                f"Received: strategy={strategy!r}."
            )
        main = {**model_config, "stage": "main", "entanglement": None}
        clean = {"inputs": "clean"}
        teacher = Stage("clean_to_clean", "clean_to_clean", main, clean, teaches=True)
        stages = []
        for name in STRATEGIES[strategy]:
            if name == "main":
                stages.append(Stage("MEMD", name, main))
                continue
            learns = STAGES[name][1]
            if learns and teacher not in stages:
                stages.append(teacher)
            # The same second stage serves MA_A, MA_C and MA_D.
            folder = f"{'MA_A' if name == 'residual' else strategy}-{form}"
            arguments = {**model_config, "stage": name}
            stages.append(Stage(folder, name, arguments, learns=learns))
        return stages

    @classmethod
    def shipped(cls, model_config):
        return {name: v for name, v in model_config.items() if name != "stage"}

    def __init__(
        self,
        encoder,
        decoder,
        entanglement=None,
        global_skip=False,
        stage=None,
        stride=1,
        feature_weight=0.01,
        tasks=None,
        weighting=None,
        clip_training=False,
        **kwargs,
    ):
        parts, has_features = _parts(stage, entanglement)
        super().__init__(
            stride=stride,
            tasks=tasks or {"reconstruction": losses.Reconstruction("l1", 1.0)},
            weighting=weighting or _default_weighting(has_features, feature_weight),
            more_losses=("feature",) if has_features else (),
            clip_training=clip_training,
            **kwargs,
        )
        self.stage, self.feature_weight = stage, feature_weight
        self.trained_parts = parts
        self.network = EntangledNetwork(
            encoder,
            decoder,
            entanglement,
            global_skip,
            dtype=self.dtype_policy,
            name="network",
        )
        self.teacher: Any = None
        if has_features:
            self.teacher = twin(encoder, "teacher")
            self.has_learned = self.add_weight(
                (), "zeros", dtype="int32", trainable=False, name="has_learned"
            )

    def build(self, input_shape):
        super().build(input_shape)
        if self.teacher is not None and not self.teacher.built:
            self.teacher.build((None, None, None, 3))
        # Only now, because building a layer makes its weights trainable again.
        for name, part in self.parts.items():
            part.trainable = name in self.trained_parts
        if self.teacher is not None:
            self.teacher.trainable = False
        self.stay_frozen()

    @property
    def parts(self):
        """The deployable parts by name; a residual encoder only with entanglement."""
        names = ("main_encoder", "residual_encoder", "decoder")
        parts = {name: getattr(self.network, name) for name in names}
        return {name: part for name, part in parts.items() if part is not None}

    def adopt(self, other):
        """Takes over main encoder, decoder and, if both have one, residual encoder.

        This is how a stage continues from the one before it. If `other` has no residual
        encoder, this one's keeps its initial weights.

        Args:
            other: built `Entangled` of the same structure.

        Raises:
            ValueError: the shapes of the weights differ.
        """
        theirs = getattr(other, "parts", {})
        for name, part in self.parts.items():
            if name != "residual_encoder" or name in theirs:
                take_over(part.weights, theirs[name].weights if theirs else [])

    def learn_from(self, clean_to_clean):
        """Uses the encoder of a network trained on clean images as teacher, Phi(x_c).

        Args:
            clean_to_clean: built `Entangled` of the same structure, without
                entanglement, trained with the clean image as both input and target.

        Raises:
            ValueError: this stage has no feature loss, or shapes differ.
        """
        if self.teacher is None:
            raise ValueError(
                "Only stages with the feature loss have a teacher: "
                f"{', '.join(s for s in STAGES if STAGES[s][1])}. "
                f"Received: stage={self.stage!r}."
            )
        take_over(self.teacher.weights, clean_to_clean.network.main_encoder.weights)
        self.has_learned.assign(1)

    def make_train_function(self, force=False):
        if self.teacher is not None and not int(ops.convert_to_numpy(self.has_learned)):
            raise ValueError(
                "The feature loss compares with a network trained on clean images: "
                "call `learn_from(clean_to_clean)` before `fit`. "
                f"Received: stage={self.stage!r}."
            )
        return super().make_train_function(force)

    def forward_losses(self, rainy, clean, training):
        if self.teacher is None:
            return super().forward_losses(rainy, clean, training)
        rainy = ops.cast(rainy, "float32")
        padded = pad_to_multiple(rainy, self.stride)
        branches = self.network.branches(padded, training=training)
        derained = self.network.decode(branches["entangled"], padded, training=training)
        derained = self.finish(derained, rainy, training)
        task_losses = self.task_losses(clean, derained)
        task_losses["feature"] = self.feature_loss(branches, clean)
        return derained, task_losses

    def feature_loss(self, branches, clean):
        """L1 distance of the entangled features to the teacher's, summed (Eq. 4)."""
        clean = pad_to_multiple(ops.cast(clean, "float32"), self.stride)
        targets = self.teacher(clean, training=False)
        return sum(
            ops.mean(ops.abs(ops.cast(f, "float32") - ops.cast(t, "float32")))
            for f, t, r in zip(
                branches["entangled"], targets, branches["residual"], strict=True
            )
            if r is not None
        )

    def middle_features(self, rainy):
        """The middle layer of each branch, for pictures like the rebuttal's Figure R1.

        Args:
            rainy: `(batch, height, width, 3)` in [0, 1].

        Returns:
            `{"main": ..., "residual": ..., "entangled": ...}`, each
            `(batch, height / stride, width / stride, channels)`.

        Raises:
            ValueError: for a network without entanglement.
        """
        if self.network.entanglement is None:
            raise ValueError(
                "Only an entangled network has residual features. "
                "Received: entanglement=None."
            )
        rainy = pad_to_multiple(ops.cast(rainy, "float32"), self.stride)
        branches = self.network.branches(rainy)
        return {name: features[-1] for name, features in branches.items()}

    def get_config(self):
        network = self.network.get_config()
        names = ("encoder", "decoder", "entanglement", "global_skip")
        return {
            **super().get_config(),
            **{name: network[name] for name in names},
            "stage": self.stage,
            "stride": self.stride,
            "feature_weight": self.feature_weight,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in ("encoder", "decoder"):
            if name in config:
                config[name] = keras.saving.deserialize_keras_object(config[name])
        return super().from_config(config)


def _parts(stage, entanglement):
    """Names of the parts that a stage trains, and whether it has the feature loss."""
    if stage is not None and stage not in STAGES:
        raise ValueError(
            f"`stage` must be None or one of {', '.join(STAGES)}. "
            f"Received: stage={stage!r}."
        )
    parts, has_features = STAGES.get(stage or "", (STAGES["direct"][0], False))
    if entanglement is None and (has_features or stage == "refine"):
        raise ValueError(
            f"The stage {stage!r} needs a residual encoder. "
            f"Received: entanglement={entanglement!r}."
        )
    return parts, has_features


def _default_weighting(has_features, feature_weight):
    return weightings.Fixed({"feature": feature_weight} if has_features else {})
