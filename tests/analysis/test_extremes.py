"""Extremes: which images are the worst and the best, and what is shown of them."""

import numpy as np
import pytest
from watched_images import watched

from tfderain import evaluation
from tfderain.analysis import extremes


@pytest.mark.parametrize(
    "levels, worst, best",
    [
        ([5, 1, 4, 2, 3, 6], ["5", "0"], ["1", "3"]),
        ([1, 2, 3], ["2", "1"], ["0"]),  # none is both
        ([7], ["0"], []),
        ([3, 3, 3, 3], ["0", "1"], ["0", "1"]),  # equal: the first ones
    ],
)
def test_worst_and_best_are_the_extremes(levels, worst, best):
    watch = watched(levels)
    names = [
        [one.row.name.removesuffix(".png") for one in kind("model", "set")]
        for kind in (watch.worst, watch.best)
    ]
    assert names == [worst, best]
    assert watch.worst("model", "other") == []


def test_parts_show_where_the_error_is():
    clean = np.full((120, 200, 3), 100, np.uint8)
    derained = clean.copy()
    derained[80:90, 150:160] = 220  # left there
    rainy = derained.copy()
    rainy[10:20, 20:30] = 220  # taken off there
    watch = extremes.Extremes(1)
    for number in range(2):
        row = evaluation.Row(f"{number}", 20.0 + number, 0.5, 10.0, 0.4, 0.1)
        watch("m", "s", row, (rainy, derained, clean))
    (worst,), (best,) = watch.worst("m", "s"), watch.best("m", "s")

    def covers(one, top, left):
        start = np.array(one.place)
        return (start <= (top, left)).all() and (start + one.side >= (top, left)).all()

    assert worst.side == 96 and covers(worst, 85, 155) and covers(best, 15, 25)
    wholes, crops = worst.parts
    assert [part.shape for part in crops] == [(192, 192, 3)] * 3  # twice as large
    assert [part.shape for part in wholes] == [(115, 192, 3)] * 3
    top, left = worst.place
    np.testing.assert_array_equal(
        crops[1][::2, ::2], derained[top : top + 96, left : left + 96]
    )
