"""Pictures of results: score distributions, task weights over training, before/after.

```python
from tfderain import analysis

runs = {"Lp": "scores_lp.json", "Lp+Lt+Le, GB": "scores_gb.json"}
analysis.score_distributions(runs, "figure_8_9.png")
analysis.task_weights("runs/menet/history.csv", "weights.png")
analysis.before_after([(rainy, derained, clean)], "strip.png")
```

The plots need Matplotlib (`pip install "tfderain[analysis]"`), which is imported when
one is drawn. Their functions return the `matplotlib.figure.Figure` they have saved; the
suffix of the path chooses the format (PNG, PDF, SVG, ...). Nothing touches pyplot,
so figures of a notebook or of another thread stay as they are.
"""

import csv
import math
import os
from pathlib import Path

import numpy as np
from PIL import Image

from tfderain import evaluation, files, images, metrics

BINS = 15  # of a histogram, over the range of all runs
_RAINY = "rainy"  # name of the distribution of the images before deraining
_GREY = "0.6"


def score_distributions(results, path, rainy=True):
    """Draws per-image PSNR histograms beside per-image SSIM box plots of several runs.

    This is Figures 8 and 9 of the MENET paper in one picture.

    Args:
        results: dict from the name of a run to its `evaluation.Result` or to the JSON
            file that holds it. All must be scored under one protocol.
        path: the file to write; one that exists is replaced.
        rainy: whether to add the scores of the images before deraining, in grey.

    Raises:
        ValueError: there is no run, or protocols differ.
        ImportError: Matplotlib is not installed.
    """
    results = _load(results)
    figure = _figure(width=12, height=4.5)
    left, right = figure.subplots(1, 2)
    _draw_psnr(left, results, rainy)
    _draw_ssim(right, results, rainy)
    return _save(figure, path)


def psnr_histogram(results, path, rainy=True):
    """Draws the left half of `score_distributions` alone (Figure 8)."""
    results = _load(results)
    figure = _figure(width=6.5, height=4.5)
    _draw_psnr(figure.subplots(), results, rainy)
    return _save(figure, path)


def ssim_boxplot(results, path, rainy=True):
    """Draws the right half of `score_distributions` alone (Figure 9)."""
    results = _load(results)
    figure = _figure(width=6.5, height=4.5)
    _draw_ssim(figure.subplots(), results, rainy)
    return _save(figure, path)


def task_weights(history_csv, path):
    """Draws the weight of each task over training, and the gradient norms if logged.

    Args:
        history_csv: the `history.csv` of a run folder: columns `weight_<task>` and,
            with gradient balance, `gradient_norm_<task>` (drawn on a log scale),
            against `epoch`, or against the row where that column is missing.
        path: the file to write; one that exists is replaced.

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
    figure = _figure(width=12 if norms else 6.5, height=4)
    axes = figure.subplots(1, 2 if norms else 1, squeeze=False)[0]
    _draw_lines(axes[0], steps, weights, "task weight")
    axes[0].set_ylim(bottom=0)
    if norms:
        _draw_lines(axes[1], steps, norms, "gradient norm")
        axes[1].set_yscale("log")
    for axis in axes:
        axis.set_xlabel("epoch" if "epoch" in columns else "row")
    return _save(figure, path)


def before_after(rows, path, gap=8):
    """Puts images side by side, pixel by pixel, one row below the other on white.

    Needs no Matplotlib.

    Args:
        rows: sequence of tuples of arrays `(h, w, 3)`, uint8 or float on [0, 1], such
            as `(rainy, derained)` or `(rainy, derained, clean)`; a row has one size.
        path: the file to write; one that exists is replaced.
        gap: pixels between images.

    Returns:
        The strip, a `PIL.Image.Image`.

    Raises:
        ValueError: there is no image, an array is not RGB, or sizes differ in a row.
    """
    strips = [_strip(row, gap) for row in rows]
    if not strips:
        raise ValueError("There must be at least one row of images. Received: rows=0.")
    width = max(strip.shape[1] for strip in strips)
    height = sum(strip.shape[0] + gap for strip in strips) - gap
    canvas = np.full((height, width, 3), 255, np.uint8)
    top = 0
    for strip in strips:
        canvas[top : top + strip.shape[0], : strip.shape[1]] = strip
        top += strip.shape[0] + gap
    images.write(path, images.Picture(canvas))
    return Image.fromarray(canvas)


def _strip(row, gap):
    arrays = [np.asarray(array) for array in row]
    shapes = {array.shape for array in arrays}
    if len(shapes) != 1 or len(arrays[0].shape) != 3 or arrays[0].shape[2] != 3:
        raise ValueError(
            "The images of a row must be RGB, (h, w, 3), and of one size. "
            f"Received: shapes={[array.shape for array in arrays]}."
        )
    space = np.full((arrays[0].shape[0], gap, 3), 255, np.uint8)
    parts = []
    for array in arrays:
        parts += [images.to_uint8(images.to_float(array)), space]
    return np.concatenate(parts[:-1], axis=1)


def _load(results):
    """Returns the results by name, after a look at their protocols."""
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
    """Returns per-image scores and the color of each run; the rainy images first."""
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
        # a line through the middles of the bins: bars of several runs hide each other
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
    axis.set_ylim(bottom=0)
    axis.set_title("Histogram of PSNR per image (dotted: mean)")
    axis.figure.legend(loc="outside lower center", ncols=3, fontsize="small")


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


def _draw_lines(axis, steps, series, label):
    for task, values in series.items():
        axis.plot(steps, values, marker=".", label=task)
    axis.set_ylabel(label)
    axis.set_title(f"{label}s over training")
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


def _figure(width, height):
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "Plots need Matplotlib; install it with "
            '`pip install "tfderain[analysis]"`. '
            f"Received: {error}."
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def _save(figure, path):
    """Saves the figure whole or not at all, and returns it."""
    path = Path(path)
    kind = path.suffix.removeprefix(".") or "png"
    with files.replacing(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=120)
    return figure
