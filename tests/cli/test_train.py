"""Command `train`, with a stand-in for the training."""

from unittest import mock

import data_set_trees as trees

from tfderain import training
from tfderain.training import Material, Source


def test_train_resolves_the_recipe_and_says_where_the_results_are(folder, run):
    options = ["--set", "batch_size=3", "--epochs", 2, "--seed", 9, "--jit"]
    options += ["--mixed-precision", "--deterministic", "--layout", "left_clean"]
    options += ["--from", "menet"]
    trained = folder / "runs" / "smoke-Lp" / "best.keras"
    with mock.patch.object(
        training, "train", autospec=True, return_value=trained
    ) as train:
        code, out, _ = run(
            "train", "smoke", "--data", ".", "--ablation", "Lp", *options
        )
    assert code == 0 and str(trained) in out
    config, run_dir, *_ = train.call_args.args
    assert str(run_dir).replace("\\", "/") == "runs/smoke-Lp"
    assert (config.batch_size, config.epochs, config.seed) == (3, 2, 9)
    assert config.jit and config.deterministic
    assert config.mixed_precision == "mixed_bfloat16"
    assert list(config.model_config["tasks"]) == ["reconstruction"]
    material = train.call_args.args[2]
    assert material == Material([Source(".", "left_clean")], start="menet")


def test_train_mixes_folders_by_weight(folder, run):
    for name in ("day", "night"):
        (folder / name).mkdir()
    with mock.patch.object(
        training, "train", autospec=True, return_value=folder / "best.keras"
    ) as train:
        options = ["--layout", "left_clean", "--layout", "folders"]
        code, _, err = run(
            "train", "smoke", "--data", "day=2", "--data", "night=1", *options
        )
        assert code == 0, err
        day, night = train.call_args.args[2].sources
        assert day == Source("day", "left_clean", weight=2)
        assert night == Source("night", "folders", weight=1)
        run("train", "smoke", "--data", "day", "--data", "night")
        assert train.call_args.args[2] == Material([Source("day"), Source("night")])
        code, _, err = run("train", "smoke", "--data", "day", *options)
        assert code == 2 and "one `layout` for all folders" in err[0]
    code, _, err = run("train", "smoke", "--data", "day", "--data", "night=1")
    assert code == 2 and "for each folder or for none" in err[0]


def test_train_warns_of_test_sets_that_the_data_spoil(folder, run):
    trees.grow(folder, "raintrainh")
    with mock.patch.object(
        training, "train", autospec=True, return_value=folder / "best.keras"
    ):
        code, _, (err,) = run("train", "smoke", "--data", "RainTrainH")
        assert code == 0 and err.startswith("warning: ")
        assert "91 of Rain100's backgrounds" in err and "tfderain data overlap" in err
        (folder / "RainTrainH").rename(folder / "pairs")
        assert run("train", "smoke", "--data", "pairs")[2] == []


def test_training_that_diverges_is_one_line(folder, run):
    error = training.NonFiniteLoss("20 steps in a row had no finite loss")
    with mock.patch.object(training, "train", autospec=True, side_effect=error):
        code, _, err = run("train", "smoke", "--data", ".", "--out", "r")
    assert (code, err) == (1, ["error: 20 steps in a row had no finite loss"])
