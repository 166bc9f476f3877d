"""Evaluation of models on files, checked by hand arithmetic."""

import dataclasses
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import tfderain
from tfderain import evaluation
from tfderain.data.pairs import Pairs, find_pairs
from tfderain.evaluation import comparison

SIZE = (12, 16)  # height, width
PSNR_OF_LEVELS = {n: 20 * math.log10(255 / n) for n in (1, 2, 4, 10, 20)}
CLOSE = {"rel": 0, "abs": 1e-9}  # float64 throughout


def save(path, level, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), level, "uint8")).save(path)
    return str(path)


@pytest.fixture
def pairs(tmp_path):
    """Two flat pairs: the rainy images are 10 and 20 grey levels too bright."""
    rainy = [save(tmp_path / f"input/{n}.png", 100 + 10 * n) for n in (1, 2)]
    clean = [save(tmp_path / f"target/{n}.png", 100) for n in (1, 2)]
    return Pairs(tuple(rainy), tuple(clean))


class Darken:
    """A model that subtracts eight grey levels, with the interface of a Restorer."""

    name = "darken"

    def derain(self, image):
        assert image.dtype == np.uint8 and image.shape == (*SIZE, 3)
        return image - 8


def test_scores_by_hand(pairs, tmp_path):
    result = evaluation.evaluate(Darken(), pairs, "rgb_gaussian")
    assert [row.name for row in result.rows] == ["1.png", "2.png"]
    assert result.model == "darken" and result.protocol == "rgb_gaussian"
    assert result.data == str(tmp_path) and result.count == 2
    first, second = result.rows
    assert first.input_psnr == pytest.approx(PSNR_OF_LEVELS[10], **CLOSE)
    assert first.psnr == pytest.approx(PSNR_OF_LEVELS[2], **CLOSE)
    assert second.input_psnr == pytest.approx(PSNR_OF_LEVELS[20], **CLOSE)
    c1 = (0.01 * 255) ** 2
    ssim = (2 * 100 * 112 + c1) / (100**2 + 112**2 + c1)  # flat: luminance only
    assert second.ssim == pytest.approx(ssim, **CLOSE)
    means = result.means
    expected = (PSNR_OF_LEVELS[10] + PSNR_OF_LEVELS[20]) / 2
    assert means["input_psnr"] == pytest.approx(expected, **CLOSE)
    assert means["ssim"] == pytest.approx((first.ssim + second.ssim) / 2, **CLOSE)
    seconds = [row.seconds for row in result.rows]
    assert min(seconds) > 0 and means["seconds"] == pytest.approx(sum(seconds) / 2)


def test_scores_follow_the_protocol(pairs):
    matlab = evaluation.evaluate(Darken(), pairs)
    assert matlab.protocol == "matlab_y_float"
    expected = PSNR_OF_LEVELS[10] + 20 * math.log10(255 / 219)
    assert matlab.rows[0].input_psnr == pytest.approx(expected, **CLOSE)


def test_float_models_are_rounded_to_uint8_before_scoring(pairs):
    def model(image):  # 0.4 of a grey level beside the clean image
        return np.full(image.shape, 100.4 / 255, "float32")

    result = evaluation.evaluate(model, pairs, "rgb_gaussian")
    assert result.model == "function"
    assert [row.psnr for row in result.rows] == [100, 100]


def test_identity_gives_the_model_clean_images(pairs):
    result = evaluation.evaluate(Darken(), pairs, "rgb_gaussian", identity=True)
    assert result.identity
    for row in result.rows:
        assert row.psnr == pytest.approx(20 * math.log10(255 / 8), **CLOSE)
        assert row.input_psnr == 100
    assert "clean images given" in result.table()


@pytest.mark.parametrize("layout", ["left_clean", "left_rainy"])
def test_side_by_side_files(layout, tmp_path):
    clean, rainy = np.full((*SIZE, 3), 100, "uint8"), np.full((*SIZE, 3), 110, "uint8")
    halves = (clean, rainy) if layout == "left_clean" else (rainy, clean)
    path = tmp_path / "both.png"
    Image.fromarray(np.concatenate(halves, axis=1)).save(path)
    side_by_side = Pairs((str(path),), (str(path),), layout)
    result = evaluation.evaluate(Darken(), side_by_side, "rgb_gaussian")
    assert result.rows[0].psnr == pytest.approx(PSNR_OF_LEVELS[2], **CLOSE)
    assert result.data == str(tmp_path)


def test_grey_and_color_files_make_a_pair(tmp_path):
    rainy = tmp_path / "rainy.png"
    Image.fromarray(np.full(SIZE, 110, "uint8")).save(rainy)
    clean = save(tmp_path / "clean.png", 100)
    result = evaluation.evaluate(
        Darken(), Pairs((str(rainy),), (clean,)), "rgb_gaussian"
    )
    assert result.rows[0].psnr == pytest.approx(PSNR_OF_LEVELS[2], **CLOSE)


def test_images_can_be_watched(pairs):
    seen = []
    result = evaluation.evaluate(
        Darken(), pairs, "rgb_gaussian", watch=lambda *one: seen.append(one)
    )
    assert [row for row, _ in seen] == list(result.rows)
    levels = [[int(image[0, 0, 0]) for image in shown] for _, shown in seen]
    assert levels == [[110, 102, 100], [120, 112, 100]]


def test_saved_images_are_what_was_scored(pairs, tmp_path):
    folder = tmp_path / "out"
    evaluation.evaluate(Darken(), pairs, save_images=folder)
    assert sorted(p.name for p in folder.iterdir()) == ["1.png", "2.png"]
    saved = np.asarray(Image.open(folder / "2.png"))
    assert saved.shape == (*SIZE, 3) and (saved == 112).all()
    with pytest.raises(FileExistsError, match="2 existing"):
        evaluation.evaluate(Darken(), pairs, save_images=folder)
    evaluation.evaluate(lambda x: x, pairs, save_images=folder, overwrite=True)
    assert (np.asarray(Image.open(folder / "2.png")) == 120).all()


def test_saved_images_of_one_stem_do_not_replace_each_other(tmp_path):
    rainy = (save(tmp_path / "1.png", 110), save(tmp_path / "1.bmp", 120))
    clean = (save(tmp_path / "clean.png", 100),) * 2
    evaluation.evaluate(Darken(), Pairs(rainy, clean), save_images=tmp_path / "out")
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["1.bmp.png", "1.png.png"]


def test_a_folder_of_derained_images_takes_the_place_of_a_model(pairs, tmp_path):
    folder = tmp_path / "others"
    by_model = evaluation.evaluate(Darken(), pairs, save_images=folder)
    result = evaluation.evaluate(folder, pairs)
    assert result.model == str(folder)
    for row, expected in zip(result.rows, by_model.rows, strict=True):
        assert row.seconds == 0  # nothing was derained
        assert dataclasses.replace(expected, seconds=0.0) == row
    (folder / "2.png").unlink()
    with pytest.raises(ValueError, match=r"derained image.*without 1 file \(2\.png\)"):
        evaluation.evaluate(folder, pairs)
    save(folder / "2.png", 100, size=(12, 18))
    with pytest.raises(ValueError, match=r"shape=\(12, 18, 3\) for '2\.png'"):
        evaluation.evaluate(folder, pairs)
    with pytest.raises(ValueError, match="`identity` needs a model.*others"):
        evaluation.evaluate(folder, pairs, identity=True)
    with pytest.raises(ValueError, match="must be a folder"):
        evaluation.evaluate(tmp_path / "none", pairs)


def test_derained_images_of_one_stem_are_kept_apart(tmp_path):
    rainy = (save(tmp_path / "1.png", 110), save(tmp_path / "1.bmp", 120))
    pairs = Pairs(rainy, (save(tmp_path / "clean.png", 100),) * 2)
    evaluation.evaluate(lambda x: x, pairs, save_images=tmp_path / "out")
    result = evaluation.evaluate(tmp_path / "out", pairs, "rgb_gaussian")
    expected = [PSNR_OF_LEVELS[10], PSNR_OF_LEVELS[20]]
    assert [row.psnr for row in result.rows] == pytest.approx(expected, **CLOSE)


def test_progress_counts_to_the_end(pairs):
    calls = []
    evaluation.evaluate(Darken(), pairs, progress=lambda *call: calls.append(call))
    assert calls == [(0, 2), (1, 2), (2, 2)]


@pytest.fixture
def scenes(tmp_path):
    """GT-Rain's layout: two rainy frames of one scene, one of another."""
    for scene, levels in {"Hill_0-0": (110, 120), "Pier_0-1": (104,)}.items():
        for n, level in enumerate(levels):
            save(tmp_path / scene / f"{scene}-Webcam-R-{n:03}.png", level)
        save(tmp_path / scene / f"{scene}-Webcam-C-000.png", 100)
    return tmp_path


def test_scenes_are_averaged_before_images(scenes):
    pairs, names = evaluation.find_scenes(scenes)
    assert names == ("Hill_0-0", "Hill_0-0", "Pier_0-1")
    result = evaluation.evaluate(lambda x: x, pairs, "rgb_gaussian", groups=names)
    assert result.rows[0].name == "Hill_0-0/Hill_0-0-Webcam-R-000.png"
    hill = (PSNR_OF_LEVELS[10] + PSNR_OF_LEVELS[20]) / 2
    assert list(result.groups) == ["Hill_0-0", "Pier_0-1"]
    assert result.groups["Hill_0-0"]["psnr"] == pytest.approx(hill, **CLOSE)
    expected = (hill + PSNR_OF_LEVELS[4]) / 2  # not the mean of three images
    assert result.means["psnr"] == pytest.approx(expected, **CLOSE)
    assert "mean of 2 groups" in result.table().splitlines()[-1]


def test_find_scenes_names_what_is_missing(scenes):
    (scenes / "Pier_0-1" / "Pier_0-1-Webcam-C-000.png").unlink()
    with pytest.raises(ValueError, match=r"Pier_0-1-Webcam-R-000\.png"):
        evaluation.find_scenes(scenes)


def test_json_round_trip(scenes, tmp_path):
    pairs, names = evaluation.find_scenes(scenes)
    result = evaluation.evaluate(Darken(), pairs.subset([0]), groups=names[:1])
    assert result.to_json(tmp_path / "scores.json") == result.to_json()
    assert evaluation.Result.from_json(tmp_path / "scores.json") == result
    content = json.loads((tmp_path / "scores.json").read_text())
    assert content["count"] == 1 and content["protocol"] == "matlab_y_float"
    assert content["means"] == result.means and content["data"] == result.data
    assert content["versions"]["tfderain"] == tfderain.__version__
    assert content["versions"]["numpy"] == np.__version__
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part")]


@pytest.mark.parametrize("text", ["", "[]", '{"rows": [{"name": "a"}]}'])
def test_json_of_something_else_is_refused(text, tmp_path):
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(ValueError, match=r"other\.json"):
        evaluation.Result.from_json(tmp_path / "other.json")


def test_table_has_a_line_per_image_and_the_gain(pairs):
    result = evaluation.evaluate(Darken(), pairs, "rgb_gaussian")
    about, _, heading, _, first, _, _, mean = result.table().splitlines()
    assert "darken, rgb_gaussian, 2 images" in about
    assert heading.split()[:3] == ["image", "rainy", "psnr_rgb"]
    # 10 and 2 grey levels: 28.13 and 42.11 dB
    assert first.split()[:4] == ["1.png", "28.13", "42.11", "+13.98"]
    assert mean.split()[:4] == ["mean", "of", "2", "images"]
    assert len({line.index(".", 20) for line in (first, mean)}) == 1  # aligned


def test_bad_pairs_are_named_before_anything_is_derained(pairs, tmp_path):
    def model(image):
        raise AssertionError("derained")

    other = save(tmp_path / "target/3.png", 100, size=(12, 18))
    with pytest.raises(ValueError, match=r"same size.*1\.png"):
        evaluation.evaluate(
            model, Pairs((*pairs.rainy[::-1],), (pairs.clean[0], other))
        )
    (tmp_path / "input/1.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"readable.*1\.png"):
        evaluation.evaluate(model, pairs)
    with pytest.raises(ValueError, match="pairs=0"):
        evaluation.evaluate(model, Pairs((), ()))
    with pytest.raises(ValueError, match="groups=1, pairs=2"):
        evaluation.evaluate(model, pairs, groups=["a"])
    with pytest.raises(ValueError, match="protocol='psnr'"):
        evaluation.evaluate(model, pairs, "psnr")


def test_a_truncated_file_is_named(pairs, tmp_path):
    path = tmp_path / "target/2.png"
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:-200])  # the header still promises all of it
    with pytest.raises(ValueError, match=r"target/2\.png"):
        evaluation.evaluate(Darken(), pairs)


@pytest.mark.parametrize(
    "model, message",
    [
        (lambda x: x[1:], r"shape=\(11, 16, 3\) for '1\.png'"),
        (lambda x: x * np.nan, r"NaN or infinity for '1\.png'"),
    ],
)
def test_bad_models_are_refused(model, message, pairs):
    with pytest.raises(ValueError, match=message):
        evaluation.evaluate(model, pairs)


def test_evaluation_leaves_tensorflow_unloaded(pairs):
    code = (
        "import sys; from tfderain import evaluation; from tfderain.data.pairs import "
        f"Pairs\nresult = evaluation.evaluate(lambda x: x, {pairs!r})\n"
        "assert not {'keras', 'tensorflow'} & {*sys.modules, *result.versions}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
def graded(tmp_path):
    """A pair whose columns and rows all differ."""
    rng = np.random.default_rng(0)
    clean = rng.integers(60, 120, (*SIZE, 3), dtype=np.uint8)
    rainy = clean + rng.integers(0, 40, (SIZE[0], SIZE[1], 1), dtype=np.uint8)
    for folder, image in (("input", rainy), ("target", clean)):
        (tmp_path / folder).mkdir()
        Image.fromarray(image).save(tmp_path / folder / "1.png")
    files = [(str(tmp_path / folder / "1.png"),) for folder in ("input", "target")]
    return Pairs(*files), rainy, clean


def five_crops(image, side):
    """Corners and centre, "plus the flipped version of these"."""
    height, width = image.shape[:2]
    bottom, right = height - side, width - side
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right)]
    corners.append((bottom // 2, right // 2))
    crops = [image[top : top + side, left : left + side] for top, left in corners]
    return [*crops, *(np.flip(crop, 1) for crop in crops)]


class Seen:
    """A model that keeps what it is given and leaves it as it is."""

    def __init__(self):
        self.images = []

    def derain(self, image):
        self.images.append(image.copy())
        return image


def test_patches_are_derained_and_scored_one_by_one(graded, tmp_path):
    pairs, rainy, clean = graded
    model, side = Seen(), 11  # SSIM's window
    settings = {"patches": "five_crop", "patch": side}
    result = evaluation.evaluate(model, pairs, "rgb_gaussian", **settings)
    assert result.count == 10 and result.rows[3].name == "1.png patch 3"
    wanted = [np.float64(part) for part in five_crops(rainy, side)]
    np.testing.assert_array_equal(model.images, wanted)
    squares = [
        np.mean((given - np.float64(best)) ** 2)
        for given, best in zip(wanted, five_crops(clean, side), strict=True)
    ]
    psnr = [10 * np.log10(255**2 / square) for square in squares]
    assert [row.psnr for row in result.rows] == pytest.approx(psnr, **CLOSE)
    assert result.means["psnr"] == pytest.approx(np.mean(psnr), **CLOSE)
    described = {"selection": "five_crop", "side": 11, "per_image": 10}
    assert result.as_dict()["patches"] == described
    assert result.table().startswith("Seen, rgb_gaussian, 10 patches of ")
    assert (
        "five_crop 11x11" in result.table() and "mean of 10 patches" in result.table()
    )
    path = tmp_path / "scores.json"
    result.to_json(path)
    assert evaluation.Result.from_json(path) == result
    folder = evaluation.evaluate(tmp_path / "input", pairs, "rgb_gaussian", **settings)
    assert [row.psnr for row in folder.rows] == [row.psnr for row in result.rows]


def test_patches_that_cannot_be(graded, tmp_path):
    pairs, *_ = graded
    for settings, message in (
        ({"patches": "ten"}, "one of .* Received: patches='ten'"),
        ({"patches": "five_crop", "patch": 13}, "crop=13, 1 file .*smaller"),
        ({"patches": "five_crop", "patch": 0}, "at least 1. Received: patch=0"),
        ({"patches": "five_crop", "patch": 4, "save_images": tmp_path}, "not saved"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluation.evaluate(Seen(), pairs, "rgb_gaussian", **settings)


def exposures(tmp_path, gains=(0.8, 1.0, 1.1), offsets=(20, -10, 5)):
    """A pair whose rainy image is the clean one in another exposure, with a spot."""
    rng = np.random.default_rng(0)
    clean = rng.integers(60, 180, (24, 30, 3)).astype(np.uint8)
    rainy = clean * np.array(gains) + np.array(offsets)
    rainy[4:9, 5:12] += 30
    for name, image in (("data/7_rain.png", rainy), ("gt/7_clean.png", clean)):
        path = tmp_path / name
        path.parent.mkdir()
        Image.fromarray(np.rint(image).astype(np.uint8)).save(path)
    return find_pairs(tmp_path)  # drops on glass, as Qian et al. name their files


def test_fit_of_gain_and_offset_against_numpy(tmp_path):
    pairs = exposures(tmp_path)
    rainy, clean = (
        np.asarray(Image.open(paths[0]), float) for paths in (pairs.rainy, pairs.clean)
    )
    wanted = np.empty_like(rainy)
    for channel in range(3):
        x, y = rainy[..., channel].ravel(), clean[..., channel].ravel()
        line = np.polyfit(x, y, 1)
        wanted[..., channel] = np.polyval(line, x).reshape(rainy.shape[:2])
    wanted = np.rint(np.clip(wanted, 0, 255))
    error = np.mean(np.square(wanted - clean))
    result = evaluation.evaluate(lambda x: x, pairs, "rgb_gaussian", fit="gain_offset")
    expected = 10 * np.log10(255**2 / error)
    assert result.means["psnr"] == pytest.approx(expected, abs=1e-6)
    assert result.means["input_psnr"] == pytest.approx(expected, abs=1e-6)
    plain = evaluation.evaluate(lambda x: x, pairs, "rgb_gaussian")
    assert plain.means["psnr"] < expected - 3


def test_fit_of_another_exposure_alone_is_nearly_perfect(tmp_path):
    pairs = exposures(tmp_path)
    clean = np.asarray(Image.open(pairs.clean[0]))

    def model(image):  # all rain gone, exposure as it was
        return np.clip(0.8 * clean + 20, 0, 255) / 255

    result = evaluation.evaluate(model, pairs, fit="gain_offset")
    assert result.means["psnr"] > 48  # two roundings to grey levels: 0.4 of a level


def test_fit_is_said_in_every_table_and_file(scenes, tmp_path):
    pairs, names = evaluation.find_scenes(scenes)  # GT-Rain, by scenes
    settings = {"groups": names, "fit": "gain_offset"}
    fitted = evaluation.evaluate(Darken(), pairs, "rgb_gaussian", **settings)
    said = "after gain and offset fitted for each channel"
    assert said in fitted.table().splitlines()[0]
    fitted.to_json(tmp_path / "fitted.json")
    assert json.loads((tmp_path / "fitted.json").read_text())["fit"] == "gain_offset"
    assert evaluation.Result.from_json(tmp_path / "fitted.json") == fitted
    plain = evaluation.evaluate(Darken(), pairs, "rgb_gaussian", groups=names)
    assert said not in plain.table() and plain.as_dict()["fit"] is None
    # a flat image becomes the clean one's mean: the cap of 100 dB
    assert fitted.means["psnr"] == 100
    table = comparison.compare({"a": Darken()}, {"x": pairs}, fit="gain_offset")
    assert said in table.table() and table.as_dict()["fit"] == "gain_offset"
    with pytest.raises(ValueError, match="one fit"):
        comparison.improvement(fitted, plain)
    assert said in comparison.improvements((fitted, fitted)).table()


def test_unknown_fits_are_refused(pairs):
    with pytest.raises(ValueError, match="fit='gamma'"):
        evaluation.evaluate(Darken(), pairs, fit="gamma")
