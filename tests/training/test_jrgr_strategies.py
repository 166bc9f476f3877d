"""JRGR's training: pre-training, then all networks; what is kept, resumed, shipped."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from short_runs import (
    SHORT,
    assert_same_weights_and_state,
    killed_after_first_epoch,
    material,
    read_history,
    stored_weights,
    write_pairs,
)

from tfderain import models, training
from tfderain.data import pairs
from tfderain.training import ablations, loop, recipes, strategies

TINY = [
    'model_config={"variant": "paper", "filters": 2, "num_levels": 1, "residual": true,'
    ' "critic_filters": 2, "normalization": null, "pool_size": 3}',
    *SHORT,
    "crop=32",
]


def tiny(*settings, ablation=None):
    return training.resolve("jrgr", ablation, [*TINY, *settings])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Pairs and photos."""
    folder = tmp_path_factory.mktemp("data")
    photos = write_pairs(folder / "photos", count=3, size=(48, 44)) / "rainy"
    return material(write_pairs(folder / "pairs", size=(40, 48)), photos=photos)


TWO_EPOCHS = (
    'stages={"joint": {"epochs": 2, "schedule": "constant"}}',
    "deterministic=true",
)


@pytest.fixture(scope="module")
def run_dir(data, tmp_path_factory):
    """Two epochs of joint training in one go; beside it what the first left."""
    run_dir = tmp_path_factory.mktemp("runs") / "jrgr"
    joint, killed = run_dir / "joint-proposed", run_dir.parent / "killed"
    with killed_after_first_epoch(joint, killed / joint.name):
        best = training.train(tiny(*TWO_EPOCHS), run_dir, data, verbose=0)
    assert best == joint / "best.keras"
    return run_dir


def test_the_stages(run_dir):
    assert {path.name for path in run_dir.iterdir()} == {"pretrained", "joint-proposed"}
    about = json.loads((run_dir / "joint-proposed" / "config.json").read_text())
    assert about["start"].endswith("pretrained/best.keras")
    assert about["photos"].endswith("photos/rainy")
    first, last = read_history(run_dir / "joint-proposed")
    names = {"cycle_real_rainy", "critic_real_gap", "generators", "val_psnr_rgb"}
    assert names < set(first) and last["bad_steps"] == "0.0"


def test_what_is_shipped(run_dir):
    pretrained = models.load(run_dir / "pretrained")
    model = models.load(run_dir / "joint-proposed")
    assert (pretrained.stage, model.stage) == ("pretrain", "deploy")
    assert set(model.networks()) == {
        "derain_synthetic",
        "derain_real",
        "make_rain_synthetic",
        "make_rain_real",
    }
    # A hundredth and a tenth of 2e-4, for four steps at most.
    pairs = zip(
        model.derain_synthetic.get_weights(),
        model.derain_real.get_weights(),
        pretrained.network.get_weights(),
        strict=True,
    )
    steps = [[np.abs(part - start).max() for part in parts] for *parts, start in pairs]
    slow, fast = np.max(steps, axis=0)
    assert 0 < slow < 1e-5 < fast < 1e-4


def test_an_interrupted_run_equals_an_uninterrupted_one(run_dir, data):
    """Pools, critics and all moments included."""
    killed = run_dir.parent / "killed"
    about = killed / "joint-proposed" / "config.json"
    settings = json.loads(about.read_text())
    shutil.copytree(run_dir / "pretrained", killed / "pretrained")
    start = str(killed / "pretrained" / "best.keras")
    about.write_text(json.dumps({**settings, "start": start}))
    training.train(tiny(*TWO_EPOCHS), killed, data, verbose=0)
    whole, resumed = (
        folder / "joint-proposed" / "checkpoints" / "epoch-00002.keras"
        for folder in (run_dir, killed)
    )
    assert any("images" in name for name in stored_weights(whole))
    # Gradients of several losses are added in an order that differs between graphs:
    # two units in the last place of a weight, 3e-7 of a moment. The slowest network,
    # a hundredth of the learning rate, moves by 2e-6 in each step.
    tolerances = {"rtol": 2.4e-7, "atol": 1e-8, "moments": 2e-6}
    assert_same_weights_and_state(whole, resumed, **tolerances)


@pytest.mark.parametrize("ablation", recipes.ABLATIONS["jrgr"])
@pytest.mark.parametrize("recipe", ["jrgr", "jrgr_paper", "jrgr_code"])
def test_rows_of_table_2(recipe, ablation):
    config = training.resolve(recipe, ablation)
    found = strategies.stages_of(config)
    stages = {stage.name: settings for stage, settings in found}
    assert ("pretrain" in stages) == (ablation != "Init-1")
    joint = stages["joint"]
    assert (joint.rates or {}) == {
        "Init-1": {},
        "Init-2": {"derain_synthetic": 0.01},
    }.get(ablation, {"derain_synthetic": 0.01, "derain_real": 0.1})
    lambdas = joint.model_config.get("lambdas", {})
    zero = {name for name, weight in lambdas.items() if not weight}
    left_out = ablations.JRGR_LOSSES.get(ablation)
    assert zero == ({left_out} if left_out else set())
    assert found[0][0].folder == (
        "joint-Init-1" if ablation == "Init-1" else "pretrained"
    )


def test_the_recipe_of_the_paper():
    first, second = (settings for *_, settings in strategies.stages_of(
        training.resolve("jrgr_paper")
    ))  # fmt: skip
    assert (first.epochs, second.epochs, second.batch_size) == (100, 200, 16)
    assert first.learning_rate == second.learning_rate == 1e-4
    assert second.crop == 256 and second.model_config["adversary"] == "log_saturating"


def test_the_authors_layout_brings_its_photos(tmp_path):
    write_pairs(tmp_path / "made", count=4, size=(32, 40))
    photos = write_pairs(tmp_path / "others", count=3, size=(32, 40)) / "rainy"
    root = tmp_path / "train"
    root.mkdir()
    for folder, name in ((photos, "Ot"), (photos.parent / "clean", "Bt")):
        folder.rename(root / name)
    for name, theirs in (("rainy", "Os"), ("clean", "Bs")):
        (tmp_path / "made" / name).rename(root / theirs)
    read = material(root)
    assert loop.photos_beside(read) == str(root / "Ot")
    found = pairs.find_mixture(read.sources)
    assert [path.split("/")[-2] for path in found.parts[0].rainy] == ["Os"] * 4
    assert [path.split("/")[-2] for path in found.parts[0].clean] == ["Bs"] * 4
    read = dataclasses.replace(read, photos=root / "Ot")
    # the shorter list ends the epoch: 3 photos, 4 pairs
    config = dataclasses.replace(training.resolve("jrgr_paper"), batch_size=1)
    assert loop.epoch_steps(config, found, read) == 3
    assert loop.epoch_steps(training.resolve("prenet_paper"), found, read) == 1
    assert loop.photos_beside(material(tmp_path / "made")) is None


def test_real_photos_are_asked_for(data, tmp_path):
    alone = dataclasses.replace(data, photos=None)
    with pytest.raises(ValueError, match="Received: model='jrgr', photos=None"):
        training.train(tiny(), tmp_path, alone)
    with pytest.raises(ValueError, match="model='menet', photos="):
        training.train(training.resolve("smoke"), tmp_path, data)
    with pytest.raises(ValueError, match="strategy='MA_D'"):
        strategies.stages_of(tiny("strategy=MA_D"))
