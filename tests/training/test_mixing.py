"""Mixing of rain into a run: pools kept in its folder, mixtures, validation."""

import dataclasses
import json

import numpy as np
import pytest
from short_runs import material, read_history, write_pairs

from tfderain import training
from tfderain.data import composition, mixer, rain
from tfderain.data.pairs import Mixture, find_pairs
from tfderain.training import mixing

KINDS = {"own_share": 0.5, "kinds": {"heavy": 1.0, "editor": 1.0}}
SETTINGS = (
    f"degrade={json.dumps(KINDS)}",
    "pool_count=4",
    "pool_size=48",
    "validation_crops=8",
    "batch_size=2",
    "crop=32",
)


def config(*settings):
    return training.resolve("smoke", overrides=[*SETTINGS, *settings])


@pytest.fixture
def folders(tmp_path):
    """Pairs, and clean pictures without rain of their own."""
    clean = write_pairs(tmp_path / "photos", seed=3) / "clean"
    return write_pairs(tmp_path / "pairs"), clean


def test_layers_of_each_kind_are_rendered_once(folders, tmp_path, monkeypatch):
    run = tmp_path / "run"
    run.mkdir()
    pools = mixing.rain_pools(config(), run, material(folders[0]))
    assert {f"pool_{name}.npy" for name in pools} == {p.name for p in run.iterdir()}
    assert all(isinstance(pool, np.memmap) for pool in pools.values())
    assert "given" not in pools and isinstance(
        mixing.make_mixer(config(), pools), mixer.KindMixer
    )
    monkeypatch.setattr(mixer, "render_pools", None)  # not called again
    again = mixing.rain_pools(config(), run, material(folders[0]))
    assert pools.keys() == again.keys()


def test_a_kill_among_the_layers_renders_them_again(folders, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "pool_lines.npy").write_bytes(b"half")
    reads = material(folders[0], layers=folders[0])
    pools = mixing.rain_pools(config(), run, reads)
    assert pools["lines"].shape == (4, 48, 48) and len(pools["given"]) == 6


def test_without_kinds_there_is_one_pool(folders, tmp_path):
    plain = config("degrade={}")
    pools = mixing.rain_pools(plain, tmp_path, material(folders[0]))
    assert set(pools) == {"streaks"} and (tmp_path / "pool.npy").is_file()
    assert isinstance(mixing.make_mixer(plain, pools), rain.RainMixer)
    nothing = config("degrade=none")
    assert mixing.rain_pools(nothing, tmp_path, material(folders[0])) == {}
    assert mixing.make_mixer(nothing, {}) is None


def test_validation_has_the_named_kinds_in_equal_parts(folders, tmp_path):
    pairs = Mixture((find_pairs(folders[0]), find_pairs(folders[1], "clean")), (1, 1))
    pools = mixing.rain_pools(config(), tmp_path, material(folders[0]))
    kinds = mixing.validation_kinds(pairs, config(), pools)
    assert list(kinds) == ["own", "heavy", "light", "editor"]
    assert kinds["own"][0].parts == (pairs.parts[0],)  # with rain of their own
    rainy, clean = mixing.validation_patches(kinds, config())
    assert rainy.shape == clean.shape == (8, 32, 32, 3)
    again, _ = mixing.validation_patches(kinds, config())
    np.testing.assert_array_equal(rainy, again)
    same = [np.array_equal(*pair) for pair in zip(rainy, clean, strict=True)]
    assert sum(same) < 2  # a crop may lie between the streaks of a sparse layer
    strengths = -10 * np.log10(np.square(rainy - clean).mean(axis=(1, 2, 3)))
    # heavy before light, by the meaning of the words
    assert strengths[2:4].mean() < strengths[4:6].mean()


def test_clean_pictures_alone_need_rain(folders, tmp_path):
    photos = find_pairs(folders[1], "clean")
    pools = mixing.rain_pools(config(), tmp_path, material(folders[0]))
    kinds = mixing.validation_kinds(photos, config(), pools)
    assert list(kinds) == ["heavy", "light", "editor"]
    with pytest.raises(ValueError, match="need synthetic rain.*6 clean pictures"):
        mixing.validation_kinds(photos, config("degrade=none"), {})


def test_a_run_scores_each_kind(folders, tmp_path):
    run = tmp_path / "run"
    pairs, photos = folders
    reads = material(pairs, layers=pairs)
    more = training.Source(photos, "clean")
    reads = dataclasses.replace(reads, sources=(*reads.sources, more))
    short = config("epochs=1", "steps_per_epoch=2", "model_config.filters=8")
    training.train(short, run, reads, verbose=0)
    (row,) = read_history(run)
    names = ("own", "heavy", "light", "editor")
    scores = [float(row[f"val_psnr_rgb_{name}"]) for name in names]
    # the mean of the kinds is that of all; running means are in float32
    assert np.mean(scores) == pytest.approx(float(row["val_psnr_rgb"]), abs=1e-3)
    assert len(set(scores)) == 4
    kept = json.loads((run / "config.json").read_text())
    assert kept["layers"] == str(pairs) and kept["sources"][1]["layout"] == "clean"


@pytest.mark.parametrize("degrade", [KINDS, {}], ids=["kinds", "rain"])
def test_ranges_of_a_recipe_reach_its_mixture(degrade, folders, tmp_path):
    """Plain numbers, as JSON has them, in a recipe; what is not named stays."""
    chosen = config(
        f"degrade={json.dumps(degrade)}",
        "degrade.ranges.heavy=[9, 10]",
        *(["degrade.ranges.layers.heavy=[3, 4]"] if not degrade else []),
    )
    pools = mixing.rain_pools(chosen, tmp_path, material(folders[0]))
    ranges = mixing.make_mixer(chosen, pools).ranges
    home = mixer if degrade else composition
    expected = dataclasses.replace(home.RANGES, heavy=[9, 10])
    if not degrade:
        layers = {**composition.RANGES.layers, "heavy": [3, 4]}
        expected = dataclasses.replace(expected, layers=layers)
    assert ranges == expected
    pairs = Mixture((find_pairs(folders[0]),), (1,))
    named = mixing.validation_kinds(pairs, chosen, pools)
    assert len(named) == (4 if degrade else 2)
