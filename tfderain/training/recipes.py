"""Recipes for training: frozen values, the papers' ablations by name, overrides.

```python
config = recipes.resolve("menet_paper", ablation="LpLeLt+GB+CA")
config = recipes.override(config, ["epochs=3", "model_config.num_blocks=4"])
```

Neither Keras nor TensorFlow is imported here, so that the command line can list and
check recipes at once.
"""

import dataclasses
from collections.abc import Sequence

from tfderain.presets import FORMS
from tfderain.training.ablations import (
    ABLATIONS,
    CODE_TEXTURE,
    PAPER_TASKS,
    UNIT_TASKS,
    ablate,
    tasks_of,
)
from tfderain.training.config import TrainConfig, override

__all__ = ["ABLATIONS", "RECIPES", "TrainConfig", "ablate", "override", "resolve"]

# DRSformer with the widths of the small Rainmer, whose baseline it is.
SMALL_TRANSFORMER = {
    name: FORMS["rainmer"].model_config[name]
    for name in ("dim", "num_blocks", "num_heads", "expansion", "num_stages", "patch")
}

DAY_AND_NIGHT = {
    "real_share": 0.25,
    "clean_share": 0.05,
    "night_share": 0.25,
    "veil_share": 0.12,
    "heavy_share": 0.35,
    "light_share": 0.35,
}

# What the papers' experiments have in common: training on all pairs, keeping the last
# epoch (none of them chooses by validation), the epsilon of TensorFlow 1 and PyTorch.
PAPER: dict = {"validation_fraction": 0.0, "keep": "last", "epsilon": 1e-8}

# What the experiments of JRGR (as printed, and as run) and CycleGAN have in common.
ADVERSARIAL: dict = {
    **PAPER,
    "crop": 256,
    "epochs": 200,
    "schedule": "linear",
    "beta_1": 0.5,
}

MENET_PAPER = TrainConfig(
    model_config={
        "normalization": "batch_unbiased",
        "value_range": 255.0,
        "tasks": tasks_of(PAPER_TASKS, "reconstruction", "edge", "texture"),
        "weighting": "LB",
    },
    crop=224,
    crops="five_crop",
    batch_size=20,
    epochs=100,
    schedule="steps",
    milestones=[40],
    **PAPER,
)

RESUNET = TrainConfig(
    model="resunet",
    model_config={
        **FORMS["resunet"].model_config,
        "tasks": {**tasks_of(UNIT_TASKS, "reconstruction"), "log_error": {}},
        "weighting": {"reconstruction": 0.5, "log_error": 0.02},
    },
    optimizer="muon",
    crop=128,
    batch_size=8,
    steps_per_epoch=500,
    epochs=40,
    learning_rate=7e-4,
    schedule="stable",
    clip_norm=1.0,
    ema=0.999,
    # Other kinds of rain for the pairs' pictures, and for those without rain.
    degrade={
        "own_share": 0.66,
        "kinds": {
            "clean": 0.06,
            "heavy": 0.36,
            "light": 0.28,
            "editor": 0.2,
            "varied": 0.08,
            "night": 0.02,
        },
    },
    pool_count=600,
)

RECIPES = {
    # tfderain train menet --data DIR --streaks DIR --out DIR: the shipped preset. One
    # network for light, heavy and real rain. The last parts of its training had fixed
    # weights, see its card.
    "menet": TrainConfig(
        model_config={
            **FORMS["menet"].model_config,
            "tasks": tasks_of(UNIT_TASKS, "reconstruction", "edge", "texture"),
            "weighting": "LB",
        },
        # Small batches: on two cores, the number of steps is the limit. Muon reached a
        # training loss of 0.065 in the first 500 steps, Adam 0.071.
        optimizer="muon",
        crop=112,
        batch_size=8,
        steps_per_epoch=500,
        epochs=40,
        schedule="cosine",
        clip_norm=1.0,
        ema=0.999,
        degrade={
            "real_share": 0.33,
            "clean_share": 0.05,
            "veil_share": 0.12,
            "heavy_share": 0.55,
            "light_share": 0.25,
        },
    ),
    # tfderain train menet_paper --ablation LpLeLt+GB+CA --data DIR: section IV as
    # printed, with the texture loss of Eq. (7); tables are scored by `tfderain evaluate
    # --patches five_crop --protocol rgb_gaussian`. Without `--ablation`: LpLeLt+LB.
    "menet_paper": MENET_PAPER,
    # tfderain train menet_code --ablation LpLeLt+GB+CA --data DIR: like the authors'
    # code. Its texture loss compares one number per image, near 1e13 on 0..255 images,
    # so that GB and LB give it exactly no weight: (1, 0, 1). The rate falls twice.
    "menet_code": dataclasses.replace(
        MENET_PAPER,
        model_config={
            **MENET_PAPER.model_config,
            "tasks": {**MENET_PAPER.model_config["tasks"], "texture": CODE_TEXTURE},
        },
        milestones=[40, 80],
    ),
    # tfderain train erlnet --data DIR --streaks DIR --out DIR: ERL-Net at a quarter of
    # the paper's width, all stages of MA_D.
    "erlnet": TrainConfig(
        model="erlnet",
        model_config=FORMS["erlnet"].model_config,
        strategy="MA_D",
        stages={
            # Short stages: an average over 1,000 steps would be mostly their start.
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
    # tfderain train erlnet_paper --ablation MA_D+mlgd --data DIR: section 4.1. It is
    # not known whether 400 epochs are meant for each stage or in total: here for each.
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
        **PAPER,
    ),
    # tfderain train jrgr --data DIR --photos DIR --streaks DIR: the shipped preset.
    "jrgr": TrainConfig(
        model="jrgr",
        model_config=FORMS["jrgr"].model_config,
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
    # tfderain train jrgr_paper --data DIR --photos DIR: section 3.3; weights of the
    # losses as printed, and Eqs. (2)-(4) as printed: log(1 - D) for the generators.
    # DIR may be a folder in the authors' layout {Os,Bs,Ot}, without --photos.
    "jrgr_paper": TrainConfig(
        model="jrgr",
        model_config={
            "variant": "paper",
            "adversary": "log_saturating",
            "normalization": "batch_unbiased",
            "lambdas": {
                "adversarial_clean": 10.0,
                "adversarial_rainy": 10.0,
                "cycle": 1.0,
                "mse": 10.0,
            },
        },
        strategy="proposed",
        stages={"pretrain": {"epochs": 100, "schedule": "constant"}},
        flips=False,
        batch_size=16,
        learning_rate=1e-4,
        **ADVERSARIAL,
    ),
    # tfderain train jrgr_code --data DIR --photos DIR: as the authors actually ran it.
    "jrgr_code": TrainConfig(
        model="jrgr",
        model_config={
            "variant": "code",
            "lambdas": {"mse": 50.0},
            "normalization": "batch_unbiased",
        },
        strategy="proposed",
        stages={"pretrain": {"epochs": 200}},
        flips=False,
        batch_size=8,
        learning_rate=1e-4,
        **ADVERSARIAL,
    ),
    # tfderain train cyclegan_paper --data DIR --photos DIR: Zhu et al., 2017, sections
    # 4 and 7.1, between the photos and the clean images of the pairs, as compared with
    # in JRGR's paper (Table 1, Figure 9).
    "cyclegan_paper": TrainConfig(
        model="cyclegan",
        batch_size=1,
        learning_rate=2e-4,
        **ADVERSARIAL,
    ),
    # tfderain train rainmer --data DIR --streaks DIR --out DIR: a quarter of the
    # paper's channels. A mixture of the data set's rain and synthetic rain by day and
    # by night replaces the paper's three data sets; to use folders of the real ones,
    # give `--data` several times and `--set degrade=none`.
    "rainmer": TrainConfig(
        model="rainmer",
        model_config=FORMS["rainmer"].model_config,
        optimizer="two_groups",
        weight_decay=0.01,
        crop=112,
        batch_size=4,
        steps_per_epoch=100,
        epochs=34,
        # Above the authors', since there are few steps: validation loss after 400 steps
        # of 8 x 64x64 without contrast 0.0625, with 1e-3 0.0638 (with a clip norm of
        # 1.0 0.0654 after 300, 0.0633 with 0.1; Muon 0.0653).
        learning_rate=2e-3,
        schedule="cycles",
        clip_norm=0.1,
        ema=0.995,
        validation_crops=64,
        degrade=DAY_AND_NIGHT,
    ),
    # tfderain train rainmer_paper --data RAIN13K --data GT-RAIN --data GTAV-BALANCE:
    # 300,000 steps of two batches each (configs/rainmer_resize_alpha.yaml), the data
    # sets mixed by image. The encoder sees whole images; the masks are the authors',
    # each applied to the previous map, with ties by lowest index. The small `rainmer`
    # has DRSformer's masks, which do not depend on the order of ties.
    "rainmer_paper": TrainConfig(
        model="rainmer",
        model_config={"cumulative": True},
        turns="either",
        whole_images=True,
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
        **PAPER,
    ),
    # tfderain train all_in_one --data DIR --streaks DIR: one small Rainmer for rain,
    # drops on the lens and snow. With AllWeather: --data DIR --set degrade=none.
    "all_in_one": TrainConfig(
        model="rainmer",
        model_config=FORMS["rainmer"].model_config,
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
    # tfderain train drsformer --data DIR --streaks DIR: the baseline of `rainmer`, with
    # its widths and its data.
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
        degrade=DAY_AND_NIGHT,
    ),
    # tfderain train drsformer_paper --data DIR: Options/Deraining.yml, 300,000 steps;
    # the authors used four GPUs with 8 patches in all, turned and mirrored (geometric
    # augmentation). Its masks all use the same scores; all ties are kept.
    "drsformer_paper": TrainConfig(
        model="drsformer",
        turns="geometric",
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
        **PAPER,
    ),
    # tfderain train resunet --data PAIRS --data PHOTOS --layout auto --layout clean
    # --streaks DIR --layers RAINTRAINH --out DIR; photos without rain, see `Material`
    "resunet": RESUNET,
    # tfderain train resunet_fast --data DIR --out DIR: half the channels and fewer
    # blocks, for phones and browsers.
    "resunet_fast": dataclasses.replace(
        RESUNET,
        model_config={
            **RESUNET.model_config,
            **FORMS["resunet_fast"].model_config,
        },
    ),
    # tfderain train resunet_drops --from resunet --data ROBOTCAR=1 --data PHOTOS=3
    # --layout auto --layout clean --streaks DIR --out DIR: drops on the glass. A
    # quarter of the samples are real pairs, brought to one place and exposure; drops
    # are rendered on photos without rain for the others.
    "resunet_drops": dataclasses.replace(
        RESUNET,
        model=FORMS["drops"].model,
        model_config={
            **FORMS["drops"].model_config,
            "tasks": {**tasks_of(UNIT_TASKS, "reconstruction"), "log_error": {}},
            "weighting": {"reconstruction": 0.5, "log_error": 0.02, "mask": 0.02},
        },
        align=True,
        crop=192,
        batch_size=4,
        degrade={
            "own_share": 1.0,
            "drops": {"clean": 0.093, "defocused": 0.4, "lens": 0.387, "both": 0.12},
            "kinds": {"heavy": 0.3, "light": 0.6, "editor": 0.1},
        },
        pool_count=150,
        # Two cameras on one road: the same trees a few metres on correlate by 0.85.
        same_background=0.85,
        validation_fraction=0.1,
        validation_crops=192,
    ),
    # tfderain train prenet_paper --data RAINTRAINH: section 4 and the authors' code
    # (train_PReNet.py). Its loss, the negative SSIM, is the network's default.
    "prenet_paper": TrainConfig(
        model="prenet",
        crop=100,
        batch_size=18,
        epochs=100,
        learning_rate=1e-3,
        schedule="steps",
        milestones=[30, 50, 80],
        milestone_factor=0.2,
        **PAPER,
    ),
    # tfderain train smoke --data DIR: takes seconds; proves that data, training,
    # checkpoints and logs work together.
    "smoke": TrainConfig(
        model_config={
            "num_blocks": 1,
            "filters": 16,
            "normalization": None,
            "value_range": 1.0,
            "clip_training": False,
            "tasks": tasks_of(UNIT_TASKS, "reconstruction", "edge", "texture"),
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


def resolve(
    recipe: str, ablation: str | None = None, overrides: Sequence[str] = ()
) -> TrainConfig:
    """The config of a recipe, or of one of its ablations, with overrides.

    Args:
        recipe: a name in `RECIPES`.
        ablation: `None` or one of `ABLATIONS`.
        overrides: see `override`.

    Raises:
        ValueError: for an unknown recipe, ablation, setting or entry of a setting, and
            for the VGG row of Table IV without `vgg_weights=FILE` in the overrides.

    Keras is loaded only if overrides change the network or its stages.
    """
    if recipe not in RECIPES:
        raise ValueError(
            f"`recipe` must be one of {', '.join(RECIPES)}. Received: {recipe!r}."
        )
    config = RECIPES[recipe]
    if ablation is not None:
        config = ablate(config, ablation)
    before, config = config, override(config, overrides)
    if "perceptual" in config.model_config.get("tasks", {}) and not config.vgg_weights:
        raise ValueError(
            "The perceptual task needs VGG19's weights (a Keras file without the top "
            "layers; tfderain ships none): use the setting vgg_weights=FILE. "
            f"Received: vgg_weights={config.vgg_weights!r}."
        )
    from tfderain.training import checking  # NumPy starts here

    checking.check_rain(config)
    if any(getattr(config, n) != getattr(before, n) for n in checking.OF_NETWORKS):
        checking.check(config)
    return config
