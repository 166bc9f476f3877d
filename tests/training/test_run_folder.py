"""Run folders: the commit they record, and averaged weights."""

import subprocess

import numpy as np
import pytest
import tensorflow as tf
from short_runs import smoke

from tfderain import training
from tfderain.training import run_folder


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


def commit(folder):
    """A repository with one commit; returns the commit."""
    git = ["git", "-C", str(folder), "-c", "user.name=n", "-c", "user.email=e@x"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    message = ["commit", "--quiet", "--allow-empty", "--message", "first"]
    subprocess.run([*git, *message], check=True)
    done = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("place", "own"),
    [("tfderain", True), (".venv/lib/site-packages/tfderain", False)],
)
def test_the_commit_is_that_of_tfderains_own_checkout(
    place, own, tmp_path, monkeypatch
):
    module = tmp_path / place / "training" / "run_folder.py"
    module.parent.mkdir(parents=True)
    monkeypatch.setattr(run_folder, "__file__", str(module))
    expected = commit(tmp_path)  # of tfderain, or of whoever made the environment
    assert len(expected) == 40
    assert run_folder.git_commit() == (expected if own else None)


def test_without_a_repository_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(run_folder, "__file__", str(tmp_path / "a" / "b" / "c.py"))
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert run_folder.git_commit() is None
