"""Charts of results: scores, improvements, task weights during training.

```python
from tfderain import analysis

runs = {"Lp": "scores_lp.json", "Lp+Lt+Le, GB": "scores_gb.json"}
analysis.score_distributions(runs, "figure_8_9.png")
analysis.task_weights("runs/menet/history.csv", "weights.png")
```

The plots need Matplotlib (`pip install "tfderain[analysis]"`), which is imported when
one is drawn. The functions return the `matplotlib.figure.Figure` that they have saved;
the suffix of the path chooses the format (PNG, PDF, SVG, ...). They do not use pyplot,
so that figures of a notebook or another thread are not affected.
"""

import csv
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfderain import evaluation, extras, files, metrics
from tfderain.evaluation.comparison import Improvement

BINS = 15  # of a histogram, over the range of all runs
_RAINY = "rainy"  # name of the distribution of the images before deraining
_GREY = "0.6"


def score_distributions(
    results: dict[str, evaluation.Result | str | os.PathLike],
    path: str | os.PathLike,
    rainy: bool = True,
):
    """Draws histograms of PSNR per image next to box plots of SSIM, for several runs.

    This is Figures 8 and 9 of the MENET paper in one picture.

    Args:
        results: dict from the name of a run to its `evaluation.Result` or to the JSON
            file that holds it. All must be scored under one protocol.
        path: the file to write; an existing one is replaced.
        rainy: whether to add the scores of the images before deraining, in grey.

    Raises:
        ValueError: there is no run, or protocols differ.
        ImportError: Matplotlib is not installed.
    """
    results = _load(results)
    figure = new_figure(width=12, height=4.5)
    left, right = figure.subplots(1, 2)
    _draw_psnr(left, results, rainy)
    _draw_ssim(right, results, rainy)
    return save_figure(figure, path)


def psnr_histogram(
    results: dict[str, evaluation.Result | str | os.PathLike],
    path: str | os.PathLike,
    rainy: bool = True,
):
    """Draws the per-image PSNR histograms of several runs: Figure 8 of MENET's paper.

    Args, returns and errors are those of `score_distributions`.
    """
    return _draw_alone(_draw_psnr, results, path, rainy)


def ssim_boxes(
    results: dict[str, evaluation.Result | str | os.PathLike],
    path: str | os.PathLike,
    rainy: bool = True,
):
    """Draws per-image SSIM box plots of several runs: Figure 9 of MENET's paper.

    Args, returns and errors are those of `score_distributions`.
    """
    return _draw_alone(_draw_ssim, results, path, rainy)


def task_weights(history_csv: str | os.PathLike, path: str | os.PathLike):
    """Draws the weight of each task during training, and gradient norms if logged.

    Args:
        history_csv: the `history.csv` of a run folder: columns `weight_<task>` and,
            with gradient balance, `gradient_norm_<task>` (drawn on a log scale),
            against `epoch`, or against the row number if that column is missing.
        path: the file to write; an existing one is replaced.

    Raises:
        ValueError: the file has no column `weight_<task>` or no row.
        ImportError: Matplotlib is not installed.
    """
    columns = _read_columns(history_csv)
    weights = _tasks(columns, "weight_")
    norms = _tasks(columns, "gradient_norm_")
    if not weights or not len(next(iter(weights.values()))):
        raise ValueError(
            "A history must have columns named `weight_<task>` and at least one row. "
            f"Received: path={str(history_csv)!r}, columns={', '.join(columns)}."
        )
    rows = np.arange(len(next(iter(weights.values()))))
    steps = columns.get("epoch", rows)
    figure = new_figure(width=12 if norms else 6.5, height=4)
    axes = figure.subplots(1, 2 if norms else 1, squeeze=False)[0]
    _draw_lines(axes[0], steps, weights, "task weight")
    axes[0].set_ylim(bottom=0)
    if norms:
        _draw_lines(axes[1], steps, norms, "gradient norm")
        axes[1].set_yscale("log")
    for axis in axes:
        axis.set_xlabel("epoch" if "epoch" in columns else "row")
    return save_figure(figure, path)


def improvement_bars(found: Sequence[Improvement], path: str | os.PathLike):
    """Draws the shares of improved images: all on the left, hard and easy on the right.

    This is Figure 3 of the ERL-Net paper. The numbers of images are above the bars; the
    dotted line is at one half.

    Args:
        found: sequence of `comparison.Improvement`.
        path: the file to write; an existing one is replaced.

    Raises:
        ValueError: `found` is empty.
        ImportError: Matplotlib is not installed.
    """
    if not found:
        raise ValueError("There must be at least one comparison. Received: found=().")
    figure = new_figure(width=max(9, 3 + 2.2 * len(found)), height=4.5)
    left, right = figure.subplots(1, 2, sharey=True)
    _draw_shares(left, found, {"all": ("C0", None)})
    hard = "hard: PSNR of the reference below its mean"
    easy = "easy: above its mean"
    _draw_shares(right, found, {"hard": ("C3", hard), "easy": ("C2", easy)})
    left.set_ylabel("images improved, %")
    references = {one.reference for one in found}
    over = references.pop() if len(references) == 1 else "the reference"
    left.set_title(f"Images improved over {over}")
    right.set_title("Hard and easy images")
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    return save_figure(figure, path)


def _draw_alone(draw, results, path, rainy):
    results = _load(results)
    figure = new_figure(width=5.5, height=4)  # legible at the width of a phone
    draw(figure.subplots(), results, rainy)
    return save_figure(figure, path)


def _load(results):
    """Returns the results by name, after checking their protocols."""
    if not results:
        raise ValueError("There must be at least one run. Received: results={}.")
    loaded = {
        name: evaluation.Result.from_json(result)
        if isinstance(result, (str, os.PathLike))
        else result
        for name, result in results.items()
    }
    protocols = {name: result.protocol for name, result in loaded.items()}
    if len(set(protocols.values())) > 1:
        raise ValueError(
            "Scores under different protocols cannot be compared. "
            f"Received: {', '.join(f'{n}={p!r}' for n, p in protocols.items())}."
        )
    return loaded


def _scores(results, score, rainy):
    """Returns the scores per image and the color of each run; rainy images first."""
    first = next(iter(results.values()))
    scores, colors = {}, []
    if rainy:
        scores[_RAINY] = [getattr(row, f"input_{score}") for row in first.rows]
        colors.append(_GREY)
    for number, (name, result) in enumerate(results.items()):
        scores[name] = [getattr(row, score) for row in result.rows]
        colors.append(f"C{number}")
    protocol = first.protocol
    return scores, colors, f"{score}_{metrics.channel(protocol)} ({protocol})"


def _draw_psnr(axis, results, rainy):
    scores, colors, label = _scores(results, "psnr", rainy)
    everything = np.concatenate(list(scores.values()))
    low, high = math.floor(everything.min()), math.ceil(everything.max())
    edges, step = np.linspace(low, max(high, low + 1), BINS + 1, retstep=True)
    for (name, values), color in zip(scores.items(), colors, strict=True):
        mean = float(np.mean(values))
        counts, _ = np.histogram(values, edges)
        # a line through the bin centres, since bars of several runs hide each other
        axis.plot(
            np.linspace(edges[0] - step / 2, edges[-1] + step / 2, BINS + 2),
            [0, *counts, 0],
            color=color,
            linewidth=1.6,
            label=f"{name}: {mean:.2f} dB",
        )
        axis.axvline(mean, color=color, linestyle=":", linewidth=1.2)
    axis.set_xlabel(f"{label}, dB")
    axis.set_ylabel("images")
    axis.yaxis.get_major_locator().set_params(integer=True)
    axis.set_ylim(bottom=0)
    axis.set_title("Histogram of PSNR per image (dotted: mean)")
    ncols = 3 if axis.figure.get_figwidth() > 8 else 2
    axis.figure.legend(loc="outside lower center", ncols=ncols, fontsize="small")


def _draw_ssim(axis, results, rainy):
    scores, colors, label = _scores(results, "ssim", rainy)
    boxes = axis.boxplot(
        list(scores.values()),
        tick_labels=list(scores),
        patch_artist=True,
        showmeans=True,
        meanprops={"marker": "D", "markersize": 4, "markerfacecolor": "white"}
        | {"markeredgecolor": "black"},
        medianprops={"color": "black"},
    )
    for box, color in zip(boxes["boxes"], colors, strict=True):
        box.set(facecolor=color, alpha=0.6)
    axis.set_ylabel(label)
    axis.set_title("SSIM per image (line: median, diamond: mean)")
    if sum(map(len, scores)) > 40:  # characters that fit side by side
        for text in axis.get_xticklabels():
            text.set(rotation=30, ha="right", rotation_mode="anchor")


def _draw_shares(axis, found, kinds):
    """Draws a group of bars per comparison, a bar per kind of images."""
    width = 0.8 / len(kinds)
    for place, (kind, (color, label)) in enumerate(kinds.items()):
        shares = [getattr(one, kind) for one in found]
        bars = axis.bar(
            np.arange(len(found)) + (place - (len(kinds) - 1) / 2) * width,
            [100 * (share.fraction or 0) for share in shares],
            width,
            color=color,
            label=label,
        )
        counts = [f"{share.improved}/{share.count}" for share in shares]
        axis.bar_label(bars, counts, fontsize="small")
    axis.axhline(50, color="black", linestyle=":", linewidth=1)
    axis.set_ylim(0, 110)  # room for the numbers above a full bar
    axis.set_yticks(range(0, 101, 20))
    axis.set_xticks(range(len(found)), _short_names(found))


def _short_names(found):
    """Returns the data set and model of each comparison, as far as they differ."""
    differ = [
        part
        for part in ("data", "model")
        if len({getattr(one, part) for one in found}) > 1
    ] or ["data", "model"]
    return ["\n".join(getattr(one, part) for part in differ) for one in found]


def _draw_lines(axis, steps, series, label):
    for task, values in series.items():
        axis.plot(steps, values, marker=".", label=task)
    axis.set_ylabel(label)
    axis.set_title(f"{label}s during training")
    axis.grid(alpha=0.3)
    axis.legend(fontsize="small")


def _tasks(columns, prefix):
    return {
        n.removeprefix(prefix): v for n, v in columns.items() if n.startswith(prefix)
    }


def _read_columns(path):
    """Returns the columns of a CSV file as float arrays; empty cells become NaN."""
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        names = reader.fieldnames or []
        rows = list(reader)
    return {
        name: np.array([float(row[name] or "nan") for row in rows]) for name in names
    }


def new_figure(width: float, height: float):
    """A Matplotlib figure of this size in inches, not shown in any window."""
    figures = extras.require("matplotlib.figure", extra="analysis")
    return figures.Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Any, path: str | os.PathLike):
    """Saves a figure, whole or not at all, and returns it."""
    path = Path(path)
    kind = path.suffix.removeprefix(".") or "png"
    with files.replacing(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=120)
    return figure
