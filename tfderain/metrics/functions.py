"""PSNR and SSIM as functions of NumPy arrays, and their core for any backend."""

import functools
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfderain import images

PSNR_CAP = 100.0  # dB; one perfect image must not make a mean infinite
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_CENTRE = 128.0  # subtracted before squaring: float32 variances lose fewer digits
_GAUSSIAN = np.exp(-(np.arange(-5.0, 6.0) ** 2) / (2 * 1.5**2))
_GAUSSIAN = tuple(float(tap) for tap in _GAUSSIAN / _GAUSSIAN.sum())
_UNIFORM = (1 / 7,) * 7


@dataclass(frozen=True)
class Protocol:
    """A protocol; luma is `offset + (weights . rgb) / divisor`, exact in integers."""

    channel: str
    weights: tuple = ()  # none: the colour channels themselves
    divisor: int = 1
    offset: int = 0
    rounded: bool = False
    taps: tuple = _GAUSSIAN  # of the separable SSIM window
    sample_covariance: bool = False
    scaled_down: str | None = None  # before SSIM: "filter" or "blocks"
    origin: str = ""  # whose numbers are computed so


_MATLAB_LUMA = {"weights": (65481, 128553, 24966), "divisor": 255_000, "offset": 16}
_RAINMER_LUMA = {"weights": (256789, 504129, 97906), "divisor": 10**6, "offset": 16}
_OPENCV_LUMA = {"weights": (4899, 9617, 1868), "divisor": 2**14}  # fixed point, 14 bits
_PROTOCOLS = {
    "matlab_y_uint8": Protocol(
        "y",
        **_MATLAB_LUMA,
        rounded=True,
        origin="MATLAB scripts of Restormer, MPRNet and MSPFN",
    ),
    "matlab_y_float": Protocol(
        "y",
        **_MATLAB_LUMA,
        scaled_down="filter",
        origin="MATLAB scripts of PReNet and RCDNet",
    ),
    "rainmer_y_float": Protocol(
        "y",
        **_RAINMER_LUMA,
        scaled_down="blocks",
        origin="Python script of Rainmer and CoIC",
    ),
    "opencv_y_uniform": Protocol(
        "y",
        **_OPENCV_LUMA,
        rounded=True,
        taps=_UNIFORM,
        sample_covariance=True,
        origin="OpenCV and scikit-image, as for raindrops (AGAN)",
    ),
    "rgb_gaussian": Protocol("rgb", origin="scikit-image, as for GT-RAIN"),
}
PROTOCOLS = tuple(_PROTOCOLS)


def channel(protocol: str) -> str:
    """Returns `"y"` or `"rgb"`, the channel that a protocol scores.

    Raises:
        ValueError: the protocol is unknown; the message lists the known ones.
    """
    return find(protocol).channel


def describe(protocol: str) -> str:
    """Returns what a protocol scores, in one sentence for people.

    Raises:
        ValueError: the protocol is unknown; the message lists the known ones.
    """
    found = find(protocol)
    scored = "R, G and B, 0 to 255"
    if found.channel == "y":
        low, high = (16, 235) if found.offset else (0, 255)
        kind = "rounded to whole levels" if found.rounded else "not rounded"
        scored = f"luma (Y) from {low} to {high}, {kind}"
    side = len(found.taps)
    uniform = found.taps == _UNIFORM
    window = f"{side}x{side}, " + ("uniform" if uniform else "Gaussian of sigma 1.5")
    smaller = ", on copies averaged down" if found.scaled_down else ""
    return (
        f"{scored}; PSNR with peak 255; SSIM in windows of {window}{smaller} "
        f"({found.origin})"
    )


def psnr(
    derained: ArrayLike, clean: ArrayLike, protocol: str = "matlab_y_float"
) -> float | np.ndarray:
    """Peak signal-to-noise ratio in dB, at most `PSNR_CAP`, computed in float64.

    Args:
        derained: array `(h, w, 3)` or `(n, h, w, 3)`, uint8, or float on [0, 1], which
            is clipped and rounded to uint8 first because scores are about saved files.
        clean: array of the same shape, uint8 or float on [0, 1]: the ground truth.
        protocol: one of `PROTOCOLS`.

    Returns:
        A float for one image, a float64 array `(n,)` for a batch.

    Raises:
        ValueError: shapes differ, an image is not RGB, values are not finite, a clean
            float image goes beyond [0, 1], or the protocol is unknown.
    """
    single, derained, clean = _integers(derained, clean)
    values = psnr_of(np, derained, clean, find(protocol))
    return float(values[0]) if single else values


def ssim(
    derained: ArrayLike, clean: ArrayLike, protocol: str = "matlab_y_float"
) -> float | np.ndarray:
    """Mean structural similarity, at most 1, computed in float64.

    Arguments, return values and errors are those of `psnr`; there is also a
    `ValueError` for an image smaller than the window (11 pixels, or 7 for
    `opencv_y_uniform`).
    """
    single, derained, clean = _integers(derained, clean)
    values = ssim_of(np, derained, clean, find(protocol))
    return float(values[0]) if single else values


def luma(image: ArrayLike, protocol: str = "matlab_y_float") -> np.ndarray:
    """Luma as integers in equal steps, so that differences can be compared exactly.

    Args:
        image: array `(h, w, 3)` or `(n, h, w, 3)`, uint8, or float on [0, 1], which is
            rounded to uint8 first.
        protocol: one of `PROTOCOLS` that scores luma.

    Returns:
        An int32 array `(h, w)` or `(n, h, w)`. A step is 1/255000 of a grey level for
        `matlab_y_float`, 1/1000000 for `rainmer_y_float`, and a grey level for the
        others; black is 0.

    Raises:
        ValueError: as `psnr`, and if the protocol scores R, G and B.
    """
    found = find(protocol)
    if not found.weights:
        raise ValueError(
            f"The protocol must score luma (Y). Received: protocol={protocol!r}."
        )
    single, rgb, _ = _integers(image, image)
    steps = _luma(rgb, found)[..., 0]
    return steps[0] if single else steps


def find(protocol: str) -> Protocol:
    """Returns the `Protocol` of this name."""
    if protocol not in _PROTOCOLS:
        raise ValueError(
            f"`protocol` must be one of {', '.join(PROTOCOLS)}. "
            f"Received: protocol={protocol!r}."
        )
    return _PROTOCOLS[protocol]


def _integers(derained, clean):
    """Returns whether one image was given, and both as int32 `(n, h, w, 3)`, 0..255."""
    derained, clean = np.asarray(derained), np.asarray(clean)
    shape = clean.shape
    if derained.shape != shape or clean.ndim not in (3, 4) or shape[-1] != 3:
        raise ValueError(
            "Images must be RGB, (h, w, 3) or (n, h, w, 3), and of the same shape. "
            f"Received: derained.shape={derained.shape}, clean.shape={shape}."
        )
    if not clean.size:
        raise ValueError(f"Images must not be empty. Received: shape={shape}.")
    _check_values("derained", derained)
    _check_values("clean", clean, low=0.0, high=1.0)
    pair = (images.to_uint8(images.to_float(x)) for x in (derained, clean))
    pair = (x.astype(np.int32).reshape(-1, *shape[-3:]) for x in pair)
    return (clean.ndim == 3, *pair)


def _check_values(name, image, low=-np.inf, high=np.inf):
    """Refuses what rounding to uint8 would hide: NaN, and ground truth up to 255.0.

    A network's output may go slightly beyond [0, 1] and is clipped; the ground truth
    may not.
    """
    if image.dtype == np.uint8:
        return
    if not np.issubdtype(image.dtype, np.floating):
        raise ValueError(
            f"Images must be uint8 or float. Received: {name}.dtype={image.dtype}."
        )
    least, most = float(image.min()), float(image.max())
    if not (np.isfinite([least, most]).all() and low <= least and most <= high):
        raise ValueError(
            "Float images must be finite, and clean ones within [0, 1]. "
            f"Received: {name} from {least:g} to {most:g}."
        )


# One implementation for both: `xp` is NumPy (float64) or keras.ops (float32), whose
# names agree, and `derained` and `clean` are int32 RGB `(n, h, w, 3)`.


def psnr_of(xp: Any, derained: Any, clean: Any, protocol: Protocol):
    """PSNR in dB of each image, by NumPy or `keras.ops` (`xp`), see `psnr`."""
    difference = _planes(xp, derained, protocol) - _planes(xp, clean, protocol)
    error = _mean(xp, difference * difference)
    floor = 255**2 / 10 ** (PSNR_CAP / 10)
    return 10 * xp.log10(255**2 / xp.maximum(error, floor))


def ssim_of(xp: Any, derained: Any, clean: Any, protocol: Protocol):
    """SSIM of each image, by NumPy or `keras.ops` (`xp`), see `ssim`."""
    _check_window(xp.shape(clean)[1:3], len(protocol.taps))
    x, y = (_planes(xp, rgb, protocol) - _CENTRE for rgb in (derained, clean))
    if protocol.scaled_down:
        down = {"filter": _scale_down, "blocks": _pool_down}[protocol.scaled_down]
        x, y = down(xp, x), down(xp, y)
    if xp is not np:
        return _mean(xp, _similarity(xp, x, y, protocol))
    # in strips that fit the cache: measured 2 to 4 times faster, a third of the memory
    last = len(protocol.taps) - 1
    tops = range(0, x.shape[1] - last, 32)
    strips = [slice(top, top + 32 + last) for top in tops]
    maps = [_similarity(np, x[:, rows], y[:, rows], protocol) for rows in strips]
    return _mean(np, np.concatenate(maps, axis=1))


def _mean(xp, values):
    """Returns the mean of each image.

    In two steps: a single float32 sum over 150,000 pixels lost 1e-4 of an SSIM.
    """
    return xp.mean(xp.mean(values, axis=(2, 3)), axis=1)


def _planes(xp, rgb, protocol):
    """Turns int32 RGB into the float planes `(n, h, w, 1 or 3)` that are scored."""

    def to_float(values):
        return values.astype(np.float64) if xp is np else xp.cast(values, "float32")

    if not protocol.weights:
        return to_float(rgb)
    steps = to_float(_luma(rgb, protocol))
    if not protocol.rounded:
        steps = steps / protocol.divisor
    return steps + protocol.offset


def _luma(rgb, protocol):
    """Turns int32 RGB into luma `(n, h, w, 1)` in the steps that `luma` describes."""
    weighted = (rgb[..., i : i + 1] * w for i, w in enumerate(protocol.weights))
    total = functools.reduce(operator.add, weighted)
    if protocol.rounded:  # half up, exact: these are integers
        return (total + protocol.divisor // 2) // protocol.divisor
    return total


def _similarity(xp, x, y, protocol):
    """Returns the SSIM map of float planes, 0..255 less `_CENTRE`."""
    # concatenated, so that XLA compiles one filter instead of four
    maps = xp.concatenate([x, y, x * x + y * y, x * y], axis=-1)
    maps = _smooth(maps, protocol.taps)
    mean_x, mean_y, squares, products = xp.split(maps, 4, axis=-1)
    count = len(protocol.taps) ** 2
    scale = count / (count - 1) if protocol.sample_covariance else 1.0
    variances = squares - mean_x**2 - mean_y**2
    covariance = products - mean_x * mean_y
    mean_x, mean_y = mean_x + _CENTRE, mean_y + _CENTRE
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    return luminance * (2 * scale * covariance + _C2) / (scale * variances + _C2)


def _smooth(planes, taps):
    """Filters `(n, h, w, c)` by `taps` along height and width, inside the image only.

    It sums shifted slices, since a GPU may compute a convolution in TF32.
    """
    last = len(taps) - 1
    steps = [(tap, slice(i, i - last or None)) for i, tap in enumerate(taps)]
    parts = (tap * planes[:, rows] for tap, rows in steps)
    planes = functools.reduce(operator.add, parts)
    parts = (tap * planes[:, :, columns] for tap, columns in steps)
    return functools.reduce(operator.add, parts)


def _check_window(size, window):
    if any(isinstance(side, int) and side < window for side in size):
        raise ValueError(
            f"SSIM needs at least {window} pixels per side under this protocol. "
            f"Received: size={tuple(size)}."
        )


def _scale_down(xp, planes):
    """Averages blocks of f x f pixels, f = max(1, round(shorter side / 256)).

    As in PReNet's `ssim.m`: MATLAB rounds half up (640 pixels give 3), its filter
    mirrors the border including the edge pixel, and the centre of an even filter is
    the upper left of the four middle pixels.
    """
    height, width = xp.shape(planes)[1:3]
    if isinstance(height, int) and isinstance(width, int):
        factor = max(1, (2 * min(height, width) + 256) // 512)
        if factor == 1:
            return planes
    else:  # a graph for images of any size
        factor = xp.maximum(1, (2 * xp.minimum(height, width) + 256) // 512)
    for axis, side in ((1, height), (2, width)):
        starts = xp.arange((side + factor - 1) // factor) * factor - (factor - 1) // 2
        pixels = starts[:, None] + xp.arange(factor)[None, :]
        pixels = xp.where(pixels < 0, -1 - pixels, pixels)
        pixels = xp.where(pixels >= side, 2 * side - 1 - pixels, pixels)
        planes = xp.mean(xp.take(planes, pixels, axis=axis), axis=axis + 1)
    return planes


def _pool_down(xp, planes):
    """Averages blocks of f x f pixels as Rainmer's `evaluation.py` does.

    Python rounds half to even (640 pixels give 2), and an incomplete last block is
    dropped.
    """
    height, width = xp.shape(planes)[1:3]
    if isinstance(height, int) and isinstance(width, int):
        factor = max(1, round(min(height, width) / 256))
        if factor == 1:
            return planes
    else:  # a graph for images of any size
        shorter = xp.cast(xp.minimum(height, width), "float32") / 256
        factor = xp.maximum(1, xp.cast(xp.round(shorter), "int32"))
    for axis, side in ((1, height), (2, width)):
        pixels = xp.arange(side // factor)[:, None] * factor + xp.arange(factor)[None]
        planes = xp.mean(xp.take(planes, pixels, axis=axis), axis=axis + 1)
    return planes
