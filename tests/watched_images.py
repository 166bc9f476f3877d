"""Images with known errors as `evaluate` shows them, for tests of what it keeps."""

import numpy as np

from tfderain import evaluation
from tfderain.analysis import extremes
from tfderain.metrics import psnr


def watched(levels, count=2, size=(8, 12)):
    """Extremes of images whose error has these levels, all over."""
    watch = extremes.Extremes(count)
    clean = np.full((*size, 3), 100, np.uint8)
    for number, level in enumerate(levels):
        shown = (clean + np.uint8(90), clean + np.uint8(level), clean)
        score = psnr(shown[1], clean)
        row = evaluation.Row(f"{number}.png", score, 0.5, 10.0, 0.4, 0.1)
        watch("model", "set", row, shown)
    return watch
