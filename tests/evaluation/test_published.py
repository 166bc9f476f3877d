"""Published scores: the numbers of the sources, and what may stand beside them."""

import dataclasses
import statistics

import pytest

from tfderain import evaluation, metrics
from tfderain.data import catalogue
from tfderain.evaluation import published


def result(count=100, data="/sets/Rain100H", protocol="matlab_y_float", **settings):
    rows = tuple(
        evaluation.Row(f"{n}.png", 28.0, 0.88, 13.5, 0.39, 0.1) for n in range(count)
    )
    return evaluation.Result("mine", protocol, data, rows, {}, **settings)


def find(method, data, paper):
    (score,) = [
        one
        for one in published.load()
        if (one.method, one.data) == (method, data) and one.paper.startswith(paper)
    ]
    return score


# Read off the papers' tables by hand, not from the file.
@pytest.mark.parametrize(
    "method, data, paper, psnr, ssim, protocol, count",
    [
        ("ERL-Net", "rain100h", "ERL-Net", 34.57, 0.9387, "", 100),
        ("MENET-GB-deep", "rain100l", "MENET", 34.2239, 0.9559, "rgb_gaussian", 1000),
        ("JRGR", "rainhq", "JRGR", 35.59, 0.9498, "", 500),
        ("Rainmer", "test1200", "Rainmer", 31.98, 0.9377, "rainmer_y_float", 1200),
        ("PReNet", "rain100h", "PReNet", 29.46, 0.899, "matlab_y_float", 100),
        ("Restormer", "test2800", "PromptR", 34.18, 0.944, "matlab_y_uint8", 2800),
        ("DRSformer with CoIC", "spa", "CoIC", 46.03, None, "", None),
    ],
)
def test_numbers_of_the_papers(method, data, paper, psnr, ssim, protocol, count):
    if paper == "PReNet":  # its issues have a second one, of RGB
        found = [
            one
            for one in published.load()
            if (one.method, one.data, one.source) == (method, data, "README")
            and one.paper.startswith(paper)
        ]
        (score,) = found
    else:
        score = find(method, data, paper)
    assert (score.psnr, score.ssim) == (psnr, ssim)
    assert (score.protocol, score.count) == (protocol, count)


def test_the_papers_own_means_agree():
    """Rainmer's README prints the mean of its seven sets."""
    own = [one for one in published.load() if one.method == "Rainmer"]
    assert len(own) == 7
    # printed with two and four digits
    assert statistics.fmean(o.psnr for o in own) == pytest.approx(31.35, abs=0.005)
    assert statistics.fmean(o.ssim for o in own) == pytest.approx(0.8966, abs=5e-5)


def test_every_score_says_what_it_is():
    scores = published.load()
    assert len(scores) > 200
    titles = published.data_sets()
    for one in scores:
        assert one.data in titles and one.paper and one.source and one.trained
        assert one.channel in ("y", "rgb", "")
        assert 14 < one.psnr < 50 and (one.ssim is None or 0.3 < one.ssim < 1)
        assert float(one.printed.partition("/")[0]) == one.psnr
        if one.protocol:
            assert metrics.channel(one.protocol) == one.channel
            assert one.matlab == one.protocol.startswith("matlab")
    keys = [(o.method, o.data, o.paper, o.source) for o in scores]
    assert len(set(keys)) == len(keys)


def test_counts_are_those_of_the_catalogue():
    counts = {key: one.counts["test"] for key, one in catalogue.CATALOGUE.items()
              if one.counts.get("test")}  # fmt: skip
    checked = [
        one
        for one in published.load()
        if one.data in counts and one.count and not one.patches
    ]
    assert len(checked) > 30
    assert all(one.count == counts[one.data] for one in checked)


def test_only_equal_protocol_set_and_count_stand_beside_a_result():
    found = published.compare(result())
    assert found.data == "rain100h"
    names = [one.method for one in found.same]
    assert names[:3] == ["PRN", "PReNet", "JORDER"]
    assert {one.protocol for one in found.same} == {"matlab_y_float"}
    assert {one.channel for one in found.similar} == {"y"}
    similar = {(one.method, *one.differences(result())) for one in found.similar}
    assert ("Restormer", "matlab_y_uint8") in similar
    assert ("ERL-Net", "protocol not certain") in similar
    total = [one for one in published.load() if one.data == "rain100h"]
    assert len(total) == len(found.same) + len(found.similar) + found.others


def test_a_part_of_a_set_is_not_the_set():
    part = result(count=35)
    found = published.compare(part)
    assert not found.same
    (prenet,) = [
        one
        for one in found.similar
        if one.method == "PReNet" and one.protocol == part.protocol
    ]
    assert prenet.differences(part) == ["100 images"]


def test_patches_stand_beside_patches_only():
    patches = {"selection": "five_crop", "side": 224, "per_image": 10}
    cut = result(1000, protocol="rgb_gaussian", patches=patches)
    assert "MENET-GB-deep" in [one.method for one in published.compare(cut).same]
    whole = published.compare(result(1000, protocol="rgb_gaussian"))
    assert not whole.same
    menet = [one for one in whole.similar if one.method == "MENET-GB-deep"]
    assert menet[0].differences(result(1000, protocol="rgb_gaussian")) == [
        "five_crop 224"
    ]
    other = dataclasses.replace(cut, patches=patches | {"side": 128})
    assert not published.compare(other).same


def test_scores_after_a_fit_stand_beside_nothing():
    plain = published.compare(result())
    assert plain.same
    fitted = published.compare(result(fit="gain_offset"))
    assert not fitted.same and len(fitted.similar) == len((*plain.same, *plain.similar))
    differences = plain.same[0].differences(result(fit="gain_offset"))
    assert differences == ["nothing fitted"]


def test_clean_images_and_unknown_sets_stand_beside_nothing():
    assert published.compare(result(identity=True)) == published.Comparison("rain100h")
    assert published.compare(result(data="photos")) == published.Comparison("")


@pytest.mark.parametrize(
    "path, key",
    [
        ("/data/rain-100h", "rain100h"),
        ("Rain100H/test", "rain100h"),
        ("Rain100H/Rain200L", "rain200l"),
        ("Rain100Hx", ""),
        ("gt_rain", "gtrain"),
        (".", ""),
    ],
)
def test_sets_are_known_by_the_name_of_a_folder(path, key):
    assert published.data_set(path) == key


def test_times_and_regions():
    ours = {(one.method, one.machine): one.seconds for one in published.times()}
    assert ours["ERL-Net", "Tesla P100"] == 0.46
    assert ours["MENET", "GeForce GTX TITAN X"] == 0.003
    (heavy,) = [one for one in published.regions() if one.data == "rain100h"]
    assert (heavy.mior, heavy.miob) == (0.62, 0.19)


@pytest.mark.parametrize(
    "change, message",
    [({"channel": "rgb"}, "channel"), ({"counts": [1]}, "a cell for each set")],
)
def test_a_wrong_table_is_named(change, message):
    table = {
        "source": "Table 9",
        "channel": "y",
        "protocol": "matlab_y_float",
        "trained": "x",
        "sets": ["rain100h", "rain100l"],
        "counts": [1, 1],
        "rows": [["A", "30", "31"]],
    }
    with pytest.raises(ValueError, match=f"{message}.*Received: P, Table 9"):
        list(published._scores(table | change, {"title": "P", "url": ""}))
