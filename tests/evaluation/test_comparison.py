"""Models compared, checked by hand arithmetic."""

import dataclasses
import json
import math

import numpy as np
import pytest
from PIL import Image

from tfderain import evaluation
from tfderain.data.pairs import Pairs
from tfderain.evaluation import comparison

CLOSE = {"rel": 0, "abs": 1e-9}  # float64 throughout


def result(psnrs, model="model", data="sets/Rain", offset=0.0):
    """A result with these PSNRs; `offset` makes other images of it."""
    rows = tuple(
        evaluation.Row(f"{n}.png", psnr, 0.5, 10.0 + n + offset, 0.25, 0.1)
        for n, psnr in enumerate(psnrs)
    )
    return evaluation.Result(model, "rgb_gaussian", data, rows, {})


# mean 26: the first two are hard, the third lies on it, the last two are easy
BEFORE = result([20.0, 24.0, 26.0, 28.0, 32.0], "before")
AFTER = result([21.0, 24.0, 27.0, 29.0, 31.0], "after")


def test_improvement_by_hand():
    found = comparison.improvement(BEFORE, AFTER)
    assert (found.reference, found.model) == ("before", "after")
    assert (found.data, found.protocol, found.mean_psnr) == ("Rain", "rgb_gaussian", 26)
    assert found.all == comparison.Share(3, 5) and found.all.fraction == 0.6
    assert found.hard == comparison.Share(1, 2), "an equal image has not improved"
    assert found.easy == comparison.Share(1, 2), "the image on the mean is neither"
    assert found.gain == pytest.approx((1 + 0 + 1 + 1 - 1) / 5, **CLOSE)
    back = comparison.improvement(AFTER, BEFORE)  # mean 26.4
    assert (back.all, back.hard, back.easy) == (
        comparison.Share(1, 5),
        comparison.Share(0, 2),
        comparison.Share(1, 3),
    )


def test_equal_scores_are_neither_hard_nor_easy():
    even = result([0.1] * 3)  # whose mean in floats is 0.10000000000000002
    found = comparison.improvement(even, even)
    assert found.all == comparison.Share(0, 3)
    assert found.hard == found.easy == comparison.Share(0, 0)
    assert found.hard.fraction is None and str(found.hard) == "none"
    assert json.loads(json.dumps(found.as_dict()))["hard"] == {
        "improved": 0,
        "count": 0,
        "fraction": None,
    }


def test_images_are_matched_by_name():
    turned = dataclasses.replace(AFTER, rows=AFTER.rows[::-1])
    straight = comparison.improvement(BEFORE, AFTER)
    assert comparison.improvement(BEFORE, turned) == straight


@pytest.mark.parametrize(
    "other, message",
    [
        (dataclasses.replace(AFTER, protocol="matlab_y_float"), "protocol='rgb_g"),
        (dataclasses.replace(AFTER, identity=True), "identity=False and True"),
        (dataclasses.replace(AFTER, rows=AFTER.rows[1:]), "5 of sets/Rain, 4 of"),
    ],
)
def test_results_that_are_not_alike_are_refused(other, message):
    with pytest.raises(ValueError, match=message):
        comparison.improvement(BEFORE, other)


def test_the_first_result_on_the_same_images_is_the_reference():
    """Data sets are told apart by their images, wherever they lie."""
    moved = dataclasses.replace(AFTER, data="/elsewhere/Rain")
    snow = [result([n, 3.0], f"m{n}", "sets/Snow", offset=0.5) for n in (2.0, 4.0, 1.0)]
    found = comparison.improvements([BEFORE, snow[0], snow[1], moved, snow[2]])
    assert [(one.data, one.reference, one.model) for one in found] == [
        ("Rain", "before", "after"),
        ("Snow", "m2.0", "m4.0"),
        ("Snow", "m2.0", "m1.0"),
    ]
    assert [str(one.all) for one in found] == [
        "60.0% (3/5)",
        "50.0% (1/2)",
        "0.0% (0/2)",
    ]
    table = found.table().splitlines()
    assert table[4].split() == (
        ["Rain", "before", "after", "60.0%", "(3/5)", "50.0%", "(1/2)"]
        + ["50.0%", "(1/2)", "26.00", "+0.40"]
    )


def test_a_reference_alone_is_refused():
    with pytest.raises(ValueError, match="only those of before"):
        comparison.improvements([BEFORE])
    other = dataclasses.replace(AFTER, protocol="matlab_y_float")
    with pytest.raises(ValueError, match="protocols=matlab_y_float, rgb_gaussian"):
        comparison.improvements([BEFORE, other])
    with pytest.raises(ValueError, match="protocols=none"):
        comparison.improvements([])


def test_one_model_scored_twice_is_called_by_the_files(tmp_path):
    for name, one in {"old": BEFORE, "new": AFTER}.items():
        dataclasses.replace(one, model="net").to_json(tmp_path / f"{name}.json")
    read = comparison.read([tmp_path / "old.json", tmp_path / "new.json"])
    assert [one.model for one in read] == ["net (old)", "net (new)"]
    BEFORE.to_json(tmp_path / "old.json")
    AFTER.to_json(tmp_path / "new.json")
    read = comparison.read([tmp_path / "old.json", tmp_path / "new.json"])
    assert list(read) == [BEFORE, AFTER]


@pytest.mark.parametrize("text", ["", "[]", '{"results": 3}', '{"results": {"a": 1}}'])
def test_other_files_are_named(text, tmp_path):
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(ValueError, match=r"other\.json"):
        comparison.read([tmp_path / "other.json"])


# Across data sets


def save(path, level):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((12, 16, 3), level, "uint8")).save(path)
    return str(path)


@pytest.fixture
def data(tmp_path):
    """Two sets of flat pairs, 10 and 20, and 4 grey levels too bright."""
    sets = {}
    for name, levels in {"heavy": (110, 120), "light": (104,)}.items():
        folder = tmp_path / name
        sets[name] = Pairs(
            tuple(save(folder / f"rainy/{n}.png", x) for n, x in enumerate(levels)),
            tuple(save(folder / f"clean/{n}.png", 100) for n, _ in enumerate(levels)),
        )
    return sets


MODELS = {"minus 2": lambda image: image - 2, "minus 3": lambda image: image - 3}


def psnr(levels):
    """PSNR of flat images that are so many grey levels off."""
    return 20 * math.log10(255 / levels)


def test_models_across_data_sets(data, tmp_path):
    calls = []
    table = comparison.compare(
        MODELS, data, "rgb_gaussian", lambda *call: calls.append(call)
    )
    expected = {
        "minus 2": [(psnr(8) + psnr(18)) / 2, psnr(2)],
        "minus 3": [(psnr(7) + psnr(17)) / 2, psnr(1)],
    }
    for model, row in table.results.items():
        means = [row[name].means["psnr"] for name in ("heavy", "light")]
        assert means == pytest.approx(expected[model], **CLOSE)
    assert calls[0] == (0, 6) and calls[-1] == (6, 6) and calls == sorted(calls)
    lines = table.table().splitlines()
    assert lines[0].startswith("psnr_rgb/ssim_rgb, rgb_gaussian")
    assert lines[2].split() == ["model", "heavy", "(2)", "light", "(1)"]
    rainy, first, second = (lines[row].split() for row in (4, 6, 7))
    assert rainy[0] == "rainy" and rainy[2].startswith(f"{psnr(4):.2f}/0.99")
    assert first[:2] == ["minus", "2"] and first[3].startswith(f"{psnr(2):.2f}/")
    assert second[3].startswith("48.13/")  # 20 log10 255
    assert len({line.rindex("/") for line in lines[4:] if "/" in line}) == 1  # aligned

    assert table.to_json(tmp_path / "table.json") == table.to_json()
    assert comparison.Comparison.from_json(tmp_path / "table.json") == table
    content = json.loads((tmp_path / "table.json").read_text())
    assert content["models"] == list(MODELS) and content["data"] == list(data)
    means = table.results["minus 3"]["light"].means
    assert content["means"]["minus 3"]["light"] == means
    found = comparison.improvements(comparison.read([tmp_path / "table.json"]))
    assert [(one.data, str(one.all)) for one in found] == [
        ("heavy", "100.0% (2/2)"),
        ("light", "100.0% (1/1)"),
    ]


def test_clean_images_across_data_sets(data):
    table = comparison.compare(MODELS, data, "rgb_gaussian", identity=True)
    assert table.results["minus 2"]["heavy"].rows[1].psnr == pytest.approx(
        psnr(2), **CLOSE
    )
    assert table.table().splitlines()[4].startswith("clean  ")


def test_scenes_count_once_each(tmp_path):
    rainy, clean = [], []
    for scene, levels in {"a": (110, 120), "b": (104,)}.items():
        rainy += [
            save(tmp_path / scene / f"{scene}-R-{n}.png", level)
            for n, level in enumerate(levels)
        ]
        clean += [save(tmp_path / scene / f"{scene}-C-000.png", 100)] * len(levels)
    pairs = Pairs(tuple(rainy), tuple(clean))
    table = comparison.compare({"none": lambda x: x}, {"GT": pairs}, "rgb_gaussian")
    expected = ((psnr(10) + psnr(20)) / 2 + psnr(4)) / 2
    assert table.results["none"]["GT"].means["psnr"] == pytest.approx(expected, **CLOSE)


def test_a_folder_of_derained_images_needs_one_folder_per_data_set(data, tmp_path):
    """Both sets have an image `0.png`, which must not be taken for the other one."""
    for name, level in (("heavy/0", 105), ("heavy/1", 105), ("light/0", 101)):
        save(tmp_path / f"derained/{name}.png", level)
    models = {"saved": tmp_path / "derained"}
    table = comparison.compare(models, data, "rgb_gaussian")
    rows = table.results["saved"]
    assert rows["heavy"].means["psnr"] == pytest.approx(psnr(5), **CLOSE)
    assert rows["light"].means["psnr"] == pytest.approx(psnr(1), **CLOSE)
    one = {"light": data["light"]}
    models = {"saved": tmp_path / "derained/light"}
    assert comparison.compare(models, one).results["saved"]["light"].count == 1
    with pytest.raises(ValueError, match="must be a folder.*heavy"):
        comparison.compare(models, data)


def test_mistakes_are_found_before_the_first_image(data, tmp_path):
    def model(image):
        raise AssertionError("derained")

    with pytest.raises(ValueError, match="models=0, data=2"):
        comparison.compare({}, data)
    empty = {**data, "empty": data["light"].subset([])}
    with pytest.raises(ValueError, match="pairs=0"):
        comparison.compare({"a": model}, empty)
    with pytest.raises(ValueError, match="must be a folder"):
        comparison.compare({"a": model, "b": tmp_path / "none"}, data)


def test_labels_are_short_where_they_can_be():
    assert comparison.labels(["a/Rain", "b/Snow/"]) == ["Rain", "Snow"]
    assert comparison.labels(["a/test", "b/test"]) == ["a/test", "b/test"]
