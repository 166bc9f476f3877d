"""Recipes and the rows of the papers' tables, resolved and refused."""

import subprocess
import sys

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


def test_recipes_need_neither_keras_nor_tensorflow():
    code = (
        "import sys; from tfderain.training import recipes; recipes.resolve('menet');"
        "sys.exit(any(m in sys.modules for m in ('keras', 'tensorflow')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
