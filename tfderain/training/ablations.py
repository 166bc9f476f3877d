"""Ablations: the rows of the papers' tables, as changes of a recipe."""

import dataclasses

from tfderain.training.config import TrainConfig

JRGR_STARTS = ("Init-1", "Init-2", "proposed")  # its strategies
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
    # Rainmer's configs with these names: without the chromatic view, without details
    # and degradation, without the interaction of both networks, without all three
    "rainmer": ("wochr", "wodetg", "wolocf", "baseline"),
    # Table 2 of Ye et al., CVPR 2021: losses left out, and initialisations
    "jrgr": (
        *("no_adv_B", "no_adv_O", "no_cyc", "no_MSE"),
        *JRGR_STARTS,
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

# The tasks of an ablation depend on the recipe: as printed in the paper (squared errors
# of 0..255 images), with the texture loss of the authors' code, or all on the scale of
# absolute errors of [0, 1] images, where the weightings really balance three tasks.
PAPER_TASKS = {
    "reconstruction": {"norm": "l2", "value_range": 255.0},
    "edge": {"norm": "l2", "value_range": 255.0},
    "texture": {"mode": "gram", "value_range": 255.0},
    "perceptual": {"value_range": 255.0},
}
CODE_TEXTURE = {"mode": "scalar", "value_range": 255.0}
UNIT_TASKS = {
    "reconstruction": {"norm": "l1", "value_range": 1.0},
    # Sobel filters give 8 for a slope of 1 per pixel: an eighth of that is the slope.
    "edge": {"norm": "l1", "value_range": 0.125},
    "texture": {"mode": "normalized", "value_range": 1.0},
    "perceptual": {"value_range": 1.0},
}


def tasks_of(tasks: dict[str, dict], *names: str):
    """Copies of the entries with these names."""
    return {name: dict(tasks[name]) for name in names}


def ablate(config: TrainConfig, ablation: str) -> TrainConfig:
    """A recipe changed to match a row of the tables in its network's paper.

    Args:
        config: a recipe. MENET keeps the form of each loss (`menet_paper` and
            `menet_code`: 0..255 and squares, with their own texture loss; otherwise
            [0, 1] and absolute values), ERL-Net its widths.
        ablation: one of `ABLATIONS[config.model]`, for example `"LpLeLt+GB+CA"`.

    Raises:
        ValueError: for an unknown row; lists all of them.
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
    if ablation in JRGR_STARTS:
        return dataclasses.replace(config, strategy=ablation)
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
    own = config.model_config.get("tasks", {})
    forms = {**forms, **({"texture": own["texture"]} if "texture" in own else {})}
    tasks = tasks_of(forms, *(TASKS[part] for part in parts))
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
