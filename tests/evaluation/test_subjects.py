"""Subjects of a scoring: which derained image belongs to which pair."""

import numpy as np
import pytest
from PIL import Image

from tfderain.data.pairs import Pairs
from tfderain.evaluation import subjects


def save(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save(path)
    return str(path)


def test_derained_images_may_be_called_as_the_clean_ones(tmp_path):
    rainy = tuple(save(tmp_path / f"rain-{n}.png") for n in (1, 10))
    clean = tuple(save(tmp_path / f"norain-{n}.png") for n in (1, 10))
    saved = [save(tmp_path / f"out/norain-{n}.png") for n in ("010", "001")]
    assert list(subjects.find_derained(tmp_path / "out", Pairs(rainy, clean))) == [
        saved[1],
        saved[0],
    ]
    with pytest.raises(ValueError, match=r"2 files \(rain-1\.png, rain-10\.png\)"):
        # many rainy images of one clean one: its name would serve them all
        subjects.find_derained(tmp_path / "out", Pairs(rainy, clean[:1] * 2))
