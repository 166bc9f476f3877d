"""Run folders: averaged weights, and a history cut back."""

import numpy as np
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
