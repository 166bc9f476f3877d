"""NIQE: distance of an image from natural ones, where no clean image is known.

```python
pristine = niqe.fit(clean_images)
niqe.niqe(photo, pristine)  # 0 or more; lower is more natural
```

Neighbouring pixels of a sharp, clean photo, divided by the local contrast, follow
distributions of known shape; streaks, noise, blur and grids change these shapes. They
are measured at two scales in each block of 96x96 pixels, which gives 36 numbers; the
score is the distance between their distribution in the image and that in clean photos.

NIQE cannot tell whether the picture is the one behind the rain: an image that was
smoothed or sharpened towards the average photo scores well.

Reference: Mittal, Soundararajan and Bovik, 2013, Making a "Completely Blind" Image
Quality Analyzer; https://doi.org/10.1109/LSP.2012.2227726. The authors' own model of
125 photos is not included: scores under one model of clean photos can be compared with
each other, but not with published ones.
"""

import dataclasses
import math
import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from tfderain import extras, images, metrics, reports

BLOCK = 96  # pixels; half as many at the second scale
SHARPNESS = 0.75  # least sharpness of a clean photo's block, relative to its sharpest
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
_SHAPES = np.arange(0.2, 10.001, 0.001)
_GAMMA = [np.array([math.gamma(k / a) for a in _SHAPES]) for k in (1, 2, 3)]
_RATIOS = _GAMMA[1] ** 2 / (_GAMMA[0] * _GAMMA[2])  # grow with the shape


@dataclass(frozen=True, eq=False)
class Pristine:
    """The distribution of the 36 numbers in clean photos, see `fit`.

    Args:
        mean: float64 `(36,)`.
        covariance: float64 `(36, 36)`.
        blocks: int. Number of blocks.
    """

    mean: np.ndarray
    covariance: np.ndarray
    blocks: int


@dataclass(frozen=True)
class Result(reports.Report):
    """NIQE of images before deraining and after it by each model.

    Args:
        names: of the images.
        scores: dict with a score per image, first under `"rainy"` and then under each
            model's name.
        blocks: int. Number of blocks of clean photos behind the scores.
    """

    names: tuple[str, ...]
    scores: dict[str, tuple[float, ...]]
    blocks: int

    def rows(self) -> list[dict]:
        """Per model: mean and median score, share of images that score below rainy."""
        rainy = self.scores["rainy"]
        return [
            {
                "model": name,
                "mean": statistics.mean(scores),
                "median": statistics.median(scores),
                "improved": statistics.mean(
                    score < before for score, before in zip(scores, rainy, strict=True)
                ),
            }
            for name, scores in self.scores.items()
        ]

    def table(self) -> str:
        """Returns a fixed-width table: a line per model."""
        cells = [
            (
                r["model"],
                f"{r['mean']:.3f}",
                f"{r['median']:.3f}",
                f"{r['improved']:.0%}",
            )
            for r in self.rows()
        ]
        about = (
            f"NIQE of {len(self.names)} images, lower is better, "
            f"by {self.blocks} blocks of clean photos"
        )
        titles = ("model", "mean", "median", "below rainy")
        return f"{about}\n\n{reports.text_table(titles, cells)}"

    def as_dict(self) -> dict:
        """Returns all scores as JSON-compatible values."""
        return {**dataclasses.asdict(self), "means": self.rows()}


def fit(images: Iterable[np.ndarray]) -> Pristine:
    """Measures clean photos by their sharp blocks.

    Args:
        images: iterable of RGB arrays `(height, width, 3)`, uint8 or float in [0, 1].
            Those smaller than a block are left out. The authors took 125 photos.

    Raises:
        ValueError: if there are fewer blocks than a covariance of 36 numbers needs.
    """
    chosen = []
    for image in images:
        if min(image.shape[:2]) >= BLOCK:
            numbers, sharpness = features(image)
            chosen.append(numbers[sharpness > SHARPNESS * sharpness.max(initial=0)])
    numbers = np.concatenate(chosen) if chosen else np.empty((0, 36))
    if len(numbers) <= 36:
        raise ValueError(
            f"Clean photos must have more than 36 sharp blocks of {BLOCK}x{BLOCK} "
            f"pixels. Received: {len(numbers)} blocks."
        )
    return Pristine(numbers.mean(axis=0), np.cov(numbers.T), len(numbers))


def niqe(image: np.ndarray, pristine: Pristine) -> float:
    """Returns the distance of an image from clean photos, eq. 10.

    Args:
        image: RGB `(height, width, 3)`, uint8 or float in [0, 1].
        pristine: `Pristine`.

    Raises:
        ValueError: for an image with fewer than two blocks that are not flat.
    """
    numbers, _ = features(image)
    if len(numbers) < 2:
        raise ValueError(
            f"NIQE needs two blocks of {BLOCK}x{BLOCK} pixels of more than one "
            f"colour. Received: {len(numbers)} in shape={image.shape}."
        )
    difference = pristine.mean - numbers.mean(axis=0)
    spread = np.linalg.pinv((pristine.covariance + np.cov(numbers.T)) / 2)
    return math.sqrt(max(0.0, float(difference @ spread @ difference)))


def compare(
    models: dict[str, Any],
    files: Sequence[str | os.PathLike],
    pristine: Pristine,
    progress: reports.Progress | None = None,
    keep: list | None = None,
) -> Result:
    """Scores images before and after models have derained them.

    Args:
        models: dict from a name to a model, see `scores.evaluate`.
        files: paths of rainy images.
        pristine: `Pristine`.
        progress: called with `(done, total)`, in images, or `None`.
        keep: list to which a tuple of arrays is appended per image: the rainy one, then
            that of each model.
    """
    scores = {"rainy": [], **{name: [] for name in models}}
    for file in reports.tracked(files, progress):
        rainy = images.read_rgb(file)
        made = [rainy, *(getattr(m, "derain", m)(rainy) for m in models.values())]
        try:
            found = [niqe(image, pristine) for image in made]
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error
        for name, score in zip(scores, found, strict=True):
            scores[name].append(score)
        if keep is not None:
            keep.append(tuple(made))
    return Result(
        tuple(map(str, files)),
        {name: tuple(each) for name, each in scores.items()},
        pristine.blocks,
    )


def features(image: np.ndarray):
    """The 36 numbers of each block, and how sharp it is.

    Args:
        image: RGB `(height, width, 3)`, uint8 or float in [0, 1]. Pixels beyond the
            last whole block, on the right and at the bottom, are not used.

    Returns:
        `(numbers, sharpness)`, float64 `(blocks, 36)` and `(blocks,)`: mean local
        standard deviation of luma, in grey levels. Blocks of one colour are left out.

    Raises:
        ImportError: without scipy.
    """
    luma = metrics.luma(image, "matlab_y_uint8")
    height, width = (side // BLOCK * BLOCK for side in luma.shape)
    luma = luma[:height, :width].astype(np.float32)
    if not luma.size:
        return np.empty((0, 36)), np.empty(0)
    half = Image.fromarray(luma).resize(
        (width // 2, height // 2), Image.Resampling.BICUBIC
    )
    numbers = []
    for scale, size in ((luma, BLOCK), (np.asarray(half), BLOCK // 2)):
        normalized, deviation = _divide_by_contrast(scale)
        if size == BLOCK:
            sharpness = _blocks(deviation, size).mean(axis=(1, 2))
        blocks = _blocks(normalized, size)
        shape, left, right = _fit_shapes(blocks)
        numbers += [shape, (left + right) / 2]
        for shift in _SHIFTS:
            neighbours = np.roll(blocks, shift, axis=(1, 2))
            shape, left, right = _fit_shapes(blocks * neighbours)
            mean = (right - left) * _at(_GAMMA[1], shape) / _at(_GAMMA[0], shape)
            numbers += [shape, mean, left, right]
    numbers = np.stack(numbers, axis=-1)
    whole = np.isfinite(numbers).all(axis=-1)
    return numbers[whole], sharpness[whole]


def _divide_by_contrast(luma):
    """`(luma less its local mean) / local deviation`, and that deviation, eqs. 1-3."""
    ndimage = extras.require("scipy.ndimage", extra="analysis")

    def smooth(values):
        return ndimage.gaussian_filter(values, 7 / 6, mode="nearest", radius=3)

    luma = luma.astype(np.float64)
    mean = smooth(luma)
    deviation = np.sqrt(np.abs(smooth(luma**2) - mean**2))
    return (luma - mean) / (deviation + 1), deviation


def _blocks(image, size):
    """`(blocks, size, size)` of an image whose sides are multiples of `size`."""
    rows, columns = (side // size for side in image.shape)
    parts = image.reshape(rows, size, columns, size).swapaxes(1, 2)
    return parts.reshape(-1, size, size)


def _fit_shapes(blocks):
    """Asymmetric generalised Gaussians of blocks, by their moments, eqs. 5-8.

    Returns:
        `(shape, left, right)`, each `(blocks,)`: 2 is a Gaussian's shape, 1 a
        Laplacian's; left and right scale. Not finite for a block of one colour.
    """
    values = blocks.reshape(len(blocks), -1)
    squares = values**2
    with np.errstate(divide="ignore", invalid="ignore"):
        left, right = (
            np.sqrt((squares * side).sum(axis=1) / side.sum(axis=1))
            for side in (values < 0, values > 0)
        )
        skew = left / right
        ratio = np.abs(values).mean(axis=1) ** 2 / squares.mean(axis=1)
        ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    finite = np.isfinite(ratio)
    nearest = np.searchsorted(_RATIOS, np.where(finite, ratio, 0))
    shape = np.where(finite, _SHAPES[np.minimum(nearest, len(_SHAPES) - 1)], np.nan)
    scale = np.sqrt(_at(_GAMMA[0], shape) / _at(_GAMMA[2], shape))
    return shape, left * scale, right * scale


def _at(table, shape):
    """Values of a table over `_SHAPES`."""
    return np.interp(shape, _SHAPES, table)
