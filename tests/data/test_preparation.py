import json
import os
import zipfile

import data_set_trees as trees
import pytest
from data_set_trees import packed
from PIL import Image

from tfderain.data import preparation, verification
from tfderain.data.pairs import find_pairs
from tfderain.evaluation import find_scenes


def contents(path):
    with open(path, "rb") as file:
        return file.read()


@pytest.mark.parametrize("kind", ["zip", "tar", "folder"])
@pytest.mark.parametrize("name", sorted({name for name, _ in trees.NAMES}))
def test_training_reads_the_pairs_of_an_official_archive(tmp_path, name, kind):
    source = trees.grow(tmp_path / "in", name)
    packs = {"zip": "a.zip", "tar": "a.tar"}
    archive = packed(source, tmp_path / packs[kind]) if kind in packs else source
    made = preparation.prepare(name, archive, tmp_path / "out")
    assert {part.split for part in made.parts} == set(trees.splits_of(name))
    for part in made.parts:
        pairs = find_pairs(part.folder, part.layout)
        assert len(pairs) == part.pairs == len(trees.NAMES[name, part.split])
        # contents tell which file became which
        expected = {
            (contents(source / files[0]), contents(source / files[-1]))
            for files in trees.NAMES[name, part.split]
        }
        both = zip(pairs.rainy, pairs.clean, strict=True)
        assert {(contents(r), contents(c)) for r, c in both} == expected
        if part.renamed:
            names = json.loads(contents(os.path.join(part.folder, "names.json")))
            prefix = "" if kind == "folder" else "a/"
            for new, old in names.items():
                original = contents(source / old.removeprefix(prefix))
                assert contents(os.path.join(part.folder, new)) == original
        assert part.folder == os.path.join(tmp_path / "out", *part.split.split("/"))


def test_names_stay_where_training_reads_them(tmp_path):
    def files(name):
        trees.grow(tmp_path / name, name)
        made = preparation.prepare(name, tmp_path / name, tmp_path / f"{name}_out")
        part = made.parts[0]
        found = [
            os.path.relpath(os.path.join(folder, file), part.folder)
            for folder, _, names in os.walk(part.folder)
            for file in names
        ]
        return sorted(found), part

    found, part = files("raintrainh")
    assert found[0] == "norain-1.png" and not part.renamed and part.layout == "auto"
    found, part = files("ddn")
    assert found == [
        "ground_truth/1.jpg",
        "rainy_image/1_1.jpg",
        "rainy_image/1_14.jpg",
    ]
    found, part = files("gtrain")
    assert not part.renamed
    _, scenes = find_scenes(part.folder)
    assert set(scenes) == {"Oinari_0-0"}  # so that scores are averaged by scene
    found, part = files("spa")
    assert part.renamed
    assert found == [
        "clean/000-000_256_0.png",
        "names.json",
        "rainy/000-000_256_0_0001.png",
        "rainy/000-000_256_0_0002.png",
    ]
    found, part = files("did")
    assert part.layout == "left_rainy"
    assert "Rain_Heavy_train2018new_0.jpg" in found


def test_files_without_partner_are_named_and_left_out(tmp_path):
    trees.grow(tmp_path / "in", "raintrainh")
    trees.picture(tmp_path / "in/RainTrainH/rain-7.png", 1)
    trees.picture(tmp_path / "in/RainTrainH/rainstreak-1.png", 1)
    made = preparation.prepare("raintrainh", tmp_path / "in", tmp_path / "out")
    assert made.problems == [
        "train: 2 pairs; there must be 1800",
        "train: 1 file (rain-7.png) without partner, left out",
    ]
    assert len(os.listdir(tmp_path / "out/train")) == 4
    assert "academic use (https://www.icst.pku.edu.cn" in made.table()
    assert "warning: spoils scores on rain100h and rain100l" in made.table()
    assert json.loads(made.to_json())["problems"] == made.problems
    found = verification.verify("raintrainh", tmp_path / "out")
    assert found.problems == made.problems[:1]


def test_nothing_is_left_of_a_split_that_fails(tmp_path):
    source = packed(trees.grow(tmp_path / "in", "raindrop"), tmp_path / "a.zip")
    whole = source.read_bytes()
    # the last picture of the archive, so that others were written before
    where = whole.rindex(b"IDAT") if b"IDAT" in whole else 0
    source.write_bytes(whole[:where] + b"JUNK" + whole[where + 4 :])
    with pytest.raises(ValueError, match="must be whole"):
        preparation.prepare("raindrop", source, tmp_path / "out", "train")
    assert not (tmp_path / "out").exists() or not os.listdir(tmp_path / "out")


def test_folders_that_exist_are_only_replaced_if_wanted(tmp_path):
    source = trees.grow(tmp_path / "in", "rain100l")
    (tmp_path / "out/test").mkdir(parents=True)
    (tmp_path / "out/test/mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="exists; --overwrite"):
        preparation.prepare("rain100l", source, tmp_path / "out")
    assert (tmp_path / "out/test/mine.txt").read_text() == "mine"
    preparation.prepare("rain100l", source, tmp_path / "out", overwrite=True)
    assert sorted(os.listdir(tmp_path / "out/test")) == ["norain-001.png", "rainy"]


def test_only_one_split_is_prepared_if_asked_for(tmp_path):
    source = trees.grow(tmp_path / "in", "rain13k")
    made = preparation.prepare("Test2800", source, tmp_path / "out")
    assert [part.split for part in made.parts] == ["Test2800"]
    assert os.listdir(tmp_path / "out") == ["Test2800"]
    # one folder of two that nothing tells apart
    plain = trees.grow(tmp_path / "plain", "rain200h", "train")
    os.rename(plain / "rain_data_train_Heavy", plain / "downloaded")
    with pytest.raises(ValueError, match="which folder is which split"):
        preparation.prepare("rain200h", plain, tmp_path / "200")
    made = preparation.prepare("rain200h", plain, tmp_path / "200", "train")
    assert [part.split for part in made.parts] == ["train"]


def test_clean_files_of_equal_names_stay_apart(tmp_path):
    # both would be "a-b-c_0_0"
    for rainy, clean in (("a-b/1/c-1", "a-b/c"), ("a/1/b-c-1", "a/b-c")):
        trees.picture(tmp_path / f"in/real_world/{rainy}_0_0.png", 1)
        trees.picture(tmp_path / f"in/real_world_gt/{clean}_0_0.png", 2)
    made = preparation.prepare("spa", tmp_path / "in", tmp_path / "out")
    pairs = find_pairs(made.parts[0].folder)
    assert len(set(pairs.clean)) == 2


def test_an_archive_that_wants_more_room_than_there_is(tmp_path, monkeypatch):
    source = trees.grow(tmp_path / "in", "rain100l")
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(preparation.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match="GiB, and 0.0 are free"):
        preparation.prepare("rain100l", source, tmp_path / "out")
    assert not (tmp_path / "out/test").exists()


def test_hints_of_names_of_archives(tmp_path):
    folder = tmp_path / "downloads"
    folder.mkdir()
    for split in ("train", "test"):
        label = f"rain_data_{split}_Light"
        source = trees.grow(tmp_path / split, "rain200l", split) / label
        packed(source, folder / f"{label}.zip")
        assert zipfile.is_zipfile(folder / f"{label}.zip")
    made = preparation.prepare("Rain200L", folder, tmp_path / "out")
    assert [part.split for part in made.parts] == ["train", "test"]
    with Image.open(tmp_path / "out/test/norain/norain-1.png") as image:
        assert image.size == (8, 6)
