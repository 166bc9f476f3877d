"""Stages of training: what a network says of the runs that train it one by one."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Stage:
    """One run of several that train a network.

    Args:
        folder: name of its run folder. Strategies that share a stage share the folder.
        name: its key in `TrainConfig.stages`.
        model_config: constructor arguments of the network in this stage.
        settings: fields of `TrainConfig` that this stage changes.
        teaches: whether it starts from random weights and serves the stages that learn
            as their teacher. Other stages go on from the one before them.
        learns: whether it needs that teacher (`learn_from`).
    """

    folder: str
    name: str
    model_config: dict
    settings: dict = field(default_factory=dict)
    teaches: bool = False
    learns: bool = False
