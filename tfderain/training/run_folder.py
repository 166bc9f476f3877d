"""Run folders: what a training run has done so far, safe against being killed.

`config.json` says what is computed, `data.json` from which data (see `contents`),
`state.json` how far the run has got: it names the files in `checkpoints/` that belong
together, and is replaced in one atomic step after they are written. `best.keras` holds
the weights to use, `history.csv` the metrics of each epoch.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import platform
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from tfderain import __version__, errors, files, reports
from tfderain.training import contents, history
from tfderain.training.config import TrainConfig
from tfderain.training.material import modernised

NOTHING_DONE = {"epoch": 0, "checkpoint": None, "best": None, "best_score": None}
SCORE = "val_psnr_rgb"  # colour counts, so the best epoch is not chosen by luma alone


class NonFiniteLoss(RuntimeError):
    """Training was stopped because too many steps in a row had no finite loss."""


@contextlib.contextmanager
def averaged(model: Any):
    """Puts the averaged weights into a model, and the trained ones back on leaving.

    Without averaging (`ema=None`), nothing changes. Values are copied, not swapped by
    additions as in `keras.callbacks.SwapEMAWeights`, whose rounding would make a
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


def check_run(
    config: TrainConfig,
    run_dir: str | os.PathLike,
    material: dict,
    data: dict | None = None,
    say: Callable | None = None,
) -> dict | None:
    """Checks that a run folder is new, or holds a run with these settings and data.

    A folder in which no epoch was finished is not bound to its settings: the remains of
    a different start are deleted.

    Args:
        config: `TrainConfig`.
        run_dir: folder of the run.
        material: dict of what the run reads, plain values, see `Material.as_dict`.
        data: content of its files, see `contents.describe`; `None` if `material` says
            everything.
        say: called with a line about each change of the data, or `None`.

    Returns:
        Content of `data.json` of a run to continue, `{}` if it has none; `None` for a
        new run.

    Raises:
        ValueError: the folder holds a run with another config or other data, see
            `contents.compare`. More `epochs` are allowed: they extend the run.
    """
    run_dir = pathlib.Path(run_dir)
    given = _plain({"config": dataclasses.asdict(config), **material})
    if read_state(run_dir)["checkpoint"]:
        return _check_same(given, data, run_dir, say or (lambda line: None))
    if not _same_start(given, data, run_dir):
        _forget(run_dir)
    return None


def prepare_run(
    config: TrainConfig,
    run_dir: str | os.PathLike,
    material: dict,
    data: dict | None = None,
) -> pathlib.Path:
    """Creates a run folder, writes `config.json` and `data.json`, returns its path.

    Args:
        config, run_dir, material: see `check_run`, which is to be called first.
        data: what `data.json` will hold, or `None`.
    """
    run_dir = pathlib.Path(run_dir)
    (run_dir / "checkpoints").mkdir(parents=True, exist_ok=True)
    if data is not None:
        write_json(run_dir / "data.json", data)
    about = {"versions": _versions(), "git_commit": git_commit()}
    given = {"config": dataclasses.asdict(config), **material}
    write_json(run_dir / "config.json", {**given, **about})
    return run_dir


def _plain(values):
    """Values as they come back from JSON."""
    return json.loads(json.dumps(values))


def _check_same(given, now, run_dir, say):
    """Refuses other settings or data; returns what the run has read so far."""
    old = _read(run_dir / "config.json", _about)
    path = run_dir / "data.json"
    before = _read(path, dict) if now and path.exists() else {}
    # If their content is known, it does not matter where data are.
    shown = _without_places if before else dict
    changed = _differences(shown(old), shown(given))
    # A setting that was introduced later had its default value.
    defaults = _plain(dataclasses.asdict(TrainConfig()))
    earlier, later = {**defaults, **old["config"]}, given["config"]
    changed += _differences(earlier, later)
    if "epochs" in changed and later["epochs"] > earlier["epochs"]:
        changed.remove("epochs")
    if changed:
        was, values = {**old, **earlier}, {**given, **later}
        received = ", ".join(f"{n}={values[n]!r} (was {was.get(n)!r})" for n in changed)
        raise ValueError(
            "A run can continue only with its own settings (more `epochs` are "
            "allowed): choose another run folder. "
            f"Received: run_dir={str(run_dir)!r}, {received}."
        )
    if before:
        for line in contents.compare(before, now, old, given):
            say(f"note: {line}")
    return before


def _about(found):
    """The content of a `config.json`, checked, and brought up to date."""
    found["config"].items()
    nothing = dict.fromkeys((*contents.FOLDERS, *contents.WEIGHTS))
    return {**nothing, **modernised(found)}


def _without_places(about):
    """What was given, without its paths."""
    kept = [{**source, "folder": None} for source in about["sources"]]
    places = (*contents.FOLDERS, *contents.WEIGHTS)
    return {**about, "sources": kept, **dict.fromkeys(places)}


def _differences(old, new):
    return [name for name in new if name != "config" and old.get(name) != new[name]]


def _same_start(given, data, run_dir):
    """Whether a run that has finished no epoch was started with the same settings."""
    try:
        old = json.loads((run_dir / "config.json").read_text())
        if {name: old.get(name) for name in given} != given:
            return False
        path = run_dir / "data.json"
        return not data or contents.equal(json.loads(path.read_text()), data)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return False


def _forget(run_dir: pathlib.Path):
    """Removes what the start of a run leaves in its folder, but not the folder."""
    for name in ("config.json", "data.json", "history.csv", "pool.npy"):
        (run_dir / name).unlink(missing_ok=True)
    for path in run_dir.glob("pool_*.npy"):
        path.unlink()
    for name in ("checkpoints", "logs"):
        shutil.rmtree(run_dir / name, ignore_errors=True)


@contextlib.contextmanager
def starting(run_dir: str | os.PathLike) -> Iterator[None]:
    """Leaves no new run behind if an error occurs before its first epoch has ended.

    A run that existed before stays as it is, and so does one whose losses were not
    finite, so that its logs can be examined.
    """
    run_dir = pathlib.Path(run_dir)
    missing = [path for path in (run_dir, *run_dir.parents) if not path.exists()]
    new = not (run_dir / "config.json").exists()
    try:
        yield
    except NonFiniteLoss:
        raise
    except Exception:
        if new and not (run_dir / "state.json").exists():
            _forget(run_dir)
            for path in missing:
                with contextlib.suppress(OSError):  # another run may be there by now
                    path.rmdir()
        raise


def _read(path, make):
    """The content of a JSON file in a run folder.

    Raises:
        ValueError: it is damaged.
    """
    return reports.read_json(
        path,
        make,
        f"`{path.name}` in a run folder must be as the run wrote it: restore a copy, "
        "or start again in another run folder, with `--from` and its best.keras.",
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
    """Writes a value as JSON, whole or not at all."""
    with files.replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n")


def read_state(run_dir: pathlib.Path) -> dict:
    """The content of `state.json`; without one, that of a run with no finished epoch.

    Raises:
        ValueError: it is damaged.
    """
    path = run_dir / "state.json"
    return _read(path, _state) if path.exists() else dict(NOTHING_DONE)


def _state(found):
    for name, kind in (("epoch", int), ("checkpoint", str)):
        if not isinstance(found[name], kind):
            raise TypeError(f"{name}={found[name]!r}")
    best = found["best"], found["best_score"]
    if best != (None, None) and not (
        isinstance(best[0], str) and isinstance(best[1], (int, float))
    ):
        raise TypeError("best={!r}, best_score={!r}".format(*best))
    return found


def load_checkpoint(model: Any, run_dir: pathlib.Path, state: dict):
    """Loads the weights and moments of the last epoch into a compiled model.

    Raises:
        ValueError: the file is missing or damaged.
    """
    path = run_dir / "checkpoints" / state["checkpoint"]
    with _whole(path, "or start again in another run folder, with `--from best.keras`"):
        model.load_weights(path)


def publish_best(run_dir: pathlib.Path, state: dict):
    """Brings `best.keras` into line with `state.json`.

    Raises:
        ValueError: the best weights are missing or damaged.
    """
    if state["best"] is None:
        return
    path = run_dir / "checkpoints" / state["best"]
    advice = "or set best and best_score in state.json to null: the next epoch counts"
    with _whole(path, advice), files.replacing(run_dir / "best.keras") as temporary:
        shutil.copyfile(path, temporary)


@contextlib.contextmanager
def _whole(path, advice):
    """Turns errors about a damaged checkpoint into one that says what to do."""
    try:
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():
                raise ValueError(f"damaged at {damaged}")
        yield
    except Exception as error:  # Keras and h5py raise nearly anything
        raise ValueError(
            f"A checkpoint must be as the run wrote it: restore a copy, {advice}. "
            f"Received: {path} ({errors.reason(error)})."
        ) from error


class RunState(keras.callbacks.Callback):
    """Validates averaged weights, saves the run after each epoch, stops bad runs.

    The files of an epoch are written first, then `state.json` names them in one atomic
    step, then older files are deleted: a kill in between leaves a consistent state.

    Args:
        run_dir: see `prepare_run`.
        config: `TrainConfig`.
        state: what `read_state` returned when the run was started.
        shipped: an uncompiled float32 copy of the model, to write `best.keras` with.
    """

    check_every = 20  # steps, since reading a counter makes an accelerator wait

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
        """Raises `NonFiniteLoss` if a backend let a bad step change the weights."""
        for variable in self.model.trainable_variables:
            if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
                self.stop(f"The weights {variable.path} are no longer finite.")

    def stop(self, reason):
        """Ends training with `NonFiniteLoss`, which says where good weights are."""
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
        history.append(self.run_dir / "history.csv", {"epoch": epoch, **logs})
        name = f"epoch-{epoch + 1:05d}.keras"
        self.model.save(self.run_dir / "checkpoints" / name)
        state = {**self.state, "epoch": epoch + 1, "checkpoint": name}
        score = float(logs[SCORE]) if SCORE in logs else None  # without validation
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
        """Saves the averaged weights as the network that ships."""
        with averaged(self.model) as model:
            self.shipped.adopt(model)
        self.shipped.save(path)


class Plateau(keras.callbacks.ReduceLROnPlateau):
    """Divides the learning rate by ten when the training loss no longer falls.

    Ten epochs of patience are our choice (the paper says "when the losses plateau").
    After an interruption, its state is restored from `history.csv`; the learning rate
    itself is in the checkpoint.

    Args:
        history: path of `history.csv`.
    """

    def __init__(self, history, patience=10):
        super().__init__(monitor="loss", factor=0.1, patience=patience, min_delta=0.0)
        self.history = history

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        for row in history.read(self.history):
            super().on_epoch_end(int(row["epoch"]), {"loss": float(row["loss"])})
        self.model.optimizer.learning_rate = rate


class LearningRate(keras.callbacks.Callback):
    """Adds the learning rate to the logs of the other callbacks."""

    def on_epoch_end(self, epoch, logs):
        rate = keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        logs["learning_rate"] = float(rate)
