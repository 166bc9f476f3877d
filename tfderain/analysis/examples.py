"""Examples in pictures: hard and easy images with crops, and gradient maps.

```python
chosen = examples.hard_and_easy(before, after)  # two `evaluation.Result`s
examples.draw(rows, "figure_4.png")
examples.gradient_maps(rainy, clean, "figure_7.png")
```

Figure 4 of ERL-Net's paper (Wang, Sun and Sowmya, ICCV 2019) and Figure 7 of MENET's
(Fan et al., 2020, https://arxiv.org/abs/2003.09689).
"""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfderain import images
from tfderain.evaluation import comparison


def hard_and_easy(reference: Any, result: Any, count: int = 1):
    """The images of each kind that a model improves most.

    Args:
        reference, result: `evaluation.Result`s on the same images; hard images are
            those whose PSNR in `reference` is below its mean.
        count: at most this many of each kind.

    Returns:
        `{"hard": [index, ...], "easy": [...]}`, rows of `result`, best gain first.

    Raises:
        ValueError: protocols or images differ.
    """
    mean = comparison.improvement(reference, result).mean_psnr
    before = {row.name: row.psnr for row in reference.rows}
    gains = [row.psnr - before[row.name] for row in result.rows]
    order = sorted(range(len(gains)), key=lambda index: -gains[index])
    psnr = [before[row.name] for row in result.rows]
    return {
        "hard": [index for index in order if psnr[index] < mean][:count],
        "easy": [index for index in order if psnr[index] > mean][:count],
    }


def draw(
    rows: Sequence[Sequence[np.ndarray]],
    path: str | os.PathLike,
    crop: int = 64,
    zoom: int = 3,
):
    """Draws images in a row, and below them the same part of each, enlarged.

    Args:
        rows: for each example `(rainy, reference, derained, clean)`, arrays `(height,
            width, 3)` of equal size, uint8 or float in [0, 1].
        path: the picture to write.
        crop: side of the part, less in smaller images. It is where `derained` improves
            most on `reference`, measured by the distance from `clean`.
        zoom: factor by which the part is enlarged, by repeating pixels.

    Returns:
        `[(top, left), ...]`: the place of each row's part.
    """
    strips, places = [], []
    for row in rows:
        rainy, reference, derained, clean = map(images.to_float, row)
        side = min(crop, *clean.shape[:2])
        gain = np.abs(reference - clean).mean(-1) - np.abs(derained - clean).mean(-1)
        top, left = best_place(gain, side)
        parts = [
            image[top : top + side, left : left + side]
            for image in (rainy, reference, derained, clean)
        ]
        places.append((top, left))
        strips.append(tuple(row))
        strips.append([p.repeat(zoom, axis=0).repeat(zoom, axis=1) for p in parts])
    images.before_after(strips, path)
    return places


def best_place(values: np.ndarray, side: int):
    """`(top, left)` of the square of `side` pixels with the largest sum of values."""
    padded = np.pad(values.astype(np.float64), ((1, 0), (1, 0)))
    sums = padded.cumsum(0).cumsum(1)
    windows = sums[side:, side:] - sums[:-side, side:]
    windows += sums[:-side, :-side] - sums[side:, :-side]
    place = np.unravel_index(windows.argmax(), windows.shape)
    return int(place[0]), int(place[1])


def gradient_maps(
    rainy: np.ndarray, clean: np.ndarray, path: str | os.PathLike | None = None
):
    """Sobel gradients of a rainy and a clean image: what MENET's edge loss compares.

    Args:
        rainy, clean: `(height, width, 3)`, of one size, uint8 or float on [0, 1].
        path: the picture to write: a row for each image, itself, its vertical and its
            horizontal gradient and their length, absolute values; or `None`. White is
            what 1 % of all lengths exceed, in both rows alike: most of a rainy image's
            would be white at 1.

    Returns:
        Two float32 arrays `(height, width, 3, 3)`: along y, along x, and their norm.
    """
    from tfderain.losses import sobel_edges

    found, both = [], [images.to_float(rainy), images.to_float(clean)]
    for image in both:
        edges = np.split(np.asarray(sobel_edges(image[None]))[0], 2, axis=-1)
        edges = np.stack(edges, axis=-1)  # d/dy, d/dx of each channel
        length = np.sqrt((edges**2).sum(axis=-1, keepdims=True))
        found.append(np.concatenate([edges, length], axis=-1))
    if path is not None:
        white = np.quantile([gradients[..., 2] for gradients in found], 0.99)
        shown = [np.clip(np.abs(g) / max(white, 1e-6), 0, 1) for g in found]
        rows = zip(both, map(maps_of, shown), strict=True)
        images.before_after([(image, *maps) for image, maps in rows], path)
    return tuple(found)


def maps_of(gradients: np.ndarray):
    """The three maps `(height, width, 3)` of what `gradient_maps` returns."""
    return [gradients[..., index] for index in range(gradients.shape[-1])]
