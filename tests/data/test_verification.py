import json

import data_set_trees as trees
import pytest
from data_set_trees import rain12

from tfderain.data import verification


def test_a_whole_data_set_has_no_problems(tmp_path):
    rain12(tmp_path)
    found = verification.verify("rain12", tmp_path, "test")
    assert found.problems == [] and found.missing == ()
    (split,) = found.splits
    assert (split.pairs, split.expected, split.clean) == (12, 12, 12)
    assert split.smallest == split.largest == (6, 8)
    assert split.folder == str(tmp_path)
    assert "6x8" in found.table() and found.table().startswith("Rain12\n")


def test_each_problem_is_reported(tmp_path):
    rain12(tmp_path)
    trees.picture(tmp_path / "norain-002.png", 1, (9, 8))
    (tmp_path / "rain-012.png").unlink()
    (tmp_path / "rain-003.png").write_bytes(b"no picture")
    whole = (tmp_path / "norain-004.png").read_bytes()
    (tmp_path / "norain-004.png").write_bytes(whole[:-40])
    found = verification.verify("rain12", tmp_path)
    assert found.problems == [
        "test: 11 pairs; there must be 12",
        "test: 1 file (norain-012.png) without partner",
        "test: 1 file (rain-003.png) that cannot be read",
        "test: 1 file (rain-002.png) whose clean image has another size",
    ]
    # a file that ends too early has a good header
    thorough = verification.verify("rain12", tmp_path, whole=True)
    unreadable = "2 files (rain-003.png, norain-004.png) that cannot be read"
    assert f"test: {unreadable}" in thorough.problems
    assert json.loads(thorough.to_json())["problems"] == thorough.problems
    assert all(f"problem: {line}" in thorough.table() for line in thorough.problems)


def test_all_splits_of_a_tree_are_checked(tmp_path):
    trees.grow(tmp_path, "raindrop")
    trees.grow(tmp_path, "raindrop", "test_a")
    found = verification.verify("raindrop", tmp_path)
    assert [split.split for split in found.splits] == ["train", "test_a", "test_b"]
    assert [split.pairs for split in found.splits] == [1, 1, 1]
    # the number of test_b is not known for certain
    assert found.problems == [
        "train: 1 pairs; there must be 861",
        "test_a: 1 pairs; there must be 58",
    ]
    one = verification.verify("raindrop", tmp_path, "test_b")
    assert [split.split for split in one.splits] == ["test_b"] and not one.missing
    assert verification.verify("raindrop", tmp_path / "test_a").missing == (
        "train",
        "test_b",
    )


def test_many_rainy_images_of_one_clean_one(tmp_path):
    trees.grow(tmp_path, "ddn", "train")
    (split,) = verification.verify("Rain12600", tmp_path).splits
    assert (split.pairs, split.clean) == (2, 1)


def test_raintrainh_warns_of_the_test_sets_it_spoils(tmp_path):
    trees.grow(tmp_path, "raintrainh")
    found = verification.verify("RainTrainH", tmp_path / "RainTrainH")
    assert "warning: spoils scores on rain100h and rain100l: " in found.table()
    assert "BSDS500" in json.loads(found.to_json())["spoils"]["rain100h"]


def test_what_is_no_such_data_set(tmp_path):
    rain12(tmp_path)
    with pytest.raises(ValueError, match="no such pair"):
        verification.verify("ddn", tmp_path)
    with pytest.raises(ValueError, match="Received: split='train'"):
        verification.verify("rain12", tmp_path, "train")
    with pytest.raises(ValueError, match="must be a folder"):
        verification.verify("rain12", tmp_path / "missing")
