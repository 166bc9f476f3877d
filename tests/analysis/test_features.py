"""Feature maps, checked through their pixels, and correlations by hand."""

import sys

import numpy as np
import pytest
from pictures import size_of
from PIL import Image

from tfderain import analysis
from tfderain.analysis.features import BRANCHES, TITLE

RAMP = np.arange(6.0).reshape(2, 3)  # one map of 2x3 pixels


def branches(main, residual):
    """Features of one branch per channel, `(2, 3, channels)`, and their sum."""
    main, residual = np.stack(main, axis=-1), np.stack(residual, axis=-1)
    return {"main": main, "residual": residual, "entangled": main + residual}


def cell(path, panel, row, column, size=(2, 3), width=11):
    """Pixels of one map; a panel of three columns is 3 * 3 + 2 pixels wide."""
    step = max(width, TITLE * 5) + TITLE
    top = TITLE + row * (size[0] + 1)
    left = panel * step + column * (size[1] + 1)
    with Image.open(path) as picture:
        return np.asarray(picture)[top : top + size[0], left : left + size[1]]


def test_feature_maps_lie_in_a_square_and_span_black_to_white(tmp_path):
    path = tmp_path / "maps.png"
    ones = np.ones_like(RAMP)
    features = branches([RAMP, -RAMP, *[ones] * 5], [3 * RAMP] * 7)
    correlations = analysis.feature_maps(features, path).branches
    # 7 maps in 3 columns; panels are as far apart as their names need
    assert size_of(path) == (2 * (80 + 16) + 80, 16 + 3 * 3 - 1)
    ramp = [[0, 51, 102], [153, 204, 255]]
    assert cell(path, 0, 0, 0).tolist() == ramp
    assert cell(path, 0, 0, 1).tolist() == [row[::-1] for row in ramp[::-1]]
    assert (cell(path, 0, 2, 0) == 128).all()  # a constant map
    assert cell(path, 1, 2, 0).tolist() == cell(path, 2, 2, 0).tolist() == ramp
    assert (cell(path, 2, 2, 1) == 255).all()  # no eighth channel
    with Image.open(path) as picture:
        names = np.asarray(picture)[:TITLE]
    assert all((names[:, left : left + 60] < 255).any() for left in (0, 96, 192))
    # the sum is 4 RAMP, 2 RAMP, 3 RAMP + 1
    np.testing.assert_allclose(correlations["main"][:2], [1, -1], atol=1e-12)  # float64
    assert np.isnan(correlations["main"][2:]).all()
    np.testing.assert_allclose(correlations["residual"], 1, atol=1e-12)


def test_common_scaling_compares_the_branches_of_a_channel(tmp_path):
    path = tmp_path / "maps.png"
    features = branches([RAMP, 9 * RAMP], [RAMP, -9 * RAMP])  # sums: 2 RAMP, zero
    correlations = analysis.feature_maps(features, path, scaling="common").branches
    shades = [[cell(path, panel, 0, c, width=7) for c in (0, 1)] for panel in (0, 1, 2)]
    (main, ninefold), (_, negative), (entangled, zero) = shades
    assert main.max() == 128 and entangled.max() == 255  # 5 and 10 of 0..10
    assert ninefold.min() == 128 and ninefold.max() == 255  # 0 and 45 of -45..45
    assert negative.min() == 0 and (zero == 128).all()
    assert np.isnan(correlations["main"]).tolist() == [False, True]


def test_225_channels_make_15_columns_and_large_maps_shrink(tmp_path):
    maps = np.random.default_rng(0).random((1, 40, 40, 225), np.float32)
    features = dict.fromkeys(("main", "residual", "entangled"), maps)
    path = tmp_path / "maps.png"
    correlations = analysis.feature_maps(features, path, largest=20).branches
    side = 15 * 21 - 1
    assert size_of(tmp_path / "maps.png") == (3 * side + 2 * 16, side + 16)
    np.testing.assert_allclose(correlations["main"], 1, atol=1e-12)  # float64
    blocks = maps[0, :2, :2, 0] - maps[0, ..., 0].min()
    expected = 255 * blocks.mean() / np.ptp(maps[0, ..., 0])
    first = cell(tmp_path / "maps.png", 0, 0, 0, (20, 20), side)[0, 0]
    assert first == pytest.approx(expected, abs=1)  # four shades and their mean round


def test_correlations_as_a_table():
    values = {
        "main": np.array([1.0, 0.2, -0.6, np.nan]),
        "residual": np.full(4, np.nan),
    }
    lines = analysis.Correlations(values).table().splitlines()
    assert lines[2].split() == (
        ["main", "3", "-0.600", "0.200", "0.200", "1.000", "33%", "33%"]
    )
    assert lines[3].split() == ["residual", "0", *["nan"] * 4, "0%", "0%"]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"main": RAMP}, r"main \(2, 3\), residual \(2, 3, 1\)"),
        ({"entangled": np.zeros((2, 3, 2))}, r"entangled \(2, 3, 2\)"),
        (dict.fromkeys(BRANCHES, np.zeros((2, 2, 3, 1))), "of one image"),
        ({"main": np.full((2, 3, 1), np.nan)}, "NaN"),
    ],
)
def test_other_features_are_refused(change, message, tmp_path):
    features = branches([RAMP], [RAMP])
    with pytest.raises(ValueError, match=message):
        analysis.feature_maps(features | change, tmp_path / "maps.png")
    with pytest.raises(ValueError, match="scaling='loud'"):
        analysis.feature_maps(features, tmp_path / "maps.png", scaling="loud")
    del features["residual"]
    with pytest.raises(ValueError, match=r"Received: main \(2, 3, 1\), entangled"):
        analysis.feature_maps(features, tmp_path / "maps.png")
    assert not list(tmp_path.iterdir())


def test_feature_maps_need_no_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    analysis.feature_maps(branches([RAMP], [RAMP]), tmp_path / "maps.png")
