"""scripts/score_sizes.py: gains at sizes, against what an ideal model reaches."""

import numpy as np
import pytest
import script_modules
from helpers import images


@pytest.fixture(scope="module")
def script():
    return script_modules.script("score_sizes")


class Ideal:
    """Gives the enlarged clean image, half of the rain left."""

    def __init__(self, script, clean, size):
        self.clean = script.enlarged(clean, size).astype(float)

    def derain(self, rainy):
        return (rainy + self.clean) / 2


@pytest.mark.parametrize("size", [1, 2, 4])
def test_half_of_the_rain_left_is_a_gain_of_six_decibels(script, size):
    clean = np.rint(150 * images(12, 20, 3)).astype(np.uint8)
    rainy = clean + np.uint8(60)
    rainy[::2] += 30
    ideal = Ideal(script, clean, size)
    like, plain = script.gain(ideal, rainy, clean, size)
    # 20 log10(2) but for rounding of the enlarged images to whole levels
    assert like == pytest.approx(6.02, abs=0.05)
    assert plain <= like + 0.05


def test_a_table_is_printed(script, tmp_path, capsys):
    from PIL import Image

    for name in ("rainy", "clean"):
        (tmp_path / name).mkdir()
        picture = Image.new("RGB", (24, 16), (90, 120, 40))
        picture.putpixel((3, 4), (200, 200, 200) if name == "rainy" else (91, 120, 40))
        picture.save(tmp_path / name / "1.png")
    script.main(["jrgr", "--data", str(tmp_path), "--sizes", "1", "2"])
    printed = capsys.readouterr().out
    assert "jrgr, scales auto, 1 pairs" in printed
    assert "2 times: like" in printed
