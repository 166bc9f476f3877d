"""Each command parses, calls and prints; modules that take long are stood in for."""

import json
import sys
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from tfderain import cli, export, models, runtime, training
from tfderain.benchmarks import profiling, timing
from tfderain.cli import console, pictures
from tfderain.export import report


class Darkener:
    """Stands in for `runtime.Restorer`; keeps what it was made with."""

    made = ()

    def __init__(self, model="menet", runtime="litert", **settings):
        Darkener.made = (model, runtime, settings)

    def derain(self, pixels, progress=None):
        return pixels // 2


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in, without presets, and a fast restorer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDERAIN_PRESETS", str(tmp_path / "presets"))
    monkeypatch.delenv("TFDERAIN_DEBUG", raising=False)
    monkeypatch.setattr(runtime, "Restorer", Darkener)
    return tmp_path


@pytest.fixture
def run(capsys):
    """Runs a command line; returns exit code, stdout and the lines of stderr."""

    def run(*arguments):
        code = console.run(cli.app, [str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err.splitlines()

    return run


def picture(path, value=None, size=(16, 24)):
    """Writes a picture of `(height, width)`: noise, or one value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(np.full_like(pixels, value) if value else pixels).save(path)
    return path


def pairs(folder, count=2):
    for number in range(count):
        for side in ("rainy", "clean"):
            picture(folder / side / f"{number}.png")
    return folder


# derain and synthesize


def test_derain_prints_a_summary_to_stderr(folder, run):
    picture(folder / "a.png")
    code, out, err = run("derain", "a.png", "b.png")
    assert (code, out) == (0, "") and (folder / "b.png").exists()
    (line,) = err
    assert line.startswith("1 derained, 0 skipped, 0 failed, ")


def test_derain_passes_its_options_on(folder, run):
    picture(folder / "in" / "deep" / "a.png")
    options = ["--recursive", "--compare", "--format", "webp", "--model", "some"]
    options += ["--tile", "256", "--overlap", "16", "--threads", "3"]
    code, _, err = run("derain", "in", "out", *options)
    assert code == 0, err
    assert sorted(path.name for path in (folder / "out" / "deep").iterdir()) == [
        "a.compare.png",
        "a.webp",
    ]
    settings = {"tile": 256, "overlap": 16, "threads": 3}
    assert Darkener.made == ("some", "litert", settings)
    code, _, err = run("derain", "in", "out", "-r", "--skip-existing")
    assert err[-1].startswith("1 derained, 0 skipped"), "a.png was not there yet"
    code, _, err = run("derain", "in", "out", "-r", "--skip-existing")
    assert code == 0 and err[-1].startswith("0 derained, 1 skipped")


@pytest.mark.parametrize(
    "model, asked, chosen",
    [
        ("menet", (), "litert"),
        ("own.keras", (), "tensorflow"),
        ("runs/own", (), "tensorflow"),
        ("own.tflite", (), "litert"),
        ("menet", ("--runtime", "tensorflow"), "tensorflow"),
    ],
)
def test_the_runtime_suits_the_model(folder, run, model, asked, chosen):
    picture(folder / "a.png")
    (folder / "runs" / "own").mkdir(parents=True)
    (folder / "runs" / "own" / "best.keras").touch()
    assert run("derain", "a.png", "b.png", "--model", model, *asked)[0] == 0
    assert Darkener.made[:2] == (model, chosen)


def test_files_that_fail_give_exit_code_1(folder, run):
    picture(folder / "in" / "a.png")
    (folder / "in" / "b.png").write_text("no picture")
    code, _, err = run("derain", "in", "out")
    assert code == 1 and (folder / "out" / "a.png").exists()
    error, summary = err
    assert error.startswith("error: ") and "b.png" in error
    assert summary.startswith("1 derained, 0 skipped, 1 failed, ")


@pytest.mark.parametrize(
    "arguments, part",
    [
        (["derain", "a.png"], "Missing argument 'IN'"),
        (["derain", "missing.png", "out/"], "missing.png"),
        (["derain", "a.png", "out"], "ends with a slash"),
        (["derain", "a.png", "a.png"], "one of the inputs"),
        (["derain", "a.png", "out/", "--tile", "big"], "--tile"),
        (["derain", "a.png", "out/", "--format", "psd"], "psd"),
        (["derain", "a.png", "out/", "--unknown"], "--unknown"),
        (["derain", "a.png", "out/", "--overwrite", "--skip-existing"], "either"),
        (["synthesize", "a.png", "out", "--kind", "hail"], "hail"),
        (["train", "menet", "--data", "none"], "none"),
        (["train", "nothing", "--data", "."], "nothing"),
        (["train", "menet", "--data", ".", "--set", "speed=9"], "speed=9"),
        (["train", "menet", "--data", ".", "--ablation", "Lq"], "Lq"),
        (["evaluate", "menet", "--data", "."], "at least one pair"),
        (["evaluate", "menet", "--data", ".", "--protocol", "psnr"], "psnr"),
        (["export", "menet", "--out", "x", "--to", "coreml"], "coreml"),
        (["export", "menet", "--out", "x", "--to", "litert", "--size", "9"], "--size"),
        (["analyze", "scores", "a.json", "--out", "b.png"], "a.json"),
        (["analyze", "weights", ".", "--out", "a.png"], "--overwrite"),
        (["evaluate", "--data", "."], "either by MODEL or by --models"),
        (["evaluate", "menet", "--models", "b", "--data", "."], "MODEL=menet"),
        (["evaluate", "menet"], "--data"),
        (
            ["evaluate", "a", "--data", ".", "--data", "d", "--save-images", "x"],
            "1 models, 2 data sets",
        ),
        (["bench"], "MODEL"),
        (["bench", "menet", "--size", "0x9"], "--size"),
        (["analyze", "improvement", "a.json"], "a.json"),
        (["analyze", "improvement", "a.png"], "a.png"),
        (["analyze", "regions", "a", "--data", "."], "MODEL"),
        (["analyze", "regions", "a", "b", "--data", ".", "--masks", "x"], "x"),
        (["analyze", "features", "menet", "none.png", "--out", "b.png"], "none.png"),
        (["analyze", "features", "menet", "a.png", "--out", "a.png"], "--overwrite"),
        (["nothing"], "nothing"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(folder, run, arguments, part):
    picture(folder / "a.png")
    (folder / "d").mkdir()
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    (line,) = err
    assert line.startswith("error: ") and part in line


def test_synthesize_makes_pairs_from_a_seed(folder, run):
    picture(folder / "in" / "a.png", size=(40, 32))
    options = ["--kind", "light", "--seed", 5, "--copies", 2]
    for output in ("one", "two"):
        code, out, err = run("synthesize", "in", output, *options)
        assert (code, out) == (0, "") and err[-1].startswith("1 made rainy")
    for name in ("rainy/a_1.png", "rainy/a_2.png", "clean/a.png"):
        assert (folder / "one" / name).read_bytes() == (
            folder / "two" / name
        ).read_bytes()
    code, _, err = run("synthesize", "in", "one", *options)
    assert code == 1 and "--overwrite" in err[0]


def test_synthesize_keeps_the_night_as_the_clean_picture(folder, run):
    day = picture(folder / "in" / "a.png", value=150, size=(40, 32))
    code, _, err = run("synthesize", "in", "out", "--kind", "night", "--copies", 2)
    assert code == 0, err
    clean, one, two = (
        np.asarray(Image.open(folder / "out" / name), float)
        for name in ("clean/a.png", "rainy/a_1.png", "rainy/a_2.png")
    )
    assert np.abs(one - two).max() > 5  # two rains on one night
    assert np.asarray(Image.open(day)).mean() == 150 > 2 * np.median(clean)
    drops = run("synthesize", "in", "wet", "--kind", "drops", "--style", "real")
    assert drops[0] == 2 and "light, medium, heavy, veil, mixed" in drops[2][0]


def test_synthesize_mixes_in_streak_pictures(folder, run):
    picture(folder / "in" / "a.png", size=(40, 32))
    picture(folder / "streaks" / "s.png", size=(64, 64))
    with mock.patch("tfderain.batch.run.POOL_COUNT", 4):  # rendering 48 takes seconds
        code, _, err = run("synthesize", "in", "out", "--streaks", "streaks")
    assert code == 0, err
    assert (folder / "out" / "rainy" / "a.png").exists()


# train, evaluate, export: the call must fit the real signature


def test_train_resolves_the_recipe_and_says_where_the_results_are(folder, run):
    options = ["--set", "batch_size=3", "--epochs", 2, "--seed", 9, "--jit"]
    options += ["--mixed-precision", "--deterministic", "--layout", "left_clean"]
    options += ["--from", "menet"]
    trained = folder / "runs" / "smoke-Lp" / "best.keras"
    with mock.patch.object(
        training, "train", autospec=True, return_value=trained
    ) as train:
        code, out, _ = run(
            "train", "smoke", "--data", ".", "--ablation", "Lp", *options
        )
    assert code == 0 and str(trained) in out
    config, run_dir, *_ = train.call_args.args
    assert str(run_dir).replace("\\", "/") == "runs/smoke-Lp"
    assert (config.batch_size, config.epochs, config.seed) == (3, 2, 9)
    assert config.jit and config.deterministic
    assert config.mixed_precision == "mixed_bfloat16"
    assert list(config.model_config["tasks"]) == ["reconstruction"]
    assert "left_clean" in train.call_args.args and "menet" in train.call_args.args


def test_train_mixes_folders_by_weight(folder, run):
    for name in ("day", "night"):
        (folder / name).mkdir()
    with mock.patch.object(
        training, "train", autospec=True, return_value=folder / "best.keras"
    ) as train:
        options = ["--layout", "left_clean", "--layout", "folders"]
        code, _, err = run(
            "train", "smoke", "--data", "day=2", "--data", "night=1", *options
        )
        assert code == 0, err
        assert train.call_args.args[2] == ["day", "night"]
        assert train.call_args.args[4] == ["left_clean", "folders"]
        assert train.call_args.args[-1] == [2.0, 1.0]
        run("train", "smoke", "--data", "day", "--data", "night")
        assert train.call_args.args[-1] is None
    code, _, err = run("train", "smoke", "--data", "day", "--data", "night=1")
    assert code == 2 and "for each folder or for none" in err[0]


def test_training_that_diverges_is_one_line(folder, run):
    error = training.NonFiniteLoss("20 steps in a row had no finite loss")
    with mock.patch.object(training, "train", autospec=True, side_effect=error):
        code, _, err = run("train", "smoke", "--data", ".", "--run", "r")
    assert (code, err) == (1, ["error: 20 steps in a row had no finite loss"])


def test_evaluate_prints_a_table_and_writes_json(folder, run):
    pairs(folder / "data")
    options = ["--protocol", "rgb_gaussian", "--limit", 1, "--save-images", "saved"]
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
    options = ["--models", "menet", "--models", "saved", "--protocol", "rgb_gaussian"]
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


@pytest.fixture
def measured(monkeypatch):
    """Stands in for the processes that measure memory and profiles."""

    def add_memory(one, runtime, threads):
        asked.append((one.model, runtime, threads))
        return replace(one, memory=timing.Memory(5_000_000, 9_000_000))

    def add_profile(one, threads):
        profile = profiling.Profile((32, 48), 1, 0.4, (("Add (ND)", 0.3),))
        return replace(one, profile=profile)

    asked = []
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


def test_evaluate_averages_scenes_first(folder, run):
    for scene in ("one", "two"):
        for name in ("R-000", "R-001", "C-000"):
            picture(folder / "data" / scene / f"{scene}-Webcam-{name}.png")
    code, out, err = run("evaluate", "menet", "--data", "data", "--layout", "scenes")
    assert code == 0, err
    assert "mean of one" in out and "mean of 2 groups" in out


def test_export_writes_what_is_asked_for(folder, run):
    made = export.Artefact(
        *(folder / "made", "litert", "float32", 2_700_000, 1e-7, 1e-8, ((4, 4),), 0.1)
    )
    with (
        mock.patch.object(models, "load", autospec=True, return_value="model"),
        mock.patch.object(report, "to_saved_model", autospec=True) as saved_model,
        mock.patch.object(report, "to_litert", autospec=True) as litert,
    ):
        saved_model.return_value = litert.return_value = made
        (folder / "x").mkdir()
        options = ["--to", "litert", "--to", "saved_model", "--size", "64x96"]
        code, out, err = run("export", "menet", "--out", "x", *options, "--overwrite")
    assert code == 0, err
    assert out.count("2.7 MB, differs from Keras by at most 1.0e-07") == 2
    assert litert.call_args.args[0] == saved_model.call_args.args[0] == "model"
    assert litert.call_args.kwargs["size"] == (64, 96)
    assert litert.call_args.kwargs["overwrite"] is True
    assert litert.call_args.kwargs["metadata"]["preset"] == "menet"


# list and analyze


def test_list_shows_the_cards(folder, run):
    assert "No preset" in run("list")[1] or "menet" in run("list")[1]
    card = {
        "model": "MENET",
        "licence": "some terms",
        "scores": [
            {
                "set": "Rain100L",
                "protocol": "matlab_y_float",
                "input_psnr": 25.93,
                "psnr": 34.1234,
                "input_ssim": 0.8346,
                "ssim": 0.95,
            }
        ],
        "files": {"model.tflite": {"bytes": 2_700_000}},
    }
    (folder / "presets" / "mine").mkdir(parents=True)
    (folder / "presets" / "mine" / "card.json").write_text(json.dumps(card))
    code, out, _ = run("list")
    assert code == 0
    for part in ("mine", "2.7 MB", "Rain100L: 25.93 -> 34.12 dB", "some terms"):
        assert part in out
    assert json.loads(run("list", "--json")[1])["mine"] == card


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
    (found,) = json.loads((folder / "i.json").read_text())
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
    options = ["--data", "data", "--json", "r.json", "--out-dir", "maps"]
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
    assert code == 1 and "4 that exist" in err[0]


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
        "error: Only a network of two branches, such as ERLNet, has features to "
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


# The entry point


def test_main_exits_with_the_code(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tfderain", "--version"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("tfderain 0.")
    with pytest.raises(SystemExit) as end:
        cli.main(["nothing"])
    assert end.value.code == 2


@pytest.mark.parametrize(
    "error, code, line",
    [
        (KeyboardInterrupt(), 130, "stopped; finished files are whole"),
        (OSError("disk full"), 1, "error: disk full"),
        (ImportError("Plots need\nMatplotlib"), 1, "error: Plots need Matplotlib"),
        (
            TypeError("odd"),
            1,
            "error: TypeError: odd (tfderain --debug COMMAND shows where)",
        ),
    ],
)
def test_every_other_error_is_one_line_too(folder, run, error, code, line):
    with mock.patch.object(pictures, "finish", side_effect=error):
        picture(folder / "a.png")
        assert run("derain", "a.png", "b.png")[0::2] == (
            code,
            [line],
        )


def test_debug_shows_the_traceback(folder, run, monkeypatch):
    monkeypatch.setenv("TFDERAIN_DEBUG", "")  # so that it is restored afterwards
    code, _, err = run("--debug", "derain", "missing.png", "b.png")
    assert code == 2 and err[0].startswith("Traceback")
    assert err[-1].startswith("error: ")
