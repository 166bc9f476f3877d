"""Compiling: schedules, and which weights each optimizer takes, for every recipe."""

import keras
import numpy as np
import pytest
from short_runs import smoke

from tfderain import models, training
from tfderain.training import recipes, strategies

MUONS = [name for name, config in recipes.RECIPES.items() if config.optimizer == "muon"]
PIXELS = {3, 6, 12}  # channels of one image, two images, and 2x2 pixels of one
MASKS = {4}  # of 2x2 pixels of a mask
# Sizes at which no inner layer has the channels of PIXELS.
SMALL = {
    "drsformer": {"dim": 8, "num_blocks": [1, 1, 1, 1]},
    "jrgr": {"filters": 4, "num_levels": 2, "num_blocks": 1, "critic_filters": 4},
    "rainmer": {"dim": 8, "num_blocks": [1, 1, 1, 1], "encoder_size": 32},
}


def test_cosine_schedule_rises_and_falls():
    config = smoke("epochs=100", "schedule=cosine")
    rate = training.learning_rate(config, steps_per_epoch=100)  # warm-up: 200 steps
    values = [float(rate(step)) for step in (0, 100, 200, 5100, 10_000)]
    # half-way up, the top, the middle of the cosine, the end; float32
    np.testing.assert_allclose(values, [0, 5e-4, 1e-3, 5e-4, 0], atol=1e-8)


def test_milestones_and_their_factor():
    settings = ["milestones=[2, 3]", "milestone_factor=0.5", "learning_rate=0.8"]
    config = training.resolve("menet_paper", overrides=settings)
    rate = training.learning_rate(config, steps_per_epoch=10)
    expected = {0: 0.8, 19: 0.8, 20: 0.4, 29: 0.4, 30: 0.2, 500: 0.2}
    for step, value in expected.items():
        assert float(rate(step)) == pytest.approx(value, rel=1e-6), step  # float32


def test_config_reaches_compile():
    config = smoke("jit=true", "clip_norm=0.5", "ema=0.25")
    model = training.compile_model(training.build_model(config), config, 4)
    assert model.jit_compile is True
    assert model.optimizer.global_clipnorm == 0.5
    assert (model.optimizer.use_ema, model.optimizer.ema_momentum) == (True, 0.25)


def at_the_pixels(model, variables):
    """Paths of the kernels that see or make pixels, told by their channels alone."""
    kernels = [v for v in variables if len(v.shape) == 4]
    pixels = PIXELS | MASKS if model.makes_mask else PIXELS
    return {v.path for v in kernels if pixels & set(v.shape[2:])}


@pytest.mark.parametrize("recipe", MUONS)
def test_muon_takes_every_kernel_but_those_at_the_pixels(recipe):
    config = training.resolve(recipe)
    stages = strategies.stages_of(config) if config.strategy else [(None, config)]
    for _, own in stages:
        model = training.build_model(own)
        optimizer = training.compile_model(model, own, 1).optimizer
        variables = model.trainable_variables
        adams = {
            variable.path
            for variable, velocity in zip(
                variables, optimizer.adam_velocities, strict=True
            )
            if velocity is not None and len(variable.shape) in (2, 4)
        }
        assert adams and adams == at_the_pixels(model, variables)


@pytest.mark.parametrize("name", models.MODELS)
def test_networks_name_their_layers_at_the_pixels(name):
    model = models.MODELS[name](**SMALL.get(name, {}))
    model.build((None, None, None, 3))
    networks = [model.network]
    if name == "jrgr":  # all but the critics, which have their own optimizer
        networks = [n for role, n in model.networks().items() if "critic" not in role]
    variables = [v for network in networks for v in network.trainable_variables]
    named = {
        v.path
        for v in variables
        if len(v.shape) == 4 and set(model.outer_layers) & set(v.path.split("/"))
    }
    assert named == at_the_pixels(model, variables)
    parts = {part for path in named for part in path.split("/")}
    assert set(model.outer_layers) <= parts, "a name without a layer"


def test_a_saved_model_keeps_what_muon_leaves_out(tmp_path):
    config = training.resolve("smoke", overrides=["optimizer=muon"])
    model = training.compile_model(training.build_model(config), config, 1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    before, after = (
        [velocity is None for velocity in m.optimizer.adam_velocities]
        for m in (model, loaded)
    )
    assert after == before and True in before
    assert loaded.optimizer.exclude_layers == ["encode_half", "residual"]
