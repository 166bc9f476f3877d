"""Presets are complete, and made by scripts/make_preset.py."""

import importlib.util
import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from export_model import TOLERANCE, make_model

from tfderain import export, models, presets
from tfderain.export import preset as writing
from tfderain.training import recipes

SCRIPT = Path(__file__).parents[2] / "scripts" / "make_preset.py"


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def preset(model, tmp_path_factory):
    root = tmp_path_factory.mktemp("presets")
    return export.export_preset(model, "drizzle", root, {"licence": "Apache-2.0"})


def test_a_preset_is_complete(model, preset):
    names = {path.name for path in preset.iterdir()}
    assert names == {"model.keras", "model.tflite", "1", "card.json"}
    card = presets.read_card(preset)
    assert card["name"] == "drizzle"
    assert card["model"] == "MENET"
    assert card["licence"] == "Apache-2.0"
    assert card["stride"] == 4
    assert card["global_operations"] is False
    trainable = sum(np.prod(w.shape) for w in model.network.trainable_weights)
    assert card["parameters"] == trainable
    assert card["versions"]["keras"] == keras.__version__
    assert len(presets.verify(preset)) == len(card["files"]) >= 5
    for name in ("model.keras", "model.tflite", "1/saved_model.pb"):
        assert card["files"][name]["largest_difference"] < TOLERANCE
    differences = card["onnx"]["largest_difference"]
    assert set(differences) == {"onnxruntime", "openvino"}
    assert max(differences.values()) < TOLERANCE


def test_a_preset_loads_by_name(model, preset, monkeypatch):
    monkeypatch.setenv("TFDERAIN_PRESETS", str(preset.parent))
    loaded = models.load("drizzle")
    assert not loaded.compiled
    with zipfile.ZipFile(preset / "model.keras") as packed:
        weights = packed.getinfo("model.weights.h5")
        assert weights.compress_size < 0.95 * weights.file_size  # 0.91 for menet, seen
    rainy = export.random_image((20, 31))
    assert np.array_equal(loaded(rainy), model(rainy))


@pytest.fixture
def quick(monkeypatch):
    """Files that are not run: their exports have tests of their own."""

    def write(model, path, *options, quantization=None):
        asked.append(quantization)
        Path(path).write_bytes(b"a file")
        return export.Artefact(path, "litert", "float32", 6, 0.0, 0.0, (), 0.0)

    def write_folder(model, folder):
        Path(folder).mkdir()
        return write(model, Path(folder) / "saved_model.pb")

    monkeypatch.setattr(writing, "to_litert", write)
    monkeypatch.setattr(writing, "to_saved_model", write_folder)
    monkeypatch.setattr(writing, "to_onnx", write)
    asked = []
    return asked


def test_a_preset_that_is_too_large_is_not_written(model, tmp_path, monkeypatch, quick):
    monkeypatch.setattr(writing, "MAX_PRESET_BYTES", 10_000)
    with pytest.raises(ValueError, match="must not exceed 10000 bytes"):
        export.export_preset(model, "drizzle", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_float16_holds_ship_as_float16(model, tmp_path, quick):
    weights = model.get_weights()
    try:
        model.set_weights([weight.astype(np.float16) for weight in weights])
        export.export_preset(model, "half", tmp_path)
        model.set_weights([weight + np.float32(1e-6) for weight in weights])
        export.export_preset(model, "whole", tmp_path)
    finally:
        model.set_weights(weights)
    litert_files = [precision for precision in quick if precision]
    assert litert_files == ["float16"], "the first of the two alone"


def test_every_form_names_its_network_and_its_recipe():
    for name, form in presets.FORMS.items():
        assert form.model in models.MODELS
        assert models.PRESETS[name] is form.model_config
        command, action, recipe_name = form.training.split()[:3]
        assert (command, action) == ("tfderain", "train")
        recipe = recipes.RECIPES[recipe_name]
        assert recipe.model == form.model
        assert recipe.model_config.items() >= form.model_config.items()


@pytest.mark.parametrize("name", presets.available())
def test_what_ships_has_its_form(name):
    model = models.load(name)
    assert type(model) is models.MODELS[presets.FORMS[name].model]
    config = model.get_config() | {"momentum": 0.9}  # of training alone
    form = presets.FORMS[name].model_config
    assert {key: config[key] for key in form} == form


# scripts/make_preset.py


def load_script():
    spec = importlib.util.spec_from_file_location("make_preset", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_make_preset_merges_run_scores_and_words(model, tmp_path, capsys, quick):
    run = tmp_path / "run"
    run.mkdir()
    model.save(run / "best.keras")
    config = {"config": {"epochs": 3}, "git_commit": "abc", "data": "/home/me/rain"}
    (run / "config.json").write_text(json.dumps(config))
    (run / "state.json").write_text(json.dumps({"epoch": 3, "best_score": 30.5}))
    words = {"licence": "Apache-2.0", "terms": "any", "data": "own", "command": "t"}
    (tmp_path / "about.json").write_text(json.dumps(words))
    means = {"psnr": 30.123456, "ssim": 0.9, "input_psnr": 20.0, "input_ssim": 0.5}
    scores = {"protocol": "rgb_gaussian", "count": 7, "means": means}
    (tmp_path / "scores.json").write_text(json.dumps(scores))

    arguments = [str(run), "drizzle", "--about", str(tmp_path / "about.json")]
    arguments += ["--scores", f"Rain100L={tmp_path / 'scores.json'}"]
    load_script().main([*arguments, "--root", str(tmp_path / "presets")])

    card = presets.read_card(tmp_path / "presets" / "drizzle")
    assert {name: card[name] for name in words} == words
    assert card["protocol"] == "rgb_gaussian"
    (score,) = card["scores"]
    assert (score["set"], score["count"], score["psnr"]) == ("Rain100L", 7, 30.1235)
    assert score["command"] == (
        "tfderain evaluate drizzle --data Rain100L --protocol rgb_gaussian"
    )
    assert card["training"]["config"] == {"epochs": 3}
    assert card["training"]["best_validation_score"] == 30.5
    assert "/home/me" not in json.dumps(card)
    assert "drizzle: " in capsys.readouterr().out


def test_halved_weights_differ_by_float16s_rounding_and_deflate_better(tmp_path):
    model = make_model()
    before = model.get_weights()
    load_script().round_to_half(model)
    for was, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_allclose(now, was, rtol=2**-11, atol=2**-25)  # by definition
        np.testing.assert_array_equal(now, now.astype("float16"))
    writing.save_small(model, tmp_path / "half.keras")
    with zipfile.ZipFile(tmp_path / "half.keras") as packed:
        weights = packed.getinfo("model.weights.h5")
    assert weights.compress_size < 0.6 * weights.file_size  # 13 of 32 bits are zero
    model.set_weights([1e5 + weight for weight in before])
    with pytest.raises(ValueError, match="65504"):
        load_script().round_to_half(model)


def test_make_preset_wants_all_words(tmp_path):
    (tmp_path / "about.json").write_text('{"licence": "Apache-2.0", "terms": ""}')
    with pytest.raises(ValueError, match="without terms, data, command"):
        load_script().read_about(tmp_path / "about.json")
