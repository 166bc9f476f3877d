"""Settings of a training run as frozen values, and overrides of them in text form.

Neither Keras nor TensorFlow is imported here, so that the command line can check
settings at once.
"""

import dataclasses
import itertools
import json
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field

from tfderain import models


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides what a training run computes, except its data.

    Args:
        model: a name in `tfderain.models.MODELS`.
        model_config: its constructor arguments. `tasks` maps a task
            (`reconstruction`, `edge`, `texture`, `perceptual`) to the arguments of its
            loss; `weighting` is `"GB"`, `"LB"` or a dict of fixed weights. Both may
            also be in Keras's serialised form.
        strategy: `None`, or how a network is trained stage by stage: one of its
            `strategies` (`MA_A` to `MA_D` and `DT` with entanglement; `proposed`,
            `Init-1` and `Init-2` of JRGR).
        stages: for each stage of a strategy by name (including `"clean_to_clean"`),
            settings that differ from these: `{"residual": {"epochs": 5}}`.
        inputs: `"rainy"`, or `"clean"`: the clean image is both input and target, which
            trains a teacher for the feature loss.
        crop: height and width of the training patches.
        crops: `"random"` or `"five_crop"` (corners, centre, and their mirror images).
        flips: mirror random patches with probability 1/2.
        turns: `None`, or how random patches are turned instead: `"geometric"`: one of
            the eight ways to turn and mirror a square, all equally likely (DRSformer);
            `"either"`: mirrored left-right or upside down with probability 1/4 each,
            never both (Rainmer).
        whole_images: give the network, with each patch, the whole image that it is
            from, resized to `encoder_size`, as Rainmer's authors do; no `degrade` then.
        align: bring the two images of each pair to one place and one exposure first,
            see `tfderain.data.alignment`: for pairs that two cameras took.
        batch_size: patches per step.
        steps_per_epoch: `None` for one pass over the whole data set.
        epochs: number of epochs. The only field that may grow when a run is resumed.
        learning_rate: of the optimizer, at its highest.
        schedule: `"constant"`; `"steps"`: multiplied by `milestone_factor` at each of
            the `milestones`; `"cosine"`: warm-up from 0 during the first 2 %, at most
            500 steps, then cosine decay to 0; `"linear"`: linear decay to 0 during the
            second half; `"plateau"`: a tenth whenever the training loss has not fallen
            for ten epochs; `"cycles"`: Rainmer's two cosines, to a third during the
            first 92/300 of the steps, then from the top to a 300th during the rest;
            `"hold"`: DRSformer's, constant during the first 92/300, then along that
            second cosine; `"stable"`: constant, then cosine decay to 0 in the last
            quarter.
        milestones, milestone_factor: of the schedule `"steps"`: epochs in rising order
            at whose start the learning rate is multiplied, and the factor.
        optimizer: `"adam"`, `"muon"` (`tfderain.optimizers.ConvMuon`; biases and the
            network's `outer_layers` are left to Adam), `"adamw"`, or
            `"two_groups"` (`tfderain.optimizers.TwoGroupAdamW`: the representation
            encoder decays, everything else is clipped).
        beta_1: of Adam.
        epsilon: of Adam and AdamW; `None` for Keras's `1e-7` (`"two_groups"`: `1e-8`).
            TensorFlow 1 and PyTorch use `1e-8`; PyTorch adds it after correcting the
            moments, which makes a difference in the first steps.
        rates: dict from a network's name to its share of the learning rate (Adam), or
            `None`.
        weight_decay: of `"adamw"` and of the encoder in `"two_groups"`.
        clip_norm: largest norm of all gradients together (`"two_groups"`: of those
            outside the encoder), or `None`.
        accumulate: batches whose mean gradient is used for one step of the optimizer.
        ema: momentum of the moving average of the weights, which is validated and
            shipped, or `None` to use the weights themselves.
        degrade: arguments of `tfderain.data.rain.RainMixer` or, with an entry `kinds`,
            of `tfderain.data.mixer.KindMixer` or, with an entry `drops`, of
            `tfderain.data.drop_mixer.DropMixer`; its `ranges` are the changed fields of
            their `Ranges`. `None` for the data set's own rain only.
        pool_count, pool_size: number of rain layers (of each kind) rendered
            beforehand, and their side in pixels.
        validation_fraction: share of the backgrounds kept for choosing the best epoch;
            0 trains on all pairs, validates on none, and keeps the last epoch.
        same_background: correlation of thumbnails from which on two clean images show
            one background, see `tfderain.data.splits`; lower where scenes come again
            from a few steps further on.
        validation_crops: number of patches from these, in equal parts for each kind of
            rain: their own and, with `degrade`, synthetic rain (several kinds with
            `kinds`).
        keep: `"best"`, the weights of the epoch with the best validation PSNR, or
            `"last"`, since pairs cannot tell when a network for real rain is best.
        vgg_weights: file with VGG19's weights, for the task `perceptual`.
        seed: for weights, data order and rain.
        mixed_precision: `None`, `"mixed_float16"`, `"mixed_bfloat16"`, or
            `"cpu_bfloat16"`: oneDNN's graph rewrite, faster on CPUs with bfloat16.
        jit: compile the step with XLA.
        winograd: compute 3x3 convolutions of MENET by `tfderain.models.winograd`:
            faster on CPUs, needs a C++ compiler; not together with `jit`.
        deterministic: use only deterministic operations; an error if there is none.
        max_bad_steps: consecutive steps without a finite loss that end a run.
    """

    model: str = "menet"
    model_config: dict = field(default_factory=dict)
    strategy: str | None = None
    stages: dict | None = None
    inputs: str = "rainy"
    crop: int = 128
    crops: str = "random"
    flips: bool = True
    turns: str | None = None
    whole_images: bool = False
    align: bool = False
    batch_size: int = 16
    steps_per_epoch: int | None = None
    epochs: int = 100
    learning_rate: float = 1e-3
    schedule: str = "constant"
    milestones: list = field(default_factory=lambda: [40, 80])
    milestone_factor: float = 0.1
    optimizer: str = "adam"
    beta_1: float = 0.9
    epsilon: float | None = None
    rates: dict | None = None
    weight_decay: float = 0.0
    clip_norm: float | None = None
    accumulate: int = 1
    ema: float | None = None
    degrade: dict | None = None
    pool_count: int = 800
    pool_size: int = 384
    validation_fraction: float = 0.08
    same_background: float = 0.98
    validation_crops: int = 256
    keep: str = "best"
    vgg_weights: str | None = None
    seed: int = 0
    mixed_precision: str | None = None
    jit: bool = False
    winograd: bool = False
    deterministic: bool = False
    max_bad_steps: int = 20

    def __post_init__(self):
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"`{name}` must be one of {allowed}. "
                    f"Received: {name}={getattr(self, name)!r}."
                )
        positive = ("crop", "batch_size", "epochs", "learning_rate", "max_bad_steps")
        for name in (*positive, "accumulate", "milestone_factor"):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"`{name}` must be positive. "
                    f"Received: {name}={getattr(self, name)}."
                )
        if any(b <= a for a, b in itertools.pairwise([0, *self.milestones])):
            raise ValueError(
                "`milestones` must be epochs in rising order, the first above 0. "
                f"Received: milestones={self.milestones}."
            )
        if self.whole_images and (self.model != "rainmer" or self.degrade is not None):
            raise ValueError(
                "`whole_images` needs a Rainmer and no `degrade`. "
                f"Received: model={self.model!r}, degrade={self.degrade}."
            )
        if self.winograd and self.jit:
            raise ValueError(
                "XLA cannot compile Winograd's convolutions; use one or the other. "
                f"Received: jit={self.jit}, winograd={self.winograd}."
            )
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(
                "`validation_fraction` must be in [0, 1). "
                f"Received: validation_fraction={self.validation_fraction}."
            )
        if not 0 < self.same_background <= 1:
            raise ValueError(
                "`same_background` must be in (0, 1]. "
                f"Received: same_background={self.same_background}."
            )
        if self.ema is not None and not 0 <= self.ema < 1:
            raise ValueError(f"`ema` must be in [0, 1). Received: ema={self.ema}.")


CHOICES = {
    "model": tuple(models.MODELS),
    "inputs": ("rainy", "clean"),
    "crops": ("random", "five_crop"),
    "turns": (None, "geometric", "either"),
    "schedule": (
        "constant",
        "steps",
        "cosine",
        "linear",
        "plateau",
        "cycles",
        "hold",
        "stable",
    ),
    "optimizer": ("adam", "muon", "adamw", "two_groups"),
    "keep": ("best", "last"),
    "mixed_precision": (None, "mixed_float16", "mixed_bfloat16", "cpu_bfloat16"),
}


def override(config: TrainConfig, settings: Sequence[str]) -> TrainConfig:
    """Replaces fields by `"name=value"` texts, parsed by the type of the field.

    Args:
        config: what to start from.
        settings: texts such as `"epochs=3"`, `"ema=none"`, `"jit=true"`; entries of a
            dict, however deep, as in `"model_config.num_blocks=4"` or
            `"degrade.kinds.editor=0.24"` (the value is then JSON or text). `resolve`
            checks whether such entries are known.

    Raises:
        ValueError: for an unknown name (lists the known ones) or a wrong value.
    """
    hints = typing.get_type_hints(TrainConfig)
    for setting in settings:
        name, equals, text = setting.partition("=")
        name, _, entry = name.strip().partition(".")
        if name not in hints:
            raise ValueError(
                f"Known settings are {', '.join(hints)}. Received: {setting!r}."
            )
        if not equals:
            raise ValueError(f"Settings must be name=value. Received: {setting!r}.")
        if entry:
            values = getattr(config, name)
            if values is None and dict in typing.get_args(hints[name]):
                values = {}
            value = _override_entry(values, entry, text, setting)
        else:
            value = _parse(text.strip(), hints[name], setting)
        config = dataclasses.replace(config, **{name: value})
    return config


def _override_entry(values, path, text, setting):
    """A copy of a dict with a new value at a path such as `"kinds.editor"`."""
    if not isinstance(values, dict):
        raise ValueError(
            f"Only settings that are dicts have entries. Received: {setting!r}."
        )
    entry, _, deeper = path.partition(".")
    if deeper:
        value = _override_entry(values.get(entry, {}), deeper, text, setting)
    else:
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
    return {**values, entry: value}


def _parse(text, kind, setting):
    """The value of `text` for a field of type `kind`."""
    if isinstance(kind, types.UnionType):
        if text.lower() in ("none", "null", ""):
            return None
        (kind,) = (k for k in typing.get_args(kind) if k is not type(None))
    try:
        if kind is bool:
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        if kind in (dict, list):
            value = json.loads(text)
            if not isinstance(value, kind):
                raise ValueError
            return value
        return kind(text)
    except (ValueError, KeyError) as error:
        raise ValueError(
            f"The value must be of type {kind.__name__}. Received: {setting!r}."
        ) from error
