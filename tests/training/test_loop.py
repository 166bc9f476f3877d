"""Trainings, what they leave in the run folder, and going on after a kill."""

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
from short_runs import (
    SMOKE,
    assert_same_weights_and_state,
    material,
    read_history,
    smoke,
    stored_weights,
    write_pairs,
)

from tfderain import images, models, training
from tfderain.data import pairs as pairing
from tfderain.data import pipeline, splits
from tfderain.training import Source, loop, mixing, recipes
from tfderain.training.material import modernised


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return material(write_pairs(tmp_path_factory.mktemp("pairs") / "data"))


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


def test_all_pairs_train_where_none_validates(data, tmp_path):
    """Also of one background, which cannot be split; the last epoch is kept."""
    one = write_pairs(tmp_path / "one", count=1)
    config = smoke("epochs=2", "validation_fraction=0", "degrade=none", "ema=none")
    run_dir = tmp_path / "run"
    best = training.train(config, run_dir, material(one), verbose=0)
    rows = read_history(run_dir)
    assert len(rows) == 2 and not any(name.startswith("val_") for name in rows[0])
    state = json.loads((run_dir / "state.json").read_text())
    assert (state["best"], state["best_score"]) == ("best-00002.keras", None)
    trained, kept = (
        stored_weights(path)
        for path in (run_dir / "checkpoints" / state["checkpoint"], best)
    )
    for name, value in kept.items():
        if name.startswith("network/"):
            np.testing.assert_array_equal(value, trained[name], err_msg=name)
    with pytest.raises(ValueError, match="two different backgrounds"):
        training.train(smoke(), tmp_path / "other", material(one), verbose=0)


def test_best_weights_score_what_the_history_says(run, data):
    run_dir, config = run
    model = models.load(run_dir)
    assert not model.compiled
    assert model.dtype_policy.name == "float32"
    _, held_out = splits.split_by_background(
        pairing.find_mixture(data.sources), config.validation_fraction, config.seed
    )
    pools = {"streaks": np.load(run_dir / "pool.npy")}
    kinds = mixing.validation_kinds(held_out, config, pools)
    rainy, clean = mixing.validation_patches(kinds, config)
    training.compile_model(model, config, 4)
    score = model.evaluate(rainy, clean, 4, return_dict=True, verbose=0)["psnr_rgb"]
    history = read_history(run_dir)
    scores = [float(row["val_psnr_rgb"]) for row in history]
    # the same weights and images in another process state: float32 sums
    assert score == pytest.approx(max(scores), abs=1e-3)
    best = history[int(np.argmax(scores))]
    half = len(rainy) // 2
    for name, part in (("own", slice(half)), ("synthetic", slice(half, None))):
        alone = model.evaluate(rainy[part], clean[part], 4, return_dict=True, verbose=0)
        column = float(best[f"val_psnr_rgb_{name}"])
        assert alone["psnr_rgb"] == pytest.approx(column, abs=1e-3)


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
    (own,) = data.sources
    folders = [own.folder, str(write_pairs(tmp_path / "others", seed=1))]

    def weighted(*weights):
        return training.Material(training.Source.each(folders, weights=weights))

    config, run_dir, given = smoke(), tmp_path / "run", []
    monkeypatch.setattr(loop, "fit", lambda *arguments: given.extend(arguments))
    training.train(config, run_dir, weighted(2, 1), verbose=0)
    _, _, _, batches, held_out, *_ = given
    rainy, clean = next(iter(batches(0)))
    assert rainy.shape == clean.shape == (4, 32, 32, 3) and len(held_out[0]) == 8
    about = json.loads((run_dir / "config.json").read_text())
    assert about["sources"] == [
        {"folder": folder, "layout": "auto", "pattern": None, "weight": weight}
        for folder, weight in zip(folders, (2.0, 1.0), strict=True)
    ]
    (run_dir / "state.json").write_text(  # as after an epoch
        json.dumps({"epoch": 1, "checkpoint": "a", "best": "b", "best_score": 1.0})
    )
    with pytest.raises(ValueError, match=r"'weight': 1.0.*was .*'weight': 2.0"):
        training.train(config, run_dir, weighted(1, 1), verbose=0)


def test_run_folder_of_other_settings_is_refused(run, data):
    run_dir, config = run
    changed = dataclasses.replace(config, learning_rate=0.5, epochs=1)
    with pytest.raises(ValueError, match=r"learning_rate=0\.5 \(was 0\.001\)"):
        training.train(changed, run_dir, data, verbose=0)
    (own,) = data.sources
    other = training.Material([dataclasses.replace(own, layout="folders")])
    with pytest.raises(ValueError, match="'layout': 'folders'.*was.*'auto'"):
        training.train(config, run_dir, other, verbose=0)


def test_a_run_of_an_older_form_goes_on(run, data):
    run_dir, config = run
    path = run_dir / "config.json"
    about = json.loads(path.read_text())
    (own,) = about.pop("sources")
    for name in ("layers", "photos"):
        del about[name]
    about |= {"data": own["folder"], "layout": "auto", "pattern": None}
    path.write_text(json.dumps(about))
    training.train(config, run_dir, data, verbose=0)
    assert json.loads(path.read_text())["sources"] == [own]


def test_older_forms_of_several_folders_and_of_photos_are_read():
    old = {"data": ["/a", "/b"], "layout": ["auto", "flat"], "pattern": [None, None]}
    new = modernised({**old, "weights": [2.0, 1.0], "real": "/photos"})
    sources = (Source("/a", weight=2), Source("/b", "flat", weight=1))
    material = training.Material(sources, photos="/photos")
    assert {**material.as_dict(), **new} == json.loads(json.dumps(material.as_dict()))


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
    reads = dataclasses.replace(data, start=trained)
    # no step moves anything, so that the weights it began with are shipped
    config = smoke("epochs=1", "learning_rate=1e-30", "schedule=constant", "ema=none")
    best = training.train(config, tmp_path / "run", reads, verbose=0)
    for name, value in stored_weights(trained / "best.keras").items():
        np.testing.assert_array_equal(stored_weights(best)[name], value)
    with pytest.raises(ValueError, match="start=None"):
        training.train(config, tmp_path / "run", data, verbose=0)
    other = smoke("model_config.filters=12")
    with pytest.raises(ValueError, match="same shape"):
        training.train(other, tmp_path / "other", reads, verbose=0)


def test_a_picture_that_is_damaged_behind_its_header_is_named(tmp_path):
    folder = write_pairs(tmp_path / "data")
    path = folder / "rainy" / "3.png"
    path.write_bytes(path.read_bytes()[:-100])
    found = pairing.find_pairs(folder)

    class Reader:
        """In the place of a network: only reads."""

        def fit(self, batches, **_):
            list(batches.take(1))

    def batches(first):
        return pipeline.train_dataset(found, 16, len(found), 0, first)

    with pytest.raises(images.ImageError, match=f"^Cannot read {path}: .*truncated"):
        loop.fit(Reader(), smoke(), tmp_path / "run", batches, None, 1)


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


# Kill -9

CHILD = """
import os, signal, sys
from tfderain import training
from tfderain.training import run_folder

folder, data, step, *settings = sys.argv[1:]
config = training.resolve("smoke", overrides=settings)
data = training.Material([training.Source(data)])


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
        folder = data.sources[0].folder
        command = [sys.executable, script, tmp_path, folder, step, *SMOKE]
        # Muon keeps Adam's moments for biases and momenta for kernels: both come back
        settings = ["deterministic=true", "optimizer=muon"]
        endings.append(
            subprocess.run([*command, *settings], env=environment).returncode
        )
    assert endings == [-signal.SIGKILL, 0]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for name in ("best.keras", "checkpoints/epoch-00003.keras"):
        # bitwise: equal data, weights and moments, deterministic operations
        assert_same_weights_and_state(whole / name, killed / name)
    # wall time is not logged, so the rows are equal to the last digit
    for name in ("history.csv", "state.json"):
        assert (killed / name).read_text() == (whole / name).read_text()


def test_script_trains(data, tmp_path, monkeypatch):
    script = pathlib.Path(__file__).parents[2] / "scripts" / "train_menet.py"
    command = [script, data.sources[0].folder, tmp_path / "menet.keras"]
    small = ["--epochs", "1", "--steps", "2", "--crop", "16", "--batch", "2"]
    monkeypatch.setattr(sys, "argv", [str(word) for word in (*command, *small)])
    runpy.run_path(str(script), run_name="__main__")
    assert isinstance(models.load(tmp_path / "menet.keras"), models.MENET)


def test_public_names_exist():
    assert all(hasattr(training, name) for name in training.__all__)
    assert recipes.RECIPES is training.RECIPES
