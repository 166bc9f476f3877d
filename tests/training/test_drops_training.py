"""Training of the recipe for drops: its start, its mixture, its kinds of validation."""

import keras
import numpy as np
from short_runs import read_history, write_pairs

from tfderain import models, training
from tfderain.data import drop_mixer
from tfderain.runtime import Restorer
from tfderain.training import Material, Source, mixing

LEVELS = {"filters": [8, 12], "down": [1, 1], "up": [1]}
SHORT = [
    *("model_config.filters=[8, 12, 6]", "model_config.down=[1, 1, 1]"),
    *("model_config.up=[1, 1]", "crop=32", "batch_size=2", "steps_per_epoch=2"),
    *("epochs=2", "pool_count=4", "pool_size=64", "validation_crops=6"),
    *("validation_fraction=0.3", "ema=0.5"),
]


def test_a_run_starts_from_a_resunet_and_learns_masks(tmp_path):
    keras.utils.set_random_seed(0)
    old = models.ResUNet(**LEVELS)
    old.build((None, None, None, 3))
    old.save(tmp_path / "old.keras")
    folders = [
        write_pairs(tmp_path / name, 6, (64, 72), seed)
        for seed, name in enumerate(("pairs", "photos"))
    ]
    sources = Source.each(
        [folders[0], folders[1] / "clean"], ("auto", "clean"), weights=(1.0, 3.0)
    )
    config = training.resolve("resunet_drops", overrides=SHORT)
    said = []
    reads = Material(sources, start=tmp_path / "old.keras")
    training.train(config, tmp_path / "run", reads, verbose=0, say=said.append)
    (line,) = [line for line in said if "taken over" in line]
    assert "a ResUNet with 2 levels" in line and "down_2_0" in line
    first, last = read_history(tmp_path / "run")
    for kind in ("own", "defocused", "lens"):
        assert np.isfinite(float(last[f"val_psnr_rgb_{kind}"]))
    assert float(first["val_mask"]) > 0
    model = models.load(tmp_path / "run")
    assert isinstance(model, models.ResUNetDrops)
    rainy = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    restorer = Restorer(tmp_path / "run", "tensorflow", return_mask=True)
    derained, mask = restorer.derain(rainy)
    assert derained.shape == rainy.shape and mask.shape == (20, 30)


def test_the_recipe_holds_a_mixture_of_drops():
    config = training.RECIPES["resunet_drops"]
    assert mixing.mixer_class(config) is drop_mixer.DropMixer
    # 7 % of all where a quarter are real pairs
    shares = config.degrade["drops"]
    assert abs(0.75 * shares["clean"] / sum(shares.values()) - 0.07) < 0.001
    assert config.crop == 192 and config.align
    weights = config.model_config["weighting"]
    assert weights["mask"] < weights["reconstruction"]


def test_other_mixtures_keep_three_channels(tmp_path):
    config = training.resolve("resunet", overrides=["pool_count=4", "pool_size=64"])
    pools = mixing.render(config, Material(()))
    mixer = mixing.make_mixer(config, pools)
    clean = np.full((24, 24, 3), 0.4, np.float32)
    assert mixer.channels == 3 and mixer(clean, clean, 0)[1].shape == (24, 24, 3)
