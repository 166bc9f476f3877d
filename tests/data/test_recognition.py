import data_set_trees as trees
import numpy as np
import pytest
from data_set_trees import rain12
from PIL import Image

from tfderain.data import pipeline, recognition
from tfderain.data.pairs import relative_images


def test_identify_by_names_and_count(tmp_path):
    rain12(tmp_path)
    assert recognition.identify(tmp_path) == [("rain12", "test")]
    rain12(tmp_path, 100)
    expected = [("rain100l", "test"), ("rain100h", "test")]
    assert recognition.identify(tmp_path) == expected
    (tmp_path / "rain-001.png").unlink()
    assert recognition.identify(tmp_path) == []


@pytest.mark.parametrize(("name", "split"), trees.NAMES)
def test_official_names_are_paired(tmp_path, name, split):
    trees.grow(tmp_path, name)
    found = recognition.splits(name, relative_images(tmp_path))
    assert list(found) == [s for s in found if s in trees.splits_of(name)]
    folder, matches = found[split]
    pairs = zip(matches.rainy, matches.clean, strict=True)
    expected = {(files[0], files[-1]) for files in trees.NAMES[name, split]}
    assert {tuple(f"{folder}/{f}".lstrip("/") for f in p) for p in pairs} == expected
    assert not matches.alone
    assert len(recognition.find(name, tmp_path / folder)) == len(expected)


def test_find_names_files_without_partner(tmp_path):
    trees.grow(tmp_path, "rain100h")
    (tmp_path / "Rain100H/norain-100.png").unlink()
    with pytest.raises(ValueError, match=r"needs a partner.*1 file \(rain-100.png\)"):
        recognition.find("rain100h", tmp_path / "Rain100H")
    with pytest.raises(ValueError, match=r"rainy_image/.*with no pairs"):
        recognition.find("ddn", tmp_path)


def test_side_by_side_data_sets(tmp_path):
    trees.grow(tmp_path, "did")
    trees.grow(tmp_path, "rain800")
    did = recognition.find("did", tmp_path / "DID-MDN-datasets/DID-MDN-training")
    rain800 = recognition.find("rain800", tmp_path / "rain/training")
    assert (did.layout, rain800.layout) == ("left_rainy", "left_clean")
    # 100: between the dark left half, below 64, and the bright right one, above 191
    assert pipeline.read_pair(did, 0)[1].mean() > 100
    assert pipeline.read_pair(rain800, 0)[0].mean() > 100


def test_a_split_is_known_by_its_folder_its_count_or_by_being_told(tmp_path):
    def split(files, hint="", told=None):
        (label,) = recognition.splits("rain200h", files, hint, told)
        return label

    names = ("rain/norain-{}x2.png", "norain/norain-{}.png")
    few = [name.format(i) for i in range(3) for name in names]
    many = [name.format(i) for i in range(200) for name in names]
    assert split([f"here/train/{file}" for file in few]) == "train"
    # the deepest folder counts
    assert split([f"train/rain_heavy_test/{file}" for file in few]) == "test"
    assert split(few, hint="rain_data_train_Heavy") == "train"
    assert split(many) == "test"
    assert split(few, told="train") == "train"
    with pytest.raises(ValueError, match=r"which split.*Received: here"):
        split([f"here/{file}" for file in few])
    with pytest.raises(ValueError, match=r"Received: a, b"):
        split([f"{folder}/{file}" for file in few for folder in ("a", "b")])
    with pytest.raises(ValueError, match="Received: split='val'"):
        split(few, told="val")
    with pytest.raises(ValueError, match="1 images and no such pair"):
        split(["1.png"])


def test_one_of_several_splits_can_be_asked_for(tmp_path):
    files = [
        f"test/{t}/{s}/1.png"
        for t in ("Test100", "Rain100H", "Test1200")
        for s in ("input", "target")
    ]
    assert list(recognition.splits("rain13k", files)) == [
        "Test100",
        "Rain100H",
        "Test1200",
    ]
    assert list(recognition.splits("Test1200", files)) == ["Test1200"]
    with pytest.raises(ValueError, match="clear which folder"):
        recognition.splits("Test2800", files)


def test_training_sets_that_spoil_test_sets_are_warned_of(tmp_path):
    named = tmp_path / "RainTrainH"
    trees.grow(tmp_path, "raintrainh")
    (line,) = recognition.warnings(named)
    assert "91 of Rain100's backgrounds" in line and "rain100h and rain100l" in line
    assert recognition.warnings(named / ".") == [line]
    # one folder down, as `prepare` writes it
    (tmp_path / "train").mkdir()
    assert recognition.warnings(trees.grow(tmp_path / "Other", "rain100h")) == []
    # by names and count alone
    pixels = Image.fromarray(np.zeros((1, 1, 3), "uint8"))
    unnamed = tmp_path / "mine"
    unnamed.mkdir()
    for i in range(1800):
        for side in ("rain", "norain"):
            (unnamed / f"{side}-{i}.png").touch()
    pixels.save(unnamed / "rain-0.png")
    (line,) = recognition.warnings(unnamed)
    assert line.startswith(f"{unnamed} looks like RainTrainH")
    (unnamed / "rain-7.png").unlink()
    assert recognition.warnings(unnamed) == []
