"""Commands about data sets; `data balance` has its tests with the module."""

import json

import data_set_trees as trees
import pytest


def test_list_and_info(run, tmp_path):
    code, out, _ = run("data", "list", "--json", tmp_path / "sets.json")
    assert code == 0 and "realrain1k" in out and "lhprain" in out
    sets = json.loads((tmp_path / "sets.json").read_text())["data_sets"]
    assert sets["rain12"]["pairs"] == {"test": 12}
    code, out, _ = run("data", "info", "RainTrainH")
    assert code == 0 and "BSDS500" in out and "get it from" in out
    code, out, (err,) = run("data", "info", "rain9")
    assert code == 2 and not out and "Received: name='rain9'" in err


def test_verify_ends_with_1_if_there_are_problems(run, tmp_path):
    trees.rain12(tmp_path / "set")
    code, out, err = run("data", "verify", "Rain12", tmp_path / "set", "--whole")
    assert code == 0 and not err and "yes" in out
    (tmp_path / "set/rain-003.png").unlink()
    file = tmp_path / "found.json"
    code, out, err = run("data", "verify", "Rain12", tmp_path / "set", "--json", file)
    assert code == 1 and err == ["error: 2 problems, see above"]
    assert "problem: test: 1 file (norain-003.png) without partner" in out
    assert len(json.loads(file.read_text())["problems"]) == 2
    assert run("data", "verify", "Rain12", tmp_path, "--json", file)[0] == 2
    assert run("data", "verify", "Rain12", tmp_path / "missing")[0] == 2


def test_prepare_writes_what_verify_reads(run, tmp_path):
    trees.rain12(tmp_path / "downloads/li_cvpr16_rain")
    archive = trees.packed(tmp_path / "downloads", tmp_path / "Rain12.zip")
    code, out, err = run("data", "prepare", "Rain12", archive, tmp_path / "out")
    assert code == 0 and not err and "http://yu-li.github.io" in out
    assert run("data", "verify", "Rain12", tmp_path / "out")[0] == 0
    code, _, (err,) = run("data", "prepare", "Rain12", archive, tmp_path / "out")
    assert code == 2 and "exists; --overwrite replaces it" in err
    again = ("prepare", "Rain12", archive, tmp_path / "out", "--overwrite")
    assert run("data", *again)[0] == 0
    few = trees.grow(tmp_path / "few", "rain100h")
    code, out, (err,) = run("data", "prepare", "Rain100H", few, tmp_path / "few_out")
    assert code == 1 and "2 pairs; there must be 100" in out and "1 problem" in err


def test_overlap_of_two_folders(run, tmp_path):
    for name, seeds in (("a", (1, 2, 3)), ("b", (3, 4))):
        for seed in seeds:
            trees.picture(tmp_path / name / f"clean/{seed}.png", seed, (64, 64))
            trees.picture(tmp_path / name / f"rainy/{seed}.png", 50 + seed, (64, 64))
    file = tmp_path / "shared.json"
    both = (tmp_path / "a", tmp_path / "b")
    code, out, _ = run("data", "overlap", *both, "--quick", "--json", file)
    assert code == 0 and "1 of 3 pictures" in out and "1 of 2 one of the first" in out
    (match,) = json.loads(file.read_text())["matches"]
    assert match["first"] == str(tmp_path / "a/clean/3.png") and match["bits"] == 0
    layouts = ["--layout", "clean", "--layout", "auto"]
    code, out, _ = run("data", "overlap", *both, "--quick", *layouts)
    assert code == 0 and "1 of 6 pictures" in out
    code, _, (err,) = run("data", "overlap", *both, *layouts, "--layout", "auto")
    assert code == 2 and "Received: 3" in err


@pytest.mark.parametrize("name", ["list", "info", "verify", "overlap", "prepare"])
def test_help_has_an_example(run, name):
    code, out, _ = run("data", name, "--help")
    assert code == 0 and f"tfderain data {name}" in out
