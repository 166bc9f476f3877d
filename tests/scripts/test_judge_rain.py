"""The judge of synthetic rain: its table, its names, and what it refuses."""

import numpy as np
import official
import pth_files
import pytest
import script_modules
from PIL import Image

from tfderain.data import editors, lines


@pytest.fixture(scope="module")
def script():
    return script_modules.script("judge_rain")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Weights of a PReNet that changes nothing, clean pictures, and pairs."""
    folder, rng = tmp_path_factory.mktemp("judge"), np.random.default_rng(0)
    tensors = official.tensors(official.load("prenet"))
    idle = {name: np.zeros_like(tensor) for name, tensor in tensors.items()}
    pth_files.write_bare(folder / "net.pth", idle)
    for part in ("clean", "pairs/rainy", "pairs/clean"):
        (folder / part).mkdir(parents=True)
    for i in range(3):
        clean = rng.integers(100, size=(40, 48, 3), dtype=np.uint8)
        Image.fromarray(clean).save(folder / f"clean/{i}.png")
        Image.fromarray(clean).save(folder / f"pairs/clean/{i}.png")
        Image.fromarray(clean + 60).save(folder / f"pairs/rainy/{i}.png")
    Image.fromarray(clean[:9]).save(folder / "clean/small.png")
    return folder


def options(folder):
    clean, judge = folder / "clean", f"idle={folder / 'net.pth'}"
    return f"{judge} --clean {clean} --count 3 --crop 32 --psnr 22".split()


def test_table(script, folder, capsys):
    names = ["lines", "thin:width=3,4:coverage=0.2,0.3", "fine", "heavy"]
    pairs = ["--pairs", str(folder / "pairs")]
    script.main([*options(folder), "--rain", *names, *pairs])
    heading, _, *rows = capsys.readouterr().out.strip().splitlines()
    assert " ".join(heading.split()) == "judge idle, Y crops rainy derained gain error"
    assert [row.split()[0] for row in rows] == [*names, "layers", "pairs"]
    for row in rows:
        count, rainy, derained, gain, error = row.split()[1:]
        assert (count, rainy, gain, error) == ("3", derained, "0.00", "0.00")
    # Grey rain all over at 22 dB: luma runs over 219 of 255 levels; 20.3 levels round.
    difference = 20 * np.log10(255 / 219)
    layers, pairs = (float(row.split()[2]) for row in rows[-2:])
    assert layers == pytest.approx(22 + difference, abs=0.15)
    assert pairs == pytest.approx(20 * np.log10(255 / 60) + difference, abs=0.01)


def test_names_of_looks(script):
    assert script.look("lines") == lines.HEAVY and script.look("night") is None
    changed = script.look("broad:second=0.5:grain=1,2")
    assert isinstance(changed, editors.Look)
    assert (changed.second, changed.grain) == (0.5, (1.0, 2.0))


@pytest.mark.parametrize(
    "name", ["snow", "own", "heavy:width=1,2", "lines:wide=1,2", "lines:width=a"]
)
def test_unknown_names_are_refused(name, script, folder, capsys):
    with pytest.raises(SystemExit) as error:
        script.main([*options(folder), "--rain", name])
    assert error.value.code == 2
    assert "--rain" in capsys.readouterr().err


def test_too_few_pictures(script, folder):
    with pytest.raises(
        ValueError, match="4 pictures of at least 32 pixels.* 3 of them"
    ):
        script.clean_crops(folder / "clean", 4, 32, seed=0)
