"""Alignment of pairs of two cameras or two shots: shift, gain and offset of exposure.

```python
rainy, clean = alignment.aligned(rainy, clean)  # of one view and one exposure
```

Pairs with drops on the glass are taken by two cameras side by side, or one after the
other, so that the clean image lies some pixels beside the rainy one and is lighter or
darker. A network that learns from them as they are learns to blur and to darken. The
shift is found by phase correlation (Kuglin and Hines, 1975), the exposure by least
squares on what is alike in both, which are the dry places. Needs numpy only.
"""

import numpy as np

MOST_SHIFT = 4  # pixels
BLOCK = 8  # pixels: exposure is compared on means of such squares
KEPT = 0.4  # share of these that are taken for dry: those that fit best
GAINS = (0.6, 1.6)  # what two exposures may differ by; beyond, one is left alone
MOST_OFFSET = 40  # grey levels: the haze of a wet pane, which dry places keep


def aligned(rainy: np.ndarray, clean: np.ndarray):
    """The part that both images show, the clean one in the exposure of the rainy one.

    Args:
        rainy, clean: uint8 arrays `(height, width, 3)` of one shape, at least 4 *
            `MOST_SHIFT` high and wide.

    Returns:
        Both, smaller by the shift that was found, at most `MOST_SHIFT` on each axis.
    """
    down, right = find_shift(rainy, clean)
    height, width = rainy.shape[:2]
    here = [
        slice(max(s, 0), n + min(s, 0)) for s, n in ((down, height), (right, width))
    ]
    there = [
        slice(max(-s, 0), n + min(-s, 0)) for s, n in ((down, height), (right, width))
    ]
    rainy, clean = rainy[tuple(here)], clean[tuple(there)]
    gains, offsets = find_exposure(rainy, clean)
    fitted = np.rint(np.clip(gains * clean + offsets, 0, 255)).astype(np.uint8)
    return np.ascontiguousarray(rainy), fitted


def find_shift(rainy: np.ndarray, clean: np.ndarray) -> tuple[int, int]:
    """Pixels, down and right, by which the rainy image lies beside the clean one.

    Args:
        rainy, clean: arrays `(height, width, 3)` of one shape.
    """
    spectra = []
    for image in (rainy, clean):
        grey = image.astype(np.float32).mean(axis=-1)
        windows = [np.hanning(side + 2)[1:-1].astype(np.float32) for side in grey.shape]
        grey = (grey - grey.mean()) * windows[0][:, None] * windows[1]
        spectra.append(np.fft.rfft2(grey))
    cross = spectra[0] * np.conj(spectra[1])
    # Square root of the magnitude, between plain and phase correlation: drops are
    # smooth, so that they would outweigh the scene in the one, and noise in the other.
    cross /= np.sqrt(np.abs(cross)) + 1e-6
    # Only what is finer than drops: they are in one of the images alone.
    rows = np.fft.fftfreq(rainy.shape[0])[:, None]
    distance = np.hypot(rows, np.fft.rfftfreq(rainy.shape[1]))
    cross *= (distance > 0.03) & (distance < 0.35)
    peak = np.fft.irfft2(cross, rainy.shape[:2])
    around = np.roll(peak, (MOST_SHIFT, MOST_SHIFT), (0, 1))
    around = around[: 2 * MOST_SHIFT + 1, : 2 * MOST_SHIFT + 1]
    down, right = np.unravel_index(int(around.argmax()), around.shape)
    return int(down) - MOST_SHIFT, int(right) - MOST_SHIFT


def find_exposure(rainy: np.ndarray, clean: np.ndarray):
    """Gains and offsets `(3,)` that turn the clean image's dry places into the rainy's.

    Least squares over means of squares, again and again over the share `KEPT` of them
    that fits best (Rousseeuw, 1984, least trimmed squares), with offsets of at most
    `MOST_OFFSET`. 1 and 0 for a channel whose gain comes out beyond `GAINS`.

    Args:
        rainy, clean: uint8 arrays `(height, width, 3)` of one shape.
    """
    height, width = (side // BLOCK * BLOCK for side in rainy.shape[:2])
    means = [
        image[:height, :width]
        .reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK, 3)
        .astype(np.float64)
        .mean((1, 3))
        .reshape(-1, 3)
        for image in (rainy, clean)
    ]
    # White and black pixels say nothing of exposure.
    usable = [((x > 8) & (x < 247)).all(axis=-1) for x in means]
    wet, dry = (x[usable[0] & usable[1]] for x in means)
    gains, offsets = np.ones(3), np.zeros(3)
    kept = max(8, int(KEPT * len(wet)))
    if len(wet) < 2 * 8:
        return gains, offsets
    for _ in range(20):
        residual = np.abs(wet - gains * dry - offsets).sum(axis=-1)
        best = np.argsort(residual, kind="stable")[:kept]
        x, y = dry[best], wet[best]
        centred = x - x.mean(0)
        spread = np.square(centred).sum(0)
        # A flat channel has an offset only.
        slope = (centred * y).sum(0) / np.maximum(spread, 1e-9)
        gains = np.where(spread > 4.0 * kept, slope, 1.0)
        offsets = np.clip(y.mean(0) - gains * x.mean(0), -MOST_OFFSET, MOST_OFFSET)
        gains = (y.mean(0) - offsets) / np.maximum(x.mean(0), 1.0)
    wrong = (gains < GAINS[0]) | (gains > GAINS[1])
    return np.where(wrong, 1.0, gains), np.where(wrong, 0.0, offsets)
