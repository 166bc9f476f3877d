"""Charts of results, checked through their axes."""

import dataclasses
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from pictures import size_of

from tfderain import analysis, evaluation
from tfderain.analysis import charts
from tfderain.evaluation import comparison

ROWS = tuple(
    evaluation.Row(f"{n}.png", 20.0 + n, 0.5 + n / 10, 10.0 + n, 0.25, 0.1)
    for n in range(5)
)
RESULT = evaluation.Result("menet", "rgb_gaussian", "data", ROWS, {})
BETTER = dataclasses.replace(
    RESULT, rows=tuple(dataclasses.replace(row, psnr=row.psnr + 8) for row in ROWS)
)


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


def test_histogram_and_boxes_come_alone_as_well(tmp_path):
    runs = {"plain": RESULT, "better": BETTER}
    both = analysis.score_distributions(runs, tmp_path / "both.png").axes
    alone = [
        draw(runs, tmp_path / "one.svg").axes
        for draw in (charts.psnr_histogram, charts.ssim_boxes)
    ]
    assert [len(axes) for axes in alone] == [1, 1]
    for (axis,), other in zip(alone, both, strict=True):
        assert axis.get_title() == other.get_title()
        assert [x.get_xydata().tolist() for x in axis.lines] == [
            x.get_xydata().tolist() for x in other.lines
        ]
    ticks = alone[0][0].yaxis.get_major_locator()()
    assert all(tick == round(tick) for tick in ticks)  # images are whole


def test_scores_without_the_rainy_images(tmp_path):
    path = tmp_path / "a.pdf"
    figure = analysis.score_distributions({"a": RESULT}, path, rainy=False)
    psnr, ssim = figure.axes
    assert [line.get_label() for line in psnr.lines][0] == "a: 22.00 dB"
    assert len(ssim.patches) == 1
    assert path.read_bytes().startswith(b"%PDF")


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


def test_a_missing_matplotlib_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"tfderain\[analysis\]"):
        analysis.score_distributions({"a": RESULT}, tmp_path / "scores.png")


def test_pyplot_stays_unloaded(tmp_path):
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]; import test_charts as t\n"
        "t.analysis.improvement_bars([t.improved(**t.SHARES)], sys.argv[1])\n"
        "assert not {'matplotlib.pyplot', 'keras', 'tensorflow'} & set(sys.modules)"
    )
    here = pathlib.Path(__file__).parent
    arguments = (tmp_path / "a.png", here, here.parent)
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)


def test_figures_are_none_of_pyplots(tmp_path):
    from matplotlib import pyplot  # which Matplotlib itself loads for a box plot

    before = pyplot.get_fignums()
    analysis.score_distributions({"a": RESULT}, tmp_path / "scores.png")
    assert pyplot.get_fignums() == before
