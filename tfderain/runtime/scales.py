"""Scales, coarse to fine: removal of rain that is larger than in a network's training.

The streaks in a 12-megapixel photo are many times as long and wide as those that
networks learn from, and are left in place. On a copy of half the size they are half as
large. So the rain is first removed from reduced copies, the smallest first; the change
there is enlarged and added to the next larger one. Only the change is: fine detail
comes from the picture itself. All copies together take a third of the picture's work
and memory.

A picture that was enlarged, or is out of focus, shows nothing that its copy of half the
size does not show. In that case only the change of the copy is used, since soft edges
look like soft streaks to a network. `detail` measures this.

```python
half = scales.halved(rainy)
change = network(half) - half
derained = network(rainy + scales.doubled(change, rows, columns))
```
"""

from collections.abc import Sequence

import numpy as np

# Least length of the smallest copy's longer side: about that of the training images.
COARSEST = 480
MOST = 6  # 15,360 pixels and more
# Relative to the largest detail of smaller copies. Bicubically enlarged pictures had
# 0.07 to 0.17 of it; sharp ones have about as much at every size, blurred ones half.
LEAST_DETAIL = 0.25


def count_scales(size: tuple[int, int], scales: int | str = "auto") -> int:
    """Number of scales, including the picture itself.

    Args:
        size: `(height, width)` of the picture.
        scales: int from 1, or `"auto"` for as many as leave the smallest copy's longer
            side at `COARSEST` pixels or more.

    Returns:
        int from 1, at most as many as leave the shorter side one pixel.

    Raises:
        ValueError: for anything else.
    """
    if scales == "auto":
        wanted = 1 + max(0, int(np.log2(max(size) / COARSEST)))
    elif isinstance(scales, int) and not isinstance(scales, bool) and scales >= 1:
        wanted = scales
    else:
        raise ValueError(
            f'`scales` must be "auto" or a number from 1. Received: scales={scales!r}.'
        )
    return min(wanted, 1 + int(np.log2(max(min(size), 1))), MOST)


def sizes(size: tuple[int, int], count: int):
    """`(height, width)` of the picture and of its reduced copies, largest first."""
    return [tuple(-(-side // 2**scale) for side in size) for scale in range(count)]


def halved(image: np.ndarray):
    """A copy of half the size: means of 2x2 pixels; odd sides repeat their edge.

    Args:
        image: float32 array `(height, width, channels)`.

    Returns:
        float32 array `(ceil(height / 2), ceil(width / 2), channels)`.
    """
    odd = [(0, side % 2) for side in image.shape[:2]]
    if any(edge for _, edge in odd):
        image = np.pad(image, (*odd, (0, 0)), mode="edge")
    half = image[0::2, 0::2] + image[1::2, 0::2]
    half += image[0::2, 1::2]
    half += image[1::2, 1::2]
    half *= np.float32(0.25)
    return half


def detail(image: np.ndarray, half: np.ndarray):
    """How much an image shows that its copy of half the size does not.

    Args:
        image: float32 array `(height, width, channels)`; all rows of it and of `half`,
            or some that correspond.
        half: the result of `halved` for it.

    Returns:
        float: mean absolute difference between the image and its enlarged copy.
    """
    rows, columns = (np.arange(side) for side in image.shape[:2])
    enlarged = np.clip(doubled(half, rows, columns), 0, 1)
    return float(np.abs(image - enlarged).mean())


def used(details: Sequence[float]) -> tuple[bool, ...]:
    """At which sizes a picture shows something that is worth a network's work.

    Args:
        details: `detail` of the picture and of its reduced copies, largest first.

    Returns:
        bool for each; always true for the last, the smallest copy.
    """
    largest, found = 0.0, []
    for own in reversed(details):
        found.append(own >= LEAST_DETAIL * largest)
        largest = max(own, largest)
    return tuple(reversed(found))


def doubled(image: np.ndarray, rows: np.ndarray, columns: np.ndarray):
    """Some rows and columns of an image at twice its size; `halved` inverts this.

    Each pixel becomes two with the same mean, which follow the slope of the pixels
    beside it. Bilinear enlargement has other means: what was removed from the small
    copy would be removed from the picture only in part, and leave a tenth of the rain.

    Args:
        image: float16 or float32 array `(height, width, channels)`.
        rows, columns: int arrays, indices into the enlarged image.

    Returns:
        float32 array `(len(rows), len(columns), channels)`.
    """
    for axis, indices in enumerate((rows, columns)):
        near = indices // 2
        before = np.maximum(near - 1, 0)
        after = np.minimum(near + 1, image.shape[axis] - 1)
        low, high = before.min(), after.max() + 1
        part = image[low:high] if axis == 0 else image[:, low:high]
        part = part.astype(np.float32, copy=False)
        rise = part.take(after - low, axis) - part.take(before - low, axis)
        half = np.where(indices % 2, np.float32(0.125), np.float32(-0.125))
        image = part.take(near - low, axis)
        image += rise * (half[:, None, None] if axis == 0 else half[:, None])
    return image
