"""Training stage by stage: folders, reuse, resuming, and what each stage is given."""

import dataclasses
import json
import pathlib
import runpy
import sys

import numpy as np
import pytest
from short_runs import (
    SHORT,
    assert_same_weights_and_state,
    killed_after_first_epoch,
    material,
    read_history,
    stored_weights,
    write_pairs,
)

from tfderain import models, training
from tfderain.training import ablations, history, loop, run_folder, strategies

TINY = [
    "model_config.stem=4",
    "model_config.growth=2",
    "model_config.num_layers=1",
    "model_config.levels=2",
    *SHORT,
]


def tiny(*settings, ablation=None):
    return training.resolve("erlnet", ablation, [*TINY, *settings])


def stems(weights):
    """Number of encoders among stored weights: each has one stem."""
    return sum(name.endswith("stem/vars/0") for name in weights)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return material(write_pairs(tmp_path_factory.mktemp("pairs") / "data"))


@pytest.fixture(scope="module")
def run_dir(data, tmp_path_factory):
    """All stages of MA_D."""
    run_dir = tmp_path_factory.mktemp("runs") / "erlnet"
    best = training.train(tiny(), run_dir, data, verbose=0)
    assert best == run_dir / "MA_D-mlgd" / "best.keras"
    return run_dir


def test_each_stage_has_a_folder_of_its_own(run_dir):
    folders = {"clean_to_clean", "MEMD", "MA_A-mlgd", "MA_D-mlgd"}
    assert {path.name for path in run_dir.iterdir()} == folders
    about = {f: json.loads((run_dir / f / "config.json").read_text()) for f in folders}
    stages = {f: about[f]["config"]["model_config"]["stage"] for f in folders}
    assert stages == {
        "clean_to_clean": "main",
        "MEMD": "main",
        "MA_A-mlgd": "residual",
        "MA_D-mlgd": "refine",
    }
    assert about["clean_to_clean"]["config"]["inputs"] == "clean"
    assert about["MA_A-mlgd"]["teacher"].endswith("clean_to_clean/best.keras")
    assert about["MA_D-mlgd"]["start"].endswith("MA_A-mlgd/best.keras")
    assert about["MA_D-mlgd"]["teacher"] is None
    assert "feature" in read_history(run_dir / "MA_A-mlgd")[0]


def test_each_stage_moves_its_parts_alone(run_dir):
    memd, second, third = (
        models.load(run_dir / name).parts for name in ("MEMD", "MA_A-mlgd", "MA_D-mlgd")
    )

    def same(first, second):
        weights = zip(first.get_weights(), second.get_weights(), strict=True)
        return [np.array_equal(a, b) for a, b in weights]

    for name in ("main_encoder", "decoder"):
        assert all(same(memd[name], second[name])), name
    assert all(same(second["main_encoder"], third["main_encoder"]))
    for name in ("residual_encoder", "decoder"):
        assert not any(same(second[name], third[name])), name


def test_what_is_shipped_has_no_teacher(run_dir):
    for name in ("MA_A-mlgd", "MA_D-mlgd"):
        model = models.load(run_dir / name)
        assert model.stage is None and model.teacher is None
        assert stems(stored_weights(run_dir / name / "best.keras")) == 2


def test_another_strategy_reuses_the_finished_stages(run_dir, data):
    names = ("clean_to_clean", "MEMD", "MA_A-mlgd")
    before = {n: (run_dir / n / "state.json").stat().st_mtime_ns for n in names}
    best = training.train(tiny("strategy=MA_C"), run_dir, data, verbose=0)
    assert best == run_dir / "MA_C-mlgd" / "best.keras"
    for name, time in before.items():
        assert (run_dir / name / "state.json").stat().st_mtime_ns == time, name


def test_a_stage_goes_on_where_it_was_interrupted(run_dir, data, tmp_path):
    """Two epochs in one go, and with a kill after the first, give the same weights."""
    start = run_dir / "MEMD" / "best.keras"
    teacher = run_dir / "clean_to_clean" / "best.keras"
    reads = dataclasses.replace(data, start=start, teacher=teacher)
    settings = ("schedule=constant", "epochs=2", "deterministic=true")
    stages = {stage.name: own for stage, own in strategies.stages_of(tiny(*settings))}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    with killed_after_first_epoch(whole, killed):
        loop.train_stage(stages["residual"], whole, reads, verbose=0)
    loop.train_stage(stages["residual"], killed, reads, verbose=0)
    checkpoints = [run / "checkpoints" / "epoch-00002.keras" for run in (whole, killed)]
    assert stems(stored_weights(checkpoints[0])) == 3  # the teacher is in there
    assert_same_weights_and_state(*checkpoints)


@pytest.mark.parametrize("ablation", training.ABLATIONS["erlnet"])
@pytest.mark.parametrize("recipe", ["erlnet", "erlnet_paper"])
def test_rows_of_tables_2_and_3(recipe, ablation):
    config = training.resolve(recipe, ablation)
    options = config.model_config
    if ablation.startswith("MEMD"):
        assert (config.strategy, options["entanglement"]) == (None, None)
        parts = {"MEMD--": (False, False), "MEMD-": (True, False), "MEMD": (True, True)}
        assert (options["skip"], options["fusion"]) == parts[ablation]
    else:
        assert f"{config.strategy}+{options['entanglement']}" == ablation
        assert options["skip"] and options["fusion"]


def test_paper_recipe_is_section_4_1():
    config = training.resolve("erlnet_paper")
    assert (config.crop, config.flips, config.batch_size) == (320, False, 1)
    assert (config.epochs, config.learning_rate, config.optimizer) == (
        400,
        4e-4,
        "adam",
    )
    assert (config.schedule, config.degrade, config.clip_norm) == (
        "plateau",
        None,
        None,
    )
    model = training.compile_model(training.build_model(config), config, 1)
    assert (model.optimizer.beta_1, model.optimizer.beta_2) == (0.9, 0.999)


def test_stages_may_have_settings_of_their_own():
    config = tiny('stages={"residual": {"epochs": 7}, "clean_to_clean": {"epochs": 3}}')
    stages = strategies.stages_of(config)
    epochs = {stage.name: settings.epochs for stage, settings in stages}
    assert list(epochs) == ["main", "clean_to_clean", "residual", "refine"]
    assert list(epochs.values()) == [1, 3, 7, 1]
    with pytest.raises(ValueError, match="strategy='MA_D'"):
        strategies.stages_of(tiny("model_config.entanglement=null"))


def test_strategies_are_those_of_the_network():
    with pytest.raises(ValueError, match="of menet must be one of none.*'MA_A'"):
        strategies.stages_of(training.resolve("menet", overrides=["strategy=MA_A"]))
    rows = {row.partition("+")[0] for row in training.ABLATIONS["erlnet"]}
    assert rows - {"MEMD--", "MEMD-", "MEMD"} == set(models.ERLNet.strategies)
    assert set(ablations.JRGR_STARTS) == set(models.JRGR.strategies)


def test_plateau_divides_the_rate_and_survives_an_interruption(tmp_path):
    config = tiny("schedule=plateau", "learning_rate=0.5", ablation="MEMD")
    losses = [1.0, 0.9] + [0.95] * 4 + [0.8] + [0.85] * 3

    def rates(cuts):
        model, found = None, []
        for epoch, loss in enumerate(losses):
            if epoch in cuts:
                kept = 0.5 if model is None else float(model.optimizer.learning_rate)
                model = training.compile_model(training.build_model(config), config, 1)
                model.optimizer.learning_rate = kept
                callback = run_folder.Plateau(path, patience=3)
                callback.set_model(model)
                callback.on_train_begin()
            callback.on_epoch_end(epoch, {"loss": loss})
            history.append(path, {"epoch": epoch, "loss": loss})
            found.append(float(model.optimizer.learning_rate))
        return found

    path = tmp_path / "whole.csv"
    whole = rates({0})
    # lowered after epoch 4 (three without gain), and after epoch 9 again; float32
    np.testing.assert_allclose(whole, [0.5] * 4 + [0.05] * 5 + [0.005], rtol=1e-6)
    path = tmp_path / "resumed.csv"
    assert rates({0, 3, 8}) == whole


@pytest.mark.slow  # compiles six steps
def test_script_trains_all_stages(data, tmp_path, monkeypatch):
    script = pathlib.Path(__file__).parents[2] / "scripts" / "train_erlnet.py"
    command = [script, data, tmp_path / "erlnet.keras"]
    small = ["--epochs", "1", "--steps", "1", "--crop", "16"]
    monkeypatch.setattr(sys, "argv", [str(word) for word in (*command, *small)])
    runpy.run_path(str(script), run_name="__main__")
    model = models.load(tmp_path / "erlnet.keras")
    assert (model.stage, model.network.entanglement) == ("refine", "mlgd")
