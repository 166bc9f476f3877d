"""Commands `analyze ...`, with a stand-in for the restorer."""

import json
from unittest import mock

import numpy as np
import pytest
from commands import pairs, picture
from PIL import Image

from tfderain import models


def test_analyze_scores_draws_several_evaluations(folder, run):
    pairs(folder / "data", count=3)
    for name in ("a", "b"):
        code, _, err = run(
            "evaluate", "menet", "--data", "data", "--json", f"{name}.json"
        )
        assert code == 0, err
    code, out, err = run("analyze", "scores", "a.json", "b.json", "--out", "s.png")
    assert (code, out.strip()) == (0, "s.png"), err
    with Image.open("s.png") as image:
        assert image.width > image.height


def test_analyze_improvement_prints_and_draws(folder, run):
    for number in range(3):
        picture(folder / "data" / "rainy" / f"{number}.png", 80 + number)
        picture(folder / "data" / "clean" / f"{number}.png", 41)  # Darkener: 40, 40, 41
    before = ["evaluate", "data/rainy", "--data", "data", "--json", "before.json"]
    after = ["evaluate", "menet", "--data", "data", "--json", "after.json"]
    for command in (before, after):
        assert run(*command)[0] == 0
    command = [
        "analyze",
        "improvement",
        "before.json",
        "after.json",
        "--json",
        "i.json",
    ]
    code, out, err = run(*command, "--out", "bars.png")
    assert (code, err) == (0, [])
    assert "100.0% (3/3)" in out and "data/rainy" in out
    (found,) = json.loads((folder / "i.json").read_text())["improvements"]
    assert found["all"] == {"improved": 3, "count": 3, "fraction": 1}
    # 39, 40 and 41 levels off: -log is convex, so the middle one is below the mean
    assert (found["hard"]["count"], found["easy"]["count"]) == (2, 1)
    with Image.open(folder / "bars.png") as image:
        assert image.size == (1080, 540)
    code, _, err = run(*command)
    assert code == 2 and "i.json exists" in err[0]
    code, _, err = run("analyze", "improvement", "before.json")
    assert code == 2 and "only those of data/rainy" in err[0]


def test_analyze_regions_takes_models_and_folders(folder, run):
    pixels = np.full((16, 24, 3), 100, "uint8")
    for side in ("rainy", "clean", "masks"):
        (folder / "data" / side).mkdir(parents=True)
    Image.fromarray(pixels // 2).save("data/clean/1.png")  # what Darkener makes of it
    Image.fromarray(pixels).save("data/rainy/1.png")
    mask = np.zeros((16, 24), "uint8")
    mask[:4] = 255
    (folder / "masks").mkdir()
    Image.fromarray(mask).save("masks/rainregion-001.png")
    options = ["--data", "data", "--json", "r.json", "--out", "maps"]
    command = ["analyze", "regions", "data/rainy", "menet", *options]
    code, out, err = run(*command, "--masks", "masks")
    assert (code, err) == (0, [])
    assert out.splitlines()[0].startswith("menet against data/rainy, matlab_y_float")
    row = ["1.png", "25.0%", "75.0%", "1.0000", "1.0000"]
    assert out.splitlines()[4].split() == row
    assert json.loads((folder / "r.json").read_text())["mior"] == 1
    with Image.open(folder / "maps" / "rain" / "1.png") as image:
        assert (np.asarray(image) == mask).all()
    code, _, err = run(*command, "--masks", "masks")
    assert code == 2 and "r.json exists" in err[0]
    code, out, err = run(*command, "--overwrite")  # all pixels differ alike
    assert code == 0 and "1 images without rain" in out
    (folder / "r.json").unlink()
    code, _, err = run(*command)
    assert code == 1 and "4 existing" in err[0]


class TwoBranches:
    """Stands in for an entangled network."""

    def middle_features(self, rainy):
        assert rainy.shape == (1, 16, 24, 3) and rainy.dtype == np.float32
        maps = np.stack([rainy[:, ::4, ::4, 0], -rainy[:, ::4, ::4, 1]], axis=-1)
        return {"main": maps, "residual": -maps, "entangled": 2 * maps}


def test_analyze_features_draws_the_branches(folder, run):
    picture(folder / "a.png")
    command = ["analyze", "features", "net", "a.png", "--out", "new/f.png"]
    network = mock.patch.object(
        models, "load", autospec=True, return_value=TwoBranches()
    )
    with network as load:
        code, out, err = run(*command, "--json", "f.json", "--scaling", "common")
    assert (code, err) == (0, []) and load.call_args.args == ("net",)
    correlations = json.loads((folder / "f.json").read_text())
    # float64 of float32 pixels
    assert correlations["main"] == pytest.approx([1, 1], abs=1e-12)
    assert correlations["residual"] == pytest.approx([-1, -1], abs=1e-12)
    *_, main, residual, path = out.splitlines()
    assert main.split()[:4] == ["main", "2", "1.000", "1.000"]
    assert residual.split()[-1] == "100%" and path.endswith("f.png")
    with Image.open(path) as image:
        assert image.size == (3 * 80 + 2 * 16, 16 + 4)  # as wide as the names need
    (folder / "new" / "f.png").unlink()
    with mock.patch.object(models, "load", autospec=True, return_value=models.MENET()):
        code, out, err = run(*command)
    assert (code, out) == (2, "") and not (folder / "new" / "f.png").exists()
    assert err == [
        "error: Only a network with two branches, such as ERLNet, has features to "
        "compare. Received: net, a MENET."
    ]


def test_analyze_weights_draws_a_history(folder, run):
    (folder / "own").mkdir()
    (folder / "own" / "history.csv").write_text(
        "epoch,loss,weight_edge,weight_texture\n0,3,0.5,0.5\n1,2,0.6,0.4\n"
    )
    code, out, err = run("analyze", "weights", "own", "--out", "w.png")
    assert (code, out.strip()) == (0, "w.png"), err
    with Image.open("w.png") as image:
        assert image.format == "PNG"
