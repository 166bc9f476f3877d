"""Strategies of training stage by stage: the stages and the config of each."""

import dataclasses

from tfderain.models.entanglement import STRATEGIES
from tfderain.training.config import JRGR_STRATEGIES


def stages_of(config):
    """`(folder, stage, TrainConfig)` of each stage of a strategy, in order."""
    if config.model == "jrgr":
        return _stages_of_jrgr(config)
    form = config.model_config.get("entanglement")
    if form is None:
        raise ValueError(
            "A strategy needs a network with entanglement (`model_config`). "
            f"Received: strategy={config.strategy!r}."
        )
    found = []
    for stage in STRATEGIES[config.strategy]:
        # The same second stage serves MA_A, MA_C and MA_D.
        strategy = "MA_A" if stage == "residual" else config.strategy
        name = "MEMD" if stage == "main" else f"{strategy}-{form}"
        found.append((name, stage, stage_config(config, stage, stage)))
    return found


def _stages_of_jrgr(config):
    """Pre-training of the removal network, unless nothing starts from it; then all."""
    rates = JRGR_STRATEGIES.get(config.strategy)
    if rates is None:
        raise ValueError(
            f"JRGR's strategies are {', '.join(JRGR_STRATEGIES)}. "
            f"Received: strategy={config.strategy!r}."
        )
    lambdas = config.model_config.get("lambdas", {})
    left_out = [f"no_{name}" for name, weight in lambdas.items() if not weight]
    if config.model_config.get("translation", "rain") == "image":
        left_out.append("CycleGAN")
    joint = stage_config(config, "joint", "joint", rates={**rates} or None)
    model_config = {**joint.model_config, "start": list(rates)}
    joint = dataclasses.replace(joint, model_config=model_config)
    stages = [("-".join(["joint", config.strategy, *left_out]), "joint", joint)]
    if rates:
        pretrain = stage_config(config, "pretrain", "pretrain")
        stages.insert(0, ("pretrained", "pretrain", pretrain))
    return stages


def stage_config(config, name, stage, **changes):
    """The config of one stage: its parts and loss, and the settings made for it."""
    changes |= (config.stages or {}).get(name, {})
    model_config = {**config.model_config, "stage": stage}
    if stage == "main":
        model_config["entanglement"] = None
    if stage == "pretrain":  # the same for all ways to go on
        for name in ("lambdas", "translation"):
            model_config.pop(name, None)
    return dataclasses.replace(
        config, strategy=None, stages=None, model_config=model_config, **changes
    )
