"""Networks built of configs, with their losses and weighting."""

import dataclasses

import keras
import pytest
from short_runs import smoke

from tfderain import losses, training, weighting


def test_paper_ablation_builds_the_papers_network_and_losses():
    config = training.resolve("menet_paper", "LpLeLt+GB+CA+deep")
    model = training.build_model(config)
    assert sum(w.numpy().size for w in model.trainable_variables) == 1_407_552
    assert isinstance(model.weighting, weighting.GradientBalance)
    kinds = [type(loss) for loss in model.tasks.values()]
    assert kinds == [losses.Reconstruction, losses.Edge, losses.Texture]
    assert model.tasks["texture"].mode == "gram"  # Eq. (7)
    assert {loss.value_range for loss in model.tasks.values()} == {255.0}


def test_own_recipe_keeps_its_scale_in_an_ablation():
    model = training.build_model(training.resolve("menet", "LpLe+Fixed"))
    assert isinstance(model.weighting, weighting.Fixed)
    # the edge term has an eighth of the range, so it weighs eight times as much
    assert model.weighting.weights == {"edge": 8e-2}
    assert {loss.norm for loss in model.tasks.values()} == {"l1"}
    scales = {task: loss.value_range for task, loss in model.tasks.items()}
    assert scales == {"reconstruction": 1.0, "edge": 0.125}


def test_model_config_may_hold_what_keras_serialises():
    serialise = keras.saving.serialize_keras_object
    settings = {
        **training.RECIPES["smoke"].model_config,
        "tasks": {"edge": serialise(losses.Edge("l1", value_range=1.0))},
        "weighting": serialise(weighting.Fixed({"edge": 2.0})),
    }
    config = dataclasses.replace(training.RECIPES["smoke"], model_config=settings)
    model = training.build_model(config)
    assert model.tasks["edge"].norm == "l1"
    assert model.weighting.weights == {"edge": 2.0}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ('model_config.tasks={"colour": {}}', "task='colour'"),
        ("model_config.weighting=best", "weighting='best'"),
    ],
)
def test_build_model_names_what_is_wrong(setting, message):
    with pytest.raises(ValueError, match=message):
        training.build_model(smoke(setting))
