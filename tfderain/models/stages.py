"""Stages of training: the consecutive runs that a network needs."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Stage:
    """One of several runs that train a network.

    Args:
        folder: name of its run folder. Strategies that share a stage share the folder.
        name: its key in `TrainConfig.stages`.
        model_config: constructor arguments of the network in this stage.
        settings: fields of `TrainConfig` that this stage changes.
        teaches: whether it starts from random weights and is the teacher of the stages
            that learn. Other stages continue from the previous one.
        learns: whether it needs that teacher (`learn_from`).
    """

    folder: str
    name: str
    model_config: dict
    settings: dict = field(default_factory=dict)
    teaches: bool = False
    learns: bool = False
