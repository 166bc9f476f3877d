"""Starts that fail, runs that go on with moved or grown data, damaged run folders."""

import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image
from short_runs import material, read_history, smoke, write_pairs

from tfderain import training
from tfderain.data import pairs as pairing
from tfderain.data import splits
from tfderain.training import loop, run_folder

ONE = ("epochs=1", "steps_per_epoch=2", "schedule=constant", "ema=none")


def config(*settings):
    return smoke(*ONE, *settings)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of one epoch, and its data."""
    folder = tmp_path_factory.mktemp("finished")
    data = write_pairs(folder / "data", count=10)
    training.train(config(), folder / "run", material(data), verbose=0)
    return folder


@pytest.fixture
def run(finished, tmp_path):
    """A copy of that run, of its data at the same place, and what `fit` gets."""
    shutil.copytree(finished / "run", tmp_path / "run")
    shutil.copytree(finished / "data", tmp_path / "data")
    for name in ("config.json", "data.json"):
        path = tmp_path / "run" / name
        old, new = (json.dumps(str(p))[1:-1] for p in (finished, tmp_path))
        path.write_text(path.read_text().replace(old, new))
    return tmp_path / "run"


def go_on(run, folder=None, *settings, **others):
    """Trains as before; returns the lines that were said."""
    said = []
    reads = material(folder or run.parent / "data", **others)
    training.train(config(*settings), run, reads, verbose=0, say=said.append)
    return said


def given_to_fit(monkeypatch):
    """Training that is not done; returns what it would be done with."""
    given = {}

    def fit(model, config, run_dir, batches, validation, *_):
        given.update(batches=batches, validation=validation)

    monkeypatch.setattr(loop, "fit", fit)
    return given


# Starts that fail


def test_all_small_pictures_are_named_and_nothing_is_left(tmp_path):
    data = write_pairs(tmp_path / "data", count=30)
    small = list(range(0, 30, 3))  # on both sides of a split
    for number in small:
        for side in ("rainy", "clean"):
            path = data / side / f"{number}.png"
            with Image.open(path) as image:
                cropped = image.crop((0, 0, 40, 31))
            cropped.save(path)
    with pytest.raises(ValueError, match="crop=32, 10 files") as caught:
        go_on(tmp_path / "runs" / "one", data)
    assert all(f"{number}.png" in str(caught.value) for number in small)
    assert not (tmp_path / "runs").exists()
    go_on(tmp_path / "runs" / "one", data, "crop=16")  # the name is still free
    assert (tmp_path / "runs" / "one" / "best.keras").is_file()


@pytest.mark.parametrize("place", ["model", "fit"])
def test_a_start_that_fails_leaves_nothing_behind(place, tmp_path, monkeypatch):
    data = write_pairs(tmp_path / "data")
    (tmp_path / "runs").mkdir()

    def fail(*_, **__):
        raise RuntimeError("as a library may")

    if place == "model":
        monkeypatch.setattr(loop, "build_model", fail)
    else:
        monkeypatch.setattr(run_folder.RunState, "on_train_batch_end", fail)
    with pytest.raises(RuntimeError):
        go_on(tmp_path / "runs" / "one", data)
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_start_that_was_interrupted_binds_to_nothing(tmp_path, monkeypatch):
    data, run = write_pairs(tmp_path / "data"), tmp_path / "run"

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "fit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            go_on(run, data)
        first = np.load(run / "pool.npy")
        written = (run / "pool.npy").stat().st_mtime_ns
        with pytest.raises(KeyboardInterrupt):
            go_on(run, data)
        # the same start uses what was rendered
        assert (run / "pool.npy").stat().st_mtime_ns == written
    go_on(run, data, "seed=5", "pool_count=6")
    assert len(np.load(run / "pool.npy")) == 6 != len(first)
    about = json.loads((run / "config.json").read_text())
    assert about["config"]["seed"] == 5


def test_a_failure_does_not_touch_a_run_with_whole_epochs(run, monkeypatch):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}

    def fail(*_, **__):
        raise RuntimeError

    monkeypatch.setattr(loop, "build_model", fail)
    with pytest.raises(RuntimeError):
        go_on(run, None, "epochs=2")
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert before.keys() == after.keys()
    same = [path.name for path in before if before[path] == after[path]]
    assert {"state.json", "history.csv", "pool.npy", "best.keras"} <= set(same)


# The same data elsewhere, and more of them


def test_the_same_data_elsewhere_go_on(run, tmp_path):
    moved = tmp_path / "elsewhere" / "pictures"
    shutil.move(tmp_path / "data", moved)
    assert go_on(run, moved, "epochs=2") == []
    assert [row["epoch"] for row in read_history(run)] == ["0", "1"]
    about = json.loads((run / "config.json").read_text())
    assert about["sources"][0]["folder"] == str(moved)


def test_other_data_are_refused(run, tmp_path):
    with pytest.raises(ValueError, match=r"20 files \(rainy/0\.png.*were changed"):
        go_on(run, write_pairs(tmp_path / "other", count=10, seed=1))
    fewer = shutil.copytree(tmp_path / "data", tmp_path / "fewer")
    for side in ("rainy", "clean"):
        (fewer / side / "3.png").unlink()
    with pytest.raises(ValueError, match=r"2 files \(rainy/3\.png, clean/3\.png\)"):
        go_on(run, fewer)
    changed = tmp_path / "data" / "rainy" / "4.png"
    Image.new("RGB", (56, 40)).save(changed)  # as large, at the same place
    with pytest.raises(ValueError, match=r"1 file \(rainy/4\.png\) was changed"):
        go_on(run)


def test_added_pictures_are_trained_on_and_change_no_score(run, tmp_path, monkeypatch):
    given = given_to_fit(monkeypatch)
    assert go_on(run) == []
    rainy, _ = given["validation"]
    held = json.loads((run / "data.json").read_text())["sources"][0]["validation"]
    more = write_pairs(tmp_path / "more", count=40, seed=2)
    for side in ("rainy", "clean"):
        for number in range(40):
            name = tmp_path / "data" / side / f"{number}5.png"  # among the others
            shutil.copy(more / side / f"{number}.png", name)
    said = go_on(run)
    assert said == [
        f"note: 80 more files than when the run began in {tmp_path / 'data'}"
    ]
    np.testing.assert_array_equal(given["validation"][0], rainy)
    about = json.loads((run / "data.json").read_text())["sources"][0]
    assert about["validation"] == held
    # A new run would hold these out as well, and trains on no other known picture.
    pairs = pairing.find_mixture(material(tmp_path / "data").sources)
    _, others = splits.split_by_background(pairs, config().validation_fraction, 0)
    drawn = {f"rainy/{pathlib.Path(path).name}" for path in others.parts[0].rainy}
    assert drawn == {*held, *about["left_out"]} and about["left_out"]
    assert go_on(run) == []  # said once


def test_pictures_that_are_trained_on_may_go(run, tmp_path):
    (about,) = json.loads((run / "data.json").read_text())["sources"]
    held, *others = about["validation"]
    names = [name for name in about["files"] if name.startswith("rainy")]
    trained = next(name for name in names if name not in (held, *others))
    for name in (trained, trained.replace("rainy", "clean")):
        (tmp_path / "data" / name).unlink()
    (line,) = go_on(run)
    assert line.startswith("note: 2 fewer files than when the run began")
    for name in (held, held.replace("rainy", "clean")):
        (tmp_path / "data" / name).unlink()
    with pytest.raises(ValueError, match=rf"2 files \({held}"):
        go_on(run)


def test_weights_to_start_from_are_known_by_their_content(finished, tmp_path):
    reads = material(finished / "data", start=finished / "run")
    training.train(config("seed=1"), tmp_path / "run", reads, verbose=0)
    copy = shutil.copy(finished / "run" / "best.keras", tmp_path / "copy.keras")
    elsewhere = dataclasses.replace(reads, start=copy)
    training.train(config("seed=1"), tmp_path / "run", elsewhere, verbose=0)
    other = dataclasses.replace(reads, start=tmp_path / "run")
    with pytest.raises(ValueError, match="only with what it began with.*start="):
        training.train(config("seed=1"), tmp_path / "run", other, verbose=0)


def test_a_run_without_a_list_of_its_data_keeps_its_split(run, tmp_path, monkeypatch):
    given = given_to_fit(monkeypatch)
    (run / "data.json").unlink()
    go_on(run)
    pairs = pairing.find_mixture(material(tmp_path / "data").sources)
    held = splits.held_out_until_0_1(pairs, config().validation_fraction, 0)
    names = [f"rainy/{i}.png" for i, side in enumerate(held) if side]
    about = json.loads((run / "data.json").read_text())["sources"][0]
    assert about["validation"] == names and given["validation"]
    (run / "data.json").unlink()
    moved = shutil.copytree(tmp_path / "data", tmp_path / "moved")
    with pytest.raises(ValueError, match="only with its own settings.*'folder'"):
        go_on(run, moved)


# Damaged files


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zeros(path):
    path.write_bytes(bytes(path.stat().st_size))


def swap(old, new):
    def change(path):
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


DAMAGED = [
    ("state.json", half, "restore a copy"),
    ("state.json", zeros, "restore a copy"),
    ("state.json", swap('"epoch": 1', '"epoch": null'), "restore a copy"),
    ("config.json", half, "restore a copy"),
    ("config.json", swap('"config": {', '"config": 3, "was": {'), "restore a copy"),
    ("data.json", half, "restore a copy"),
    ("pool.npy", half, "Delete all pool"),
    ("pool.npy", zeros, "Delete all pool"),
    ("history.csv", zeros, "Move it away"),
    ("history.csv", swap("\n0,", "\nzero,"), "Move it away"),
    ("checkpoints/epoch-00001.keras", half, "restore a copy.*--from"),
    ("checkpoints/epoch-00001.keras", zeros, "restore a copy.*--from"),
    ("checkpoints/epoch-00001.keras", pathlib.Path.unlink, "restore a copy.*--from"),
    ("checkpoints/best-00001.keras", half, "null: the next epoch counts"),
]


@pytest.mark.parametrize(("name", "damage", "advice"), DAMAGED)
def test_a_damaged_file_is_named_with_what_to_do(name, damage, advice, run):
    path = run / name
    damage(path)
    with pytest.raises(ValueError, match=advice) as caught:
        go_on(run)
    assert str(path) in str(caught.value)


def test_the_advice_helps(run):
    half(run / "pool.npy")
    (run / "pool.npy").unlink()
    zeros(run / "history.csv")
    (run / "history.csv").unlink()
    half(run / "checkpoints" / "best-00001.keras")
    state = json.loads((run / "state.json").read_text())
    state |= {"best": None, "best_score": None}
    (run / "state.json").write_text(json.dumps(state))
    go_on(run, None, "epochs=2")
    assert [row["epoch"] for row in read_history(run)] == ["1"]
    assert json.loads((run / "state.json").read_text())["best"] == "best-00002.keras"


def test_a_missing_layer_of_a_mixture_is_named(tmp_path, monkeypatch):
    data, run = write_pairs(tmp_path / "data"), tmp_path / "run"
    kinds = json.dumps({"own_share": 0.5, "kinds": {"heavy": 1.0}})
    settings = (f"degrade={kinds}", "pool_count=4", "pool_size=48")
    given_to_fit(monkeypatch)
    go_on(run, data, *settings)
    (run / "pool_thin.npy").unlink()
    with pytest.raises(ValueError, match=r"Delete all pool.*pool_thin\.npy"):
        go_on(run, data, *settings)
