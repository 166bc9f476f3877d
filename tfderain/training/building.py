"""Building of networks: from a recipe's config to a new network, not compiled."""

import dataclasses

import keras

from tfderain import losses, models, weighting
from tfderain.training.config import TrainConfig

LOSSES = {
    "reconstruction": losses.Reconstruction,
    "edge": losses.Edge,
    "texture": losses.Texture,
    "perceptual": losses.Perceptual,
    "log_error": losses.LogError,
}


def build_model(config: TrainConfig, mixed_precision: str | None = None):
    """A new network for a config, built but not compiled.

    Args:
        config: `TrainConfig`.
        mixed_precision: dtype policy of the layers; `None` for float32.

    Raises:
        ValueError: for unknown tasks or constructor arguments.
    """
    model = new_model(config, dtype=mixed_precision or "float32")
    model.build((None, None, None, 3))
    return model


def new_model(config: TrainConfig, **options: str):
    """A new network for a config, not built: it has no weights yet.

    Args:
        config: `TrainConfig`.
        **options: `name`, `dtype`.

    Raises:
        ValueError, TypeError: for unknown tasks, or arguments of these or the network.
    """
    arguments = dict(config.model_config)
    if "tasks" in arguments:
        arguments["tasks"] = {
            name: _loss(name, options, config)
            for name, options in arguments["tasks"].items()
        }
    if "weighting" in arguments:
        arguments["weighting"] = _weighting(arguments["weighting"])
    network = models.MODELS[config.model]
    for name in network.config_arguments:
        arguments.setdefault(name, getattr(config, name))
    return network(**options, **arguments)


def shipped(config: TrainConfig):
    """The config of the network to ship after training."""
    model_config = models.MODELS[config.model].shipped(config.model_config)
    return dataclasses.replace(config, model_config=model_config)


def _loss(name, options, config):
    if "class_name" in options:
        return keras.saving.deserialize_keras_object(options)
    if name not in LOSSES:
        raise ValueError(
            f"Tasks must be among {', '.join(LOSSES)}. Received: task={name!r}."
        )
    if name == "perceptual":
        options = {"weights": config.vgg_weights, **options}
    return LOSSES[name](**options)


def _weighting(value):
    if value == "LB":
        return weighting.LossBalance()
    if value == "GB":
        return weighting.GradientBalance()
    if isinstance(value, dict):
        if "class_name" in value:
            return keras.saving.deserialize_keras_object(value)
        return weighting.Fixed(value)
    raise ValueError(
        '`weighting` must be "GB", "LB" or a dict of fixed weights. '
        f"Received: weighting={value!r}."
    )
