"""Checks of a config before anything is computed: unknown and misspelt entries.

Settings that are dicts (`degrade`, `model_config`, `stages`, `rates`) are passed on to
mixtures, networks and optimizers. A misspelt entry is refused here, for all stages of a
strategy at once, before a run folder exists. Only `check` needs Keras.
"""

import dataclasses
import inspect
from collections.abc import Collection, Iterable

import numpy as np

from tfderain.training import mixing
from tfderain.training.config import TrainConfig

# Fields that decide which network is trained, and how it is built.
OF_NETWORKS = ("model", "model_config", "strategy", "stages", "rates")


def check(config: TrainConfig) -> None:
    """Checks all entries of a config and of each of its stages.

    The networks are created for this, but only built if there are `rates`.

    Raises:
        ValueError: for an unknown entry (names the known ones), or a value that the
            mixture or the network does not accept.
    """
    from tfderain.training.strategies import stages_of  # Keras starts here

    check_rain(config)
    if config.strategy is None:
        _check_network(config, config.rates)
        return
    stages, given = stages_of(config), config.stages or {}
    _refuse_unknown("stages", given, _stage_names(config))
    for stage, settings in stages:
        check_rain(settings)
        # The strategy's own rates are known, and building takes time.
        chosen = "rates" in given.get(stage.name, {}) or "rates" not in stage.settings
        _check_network(settings, settings.rates if chosen else None)


def check_rain(config: TrainConfig) -> None:
    """Checks `degrade`, and that `stages` hold settings. Does not need Keras.

    Raises:
        ValueError: see `check`.
    """
    fields = [field.name for field in dataclasses.fields(TrainConfig)]
    for stage, settings in (config.stages or {}).items():
        if not isinstance(settings, dict):
            raise ValueError(
                "Each entry of `stages` must be a dict of settings. "
                f"Received: {stage}={settings!r}."
            )
        _refuse_unknown(f"stages.{stage}", settings, fields)
    if config.degrade is None:
        return
    kind = mixing.mixer_class(config)
    _, *known = inspect.signature(kind).parameters  # the first are the layers
    _refuse_unknown("degrade", config.degrade, known)
    layer = np.eye(16, dtype=np.uint8)[None] * np.uint8(255)
    try:
        mixing.make_mixer(config, {"streaks": layer})
    except (AttributeError, TypeError) as error:  # a value of another type
        raise ValueError(
            f"{kind.__name__} does not accept these entries ({error}). "
            f"Received: degrade={config.degrade}."
        ) from error


def _stage_names(config):
    """Names of the stages in all strategies of the network; a recipe may have settings
    for more of them than one strategy uses."""
    from tfderain import models

    network = models.MODELS[config.model]
    return {
        stage.name
        for strategy in network.strategies
        for stage in network.training_stages(strategy, config.model_config)
    }


def _check_network(config, rates):
    from tfderain.training.building import new_model

    try:
        model = new_model(config, name="checked")
    except TypeError as error:  # Python's own refusal of an unknown argument
        raise ValueError(
            f"{config.model} does not accept these entries ({error}). "
            f"Received: model_config={config.model_config}."
        ) from error
    masks = getattr(mixing.mixer_class(config), "channels", 3) > 3
    if masks and not model.makes_mask:
        raise ValueError(
            "Drops (`degrade.drops`) are for networks that learn their mask. "
            f"Received: model={config.model!r}."
        )
    if rates:
        model.build((None, None, None, 3))
        paths = [weight.path.split("/")[:-1] for weight in model.trainable_weights]
        parts = {name for path in paths for name in path} - {model.name}
        if not rates.keys() <= parts:
            _refuse_unknown("rates", rates, [layer.name for layer in model.layers])


def _refuse_unknown(place: str, entries: Iterable[str], known: Collection[str]):
    unknown = [name for name in entries if name not in known]
    if unknown:
        raise ValueError(
            f"Known entries of `{place}` are {', '.join(known)}. "
            f"Received: {', '.join(unknown)}."
        )
