"""Feature maps of an entangled network's branches: a picture, and correlations.

```python
features = model.middle_features(rainy[None])  # an entangled network such as ERLNet
correlations = analysis.feature_maps(features, "features.png")
print(correlations.table())
```
"""

import math
import os
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from tfderain import images, reports

BRANCHES = ("main", "residual", "entangled")  # of `feature_maps`, left to right
SCALINGS = ("own", "common")
_STATISTICS = (np.min, np.mean, np.median, np.max)
TITLE = 16  # pixels, the height of the names above the panels


@dataclass(frozen=True, eq=False)
class Correlations(reports.Report):
    """How the channels of two branches correlate with the entangled branch's.

    Args:
        branches: `{"main": array, "residual": array}`, float64 `(channels,)`: the
            correlation of each channel with the same channel of the entangled branch,
            over the pixels; NaN where a map is constant.
    """

    branches: dict[str, np.ndarray]

    def as_dict(self) -> dict:
        """Returns the correlations as lists, `None` where a map is constant."""
        return {
            name: [None if math.isnan(value) else value for value in values.tolist()]
            for name, values in self.branches.items()
        }

    def table(self) -> str:
        """Returns a fixed-width table: a line per branch.

        It has the number of channels that are not constant, the least, mean, median and
        greatest correlation, and the shares of channels above 0.5 and below -0.5.
        """
        titles = ("correlation with entangled", "channels", "least", "mean", "median")
        titles += ("greatest", "> 0.5", "< -0.5")
        rows = [(name, *_cells(values)) for name, values in self.branches.items()]
        return reports.text_table(titles, rows)


def _cells(values):
    known = values[~np.isnan(values)]
    numbers = [f(known) if known.size else np.nan for f in _STATISTICS]
    shares = [(known > 0.5).mean(), (known < -0.5).mean()] if known.size else [0, 0]
    cells = [f"{n:.3f}" for n in numbers] + [f"{share:.0%}" for share in shares]
    return [str(known.size), *cells]


def feature_maps(
    features: dict[str, np.ndarray],
    path: str | os.PathLike,
    scaling: str = "own",
    largest: int = 128,
) -> Correlations:
    """Draws every channel of three feature maps, and correlates the channels.

    This is Figure R1 of the ERL-Net rebuttal: from left to right, squares of the main,
    the residual and the entangled branch's channels, row by row (225 channels in 15
    columns), each under its name. Needs no Matplotlib.

    Args:
        features: dict with the arrays `"main"`, `"residual"` and `"entangled"`, each
            `(height, width, channels)`, or with a batch axis of one in front.
        path: the file to write; an existing one is replaced.
        scaling: `"own"`: each map ranges from black, its least value, to white, its
            greatest: this shows patterns, but not magnitudes. `"common"`: black and
            white are the least and the greatest value of a channel over the three
            branches, so that their maps can be compared. Constant maps are grey.
        largest: int. Larger maps are averaged down to at most this many pixels a side.

    Raises:
        ValueError: a branch is missing, arrays do not share one shape `(h, w, c)`,
            values are not finite, or the scaling is unknown.
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
    return Correlations(
        {
            name: _correlations(part, entangled)
            for name, part in zip(BRANCHES, parts, strict=False)
        }
    )


def _branches(features):
    """Returns the features as float64 `(3, h, w, c)`, in the order of `BRANCHES`."""
    arrays = {name: np.asarray(features[name]) for name in BRANCHES if name in features}
    shapes = {name: array.shape for name, array in arrays.items()}
    unlike = len(shapes) < len(BRANCHES) or len(set(shapes.values())) > 1
    if unlike or shapes["main"][:-3] not in ((), (1,)) or 0 in shapes["main"]:
        raise ValueError(
            "Features must be main, residual and entangled, of one image, (h, w, c), "
            "and of equal shape. Received: "
            f"{', '.join(f'{name} {shape}' for name, shape in shapes.items())}."
        )
    shape = shapes["main"][-3:]
    # NumPy's own constructor cannot convert bfloat16 to float64 directly
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
    # 0 / 1 where all values are equal; replaced by grey later
    shades = (stacked - low) / np.where(span > 0, span, 1)
    return images.to_uint8(np.where(span > 0, shades, 0.5))


def _panel(maps, largest):
    """Puts the channels of uint8 `(h, w, c)` in a square, separated by white lines."""
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
    """Puts panels of equal size side by side, with names `TITLE` pixels high above."""
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
    # not by norms: because of rounding, a constant map minus its mean is not quite zero
    varies = (np.ptp(first, axis=(0, 1)) > 0) & (np.ptp(second, axis=(0, 1)) > 0)
    first, second = (x - x.mean(axis=(0, 1)) for x in (first, second))
    norms = np.sqrt((first**2).sum(axis=(0, 1)) * (second**2).sum(axis=(0, 1)))
    products = (first * second).sum(axis=(0, 1))
    return np.where(varies, products / np.where(varies, norms, 1), np.nan)
