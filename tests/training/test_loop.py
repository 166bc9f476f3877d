"""Recipes, schedules, the run folder, and going on after a kill."""

import dataclasses
import json
import os
import pathlib
import runpy
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from short_runs import read_history, stored_weights, write_pairs

from tfderain import losses, models, training, weighting
from tfderain.data import pairs as pairing
from tfderain.data import pipeline
from tfderain.training import loop, recipes, run_folder

# Table I, II and IV of the paper: tasks, weighting, attention, blocks
TABLES = {
    "Lp": ("reconstruction", {}, False, 8),
    "LpLe+Fixed": ("reconstruction edge", {"edge": 0.01}, False, 8),
    "LpLe+GB": ("reconstruction edge", "GB", False, 8),
    "LpLe+LB": ("reconstruction edge", "LB", False, 8),
    "LpLeLt+GB": ("reconstruction edge texture", "GB", False, 8),
    "LpLeLt+LB": ("reconstruction edge texture", "LB", False, 8),
    "LpLeLt+GB+CA": ("reconstruction edge texture", "GB", True, 8),
    "LpLeLt+LB+CA": ("reconstruction edge texture", "LB", True, 8),
    "LpLeLt+GB+CA+deep": ("reconstruction edge texture", "GB", True, 16),
    "LpLeLt+LB+CA+deep": ("reconstruction edge texture", "LB", True, 16),
    "LpLvgg+Fixed": ("reconstruction perceptual", {"perceptual": 0.001}, False, 8),
}
TINY = ["epochs=3", "steps_per_epoch=4", "model_config.filters=8", "validation_crops=4"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("pairs") / "data")


def smoke(*settings):
    return training.resolve("smoke", overrides=[*TINY, *settings])


# Recipes


def test_the_ablations_are_the_rows_of_the_tables():
    assert set(training.ABLATIONS["menet"]) == set(TABLES)


@pytest.mark.parametrize("recipe", ["menet", "menet_paper"])
@pytest.mark.parametrize("ablation", TABLES)
def test_ablation(recipe, ablation):
    tasks, balance, attention, blocks = TABLES[ablation]
    config = training.resolve(recipe, ablation, ["vgg_weights=vgg19.h5"])
    chosen = config.model_config
    assert list(chosen["tasks"]) == tasks.split()
    if recipe == "menet" and ablation == "LpLe+Fixed":
        balance = {"edge": 8e-2}  # in proportion to its range
    assert chosen["weighting"] == balance
    assert chosen["channel_attention"] is attention
    assert chosen["num_blocks"] == blocks
    assert chosen["normalization"] == ("batch" if recipe == "menet_paper" else None)


def test_paper_recipe_has_the_schedule_of_the_paper():
    config = training.resolve("menet_paper")
    assert (config.crop, config.crops, config.batch_size) == (224, "five_crop", 20)
    assert (config.epochs, config.learning_rate) == (100, 1e-3)
    rate = training.learning_rate(config, steps_per_epoch=10)
    steps = {0: 1e-3, 399: 1e-3, 400: 1e-4, 799: 1e-4, 800: 1e-5, 999: 1e-5}
    for step, expected in steps.items():
        # the schedule is in float32
        assert float(rate(step)) == pytest.approx(expected, rel=1e-6), step


def test_milestones_and_their_factor():
    settings = ["milestones=[2, 3]", "milestone_factor=0.5", "learning_rate=0.8"]
    config = training.resolve("menet_paper", overrides=settings)
    rate = training.learning_rate(config, steps_per_epoch=10)
    expected = {0: 0.8, 19: 0.8, 20: 0.4, 29: 0.4, 30: 0.2, 500: 0.2}
    for step, value in expected.items():
        assert float(rate(step)) == pytest.approx(value, rel=1e-6), step  # float32


def test_paper_ablation_builds_the_papers_network_and_losses():
    config = training.resolve("menet_paper", "LpLeLt+GB+CA+deep")
    model = training.build_model(config)
    assert sum(w.numpy().size for w in model.trainable_variables) == 1_407_552
    assert isinstance(model.weighting, weighting.GradientBalance)
    kinds = [type(loss) for loss in model.tasks.values()]
    assert kinds == [losses.Reconstruction, losses.Edge, losses.Texture]
    assert model.tasks["texture"].mode == "scalar"
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
    ("arguments", "message"),
    [
        (("unet",), "menet_paper"),
        (("menet", "LpLt+GB"), "LpLeLt[+]GB[+]CA[+]deep"),
        (("menet", "LpLvgg+Fixed"), "vgg_weights=FILE"),
        (("menet", None, ["epoch=3"]), "epochs, learning_rate"),
        (("menet", None, ["epochs"]), "name=value"),
        (("menet", None, ["epochs=many"]), "type int"),
        (("menet", None, ["jit=maybe"]), "type bool"),
        (("menet", None, ["degrade=3"]), "type dict"),
        (("menet", None, ["epochs.first=3"]), "dicts have entries"),
        (("menet", None, ["schedule=zigzag"]), "cosine"),
        (("menet", None, ["crop=0"]), "positive"),
        (("menet", None, ["milestones=[30, 20]"]), "rising order"),
        (("menet", None, ["milestones=30"]), "type list"),
        (("menet", None, ["ema=1"]), "ema=1.0"),
    ],
)
def test_resolve_names_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        training.resolve(*arguments)


def test_override_parses_by_type():
    settings = [
        "epochs=3",
        "learning_rate=2e-4",
        "ema=none",
        "clip_norm=0.5",
        "jit=true",
        "mixed_precision=mixed_bfloat16",
        'degrade={"real_share": 0.5}',
        "degrade.veil_share=0.1",
        "model_config.weighting=GB",
    ]
    config = training.resolve("menet", overrides=settings)
    assert (config.epochs, config.learning_rate) == (3, 2e-4)
    assert (config.ema, config.clip_norm, config.jit) == (None, 0.5, True)
    assert config.mixed_precision == "mixed_bfloat16"
    assert config.degrade == {"real_share": 0.5, "veil_share": 0.1}
    assert config.model_config["weighting"] == "GB"
    assert training.RECIPES["menet"].model_config["weighting"] == "LB"


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


def test_recipes_need_neither_keras_nor_tensorflow():
    code = (
        "import sys; from tfderain import recipes; recipes.resolve('menet');"
        "sys.exit(any(m in sys.modules for m in ('keras', 'tensorflow')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_cosine_schedule_rises_and_falls():
    config = smoke("epochs=100", "schedule=cosine")
    rate = training.learning_rate(config, steps_per_epoch=100)  # warm-up: 200 steps
    values = [float(rate(step)) for step in (0, 100, 200, 5100, 10_000)]
    # half-way up, the top, the middle of the cosine, the end; float32
    np.testing.assert_allclose(values, [0, 5e-4, 1e-3, 5e-4, 0], atol=1e-8)


# The run folder


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A finished run of two epochs, and its config."""
    config = smoke("epochs=2")
    run_dir = tmp_path_factory.mktemp("runs") / "smoke"
    best = training.train(config, run_dir, data, verbose=0)
    assert best == run_dir / "best.keras"
    return run_dir, config


def test_run_folder(run):
    run_dir, config = run
    about = json.loads((run_dir / "config.json").read_text())
    assert about["config"] == dataclasses.asdict(config)
    assert about["versions"]["keras"] == keras.__version__
    assert about["versions"]["tensorflow"] == tf.__version__
    assert [row["epoch"] for row in read_history(run_dir)] == ["0", "1"]
    assert np.load(run_dir / "pool.npy").shape == (8, 64, 64)
    state = json.loads((run_dir / "state.json").read_text())
    names = {path.name for path in (run_dir / "checkpoints").iterdir()}
    assert names == {state["checkpoint"], state["best"]}


def test_best_weights_score_what_the_history_says(run, data):
    run_dir, config = run
    model = models.load(run_dir)
    assert not model.compiled
    assert model.dtype_policy.name == "float32"
    found = pairing.find_pairs(data)
    _, validation = pairing.split_by_background(
        found, config.validation_fraction, config.seed
    )
    pool = np.load(run_dir / "pool.npy")
    rainy, clean = loop.validation_patches(validation, config, pool)
    training.compile_model(model, config, 4)
    score = model.evaluate(rainy, clean, 4, return_dict=True, verbose=0)["psnr_rgb"]
    scores = [float(row["val_psnr_rgb"]) for row in read_history(run_dir)]
    # the same weights and images in another process state: float32 sums
    assert score == pytest.approx(max(scores), abs=1e-3)


def test_tensorboard_has_losses_weights_and_pictures(run):
    run_dir, _ = run
    tags = set()
    for path in (run_dir / "logs").rglob("events*"):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            tags |= {value.tag for value in event.summary.value}
    assert {
        "epoch_loss",
        "epoch_texture",
        "epoch_weight_texture",
        "epoch_psnr_rgb",
        "epoch_learning_rate",
        "rainy | derained | clean",
    } <= tags


def test_several_folders_are_mixed(data, tmp_path, monkeypatch):
    folders = [data, write_pairs(tmp_path / "others", seed=1)]
    config, run_dir, given = smoke(), tmp_path / "run", []
    monkeypatch.setattr(loop, "fit", lambda *arguments: given.extend(arguments))
    training.train(config, run_dir, folders, weights=(2, 1), verbose=0)
    _, _, _, batches, held_out, *_ = given
    rainy, clean = next(iter(batches(0)))
    assert rainy.shape == clean.shape == (4, 32, 32, 3) and len(held_out[0]) == 8
    about = json.loads((run_dir / "config.json").read_text())
    assert about["data"] == [str(folder) for folder in folders]
    assert about["weights"] == [2.0, 1.0] and about["layout"] == ["auto", "auto"]
    with pytest.raises(ValueError, match=r"weights=\[1.0, 1.0\] \(was \[2.0, 1.0\]"):
        training.train(config, run_dir, folders, weights=(1, 1), verbose=0)
    with pytest.raises(ValueError, match="one `layout` for all folders"):
        training.train(config, run_dir, folders, layout=["auto"] * 3, verbose=0)
    assert run_folder.sources_of(data, "auto", None, None) == run_folder.sources_of(
        [data], ["auto"], None, None
    )


def test_run_folder_of_other_settings_is_refused(run, data):
    run_dir, config = run
    changed = dataclasses.replace(config, learning_rate=0.5, epochs=1)
    with pytest.raises(ValueError, match=r"learning_rate=0\.5 \(was 0\.001\)"):
        training.train(changed, run_dir, data, verbose=0)
    with pytest.raises(ValueError, match="layout='folders'"):
        training.train(config, run_dir, data, layout="folders", verbose=0)


def test_settings_that_came_later_had_their_default(run, data):
    run_dir, config = run
    path = run_dir / "config.json"
    about = json.loads(path.read_text())
    for name in ("keep", "rates", "beta_1"):
        del about["config"][name]
    path.write_text(json.dumps(about))
    training.train(config, run_dir, data, verbose=0)
    assert json.loads(path.read_text())["config"]["keep"] == "best"


def test_the_last_weights_are_kept_on_request(data, tmp_path):
    config = smoke("epochs=1", "keep=last", "schedule=constant")
    training.train(config, tmp_path, data, verbose=0)
    state = json.loads((tmp_path / "state.json").read_text())
    state["best_score"] = 99.0  # no epoch is better
    (tmp_path / "state.json").write_text(json.dumps(state))
    training.train(dataclasses.replace(config, epochs=2), tmp_path, data, verbose=0)
    state = json.loads((tmp_path / "state.json").read_text())
    assert state["best"] == "best-00002.keras" and state["best_score"] < 99


def test_finished_run_is_not_run_again(run, data):
    run_dir, config = run
    before = (run_dir / "state.json").stat().st_mtime_ns
    training.train(config, run_dir, data, verbose=0)
    assert (run_dir / "state.json").stat().st_mtime_ns == before


def test_half_precision_run_goes_on_when_extended(data, tmp_path):
    # float16 is the harder one: its optimizer is wrapped and has a scale to keep
    config = smoke("epochs=1", "mixed_precision=mixed_float16", "schedule=constant")
    training.train(config, tmp_path / "run", data, verbose=0)
    longer = dataclasses.replace(config, epochs=2)
    best = training.train(longer, tmp_path / "run", data, verbose=0)
    assert [row["epoch"] for row in read_history(tmp_path / "run")] == ["0", "1"]
    stored = stored_weights(tmp_path / "run" / "checkpoints" / "epoch-00002.keras")
    steps = [v for v in stored.values() if v.shape == () and v == 8]
    assert steps, "No counter in the checkpoint says that 2 x 4 steps were made."
    assert models.load(best).dtype_policy.name == "float32"


def test_a_run_may_start_from_trained_weights(run, data, tmp_path):
    trained, config = run
    # no step moves anything, so that the weights it began with are shipped
    config = smoke("epochs=1", "learning_rate=1e-30", "schedule=constant", "ema=none")
    best = training.train(config, tmp_path / "run", data, start=trained, verbose=0)
    for name, value in stored_weights(trained / "best.keras").items():
        np.testing.assert_array_equal(stored_weights(best)[name], value)
    with pytest.raises(ValueError, match="start=None"):
        training.train(config, tmp_path / "run", data, verbose=0)
    other = smoke("model_config.filters=12")
    with pytest.raises(ValueError, match="same shape"):
        training.train(other, tmp_path / "other", data, start=trained, verbose=0)


def test_config_reaches_compile():
    config = smoke("jit=true", "clip_norm=0.5", "ema=0.25")
    model = training.compile_model(training.build_model(config), config, 4)
    assert model.jit_compile is True
    assert model.optimizer.global_clipnorm == 0.5
    assert (model.optimizer.use_ema, model.optimizer.ema_momentum) == (True, 0.25)


def test_non_finite_losses_stop_a_run_and_keep_its_checkpoint(
    data, tmp_path, monkeypatch
):
    config = smoke("epochs=1", "max_bad_steps=3", "schedule=constant")
    best = training.train(config, tmp_path / "run", data, verbose=0)
    good = stored_weights(best)
    sound = pipeline.train_dataset

    def broken(*args, start=0, **kwargs):
        batches = sound(*args, start=start, **kwargs)
        return batches.map(lambda r, c: (r * np.nan, c)) if start else batches

    monkeypatch.setattr(pipeline, "train_dataset", broken)
    longer = dataclasses.replace(config, epochs=2)
    with pytest.raises(training.NonFiniteLoss, match=r"3 steps.*epoch-00001\.keras"):
        training.train(longer, tmp_path / "run", data, verbose=0)
    state = json.loads((tmp_path / "run" / "state.json").read_text())
    assert state["epoch"] == 1
    for name, value in stored_weights(best).items():
        np.testing.assert_array_equal(value, good[name])


def test_averaged_weights_come_and_go():
    config = smoke("ema=0.5", "schedule=constant")
    model = training.compile_model(training.build_model(config), config, 4)
    kernel = model.trainable_variables[0]
    first = kernel.numpy()
    for _ in range(2):
        model.optimizer.apply([tf.ones_like(v) for v in model.trainable_variables])
    trained = kernel.numpy()
    with run_folder.averaged(model):
        inside = kernel.numpy()
    # Adam's first steps are as long as the rate, 1e-3; the average starts at the first
    # step's result: 0.5 * (first - 1e-3) + 0.5 * (first - 2e-3). Rounding of float32
    # weights below 1 stays below 1e-7.
    np.testing.assert_allclose(inside, first - 1.5e-3, atol=2e-7)
    np.testing.assert_array_equal(kernel.numpy(), trained)


def test_history_is_cut_back_to_whole_epochs(tmp_path):
    path = tmp_path / "history.csv"
    run_folder.append_history(path, {"loss": 0.5, "epoch": 0})
    run_folder.append_history(path, {"epoch": 1, "loss": 0.4})
    with path.open("a") as file:
        file.write("2,0")  # an epoch that was never saved
    run_folder.truncate_history(path, 2)
    assert path.read_text().split() == ["epoch,loss", "0,0.5", "1,0.4"]
    path.write_text("epoch,loss\n0,0.5\n1")  # killed while writing a row
    run_folder.truncate_history(path, 2)
    assert path.read_text().split() == ["epoch,loss", "0,0.5"]
    run_folder.truncate_history(path, 0)
    assert not path.exists()


# Kill -9

CHILD = """
import os, signal, sys
from tfderain import training
from tfderain.training import run_folder

folder, data, step, *settings = sys.argv[1:]
config = training.resolve("smoke", overrides=settings)


def kill_in_second_epoch(self, batch, logs=None):
    if self.state["epoch"] == 1 and batch == 2:
        os.kill(os.getpid(), signal.SIGKILL)


def stop_before_state(path, value, write=run_folder.write_json):
    if path.name == "state.json" and value["epoch"] == 2:
        raise KeyboardInterrupt
    write(path, value)


if step == "start":
    training.train(config, folder + "/whole", data, verbose=0)
    run_folder.RunState.on_train_batch_end = kill_in_second_epoch
    training.train(config, folder + "/killed", data, verbose=0)
write, run_folder.write_json = run_folder.write_json, stop_before_state
try:  # the files of the second epoch are written, but nothing names them
    training.train(config, folder + "/killed", data, verbose=0)
except KeyboardInterrupt:
    run_folder.write_json = write
    training.train(config, folder + "/killed", data, verbose=0)
"""


def test_killed_run_ends_like_an_uninterrupted_one(data, tmp_path):
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    endings = []
    for step in ("start", "go on"):
        command = [sys.executable, script, tmp_path, data, step, *TINY]
        # Muon keeps Adam's moments for biases and momenta for kernels: both come back
        settings = ["deterministic=true", "optimizer=muon"]
        endings.append(
            subprocess.run([*command, *settings], env=environment).returncode
        )
    assert endings == [-signal.SIGKILL, 0]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for name in ("best.keras", "checkpoints/epoch-00003.keras"):
        expected, found = stored_weights(whole / name), stored_weights(killed / name)
        assert expected.keys() == found.keys()
        for key, value in expected.items():
            # bitwise: equal data, weights and moments, deterministic operations
            np.testing.assert_array_equal(found[key], value, err_msg=f"{name} {key}")
    # wall time is not logged, so the rows are equal to the last digit
    for name in ("history.csv", "state.json"):
        assert (killed / name).read_text() == (whole / name).read_text()


def test_script_trains(data, tmp_path, monkeypatch):
    script = pathlib.Path(__file__).parents[2] / "scripts" / "train_menet.py"
    command = [script, data, tmp_path / "menet.keras"]
    small = ["--epochs", "1", "--steps", "2", "--crop", "16", "--batch", "2"]
    monkeypatch.setattr(sys, "argv", [str(word) for word in (*command, *small)])
    runpy.run_path(str(script), run_name="__main__")
    assert isinstance(models.load(tmp_path / "menet.keras"), models.MENET)


def test_public_names_exist():
    assert all(hasattr(training, name) for name in training.__all__)
    assert recipes.RECIPES is training.RECIPES
