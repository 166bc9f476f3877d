"""Pictures of results: scores, improvements, task weights, before/after, features.

```python
from tfderain import analysis

runs = {"Lp": "scores_lp.json", "Lp+Lt+Le, GB": "scores_gb.json"}
analysis.score_distributions(runs, "figure_8_9.png")
analysis.task_weights("runs/menet/history.csv", "weights.png")
analysis.before_after([(rainy, derained, clean)], "strip.png")
features = model.middle_features(rainy[None])  # an entangled network, as ERLNet
correlations = analysis.feature_maps(features, "features.png")
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
from PIL import Image, ImageDraw

from tfderain import evaluation, files, images, metrics, scoring

BINS = 15  # of a histogram, over the range of all runs
_RAINY = "rainy"  # name of the distribution of the images before deraining
_GREY = "0.6"
BRANCHES = ("main", "residual", "entangled")  # of `feature_maps`, left to right
SCALINGS = ("own", "common")
_STATISTICS = (np.min, np.mean, np.median, np.max)
TITLE = 16  # pixels, the height of the names above the panels


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
    figure = new_figure(width=12, height=4.5)
    left, right = figure.subplots(1, 2)
    _draw_psnr(left, results, rainy)
    _draw_ssim(right, results, rainy)
    return save_figure(figure, path)


def psnr_histogram(results, path, rainy=True):
    """Draws the left half of `score_distributions` alone (Figure 8)."""
    results = _load(results)
    figure = new_figure(width=6.5, height=4.5)
    _draw_psnr(figure.subplots(), results, rainy)
    return save_figure(figure, path)


def ssim_boxplot(results, path, rainy=True):
    """Draws the right half of `score_distributions` alone (Figure 9)."""
    results = _load(results)
    figure = new_figure(width=6.5, height=4.5)
    _draw_ssim(figure.subplots(), results, rainy)
    return save_figure(figure, path)


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


def improvement_bars(found, path):
    """Draws the shares of improved images: all on the left, hard and easy on the right.

    This is Figure 3 of the ERL-Net paper. Above a bar stand the numbers of images; the
    dotted line is at one half.

    Args:
        found: sequence of `comparison.Improvement`.
        path: the file to write; one that exists is replaced.

    Raises:
        ValueError: there is none.
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
    right.set_title("Of the hard and of the easy images")
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    return save_figure(figure, path)


def feature_maps(features, path, scaling="own", largest=128):
    """Draws every channel of three feature maps, and correlates the channels.

    This is Figure R1 of the ERL-Net rebuttal: from left to right a square of the main,
    the residual and the entangled branch's channels, row by row (225 channels make 15
    columns), each under its name. Needs no Matplotlib.

    Args:
        features: dict with the arrays `"main"`, `"residual"` and `"entangled"`, each
            `(height, width, channels)`, or with a batch axis of one in front.
        path: the file to write; one that exists is replaced.
        scaling: `"own"`: each map runs from black, its least value, to white, its
            greatest: patterns show, sizes do not. `"common"`: black and white are the
            least and the greatest value of a channel over the three branches, whose
            maps of that channel can then be compared. A constant map is grey.
        largest: int. Larger maps are averaged down to at most so many pixels a side.

    Returns:
        `{"main": array, "residual": array}`, float64 `(channels,)`: the correlation of
        each channel with the same channel of the entangled branch, over the pixels; NaN
        where a map is constant.

    Raises:
        ValueError: a branch is missing, arrays are not of one shape `(h, w, c)`, values
            are not finite, or the scaling is unknown.
    """
    stacked = _branches(features)
    if scaling not in SCALINGS:
        raise ValueError(
            f"`scaling` must be one of {', '.join(SCALINGS)}. Received: {scaling=}."
        )
    panels = [_panel(maps, largest) for maps in _scaled(stacked, scaling)]
    canvas = _titled(panels, BRANCHES)
    images.write(path, images.Picture(canvas))
    *parts, entangled = stacked
    return {
        name: _correlations(part, entangled)
        for name, part in zip(BRANCHES, parts, strict=False)
    }


def correlation_table(correlations) -> str:
    """Returns a fixed-width text about what `feature_maps` returned.

    Per branch: number of channels (not constant), least, mean, median and greatest
    correlation, and the shares of channels above 0.5 and below -0.5.
    """
    titles = ("correlation with entangled", "channels", "least", "mean", "median")
    titles += ("greatest", "> 0.5", "< -0.5")
    rows = []
    for branch, values in correlations.items():
        known = values[~np.isnan(values)]
        numbers = [f(known) if known.size else np.nan for f in _STATISTICS]
        shares = [(known > 0.5).mean(), (known < -0.5).mean()] if known.size else [0, 0]
        cells = [f"{n:.3f}" for n in numbers] + [f"{share:.0%}" for share in shares]
        rows.append((branch, str(known.size), *cells))
    return scoring.text_table(titles, rows)


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


def _branches(features):
    """Returns the features as float64 `(3, h, w, c)`, in the order of `BRANCHES`."""
    arrays = {name: np.asarray(features[name]) for name in BRANCHES if name in features}
    shapes = {name: array.shape for name, array in arrays.items()}
    unlike = len(shapes) < len(BRANCHES) or len(set(shapes.values())) > 1
    if unlike or shapes["main"][:-3] not in ((), (1,)) or 0 in shapes["main"]:
        raise ValueError(
            "Features must be main, residual and entangled, of one image, (h, w, c), "
            "and of one shape. Received: "
            f"{', '.join(f'{name} {shape}' for name, shape in shapes.items())}."
        )
    shape = shapes["main"][-3:]
    # bfloat16 has no direct way to float64 in NumPy's own constructor
    parts = [array.astype(np.float64).reshape(shape) for array in arrays.values()]
    stacked = np.stack(parts)
    if not np.isfinite(stacked).all():
        raise ValueError("Features must be finite. Received: NaN or infinity.")
    return stacked


def _scaled(stacked, scaling):
    """Returns uint8 maps `(3, h, w, c)`."""
    axes = (1, 2) if scaling == "own" else (0, 1, 2)
    low = stacked.min(axis=axes, keepdims=True)
    span = stacked.max(axis=axes, keepdims=True) - low
    # 0 / 1 where all values are equal; grey is then put in its place
    shades = (stacked - low) / np.where(span > 0, span, 1)
    return images.to_uint8(np.where(span > 0, shades, 0.5))


def _panel(maps, largest):
    """Puts the channels of uint8 `(h, w, c)` into a square, a white pixel between."""
    factor = math.ceil(max(maps.shape[:2]) / largest)
    cells = [
        np.asarray(Image.fromarray(maps[..., channel]).reduce(factor))
        for channel in range(maps.shape[-1])
    ]
    columns = math.ceil(math.sqrt(len(cells)))
    height, width = (side + 1 for side in cells[0].shape)
    rows = math.ceil(len(cells) / columns)
    panel = np.full((rows * height - 1, columns * width - 1), 255, np.uint8)
    for place, cell in enumerate(cells):
        top, left = place // columns * height, place % columns * width
        panel[top : top + height - 1, left : left + width - 1] = cell
    return panel


def _titled(panels, names):
    """Puts panels of one size side by side, `TITLE` pixels high names above them."""
    height, width = panels[0].shape
    step = max(width, TITLE * 5) + TITLE  # a name takes up to five times its height
    canvas = np.full((height + TITLE, len(panels) * step - TITLE), 255, np.uint8)
    for place, panel in enumerate(panels):
        canvas[TITLE:, place * step : place * step + width] = panel
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    for place, name in enumerate(names):
        draw.text((place * step, 2), name, fill=0)
    return np.asarray(picture)


def _correlations(first, second):
    """Correlation of each channel of two arrays `(h, w, c)` over the pixels."""
    # not by their norms: rounding of the mean leaves some of a constant map
    varies = (np.ptp(first, axis=(0, 1)) > 0) & (np.ptp(second, axis=(0, 1)) > 0)
    first, second = (x - x.mean(axis=(0, 1)) for x in (first, second))
    norms = np.sqrt((first**2).sum(axis=(0, 1)) * (second**2).sum(axis=(0, 1)))
    products = (first * second).sum(axis=(0, 1))
    return np.where(varies, products / np.where(varies, norms, 1), np.nan)


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
    """Returns data set and model of each comparison, as far as they differ."""
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


def new_figure(width, height):
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "Plots need Matplotlib; install it with "
            '`pip install "tfderain[analysis]"`. '
            f"Received: {error}."
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure, path):
    """Saves the figure whole or not at all, and returns it."""
    path = Path(path)
    kind = path.suffix.removeprefix(".") or "png"
    with files.replacing(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=120)
    return figure
