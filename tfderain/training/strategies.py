"""Strategies of training in stages: the stages and the config of each."""

import dataclasses

from tfderain import models
from tfderain.training.config import TrainConfig


def stages_of(config: TrainConfig):
    """The stages of a config with a strategy, in order, as defined by its network.

    Args:
        config: `TrainConfig` with a `strategy`.

    Returns:
        List of pairs: `tfderain.models.stages.Stage`, and the `TrainConfig` that trains
        it, without a strategy.

    Raises:
        ValueError: for a strategy that the network does not have.
    """
    network = models.MODELS[config.model]
    if config.strategy not in network.strategies:
        known = ", ".join(network.strategies) or "none"
        raise ValueError(
            f"`strategy` of {config.model} must be one of {known}. "
            f"Received: strategy={config.strategy!r}."
        )
    stages = network.training_stages(config.strategy, config.model_config)
    return [(stage, _config_of(config, stage)) for stage in stages]


def _config_of(config, stage):
    """The config of one stage, with the recipe's settings for it."""
    changes = {**stage.settings, **(config.stages or {}).get(stage.name, {})}
    alone = {"strategy": None, "stages": None, "model_config": stage.model_config}
    return dataclasses.replace(config, **alone, **changes)


def takes_photos(config: TrainConfig):
    """Whether training a config reads real rainy photos in any of its stages."""
    network = models.MODELS[config.model]
    if config.strategy is None:
        return network.takes_photos(config.model_config)
    stages = network.training_stages(config.strategy, config.model_config)
    return any(network.takes_photos(stage.model_config) for stage in stages)
