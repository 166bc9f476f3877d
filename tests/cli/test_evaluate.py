"""Commands `evaluate` and `bench`, with a stand-in for the restorer."""

import json
from dataclasses import replace

import numpy as np
import pytest
from commands import Darkener, pairs, picture
from PIL import Image

from tfderain import extras
from tfderain.benchmarks import profiling, timing


def test_evaluate_prints_a_table_and_writes_json(folder, run):
    pairs(folder / "data")
    options = ["--protocol", "rgb_gaussian", "--limit", 1, "--out", "saved"]
    code, out, err = run(
        "evaluate", "menet", "--data", "data", *options, "--json", "new/scores.json"
    )
    assert code == 0, err
    assert "rgb_gaussian" in out and "0.png" in out and err == []
    content = json.loads((folder / "new" / "scores.json").read_text())
    assert content["protocol"] == "rgb_gaussian" and len(content["rows"]) == 1
    with Image.open(folder / "saved" / "0.png") as derained:
        rainy = np.asarray(Image.open(folder / "data" / "rainy" / "0.png"))
        assert (np.asarray(derained) == rainy // 2).all()
    code, _, err = run(
        "evaluate", "menet", "--data", "data", "--json", "new/scores.json"
    )
    assert code == 2 and "--overwrite" in err[0]


def test_evaluate_compares_models_across_data_sets(folder, run):
    pairs(folder / "heavy")
    pairs(folder / "light", count=3)
    for name in ("0", "1"):  # derained elsewhere
        picture(folder / "saved" / "heavy" / f"{name}.png")
    for name in ("0", "1", "2"):
        picture(folder / "saved" / "light" / f"{name}.png", 9)
    options = ["menet", "saved", "--protocol", "rgb_gaussian"]
    options += ["--data", "heavy", "--data", "light", "--data", "heavy"]
    code, out, err = run("evaluate", *options, "--json", "new/table.json")
    assert (code, err) == (0, [])
    about, _, titles, _, rainy, _, menet, saved = out.splitlines()
    assert "psnr_rgb/ssim_rgb" in about
    assert titles.split() == ["model", "heavy", "(2)", "light", "(3)"]
    # rainy and clean are the same picture here, and so is one of the saved ones
    assert rainy.split() == ["rainy", "100.00/1.0000", "100.00/1.0000"]
    assert menet.split()[0] == "menet" and "100.00" not in menet
    assert saved.split()[:2] == ["saved", "100.00/1.0000"]
    content = json.loads((folder / "new" / "table.json").read_text())
    assert content["models"] == ["menet", "saved"]
    assert content["means"]["saved"]["heavy"]["psnr"] == 100
    assert len(content["results"]["menet"]["light"]["rows"]) == 3
    code, _, err = run("evaluate", *options, "--json", "new/table.json")
    assert code == 2 and "--overwrite" in err[0]
    code, out, err = run("evaluate", "saved/heavy", "--data", "heavy", "--limit", 1)
    assert (code, err) == (0, []) and "1 images" in out and "100.00" in out


def test_evaluate_writes_a_report(folder, run):
    pairs(folder / "some data", count=3)
    options = ["--data", "some data", "--protocol", "rgb_gaussian", "--report", "new/r"]
    code, out, err = run("evaluate", "menet", *options)
    assert code == 0 and err == ["report: new/r/report.html"]
    assert "mean of 3 images" in out
    text = (folder / "new" / "r" / "report.html").read_text(encoding="utf-8")
    assert "psnr_rgb" in text and "menet: worst 2" in text and "menet: best 1" in text
    command = "tfderain evaluate menet --data &#x27;some data&#x27; "
    assert f"{command}--protocol rgb_gaussian --report new/r</pre>" in text
    markdown = (folder / "new" / "r" / "report.md").read_text(encoding="utf-8")
    assert "tfderain evaluate menet --data 'some data' " in markdown
    code, _, err = run("evaluate", "menet", *options)
    assert code == 2 and "report.html exists; --overwrite" in err[0]
    options += ["--identity", "--overwrite", "--data", "some data", "--limit", 1]
    code, out, err = run("evaluate", "menet", "other", *options)
    assert code == 2 and "other" in err[0]
    (folder / "own.keras").touch()
    code, out, err = run("evaluate", "menet", "own.keras", *options)
    assert code == 0 and "own.keras" in out
    text = (folder / "new" / "r" / "report.html").read_text(encoding="utf-8")
    assert "menet own.keras --data" in text and "--limit 1 --identity" in text
    assert "clean images, to see" in text and "own.keras: worst 1" in text


def test_a_report_without_matplotlib_says_so(folder, run, monkeypatch):
    monkeypatch.setattr(extras, "installed", lambda *packages: False)
    pairs(folder / "data")
    code, _, err = run("evaluate", "menet", "--data", "data", "--report", "r")
    assert code == 0 and len(err) == 2
    assert 'pip install "tfderain[analysis]"' in err[0]


def test_evaluate_averages_scenes_first(folder, run):
    for scene in ("one", "two"):
        for name in ("R-000", "R-001", "C-000"):
            picture(folder / "data" / scene / f"{scene}-Webcam-{name}.png")
    code, out, err = run("evaluate", "menet", "--data", "data", "--layout", "scenes")
    assert code == 0, err
    assert "mean of one" in out and "mean of 2 groups" in out


@pytest.fixture
def measured(folder, monkeypatch):
    """Stands in for the processes that measure memory and profiles of `own.keras`."""

    def add_memory(one, runtime, threads):
        asked.append((one.model, runtime, threads))
        return replace(one, memory=timing.Memory(5_000_000, 9_000_000))

    def add_profile(one, threads):
        profile = profiling.Profile((32, 48), 1, 0.4, (("Add (ND)", 0.3),))
        return replace(one, profile=profile)

    asked = []
    (folder / "own.keras").touch()
    monkeypatch.setattr(timing, "add_memory", add_memory)
    monkeypatch.setattr(timing, "add_profile", add_profile)
    return asked


def test_bench_prints_a_line_per_model(folder, run, measured):
    options = ["--size", "32x48", "--repeats", 2, "--threads", 1]
    code, out, err = run("bench", "menet", "own.keras", *options, "--json", "t.json")
    assert (code, err) == (0, [])
    assert Darkener.made == ("own.keras", "tensorflow", {"threads": 1})
    assert measured == [("menet", "litert", 1), ("own.keras", "tensorflow", 1)]
    assert "1 thread; " in out
    menet, own = (line.split() for line in out.splitlines()[-2:])
    assert menet[:3] == ["menet", "32x48", "2"], "Darkener names no runtime"
    assert own[0] == "own.keras" and own[-2:] == ["5", "9"]
    content = json.loads((folder / "t.json").read_text())
    assert [len(timing["seconds"]) for timing in content["timings"]] == [2, 2]
    assert content["threads"] == 1


def test_bench_profiles_litert_models_only(folder, run, measured):
    options = ["--size", "32x48", "--profile", "--json", "t.json"]
    code, out, err = run("bench", "menet", *options)
    assert (code, err) == (0, [])
    assert out.splitlines()[-1].split() == ["Add", "(ND)", "1", "0.3000", "100.0%"]
    (one,) = json.loads((folder / "t.json").read_text())["timings"]
    assert one["profile"]["operations"] == [["Add (ND)", 0.3]]
    assert len(one["seconds"]) == 20
    code, _, err = run("bench", "menet", "own.keras", *options, "--overwrite")
    assert code == 2 and "own.keras (tensorflow)" in err[0] and len(err) == 1
