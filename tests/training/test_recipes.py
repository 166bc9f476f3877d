"""Recipes and the rows of the papers' tables, resolved and refused."""

import subprocess
import sys
from unittest import mock

import pytest

from tfderain import training

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


def test_the_ablations_are_the_rows_of_the_tables():
    assert set(training.ABLATIONS["menet"]) == set(TABLES)


@pytest.mark.parametrize("recipe", ["menet", "menet_paper", "menet_code"])
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
    normalization = None if recipe == "menet" else "batch_unbiased"
    assert chosen["normalization"] == normalization
    if "texture" in chosen["tasks"]:
        modes = {"menet_paper": "gram", "menet_code": "scalar", "menet": "normalized"}
        assert chosen["tasks"]["texture"]["mode"] == modes[recipe]


PAPERS = [name for name in training.RECIPES if name.endswith(("_paper", "_code"))]


@pytest.mark.parametrize("recipe", PAPERS)
def test_papers_train_on_all_pairs_and_keep_the_last_epoch(recipe):
    config = training.resolve(recipe)
    assert (config.validation_fraction, config.keep) == (0.0, "last")
    model = mock.Mock(outer_layers=())
    training.compile_model(model, config, 10)
    # of TensorFlow 1 and of PyTorch
    assert model.compile.call_args.kwargs["optimizer"].epsilon == 1e-8


@pytest.mark.parametrize("recipe, last", [("menet_paper", 1e-4), ("menet_code", 1e-5)])
def test_paper_recipe_has_the_schedule_of_the_paper(recipe, last):
    """The paper divides the rate at epoch 40, its code at 80 as well."""
    config = training.resolve(recipe)
    assert (config.crop, config.crops, config.batch_size) == (224, "five_crop", 20)
    assert (config.epochs, config.learning_rate) == (100, 1e-3)
    rate = training.learning_rate(config, steps_per_epoch=10)
    steps = {0: 1e-3, 399: 1e-3, 400: 1e-4, 799: 1e-4, 800: last, 999: last}
    for step, expected in steps.items():
        # the schedule is in float32
        assert float(rate(step)) == pytest.approx(expected, rel=1e-6), step


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
        (("menet", None, ["validation_fraction=1"]), "validation_fraction=1.0"),
    ],
)
def test_resolve_names_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        training.resolve(*arguments)


def test_recipes_need_neither_keras_nor_tensorflow():
    code = (
        "import sys; from tfderain.training import recipes; recipes.resolve('menet');"
        "sys.exit(any(m in sys.modules for m in ('keras', 'tensorflow')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
