"""Training recipes: frozen values, the paper's ablations by name, overrides.

```python
config = recipes.resolve("menet_paper", ablation="LpLeLt+GB+CA")
config = recipes.override(config, ["epochs=3", "model_config.num_blocks=4"])
```

Neither Keras nor TensorFlow is imported here, so that the command line can list and
check recipes at once.
"""

import dataclasses
import json
import types
import typing
from dataclasses import dataclass, field

ABLATIONS = {
    "menet": (
        # Table I of Fan et al., 2020, https://arxiv.org/abs/2003.09689
        "Lp",
        "LpLe+Fixed",
        "LpLe+GB",
        "LpLe+LB",
        "LpLeLt+GB",
        "LpLeLt+LB",
        "LpLeLt+GB+CA",  # MENET-GB in Table II
        "LpLeLt+LB+CA",  # MENET-LB in Table II
        # Table II, 16 residual blocks
        "LpLeLt+GB+CA+deep",
        "LpLeLt+LB+CA+deep",
        # Table IV (its other two rows are Lp and LpLe+Fixed)
        "LpLvgg+Fixed",
    ),
    "erlnet": (
        # Table 2 of Wang et al., ICCV 2019: the base network
        "MEMD--",
        "MEMD-",
        "MEMD",
        # Table 3: strategy and form of the entanglement
        *(
            f"{strategy}+{form}"
            for form in ("clgd", "mlgd")
            for strategy in ("MA_A", "MA_B", "MA_C", "MA_D", "DT")
        ),
    ),
    # Rainmer's configs of these names: without the chromatic view, without details and
    # degradation, without the interaction of both networks, without all three
    "rainmer": ("wochr", "wodetg", "wolocf", "baseline"),
    # Table 2 of Ye et al., CVPR 2021: losses left out, and how training starts
    "jrgr": (
        *("no_adv_B", "no_adv_O", "no_cyc", "no_MSE", "Init-1", "Init-2", "proposed"),
        "CycleGAN",  # Figure 9
    ),
}
TASKS = {
    "Lp": "reconstruction",
    "Le": "edge",
    "Lt": "texture",
    "Lvgg": "perceptual",
}
FIXED_WEIGHTS = {"edge": 1e-2, "perceptual": 1e-3}  # Table IV
JRGR_LOSSES = {
    "no_adv_B": "adversarial_clean",
    "no_adv_O": "adversarial_rainy",
    "no_cyc": "cycle",
    "no_MSE": "mse",
}
RAINMER_PARTS = {
    "wochr": ("chromatic",),
    "wodetg": ("degradation",),
    "wolocf": ("interaction",),
    "baseline": ("chromatic", "degradation", "interaction"),
}
# Which removal networks start from the pre-trained one, and what part of the learning
# rate each network has in joint training (section 3.3 and 4.4 of the paper).
JRGR_STRATEGIES = {
    "proposed": {"derain_synthetic": 0.01, "derain_real": 0.1},
    "Init-2": {"derain_synthetic": 0.01},
    "Init-1": {},
}


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides what a training run computes, but for its data.

    Args:
        model: class of `tfderain.models`, in lower case.
        model_config: constructor arguments of it. `tasks` maps a task
            (`reconstruction`, `edge`, `texture`, `perceptual`) to the arguments of its
            loss; `weighting` is `"GB"`, `"LB"` or a dict of fixed weights. Both may
            also be what Keras serialises.
        strategy: `None`, or how a network is trained stage by stage: with
            entanglement a name in `tfderain.models.entanglement.STRATEGIES`, JRGR one
            in `JRGR_STRATEGIES`.
        stages: for each stage of a strategy by name (also `"clean_to_clean"`),
            settings that differ from these: `{"residual": {"epochs": 5}}`.
        inputs: `"rainy"`, or `"clean"`: the clean image is input and target, which
            makes a teacher for the feature loss.
        crop: height and width of the training patches.
        crops: `"random"` or `"five_crop"` (corners, centre, and their mirror images).
        flips: mirror random patches with probability 1/2.
        batch_size: patches of one step.
        steps_per_epoch: `None` for the whole data set once.
        epochs: how often. The only field that may grow when a run goes on.
        learning_rate: of the optimizer, at its highest.
        schedule: `"constant"`; `"steps"`: a tenth from epoch 40 and a hundredth from
            epoch 80; `"cosine"`: from 0 up during the first 2 %, at most 500 steps,
            then down to 0 along a cosine; `"linear"`: down to 0 on a line during the
            second half; `"plateau"`: a tenth whenever the training loss has not fallen
            for ten epochs; `"cycles"`: Rainmer's two cosines, to a third during the
            first 92 of 300 steps, from the top to a 300th during the others; `"hold"`:
            DRSformer's, constant during the first 92 of 300, then along that cosine.
        optimizer: `"adam"`, `"muon"` (`tfderain.optimizers.ConvMuon`; the first and
            the last convolution and all biases are left to Adam), `"adamw"`, or
            `"two_groups"` (`tfderain.optimizers.TwoGroupAdamW`: the representation
            encoder decays, all else is clipped).
        beta_1: of Adam.
        rates: dict from a network's name to its part of the learning rate (Adam), or
            `None`.
        weight_decay: of `"adamw"` and of the encoder in `"two_groups"`.
        clip_norm: largest norm of all gradients together (`"two_groups"`: of those
            outside the encoder), or `None`.
        accumulate: batches whose mean gradient makes one step of the optimizer.
        ema: momentum of the average of the weights, which is what is validated and
            shipped, or `None` for the weights themselves.
        degrade: arguments of `tfderain.data.rain.RainMixer`, or `None` for the data
            set's own rain alone.
        pool_count, pool_size: number of rain layers rendered beforehand, and their
            side in pixels.
        validation_fraction: share of the backgrounds kept for choosing the best epoch.
        validation_crops: patches of them, half with their own rain and half (given
            `degrade`) with synthetic rain.
        keep: `"best"`, the weights of the epoch with the best validation PSNR, or
            `"last"`: pairs cannot say when a network for real rain is best.
        vgg_weights: file with VGG19's weights, for the task `perceptual`.
        seed: of weights, data order and rain.
        mixed_precision: `None`, `"mixed_float16"`, `"mixed_bfloat16"`, or
            `"cpu_bfloat16"`: oneDNN's graph rewrite, faster on CPUs with bfloat16.
        jit: compile the step with XLA.
        deterministic: only deterministic operations; an error where there is none.
        max_bad_steps: steps without a finite loss, one after the other, that end a run.
    """

    model: str = "menet"
    model_config: dict = field(default_factory=dict)
    strategy: str | None = None
    stages: dict | None = None
    inputs: str = "rainy"
    crop: int = 128
    crops: str = "random"
    flips: bool = True
    batch_size: int = 16
    steps_per_epoch: int | None = None
    epochs: int = 100
    learning_rate: float = 1e-3
    schedule: str = "constant"
    optimizer: str = "adam"
    beta_1: float = 0.9
    rates: dict | None = None
    weight_decay: float = 0.0
    clip_norm: float | None = None
    accumulate: int = 1
    ema: float | None = None
    degrade: dict | None = None
    pool_count: int = 800
    pool_size: int = 384
    validation_fraction: float = 0.08
    validation_crops: int = 256
    keep: str = "best"
    vgg_weights: str | None = None
    seed: int = 0
    mixed_precision: str | None = None
    jit: bool = False
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
        for name in (*positive, "accumulate"):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"`{name}` must be positive. "
                    f"Received: {name}={getattr(self, name)}."
                )
        if self.ema is not None and not 0 <= self.ema < 1:
            raise ValueError(f"`ema` must be in [0, 1). Received: ema={self.ema}.")


CHOICES = {
    "model": ("menet", "erlnet", "jrgr", "rainmer", "drsformer"),
    "strategy": (None, "MA_A", "MA_B", "MA_C", "MA_D", "DT", *JRGR_STRATEGIES),
    "inputs": ("rainy", "clean"),
    "crops": ("random", "five_crop"),
    "schedule": ("constant", "steps", "cosine", "linear", "plateau", "cycles", "hold"),
    "optimizer": ("adam", "muon", "adamw", "two_groups"),
    "keep": ("best", "last"),
    "mixed_precision": (None, "mixed_float16", "mixed_bfloat16", "cpu_bfloat16"),
}

# How the tasks of an ablation look in a recipe: as the authors' code has them (squared
# errors of 0..255 images), or all on the scale of absolute errors of [0, 1] images,
# where the weightings really balance three tasks.
PAPER_TASKS = {
    "reconstruction": {"norm": "l2", "value_range": 255.0},
    "edge": {"norm": "l2", "value_range": 255.0},
    "texture": {"mode": "scalar", "value_range": 255.0},
    "perceptual": {"value_range": 255.0},
}
UNIT_TASKS = {
    "reconstruction": {"norm": "l1", "value_range": 1.0},
    # Sobel filters answer 8 to a slope of 1 per pixel: an eighth of it is the slope.
    "edge": {"norm": "l1", "value_range": 0.125},
    "texture": {"mode": "normalized", "value_range": 1.0},
    "perceptual": {"value_range": 1.0},
}


# Rainmer for two cores, see `tfderain.models.rainmer.PRESETS`.
SMALL_TRANSFORMER = {
    "dim": 12,
    "num_blocks": [1, 1, 1, 1],
    "num_heads": [1, 2, 4, 8],
    "expansion": 2.0,
    "num_stages": 1,
    "patch": 2,
}
SMALL_RAINMER = {
    **SMALL_TRANSFORMER,
    "filters": 48,
    "gate_ratio": 4,
    "encoder_size": 64,
}


def _tasks(tasks, *names):
    return {name: dict(tasks[name]) for name in names}


RECIPES = {
    # tfderain train menet --data DIR --streaks DIR --run DIR: the shipped preset. One
    # network for light, heavy and real rain.
    "menet": TrainConfig(
        model_config={
            "num_blocks": 12,
            "normalization": None,
            "value_range": 1.0,
            "clip_training": False,
            "tasks": _tasks(UNIT_TASKS, "reconstruction", "edge", "texture"),
            "weighting": "LB",
        },
        # Small batches: on two cores the number of steps is what runs short. Muon
        # reached a training loss of 0.065 in the first 500 steps, Adam 0.071.
        optimizer="muon",
        crop=112,
        batch_size=8,
        steps_per_epoch=500,
        epochs=40,
        schedule="cosine",
        clip_norm=1.0,
        ema=0.999,
        degrade={"real_share": 0.2, "clean_share": 0.1, "veil_share": 0.12},
    ),
    # tfderain train menet_paper --ablation LpLeLt+GB+CA --data DIR: schedule and
    # patches of the paper and its authors' code. Without `--ablation`: LpLeLt+LB.
    "menet_paper": TrainConfig(
        model_config={
            "normalization": "batch",
            "value_range": 255.0,
            "tasks": _tasks(PAPER_TASKS, "reconstruction", "edge", "texture"),
            "weighting": "LB",
        },
        crop=224,
        crops="five_crop",
        batch_size=20,
        epochs=100,
        schedule="steps",
    ),
    # tfderain train erlnet --data DIR --streaks DIR --run DIR: ERL-Net at a quarter of
    # the paper's width, all stages of MA_D.
    "erlnet": TrainConfig(
        model="erlnet",
        model_config={"stem": 16, "growth": 8, "entanglement": "mlgd"},
        strategy="MA_D",
        stages={
            # Short stages: an average over 1,000 steps would be their start.
            "clean_to_clean": {"epochs": 1, "degrade": None, "ema": None},
            "main": {"epochs": 9},
            "residual": {"epochs": 1, "ema": 0.99},
            "refine": {"epochs": 1, "ema": 0.99},
        },
        optimizer="muon",
        crop=96,
        batch_size=8,
        steps_per_epoch=500,
        epochs=20,
        schedule="cosine",
        clip_norm=1.0,
        ema=0.999,
        degrade={
            "real_share": 0.3,
            "clean_share": 0.06,
            "veil_share": 0.12,
            "heavy_share": 0.55,
            "light_share": 0.2,
        },
    ),
    # tfderain train erlnet_paper --ablation MA_D+mlgd --data DIR: section 4.1. Whether
    # 400 epochs are meant for each stage or for all is not known: here for each.
    "erlnet_paper": TrainConfig(
        model="erlnet",
        model_config={"entanglement": "mlgd"},
        strategy="MA_D",
        crop=320,
        flips=False,
        batch_size=1,
        epochs=400,
        learning_rate=4e-4,
        schedule="plateau",
    ),
    # tfderain train jrgr --synthetic DIR --real DIR --streaks DIR: small networks that
    # start as the identity, so that sharp backgrounds need not be learned anew.
    "jrgr": TrainConfig(
        model="jrgr",
        model_config={
            "variant": "paper",
            "filters": 20,
            "num_levels": 4,
            "critic_filters": 24,
            "normalization": None,
            "residual": True,
        },
        strategy="proposed",
        stages={
            # XLA would take minutes to compile the joint step.
            "pretrain": {
                "jit": True,
                "epochs": 40,
                "batch_size": 8,
                "learning_rate": 1e-3,
                "beta_1": 0.9,
                "schedule": "cosine",
                "clip_norm": 1.0,
                "keep": "best",
            },
        },
        crop=128,
        batch_size=2,
        steps_per_epoch=500,
        epochs=20,
        learning_rate=2e-4,
        schedule="linear",
        beta_1=0.5,
        ema=0.999,
        degrade={
            "real_share": 0.3,
            "clean_share": 0.06,
            "veil_share": 0.12,
            "heavy_share": 0.5,
            "light_share": 0.2,
        },
        keep="last",
    ),
    # tfderain train jrgr_paper --synthetic DIR --real DIR: section 3.3; weights of the
    # losses as printed.
    "jrgr_paper": TrainConfig(
        model="jrgr",
        model_config={
            "variant": "paper",
            "adversary": "log",
            "lambdas": {
                "adversarial_clean": 10.0,
                "adversarial_rainy": 10.0,
                "cycle": 1.0,
                "mse": 10.0,
            },
        },
        strategy="proposed",
        stages={"pretrain": {"epochs": 100, "schedule": "constant"}},
        crop=256,
        flips=False,
        batch_size=16,
        epochs=200,
        learning_rate=1e-4,
        schedule="linear",
        beta_1=0.5,
        keep="last",
    ),
    # tfderain train jrgr_code --synthetic DIR --real DIR: as the authors really ran it.
    "jrgr_code": TrainConfig(
        model="jrgr",
        model_config={"variant": "code", "lambdas": {"mse": 50.0}},
        strategy="proposed",
        stages={"pretrain": {"epochs": 200}},
        crop=256,
        flips=False,
        batch_size=8,
        epochs=200,
        learning_rate=1e-4,
        schedule="linear",
        beta_1=0.5,
        keep="last",
    ),
    # tfderain train rainmer --data DIR --streaks DIR --run DIR: a quarter of the
    # paper's channels. The data set's rain, synthetic rain by day and by night in one
    # mixture take the place of the paper's three data sets; with folders of real ones
    # give `--data` several times and `--set degrade=none`.
    "rainmer": TrainConfig(
        model="rainmer",
        model_config=SMALL_RAINMER,
        optimizer="two_groups",
        weight_decay=0.01,
        crop=112,
        batch_size=8,
        steps_per_epoch=500,
        epochs=40,
        # Three times the authors', since steps are few here; not tuned.
        learning_rate=1e-3,
        schedule="cycles",
        clip_norm=0.1,
        ema=0.999,
        degrade={
            "real_share": 0.25,
            "clean_share": 0.05,
            "night_share": 0.25,
            "veil_share": 0.12,
            "heavy_share": 0.35,
            "light_share": 0.35,
        },
    ),
    # tfderain train rainmer_paper --data RAIN13K --data GT-RAIN --data GTAV-BALANCE:
    # 300,000 steps of two batches each (configs/rainmer_resize_alpha.yaml), the data
    # sets mixed by image. Patches are mirrored left-right only, the authors' also
    # upside down.
    "rainmer_paper": TrainConfig(
        model="rainmer",
        optimizer="two_groups",
        weight_decay=0.01,
        crop=128,
        batch_size=4,
        accumulate=2,
        steps_per_epoch=2000,
        epochs=300,
        learning_rate=3e-4,
        schedule="cycles",
        clip_norm=0.01,
        seed=100,
    ),
    # tfderain train all_in_one --data DIR --streaks DIR: one small Rainmer for rain,
    # drops on the lens and snow. With AllWeather: --data DIR --set degrade=none.
    "all_in_one": TrainConfig(
        model="rainmer",
        model_config=SMALL_RAINMER,
        optimizer="two_groups",
        weight_decay=0.01,
        crop=112,
        batch_size=8,
        steps_per_epoch=500,
        epochs=40,
        learning_rate=1e-3,
        schedule="cycles",
        clip_norm=0.1,
        ema=0.999,
        degrade={
            "real_share": 0.15,
            "clean_share": 0.05,
            "drops_share": 0.28,
            "snow_share": 0.28,
            "veil_share": 0.12,
        },
    ),
    # tfderain train drsformer --data DIR --streaks DIR: the baseline of `rainmer`, at
    # its widths and with its data.
    "drsformer": TrainConfig(
        model="drsformer",
        model_config=SMALL_TRANSFORMER,
        optimizer="adamw",
        weight_decay=1e-4,
        crop=112,
        batch_size=8,
        steps_per_epoch=500,
        epochs=40,
        learning_rate=1e-3,
        schedule="hold",
        clip_norm=0.1,
        ema=0.999,
        degrade={
            "real_share": 0.25,
            "clean_share": 0.05,
            "night_share": 0.25,
            "veil_share": 0.12,
            "heavy_share": 0.35,
            "light_share": 0.35,
        },
    ),
    # tfderain train drsformer_paper --data DIR: Options/Deraining.yml, 300,000 steps;
    # the authors used four GPUs with 8 patches in all.
    "drsformer_paper": TrainConfig(
        model="drsformer",
        optimizer="adamw",
        weight_decay=1e-4,
        crop=128,
        batch_size=8,
        steps_per_epoch=1000,
        epochs=300,
        learning_rate=3e-4,
        schedule="hold",
        clip_norm=0.01,
        seed=100,
    ),
    # tfderain train smoke --data DIR: seconds; proves that data, training, checkpoints
    # and logs work together.
    "smoke": TrainConfig(
        model_config={
            "num_blocks": 1,
            "filters": 16,
            "normalization": None,
            "value_range": 1.0,
            "clip_training": False,
            "tasks": _tasks(UNIT_TASKS, "reconstruction", "edge", "texture"),
            "weighting": "LB",
        },
        crop=32,
        batch_size=4,
        steps_per_epoch=5,
        epochs=2,
        schedule="cosine",
        ema=0.9,
        degrade={},
        pool_count=8,
        pool_size=64,
        validation_fraction=0.25,
        validation_crops=8,
    ),
}


def ablate(config: TrainConfig, ablation: str) -> TrainConfig:
    """A recipe changed to a row of the tables of its network's paper.

    Args:
        config: a recipe. MENET keeps the form of each loss (`menet_paper`: 0..255 and
            squares, else [0, 1] and absolute values), ERL-Net its widths.
        ablation: one of `ABLATIONS[config.model]`, for example `"LpLeLt+GB+CA"`.

    Raises:
        ValueError: for an unknown row, listing all of them.
    """
    known = ABLATIONS.get(config.model, ())
    if ablation not in known:
        raise ValueError(
            f"`ablation` must be one of {', '.join(known) or 'none'}. "
            f"Received: ablation={ablation!r}."
        )
    change = {
        "menet": _ablate_menet,
        "erlnet": _ablate_erlnet,
        "jrgr": _ablate_jrgr,
        "rainmer": _ablate_rainmer,
    }
    return change[config.model](config, ablation)


def _ablate_rainmer(config, ablation):
    left_out = dict.fromkeys(RAINMER_PARTS[ablation], False)
    model_config = {**config.model_config, **left_out}
    return dataclasses.replace(config, model_config=model_config)


def _ablate_jrgr(config, ablation):
    if ablation in JRGR_STRATEGIES:
        return dataclasses.replace(config, strategy=ablation)
    if ablation == "CycleGAN":
        model_config = {**config.model_config, "translation": "image"}
        return dataclasses.replace(config, model_config=model_config)
    lambdas = {**config.model_config.get("lambdas", {}), JRGR_LOSSES[ablation]: 0.0}
    model_config = {**config.model_config, "lambdas": lambdas}
    return dataclasses.replace(config, model_config=model_config)


def _ablate_erlnet(config, ablation):
    strategy, _, form = ablation.partition("+")
    changes = {
        "skip": ablation != "MEMD--",
        "fusion": ablation not in ("MEMD--", "MEMD-"),
        "entanglement": form or None,
    }
    return dataclasses.replace(
        config,
        model_config={**config.model_config, **changes},
        strategy=strategy if form else None,
    )


def _ablate_menet(config, ablation):
    """Tasks, weighting, attention and depth of a row."""
    losses, *rest = ablation.split("+")
    parts = [f"L{part}" for part in losses.split("L")[1:]]
    forms = PAPER_TASKS if config.model_config["value_range"] == 255.0 else UNIT_TASKS
    tasks = _tasks(forms, *(TASKS[part] for part in parts))
    fixed = {
        # In proportion to the reconstruction loss, as in the paper.
        task: FIXED_WEIGHTS[task]
        * (forms["reconstruction"]["value_range"] / forms[task]["value_range"])
        for task in tasks
        if task in FIXED_WEIGHTS
    }
    balanced = [part for part in rest if part in ("GB", "LB")]
    model_config = {
        **config.model_config,
        "tasks": tasks,
        "weighting": balanced[0] if balanced else fixed,
        "channel_attention": "CA" in rest,
        "num_blocks": 16
        if "deep" in rest
        else min(8, config.model_config.get("num_blocks", 8)),
    }
    return dataclasses.replace(config, model_config=model_config)


def override(config: TrainConfig, settings) -> TrainConfig:
    """Replaces fields by `"name=value"` texts, parsed by the type of the field.

    Args:
        config: what to start from.
        settings: texts such as `"epochs=3"`, `"ema=none"`, `"jit=true"`; entries of a
            dict by `"model_config.num_blocks=4"` (the value is then JSON or a text).

    Raises:
        ValueError: for an unknown name, listing the known ones, or a wrong value.
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
            value = _override_entry(getattr(config, name), entry, text, setting)
        else:
            value = _parse(text.strip(), hints[name], setting)
        config = dataclasses.replace(config, **{name: value})
    return config


def _override_entry(values, entry, text, setting):
    if not isinstance(values, dict):
        raise ValueError(
            f"Only settings that are dicts have entries. Received: {setting!r}."
        )
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = text
    return {**values, entry: value}


def _parse(text, kind, setting):
    """The value that `text` means for a field of type `kind`."""
    if isinstance(kind, types.UnionType):
        if text.lower() in ("none", "null", ""):
            return None
        (kind,) = (k for k in typing.get_args(kind) if k is not type(None))
    try:
        if kind is bool:
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        if kind is dict:
            value = json.loads(text)
            if not isinstance(value, dict):
                raise ValueError
            return value
        return kind(text)
    except (ValueError, KeyError) as error:
        raise ValueError(
            f"The value must be of type {kind.__name__}. Received: {setting!r}."
        ) from error


def resolve(recipe, ablation=None, overrides=()) -> TrainConfig:
    """The config of a recipe by name, of one of its ablations, with overrides.

    Args:
        recipe: a name in `RECIPES`.
        ablation: `None` or one of `ABLATIONS`.
        overrides: see `override`.

    Raises:
        ValueError: for an unknown recipe, ablation or setting, and for the VGG row of
            Table IV without `vgg_weights=FILE` among the overrides.
    """
    if recipe not in RECIPES:
        raise ValueError(
            f"`recipe` must be one of {', '.join(RECIPES)}. Received: {recipe!r}."
        )
    config = RECIPES[recipe]
    if ablation is not None:
        config = ablate(config, ablation)
    config = override(config, overrides)
    if "perceptual" in config.model_config.get("tasks", {}) and not config.vgg_weights:
        raise ValueError(
            "The perceptual task needs VGG19's weights (a Keras file without the top "
            "layers; tfderain ships none): give vgg_weights=FILE as a setting. "
            f"Received: vgg_weights={config.vgg_weights!r}."
        )
    return config
