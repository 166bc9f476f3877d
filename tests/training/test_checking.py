"""Checks of a config: entries that nothing would read are refused at once."""

import pytest
from short_runs import material, write_pairs

from tfderain import training
from tfderain.training import checking

UNKNOWN = {
    "resunet degrade.kinds.editors=0.24": "kinds=.*editors",
    "resunet degrade.kind=0.24": "own_share, kinds, ranges. Received: .*kind",
    "resunet degrade.ranges.havy=[6,12]": "heavy, light, .*Received: .*havy",
    "resunet degrade.kinds=0.24": "'kinds': 0.24",
    "resunet degrade.own_share.first=1": "dicts have entries",
    "resunet_drops degrade.drops.snow=0.2": "drops=.*snow",
    "menet degrade.kinds.heavy=0.24": "kinds, ranges. Received: .*real_share",
    "menet degrade.rain_share=0.2": "real_share, .*Received: .*rain_share",
    "menet degrade.real_share=2": "lie in",
    "menet degrade.real_share=much": "'real_share': 'much'",
    "menet degrade.ranges.layers.havy=[1,2]": "light, .*Received: .*havy",
    "menet model_config.num_block=4": "num_block",
    "menet model_config.tasks.edge.norms=l1": "norms",
    "menet model_config.tasks.edges.norm=l1": "edges",
    "menet strategy=MA_D": "strategy",
    "erlnet stages.main.epoch=3": "epochs.*Received: .*epoch",
    "erlnet stages.mane.epochs=3": "clean_to_clean.*Received: .*mane",
    "erlnet stages.main.degrade.rain_share=3": "rain_share",
    "erlnet stages.main=3": "stages",
    "erlnet stages.main.crop=0": "positive",
    "jrgr rates.derain_reel=0.1": "derain_real.*Received: .*derain_reel",
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_unknown_entries_are_refused_when_the_recipe_is_resolved(case):
    recipe, setting = case.split(" ")
    with pytest.raises(ValueError, match=UNKNOWN[case]):
        training.resolve(recipe, overrides=[setting])


@pytest.mark.parametrize(
    "settings",
    [
        {"degrade": {"rain_share": 0.2}},
        {"model_config": {"num_block": 4}},
        {"model": "erlnet", "strategy": "MA_D", "stages": {"refine": {"epoch": 3}}},
    ],
    ids=lambda settings: next(reversed(settings)),
)
def test_a_config_from_elsewhere_leaves_no_run_folder(settings, tmp_path):
    """Also an entry of a stage that would be trained hours later."""
    if "strategy" in settings:
        settings["model_config"] = {"entanglement": "mlgd"}
    config = training.TrainConfig(**settings)
    reads = material(write_pairs(tmp_path / "pairs"))
    with pytest.raises(ValueError, match="rain_share|num_block|epoch"):
        training.train(config, tmp_path / "run", reads)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("recipe", training.RECIPES)
def test_every_recipe_and_ablation_passes_the_check(recipe):
    """Ablations of one recipe for each network: those of the others are the same."""
    for ablation in (None, *training.ABLATIONS.get(recipe, ())):
        changed = training.resolve(recipe, ablation, ["vgg_weights=vgg19.h5"])
        if ablation != "LpLvgg+Fixed":  # would read that file
            checking.check(changed)


def test_an_entry_in_an_entry_reaches_the_mixture():
    settings = ["degrade.kinds.editor=0.24", "degrade.ranges.heavy=[6, 12]"]
    degrade = training.resolve("resunet", overrides=settings).degrade
    assert degrade["kinds"]["editor"] == 0.24
    assert degrade["ranges"] == {"heavy": [6, 12]}


def test_drops_are_for_networks_that_learn_their_mask():
    config = training.resolve("resunet", overrides=["degrade.drops.lens=0.2"])
    with pytest.raises(ValueError, match="learn their mask. Received: model='resunet'"):
        checking.check(config)
