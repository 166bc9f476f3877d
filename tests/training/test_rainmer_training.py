"""Rainmer's recipes: schedule, optimizer, ablations, and a run that goes on."""

import dataclasses
import json
import pathlib
import runpy
import sys

import numpy as np
import pytest
from short_runs import (
    SMALLEST,
    assert_same_weights_and_state,
    killed_after_first_epoch,
    material,
    read_history,
    stored_weights,
    write_pairs,
)

from tfderain import models, optimizers, training
from tfderain.training import loop

SCRIPTS = pathlib.Path(__file__).parents[2] / "scripts"
TINY = [
    *(f"model_config.{name}={json.dumps(value)}" for name, value in SMALLEST.items()),
    *("model_config.momentum=0.5", "model_config.num_archived=6"),
    'degrade={"real_share": 0.3, "night_share": 0.4}',
    *("epochs=2", "steps_per_epoch=2", "crop=16", "batch_size=2", "ema=0.5"),
    *("pool_count=4", "pool_size=32", "validation_fraction=0.25"),
    *("validation_crops=2", "accumulate=2", "learning_rate=0.01"),
]


def tiny(*settings, ablation=None):
    return training.resolve("rainmer", ablation, [*TINY, *settings])


def test_small_recipes_train_the_preset():
    for recipe in ("rainmer", "all_in_one"):
        config = training.RECIPES[recipe].model_config
        preset = models.PRESETS["rainmer"]
        assert {name: np.ravel(value).tolist() for name, value in config.items()} == {
            name: np.ravel(value).tolist() for name, value in preset.items()
        }


def test_paper_recipe_has_the_authors_schedule():
    config = training.resolve("rainmer_paper")
    batches = config.epochs * config.steps_per_epoch
    assert batches / config.accumulate == 300_000
    assert (config.crop, config.batch_size, config.degrade) == (128, 4, None)
    rate = training.learning_rate(config, config.steps_per_epoch)
    # float32, and the cosine of a difference of large step counts
    for step, expected in {
        0: 3e-4,
        92_000: 2e-4,  # the middle of the first cosine, in batches
        184_000: 3e-4,  # the second one starts at the top
        392_000: (3e-4 + 1e-6) / 2,
        600_000: 1e-6,
    }.items():
        assert float(rate(step)) == pytest.approx(expected, rel=1e-4), step
    hold = training.learning_rate(training.resolve("drsformer_paper"), 1000)
    for step, expected in {0: 3e-4, 91_999: 3e-4, 300_000: 1e-6}.items():
        assert float(hold(step)) == pytest.approx(expected, rel=1e-4), step


def test_papers_train_as_their_authors():
    rainmer, drsformer = map(training.resolve, ("rainmer_paper", "drsformer_paper"))
    assert rainmer.model_config["cumulative"] and rainmer.whole_images
    assert (rainmer.turns, drsformer.turns) == ("either", "geometric")
    with pytest.raises(ValueError, match="model='rainmer', degrade={}"):
        dataclasses.replace(rainmer, degrade={})


def test_recipe_reaches_the_optimizers():
    model = training.build_model(tiny())
    optimizer = training.compile_model(model, tiny("clip_norm=0.25"), 3).optimizer
    assert isinstance(optimizer, optimizers.TwoGroupAdamW)
    assert (optimizer.clip, optimizer.weight_decay) == (0.25, 0.01)
    assert optimizer.gradient_accumulation_steps == 2 and optimizer.use_ema
    model = training.build_model(tiny("model_config.contrast_weight=0"))
    config = tiny("optimizer=adamw", "weight_decay=1e-4", "accumulate=1")
    optimizer = training.compile_model(model, config, 3).optimizer
    assert type(optimizer).__name__ == "AdamW" and optimizer.weight_decay == 1e-4
    assert optimizer.gradient_accumulation_steps is None
    assert optimizer.global_clipnorm == 0.1


@pytest.mark.parametrize(
    ("ablation", "views", "interaction"),
    [
        ("wochr", ["degradation"], True),
        ("wodetg", ["chromatic"], True),
        ("wolocf", ["chromatic", "degradation"], False),
        ("baseline", [], False),
    ],
)
def test_ablations(ablation, views, interaction):
    network = training.build_model(tiny(ablation=ablation)).network
    assert network.views == views
    assert (network.interaction is not None) is interaction
    assert (network.encoder is None) is (ablation == "baseline")
    with pytest.raises(ValueError, match="wochr, wodetg, wolocf, baseline"):
        training.resolve("rainmer", "wowhat")
    with pytest.raises(ValueError, match="one of none"):
        training.resolve("drsformer", "wochr")


def compile_eagerly(model, config, steps, compile_model=training.compile_model):
    """The graph of a step takes half a minute to build, its four steps a few seconds.

    `model.fit` with graphs is tested in tests/models/test_rainmer.py.
    """
    compile_model(model, config, steps).run_eagerly = True
    return model


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two epochs, and what its folder held after the first."""
    folder = tmp_path_factory.mktemp("rainmer")
    pairs = [write_pairs(folder / name, count=4) for name in ("day", "night")]
    data = material(*pairs)
    whole, killed = folder / "whole", folder / "killed"
    with pytest.MonkeyPatch.context() as patch, killed_after_first_epoch(whole, killed):
        patch.setattr(loop, "compile_model", compile_eagerly)
        training.train(tiny("deterministic=true"), whole, data, verbose=0)
    return folder, data


@pytest.mark.slow
def test_an_interrupted_run_ends_like_an_uninterrupted_one(finished, monkeypatch):
    folder, data = finished
    monkeypatch.setattr(loop, "compile_model", compile_eagerly)
    training.train(tiny("deterministic=true"), folder / "killed", data, verbose=0)
    name = "checkpoints/epoch-00002.keras"
    expected = stored_weights(folder / "whole" / name)
    archives = [key for key in expected if key.startswith("contrast")]
    assert {expected[key].shape[:1] for key in archives} >= {(6,)}
    best = models.load(folder / "killed")
    assert isinstance(best, models.Rainmer) and best.contrast is None
    assert_same_weights_and_state(folder / "whole" / name, folder / "killed" / name)
    assert read_history(folder / "whole") == read_history(folder / "killed")


def test_shipped_weights_have_no_contrast():
    model = training.build_model(tiny())
    shipped = training.build_model(training.shipped(tiny()))
    assert model.contrast is not None and shipped.contrast is None
    shipped.adopt(model)
    assert shipped.network.encoder is not None  # its vectors prompt the decoder
    two = zip(shipped.network.weights, model.network.weights, strict=True)
    for theirs, ours in two:
        np.testing.assert_array_equal(theirs, ours)


@pytest.mark.slow
def test_scripts_train(finished, tmp_path, monkeypatch):
    _, data = finished
    monkeypatch.setitem(models.PRESETS, "rainmer", SMALLEST)
    small = ("--small", "--epochs", "1", "--steps", "2", "--crop", "16")
    command = (SCRIPTS / "train_rainmer.py", *data, tmp_path / "rainmer.keras", *small)
    monkeypatch.setattr(sys, "argv", [str(word) for word in command])
    runpy.run_path(str(command[0]), run_name="__main__")
    assert models.load(tmp_path / "rainmer.keras").contrast is None
    large = [write_pairs(tmp_path / "large", count=2, size=(128, 130))]
    small = ("--epochs", "1", "--steps", "1", "--filters", "4", "4", "4", "--queue")
    command = (SCRIPTS / "train_airnet.py", *large, tmp_path / "a.keras", *small, "10")
    monkeypatch.setattr(sys, "argv", [str(word) for word in command])
    runpy.run_path(str(command[0]), run_name="__main__")
    assert isinstance(models.load(tmp_path / "a.keras"), models.AirNet)
