"""Pictures of results, checked through their axes and pixels."""

import dataclasses
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tfderain import analysis, comparison, evaluation

ROWS = tuple(
    evaluation.Row(f"{n}.png", 20.0 + n, 0.5 + n / 10, 10.0 + n, 0.25, 0.1)
    for n in range(5)
)
RESULT = evaluation.Result("menet", "rgb_gaussian", "data", ROWS, {})
BETTER = dataclasses.replace(
    RESULT, rows=tuple(dataclasses.replace(row, psnr=row.psnr + 8) for row in ROWS)
)


def size_of(path):
    with Image.open(path) as image:
        image.load()
        return image.size


def test_score_distributions_show_every_run(tmp_path):
    BETTER.to_json(tmp_path / "better.json")
    runs = {"plain": RESULT, "better": tmp_path / "better.json"}
    figure = analysis.score_distributions(runs, tmp_path / "scores.png")
    assert size_of(tmp_path / "scores.png") == (1440, 540)  # 12 x 4.5 inches, 120 dpi
    psnr, ssim = figure.axes
    curves = [line for line in psnr.lines if len(line.get_xdata()) > 2]
    labels = [curve.get_label() for curve in curves]
    assert labels == ["rainy: 12.00 dB", "plain: 22.00 dB", "better: 30.00 dB"]
    for curve, low, high in zip(curves, (10, 20, 28), (14, 24, 32), strict=True):
        places, counts = curve.get_xdata(), curve.get_ydata()
        assert counts.sum() == 5
        step = places[1] - places[0]
        used = places[counts > 0]  # middles of bins
        assert low - step <= used.min() and used.max() <= high + step
    means = [line.get_xdata()[0] for line in psnr.lines if len(line.get_xdata()) == 2]
    assert means == [12, 22, 30]
    assert "psnr_rgb (rgb_gaussian)" in psnr.get_xlabel()
    assert [t.get_text() for t in ssim.get_xticklabels()] == [
        "rainy",
        "plain",
        "better",
    ]
    assert len(ssim.patches) == 3
    for box, low, high in zip(
        ssim.patches, (0.25, 0.6, 0.6), (0.25, 0.8, 0.8), strict=True
    ):
        ends = box.get_path().vertices[:, 1]
        # quartiles; those of the runs are of 0.5, 0.6, 0.7, 0.8, 0.9
        assert (ends.min(), ends.max()) == pytest.approx((low, high))


def test_halves_can_be_drawn_alone_and_without_the_rainy_images(tmp_path):
    figure = analysis.psnr_histogram({"a": RESULT}, tmp_path / "a.pdf", rainy=False)
    (axis,) = figure.axes
    assert [line.get_label() for line in axis.lines][0] == "a: 22.00 dB"
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    figure = analysis.ssim_boxplot({"a": RESULT}, tmp_path / "b.png", rainy=False)
    (axis,) = figure.axes
    assert len(axis.patches) == 1


def test_protocols_are_not_mixed(tmp_path):
    other = dataclasses.replace(RESULT, protocol="matlab_y_float")
    with pytest.raises(ValueError, match="a='rgb_gaussian', b='matlab_y_float'"):
        analysis.score_distributions({"a": RESULT, "b": other}, tmp_path / "x.png")
    with pytest.raises(ValueError, match="at least one run"):
        analysis.score_distributions({}, tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


def test_task_weights_against_the_epoch(tmp_path):
    history = tmp_path / "history.csv"
    history.write_text(
        "epoch,loss,weight_edge,weight_texture,gradient_norm_edge,val_weight_edge\n"
        "0,9,0.25,0.75,100,7\n2,8,0.5,0.5,,7\n"
    )
    figure = analysis.task_weights(history, tmp_path / "weights.png")
    weights, norms = figure.axes
    assert size_of(tmp_path / "weights.png")[0] == 1440
    assert [line.get_label() for line in weights.lines] == ["edge", "texture"]
    assert weights.lines[0].get_xdata().tolist() == [0, 2]
    assert weights.lines[1].get_ydata().tolist() == [0.75, 0.5]
    assert [line.get_label() for line in norms.lines] == ["edge"]
    np.testing.assert_array_equal(norms.lines[0].get_ydata(), [100, np.nan])
    assert norms.get_yscale() == "log" and weights.get_xlabel() == "epoch"


def test_task_weights_without_epochs_or_norms(tmp_path):
    history = tmp_path / "history.csv"
    history.write_text("weight_edge\n0.25\n0.5\n0.125\n")
    (axis,) = analysis.task_weights(history, tmp_path / "weights.svg").axes
    assert axis.lines[0].get_xdata().tolist() == [0, 1, 2]
    assert axis.get_xlabel() == "row"


@pytest.mark.parametrize("text", ["epoch,loss\n0,1\n", "epoch,weight_edge\n", ""])
def test_a_history_without_weights_is_refused(text, tmp_path):
    (tmp_path / "history.csv").write_text(text)
    with pytest.raises(ValueError, match=r"history\.csv"):
        analysis.task_weights(tmp_path / "history.csv", tmp_path / "weights.png")


def improved(data="Rain", model="after", **shares):
    return comparison.Improvement(
        "before", model, data, "rgb_gaussian", 25.0, 1.0, **shares
    )


SHARES = {
    "all": comparison.Share(3, 4),
    "hard": comparison.Share(2, 2),
    "easy": comparison.Share(1, 2),
}


def test_improvement_bars_are_as_high_as_the_shares(tmp_path):
    none = dict.fromkeys(SHARES, comparison.Share(0, 0))
    found = [improved(**SHARES), improved("Snow", **none)]
    figure = analysis.improvement_bars(found, tmp_path / "bars.png")
    assert size_of(tmp_path / "bars.png") == (1080, 540)  # 9 x 4.5 inches, 120 dpi
    left, right = figure.axes
    assert [bar.get_height() for bar in left.patches] == [75, 0]
    assert [bar.get_height() for bar in right.patches] == [100, 0, 50, 0]
    middles = [bar.get_x() + bar.get_width() / 2 for bar in right.patches]
    assert middles == pytest.approx([-0.2, 0.8, 0.2, 1.2])  # beside 0 and 1
    assert [text.get_text() for text in left.texts] == ["3/4", "0/0"]
    assert [text.get_text() for text in right.texts] == ["2/2", "0/0", "1/2", "0/0"]
    assert [t.get_text() for t in right.get_xticklabels()] == ["Rain", "Snow"]
    assert left.get_title() == "Images improved over before"
    legend = [text.get_text()[:4] for text in figure.legends[0].get_texts()]
    assert legend == ["hard", "easy"]
    with pytest.raises(ValueError, match="at least one comparison"):
        analysis.improvement_bars([], tmp_path / "none.png")


def test_bars_are_named_by_what_differs(tmp_path):
    found = [improved(model=model, **SHARES) for model in ("a", "b")]
    figure = analysis.improvement_bars(found, tmp_path / "bars.png")
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["a", "b"]
    figure = analysis.improvement_bars(found[:1], tmp_path / "bars.png")
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["Rain\na"]


RAMP = np.arange(6.0).reshape(2, 3)  # one map of 2x3 pixels


def branches(main, residual):
    """Features of one branch per channel, `(2, 3, channels)`, and their sum."""
    main, residual = np.stack(main, axis=-1), np.stack(residual, axis=-1)
    return {"main": main, "residual": residual, "entangled": main + residual}


def cell(path, panel, row, column, size=(2, 3), width=11):
    """Pixels of one map; a panel of three columns is 3 * 3 + 2 pixels wide."""
    step = max(width, analysis.TITLE * 5) + analysis.TITLE
    top = analysis.TITLE + row * (size[0] + 1)
    left = panel * step + column * (size[1] + 1)
    with Image.open(path) as picture:
        return np.asarray(picture)[top : top + size[0], left : left + size[1]]


def test_feature_maps_lie_in_a_square_and_span_black_to_white(tmp_path):
    path = tmp_path / "maps.png"
    ones = np.ones_like(RAMP)
    features = branches([RAMP, -RAMP, *[ones] * 5], [3 * RAMP] * 7)
    correlations = analysis.feature_maps(features, path)
    # 7 maps in 3 columns; panels are as far apart as their names need
    assert size_of(path) == (2 * (80 + 16) + 80, 16 + 3 * 3 - 1)
    ramp = [[0, 51, 102], [153, 204, 255]]
    assert cell(path, 0, 0, 0).tolist() == ramp
    assert cell(path, 0, 0, 1).tolist() == [row[::-1] for row in ramp[::-1]]
    assert (cell(path, 0, 2, 0) == 128).all()  # a constant map
    assert cell(path, 1, 2, 0).tolist() == cell(path, 2, 2, 0).tolist() == ramp
    assert (cell(path, 2, 2, 1) == 255).all()  # no eighth channel
    with Image.open(path) as picture:
        names = np.asarray(picture)[: analysis.TITLE]
    assert all((names[:, left : left + 60] < 255).any() for left in (0, 96, 192))
    # the sum is 4 RAMP, 2 RAMP, 3 RAMP + 1
    np.testing.assert_allclose(correlations["main"][:2], [1, -1], atol=1e-12)  # float64
    assert np.isnan(correlations["main"][2:]).all()
    np.testing.assert_allclose(correlations["residual"], 1, atol=1e-12)


def test_common_scaling_compares_the_branches_of_a_channel(tmp_path):
    path = tmp_path / "maps.png"
    features = branches([RAMP, 9 * RAMP], [RAMP, -9 * RAMP])  # sums: 2 RAMP, zero
    correlations = analysis.feature_maps(features, path, scaling="common")
    shades = [[cell(path, panel, 0, c, width=7) for c in (0, 1)] for panel in (0, 1, 2)]
    (main, ninefold), (_, negative), (entangled, zero) = shades
    assert main.max() == 128 and entangled.max() == 255  # 5 and 10 of 0..10
    assert ninefold.min() == 128 and ninefold.max() == 255  # 0 and 45 of -45..45
    assert negative.min() == 0 and (zero == 128).all()
    assert np.isnan(correlations["main"]).tolist() == [False, True]


def test_225_channels_make_15_columns_and_large_maps_shrink(tmp_path):
    maps = np.random.default_rng(0).random((1, 40, 40, 225), np.float32)
    features = dict.fromkeys(("main", "residual", "entangled"), maps)
    correlations = analysis.feature_maps(features, tmp_path / "maps.png", largest=20)
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
    lines = analysis.correlation_table(values).splitlines()
    assert lines[2].split() == (
        ["main", "3", "-0.600", "0.200", "0.200", "1.000", "33%", "33%"]
    )
    assert lines[3].split() == ["residual", "0", *["nan"] * 4, "0%", "0%"]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"main": RAMP}, r"main \(2, 3\), residual \(2, 3, 1\)"),
        ({"entangled": np.zeros((2, 3, 2))}, r"entangled \(2, 3, 2\)"),
        (dict.fromkeys(analysis.BRANCHES, np.zeros((2, 2, 3, 1))), "of one image"),
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


def test_before_after_keeps_every_pixel(tmp_path):
    rng = np.random.default_rng(0)
    rainy = rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)
    small = rng.random((4, 5, 3))
    analysis.before_after([(rainy, rainy[::-1]), (small, small)], tmp_path / "s.png", 2)
    strip = np.asarray(Image.open(tmp_path / "s.png"))
    assert strip.shape == (6 + 2 + 4, 9 + 2 + 9, 3)
    assert (strip[:6, :9] == rainy).all() and (strip[:6, 11:] == rainy[::-1]).all()
    assert (strip[8:, 7:12] == np.floor(small * 255 + 0.5)).all()
    assert (strip[6:8] == 255).all() and (strip[8:, 12:] == 255).all()


def test_before_after_refuses_unequal_images(tmp_path):
    black = np.zeros((4, 5, 3), "uint8")
    with pytest.raises(ValueError, match=r"\(4, 5, 3\), \(3, 5, 3\)"):
        analysis.before_after([(black, black[1:])], tmp_path / "strip.png")
    with pytest.raises(ValueError, match="rows=0"):
        analysis.before_after([], tmp_path / "strip.png")


def test_a_missing_matplotlib_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"tfderain\[analysis\]"):
        analysis.score_distributions({"a": RESULT}, tmp_path / "scores.png")
    # pictures of pixels need none
    analysis.feature_maps(branches([RAMP], [RAMP]), tmp_path / "maps.png")


def test_pyplot_stays_unloaded(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_analysis as t\n"
        "t.analysis.psnr_histogram({'a': t.RESULT}, sys.argv[2])\n"
        "assert not {'matplotlib.pyplot', 'keras', 'tensorflow'} & set(sys.modules)"
    )
    here = pathlib.Path(__file__).parent
    subprocess.run([sys.executable, "-c", code, here, tmp_path / "a.png"], check=True)
