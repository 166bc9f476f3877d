"""scripts/average_runs.py gives the mean of trainings as a run folder."""

import keras
import numpy as np
import pytest
from script_modules import script

from tfderain import models


def save_run(folder, seed, **options):
    keras.utils.set_random_seed(seed)
    model = models.MENET(**{"num_blocks": 1, "filters": 4, **options})
    model.build((None, None, None, 3))
    folder.mkdir()
    model.save(folder / "best.keras")
    return model.get_weights()


def test_weights_are_averaged(tmp_path, capsys):
    first, second = (save_run(tmp_path / name, i) for i, name in enumerate("ab"))
    arguments = [str(tmp_path / "a"), str(tmp_path / "b")]
    arguments += ["--shares", "0.25", "0.75", "--out", str(tmp_path / "mean")]
    script("average_runs").main(arguments)
    averaged = models.load(tmp_path / "mean").get_weights()
    for mean, a, b in zip(averaged, first, second, strict=True):
        np.testing.assert_allclose(mean, 0.25 * a + 0.75 * b, atol=1e-6)  # float32
    assert "[0.25, 0.75]" in capsys.readouterr().out


def test_other_networks_and_shares_are_refused(tmp_path, capsys):
    save_run(tmp_path / "a", 0)
    save_run(tmp_path / "b", 1, num_blocks=2)
    runs = [str(tmp_path / "a"), str(tmp_path / "b")]
    average_runs = script("average_runs")
    with pytest.raises(ValueError, match="same network"):
        average_runs.main([*runs, "--out", str(tmp_path / "mean")])
    for wrong in (["--shares", "1"], ["--shares", "0.5", "0.6"]):
        with pytest.raises(SystemExit):
            average_runs.parse([*runs, *wrong, "--out", str(tmp_path / "mean")])
    with pytest.raises(SystemExit):
        average_runs.parse([*runs, "--out", str(tmp_path / "a")])
    assert "a exists" in capsys.readouterr().err
