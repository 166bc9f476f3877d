"""Run folders: what a training run has done so far, safe against being killed.

`config.json` says what is computed, `state.json` how far it came: it names the files in
`checkpoints/` that belong together and is replaced in one atomic step after they are
written. `best.keras` holds the weights to use, `history.csv` the metrics of each epoch.
"""

import contextlib
import csv
import dataclasses
import json
import os
import pathlib
import platform
import shutil
import subprocess
from typing import Any

import keras
import numpy as np

from tfderain import __version__, files
from tfderain.training.config import TrainConfig
from tfderain.training.material import modernised

SCORE = "val_psnr_rgb"  # colour counts, so the best epoch is not chosen on luma alone


class NonFiniteLoss(RuntimeError):
    """Training was stopped because too many steps in a row had no finite loss."""


@contextlib.contextmanager
def averaged(model: Any):
    """Puts the averaged weights into a model, and the trained ones back on leaving.

    Without averaging (`ema=None`) it changes nothing. Values are copied, not swapped
    by additions as in `keras.callbacks.SwapEMAWeights`, whose rounding would make a
    resumed run differ from an uninterrupted one.
    """
    variables = model.trainable_variables
    trained = [np.array(keras.ops.convert_to_numpy(v)) for v in variables]
    model.optimizer.finalize_variable_values(variables)
    try:
        yield model
    finally:
        for variable, value in zip(variables, trained, strict=True):
            variable.assign(value)


def prepare_run(config: TrainConfig, run_dir: str | os.PathLike, material: dict):
    """Makes a run folder with `config.json`, or checks the one that is there.

    Args:
        config: `TrainConfig`.
        run_dir: folder of the run.
        material: dict of what the run reads, plain values, see `Material.as_dict`.

    Returns:
        The run folder as a `pathlib.Path`.

    Raises:
        ValueError: when the folder holds a run of another config or other data. More
            `epochs` are allowed: they extend the run.
    """
    run_dir = pathlib.Path(run_dir)
    (run_dir / "checkpoints").mkdir(parents=True, exist_ok=True)
    path = run_dir / "config.json"
    new = {"config": dataclasses.asdict(config), **material}
    if path.exists():
        _check_same(json.loads(path.read_text()), json.loads(json.dumps(new)), run_dir)
    about = {"versions": _versions(), "git_commit": git_commit()}
    write_json(path, {**new, **about})
    return run_dir


def _check_same(old, new, run_dir):
    old = modernised(old)
    changed = [name for name in new if name != "config" and old.get(name) != new[name]]
    # A setting that came later had its default value.
    defaults = json.loads(json.dumps(dataclasses.asdict(TrainConfig())))
    before, now = {**defaults, **old["config"]}, new["config"]
    changed += [name for name in now if before.get(name) != now[name]]
    if "epochs" in changed and now["epochs"] > before["epochs"]:
        changed.remove("epochs")
    if changed:
        values = {**new, **now}
        received = ", ".join(
            f"{n}={values[n]!r} (was {({**old, **before}).get(n)!r})" for n in changed
        )
        raise ValueError(
            "A run goes on only with its own settings (more `epochs` are allowed): "
            "choose another run folder. "
            f"Received: run_dir={str(run_dir)!r}, {received}."
        )


def _versions():
    versions = {
        "tfderain": __version__,
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "numpy": np.__version__,
    }
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        versions["tensorflow"] = tf.__version__
    return versions


def git_commit():
    """The commit of tfderain's own checkout; `None` for an installed package.

    A virtual environment may lie in somebody else's repository, so the root of the
    repository must be the folder that holds the package.
    """
    root = pathlib.Path(__file__).absolute().parents[2]
    command = ["git", "-C", str(root), "rev-parse", "--show-toplevel", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:  # no git
        return None
    if done.returncode:
        return None
    top, commit = done.stdout.splitlines()
    return commit if os.path.samefile(top, root) else None


def write_json(path: str | os.PathLike, value: Any):
    with files.replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n")


def read_state(run_dir: pathlib.Path):
    """What `state.json` says; before the first epoch has ended: nothing done."""
    path = run_dir / "state.json"
    if path.exists():
        return json.loads(path.read_text())
    return {"epoch": 0, "checkpoint": None, "best": None, "best_score": None}


def publish_best(run_dir: pathlib.Path, state: dict):
    """Brings `best.keras` in line with `state.json`."""
    with files.replacing(run_dir / "best.keras") as temporary:
        shutil.copyfile(run_dir / "checkpoints" / state["best"], temporary)


def truncate_history(path: pathlib.Path, epochs: int):
    """Drops rows of epochs that have to be run again, and a row cut off in writing."""
    if not path.exists():
        return
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    if epochs == 0 or not rows:
        path.unlink()
        return
    kept = [
        row for row in rows[1:] if len(row) == len(rows[0]) and int(row[0]) < epochs
    ]
    with files.replacing(path) as temporary, temporary.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([rows[0], *kept])


def append_history(path: pathlib.Path, row: dict):
    """Adds a dict to a CSV file, which it starts with a header if there is none."""
    header = sorted(row, key=lambda name: (name != "epoch", name))
    if path.exists():
        with path.open(newline="") as file:
            header = next(csv.reader(file))
    else:
        path.write_text(",".join(header) + "\n")
    with path.open("a", newline="") as file:
        # A run that was begun by an older version lacks columns, and goes on so.
        writer = csv.DictWriter(
            file, header, extrasaction="ignore", lineterminator="\n"
        )
        writer.writerow(row)


class RunState(keras.callbacks.Callback):
    """Validates averaged weights, saves the run after each epoch, stops bad runs.

    The files of an epoch are written first, then `state.json` names them in one
    atomic step, then older files go: a kill between any two leaves a whole state.

    Args:
        run_dir: see `prepare_run`.
        config: `TrainConfig`.
        state: what `read_state` returned when the run was started.
        shipped: a float32 copy of the model, not compiled, to write `best.keras` with.
    """

    check_every = 20  # steps; reading a counter makes an accelerator wait

    def __init__(self, run_dir, config, state, shipped):
        super().__init__()
        self.run_dir, self.config, self.state = run_dir, config, dict(state)
        self.shipped = shipped
        self.validating = contextlib.ExitStack()

    def on_test_begin(self, logs=None):
        self.validating.enter_context(averaged(self.model))

    def on_test_end(self, logs=None):
        self.validating.close()

    def on_train_batch_end(self, batch, logs=None):
        if (batch + 1) % min(self.check_every, self.config.max_bad_steps) == 0:
            self.check()

    def check(self):
        """Raises `NonFiniteLoss` after `max_bad_steps` bad steps in a row."""
        bad = int(keras.ops.convert_to_numpy(self.model.bad_steps_in_a_row))
        if bad >= self.config.max_bad_steps:
            self.stop(f"{bad} steps in a row had no finite loss or gradient.")

    def check_weights(self):
        """Raises `NonFiniteLoss` where a backend let a bad step change the weights."""
        for variable in self.model.trainable_variables:
            if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
                self.stop(f"The weights {variable.path} are not finite any more.")

    def stop(self, reason):
        kept = self.state["checkpoint"]
        where = f"in {self.run_dir / 'checkpoints' / kept}" if kept else "nowhere"
        raise NonFiniteLoss(
            f"{reason} The last good weights are kept {where}; a lower learning_rate "
            "or clip_norm=1 may help. "
            f"Received: max_bad_steps={self.config.max_bad_steps}."
        )

    def on_epoch_end(self, epoch, logs):
        self.check()
        self.check_weights()
        append_history(self.run_dir / "history.csv", {"epoch": epoch, **logs})
        name = f"epoch-{epoch + 1:05d}.keras"
        self.model.save(self.run_dir / "checkpoints" / name)
        state = {**self.state, "epoch": epoch + 1, "checkpoint": name}
        score = float(logs[SCORE]) if SCORE in logs else None  # not validated
        last = self.config.keep == "last" or score is None
        if state["best"] is None or last or score > state["best_score"]:
            state |= {"best": f"best-{epoch + 1:05d}.keras", "best_score": score}
            self.save_shipped(self.run_dir / "checkpoints" / state["best"])
        write_json(self.run_dir / "state.json", state)
        if state["best"] != self.state["best"]:
            publish_best(self.run_dir, state)
        self.state = state
        for path in (self.run_dir / "checkpoints").iterdir():
            if path.name not in (state["checkpoint"], state["best"]):
                path.unlink()

    def save_shipped(self, path):
        with averaged(self.model) as model:
            self.shipped.adopt(model)
        self.shipped.save(path)


class Plateau(keras.callbacks.ReduceLROnPlateau):
    """Divides the learning rate by ten when the training loss no longer falls.

    Ten epochs of patience are our choice (the paper says "when the losses plateau").
    What the epochs before an interruption taught it is read from `history.csv`; the
    learning rate itself lies in the checkpoint.

    Args:
        history: path of `history.csv`.
    """

    def __init__(self, history, patience=10):
        super().__init__(monitor="loss", factor=0.1, patience=patience, min_delta=0.0)
        self.history = history

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        if self.history.exists():
            with self.history.open(newline="") as file:
                for row in csv.DictReader(file):
                    super().on_epoch_end(
                        int(row["epoch"]), {"loss": float(row["loss"])}
                    )
        self.model.optimizer.learning_rate = rate


class LearningRate(keras.callbacks.Callback):
    """Adds the learning rate to what the other callbacks log."""

    def on_epoch_end(self, epoch, logs):
        rate = keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        logs["learning_rate"] = float(rate)
