import numpy as np
import pytest
from PIL import Image

from tfderain.data import catalogue, pipeline


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, "uint8")).save(path)


def rain12(folder, count=12, size=(2, 3)):
    for number in range(1, count + 1):
        for name in ("rain", "norain"):
            save(folder / f"{name}-{number:03d}.png", np.full((*size, 3), number))


def scene(seed):
    blocks = np.random.default_rng(seed).integers(0, 256, (16, 16, 3))
    return blocks.repeat(2, axis=0).repeat(2, axis=1)


def test_the_data_sets_are_known():
    known = "rain100l rain100h raintrainl raintrainh rain200l rain200h rain12 rain800 "
    known += "ddn did rain13k spa raindrop gtrain gtav_nightrain allweather "
    known += "raincityscapes sirr"
    assert list(catalogue.CATALOGUE) == known.split()
    with pytest.raises(ValueError, match=r"must be one of .*rain800.*name='rain9'"):
        catalogue.get("rain9")


def test_identify_by_names_and_count(tmp_path):
    rain12(tmp_path)
    assert catalogue.identify(tmp_path) == [("rain12", "test")]
    rain12(tmp_path, 100)
    expected = [("rain100l", "test"), ("rain100h", "test")]
    assert catalogue.identify(tmp_path) == expected
    (tmp_path / "rain-001.png").unlink()
    assert catalogue.identify(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "rainy", "clean"),
    [
        ("rain200h", "rain/X2/norain-1x2.png", "norain/norain-1.png"),
        ("ddn", "rainy_image/901_14.jpg", "ground_truth/901.jpg"),
        ("spa", "real_world/7/7-2/7-2_40_5.png", "real_world_gt/7/7_40_5.png"),
        ("spa", "rain/001.png", "gt/001gt.png"),
        ("rain12", "input/001_in.png", "groundtruth/001_GT.png"),
        ("raindrop", "data/0_rain.png", "gt/0_clean.png"),
        ("gtrain", "A_0-0/A_0-0-Webcam-R-002.png", "A_0-0/A_0-0-Webcam-C-000.png"),
        ("gtav_nightrain", "Rainy/0001_03.png", "GT/0001.png"),
        (
            "raincityscapes",
            "a_000001_000019_rain_alpha_0.01_beta_0.005_dropsize_0.01_pattern_1.png",
            "a_000001_000019_leftImg8bit.png",
        ),
    ],
)
def test_official_names_are_paired(tmp_path, name, rainy, clean):
    save(tmp_path / rainy, np.zeros((2, 2, 3)))
    save(tmp_path / clean, np.zeros((2, 2, 3)))
    found = catalogue.find(name, tmp_path)
    assert found.rainy == (str(tmp_path / rainy),)
    assert found.clean == (str(tmp_path / clean),)


def test_side_by_side_data_sets(tmp_path):
    halves = np.concatenate([np.zeros((4, 4, 3)), np.full((4, 4, 3), 200)], axis=1)
    save(tmp_path / "Rain_Heavy/train2018new/0.jpg", halves)
    save(tmp_path / "1.jpg", halves)
    did = catalogue.find("did", tmp_path / "Rain_Heavy" / "train2018new")
    rain800 = catalogue.find("rain800", tmp_path)
    assert (did.layout, rain800.layout) == ("left_rainy", "left_clean")
    # 100: between the halves' 0 and 200
    assert pipeline.read_pair(did, 0)[1].mean() > 100
    assert pipeline.read_pair(rain800, 0)[0].mean() > 100
    assert len(catalogue.find("did", tmp_path / "Rain_Heavy" / "..")) == 1


def test_verify_reports_each_problem(tmp_path):
    rain12(tmp_path)
    assert catalogue.verify("rain12", tmp_path, "test") == []
    save(tmp_path / "norain-002.png", np.zeros((3, 2, 3)))
    (tmp_path / "rain-012.png").unlink()
    alone, count, sizes = catalogue.verify("rain12", tmp_path)
    assert alone == "Without partner: 1 file (norain-012.png)."
    assert count == "11 pairs; there must be: test 12."
    assert "same size" in sizes and "rain-002.png" in sizes
    (nothing,) = catalogue.verify("ddn", tmp_path)
    assert nothing.startswith("No pairs by any of the patterns rainy_image/")
    with pytest.raises(ValueError, match="Received: split='train'"):
        catalogue.verify("rain12", tmp_path, "train")


def test_overlap_finds_the_same_backgrounds(tmp_path):
    for number in range(4):
        save(tmp_path / f"a/clean/{number}.png", scene(number))
        save(tmp_path / f"a/rainy/{number}.png", np.zeros((32, 32, 3)))
    for number, seed in enumerate((7, 2, 8)):
        # the test set stores the scene larger and a little brighter
        larger = (scene(seed) * 0.9 + 20).repeat(2, axis=0).repeat(2, axis=1)
        save(tmp_path / f"b/clean/{number}.png", larger)
        save(tmp_path / f"b/rainy/{number}.png", np.zeros((64, 64, 3)))
    first = pipeline.find_pairs(tmp_path / "a")
    second = pipeline.find_pairs(tmp_path / "b")
    assert catalogue.overlap(first, second) == [(first.clean[2], second.clean[1])]
