"""Each export is run by the runtime it is meant for and gives Keras's pixels."""

import importlib.util
import io
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from PIL import Image

from tfderain import export, models, presets
from tfderain.serving import signatures as serving

SCRIPT = Path(__file__).parents[1] / "scripts" / "make_preset.py"

# Float32 sums in another order: 1e-5 was the most seen on the whole network with
# pixels of 0..255 inside; a wrong weight or border gives 1e-2 and more.
TOLERANCE = 3e-5


def make_model(**options):
    """A small compiled MENET whose every weight matters."""
    model = models.MENET(**{"num_blocks": 2, "filters": 8, **options})
    model.build((None, None, None, 3))
    model.compile("adam")
    model.optimizer.build(model.trainable_variables)
    rng = np.random.default_rng(0)
    for weight in model.network.weights:
        center = 1.0 if weight.path.endswith(("gamma", "variance")) else 0.0
        weight.assign(rng.uniform(center - 0.15, center + 0.15, weight.shape))
    return model


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def litert(model, tmp_path_factory):
    return export.to_litert(model, tmp_path_factory.mktemp("litert") / "m.tflite")


@pytest.fixture(scope="module")
def saved_model(model, tmp_path_factory):
    return export.to_saved_model(model, tmp_path_factory.mktemp("serving") / "1")


@pytest.fixture(scope="module")
def preset(model, tmp_path_factory):
    root = tmp_path_factory.mktemp("presets")
    return export.export_preset(model, "drizzle", root, {"licence": "Apache-2.0"})


def test_the_model_of_these_tests_changes_images(model):
    # Else every comparison below would pass for a file that returns its input, or
    # white. Some pixels are clipped, most are not.
    rainy = export.random_image((20, 24))
    derained = model(rainy).numpy()
    assert np.abs(derained - rainy).mean() > 0.02  # a thousand times the tolerance
    assert 0.5 < np.mean((derained > 0) & (derained < 1)) < 1.0


# SavedModel


def test_saved_model_runs_in_the_session_loader(model, saved_model):
    rainy = export.random_image((21, 13), batch=3)
    derained = export.run_saved_model(saved_model.path, rainy)
    assert np.abs(derained - model(rainy)).max() < TOLERANCE
    assert saved_model.largest_difference < TOLERANCE
    assert saved_model.mean_difference <= saved_model.largest_difference
    assert saved_model.sizes == ((64, 96), (37, 50), (1, 3))


def test_saved_model_has_the_signatures_of_our_server(saved_model):
    signatures = tf.saved_model.load(str(saved_model.path)).signatures
    assert sorted(signatures) == sorted(serving.SIGNATURES)
    for name, promised in serving.SIGNATURES.items():
        (rainy,) = signatures[name].structured_input_signature[1].values()
        assert rainy.name == promised.rainy
        assert f"DT_{rainy.dtype.name.upper().rstrip('32')}" == promised.dtype
        free = [size or -1 for size in rainy.shape.as_list()]
        assert tuple(free) == promised.shape
        assert list(signatures[name].structured_outputs) == [promised.derained]


def test_saved_model_takes_image_files_of_any_kind_and_size(model, saved_model):
    rng = np.random.default_rng(0)
    sizes = [(9, 14), (4, 4), (1, 3)]
    pixels = [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    bmp = io.BytesIO()
    Image.fromarray(pixels[1]).save(bmp, "BMP")
    files = [tf.io.encode_png(pixels[0]).numpy(), bmp.getvalue()]
    files.append(tf.io.encode_jpeg(pixels[2]).numpy())
    pixels[2] = tf.io.decode_jpeg(files[2]).numpy()
    answers = export.run_saved_model(saved_model.path, files, "serving_default")
    for rainy, answer in zip(pixels, answers, strict=True):
        derained = tf.io.decode_png(answer).numpy().astype(float)
        expected = model(np.float32(rainy[None]) / 255).numpy()[0]
        assert derained.shape == rainy.shape
        # Rounded to the nearest of 255 levels, plus the error of sums (TOLERANCE).
        assert np.abs(derained / 255 - expected).max() < 0.5 / 255 + TOLERANCE
    with pytest.raises(tf.errors.InvalidArgumentError):
        export.run_saved_model(saved_model.path, [b"no image"], "serving_default")


def test_a_saved_model_whose_files_come_out_wrong_is_refused(model, saved_model):
    other = make_model(num_blocks=1)
    with pytest.raises(ValueError, match="Image files must give the same pixels"):
        export.check_files(saved_model.path, other, [(8, 8)])


def test_saved_model_holds_each_weight_once_and_no_optimizer(model, saved_model):
    stored = tf.train.list_variables(f"{saved_model.path}/variables/variables")
    values = sum(np.prod(shape) for _, shape in stored if shape)
    assert values == sum(np.prod(weight.shape) for weight in model.network.weights)


def test_a_saved_model_that_only_python_can_run_is_refused(
    model, tmp_path, monkeypatch
):
    def save_plainly(function, shape, folder, others):
        # What users of Keras 3 try first. `tf.saved_model.load` runs the result.
        signature = tf.TensorSpec((*shape, 3), tf.float32, name="rainy")
        module = tf.Module()
        module.model = model
        module.serve = tf.function(function, [signature])
        tf.saved_model.save(module, str(folder), {"serve": module.serve})

    monkeypatch.setattr(export, "write_saved_model", save_plainly)
    monkeypatch.setattr(export, "deployable", lambda model: model)
    with pytest.raises(ValueError, match="session loader.*Could not find variable"):
        export.to_saved_model(model, tmp_path / "1")
    assert list(tmp_path.iterdir()) == []


# LiteRT


@pytest.mark.parametrize("size", [(256, 256), (4, 4), (36, 100), (100, 36)])
def test_litert_gives_kerass_pixels_at_every_size(model, litert, size):
    rainy = export.random_image(size)
    derained = export.run_litert(litert.path, rainy)
    assert derained.shape == rainy.shape
    assert np.abs(derained - model(rainy)).max() < TOLERANCE


def test_litert_needs_builtin_operations_only(litert):
    interpreter = Interpreter(
        str(litert.path),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    names = [operation["op_name"] for operation in interpreter._get_ops_details()]
    # 9 convolutions without a trace of batch normalisation; variables that were left
    # behind would show as READ_VARIABLE and run as NaN.
    assert names.count("CONV_2D") == 9
    assert set(names) <= {
        *("CONV_2D", "ADD", "MUL", "RELU", "MINIMUM"),
        *("SPACE_TO_DEPTH", "DEPTH_TO_SPACE"),
    }


@pytest.mark.parametrize("size", [(256, 256), (64, 96)])
def test_one_delegate_takes_the_whole_graph_when_resized(litert, size):
    # A file of a dynamic size falls into several parts, which use one thread.
    interpreter = Interpreter(str(litert.path), num_threads=2)
    interpreter.resize_tensor_input(0, [1, *size, 3])
    interpreter.allocate_tensors()
    names = [operation["op_name"] for operation in interpreter._get_ops_details()]
    assert names.count("DELEGATE") == 1


def test_litert_is_clipped(tmp_path, litert):
    derained = export.run_litert(litert.path, export.random_image((64, 64)))
    assert derained.min() == 0.0
    assert derained.max() == 1.0


def test_litert_is_the_same_file_each_time(model, litert, tmp_path):
    again = export.to_litert(model, tmp_path / "again.tflite")
    assert again.path.read_bytes() == litert.path.read_bytes()


def test_litert_size_must_fit_the_stride(model, tmp_path):
    with pytest.raises(ValueError, match=r"stride 4. Received: size=\(30, 32\)"):
        export.to_litert(model, tmp_path / "m.tflite", size=(30, 32))


@pytest.mark.parametrize("kind", ["saved_model", "litert"])
def test_a_wrong_export_leaves_nothing_behind(model, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(export, f"run_{kind}", lambda path, rainy: rainy)
    with pytest.raises(ValueError, match="same pixels as Keras"):
        getattr(export, f"to_{kind}")(model, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [np.nan, 1.1 * export.LARGEST_DIFFERENCE])
def test_one_wrong_pixel_is_enough(tmp_path, wrong):
    right = export.random_image((8, 8))
    written = right.copy()
    written[0, 3, 4, 1] += wrong
    with pytest.raises(ValueError, match="same pixels as Keras"):
        export.measure(tmp_path, [(right, right), (written, right)], [(8, 8)], 0.0)


# Variants


def test_channel_attention(tmp_path):
    model = make_model(channel_attention=True, normalization=None, value_range=1.0)
    litert = export.to_litert(model, tmp_path / "m.tflite", size=(64, 64))
    assert litert.sizes == ((64, 64), (96, 80), (16, 144))
    assert litert.largest_difference < TOLERANCE


def test_an_entangled_network_is_written_without_its_teacher(tmp_path):
    options = {"stem": 16, "growth": 8, "num_layers": 2, "levels": 3}
    keras.utils.set_random_seed(0)
    model = models.ERLNet(entanglement="mlgd", stage="direct", **options)
    model.build((None, None, None, 3))
    litert = export.to_litert(model, tmp_path / "m.tflite")
    saved = export.to_saved_model(model, tmp_path / "1")
    assert max(litert.largest_difference, saved.largest_difference) < TOLERANCE
    weights = 4 * model.network.count_params()
    teacher = 4 * model.teacher.count_params()
    variables = sum(f.stat().st_size for f in saved.path.glob("variables/*.data*"))
    assert weights <= variables < weights + teacher


def test_half_precision_models_are_written_in_float32(model, tmp_path):
    half = make_model(dtype="mixed_bfloat16")
    export.to_litert(half, tmp_path / "m.tflite")
    rainy = export.random_image((64, 64))
    derained = export.run_litert(tmp_path / "m.tflite", rainy)
    # `model` has the same weights and computes in float32.
    assert np.abs(derained - model(rainy)).max() < TOLERANCE
    assert np.abs(derained - half(rainy)).max() > 1e-3


# Files


def test_nothing_is_overwritten_unless_asked(model, tmp_path):
    target = tmp_path / "m.tflite"
    target.write_bytes(b"mine")
    with pytest.raises(ValueError, match="Nothing is overwritten"):
        export.to_litert(model, target)
    assert target.read_bytes() == b"mine"
    artefact = export.to_litert(model, target, overwrite=True)
    assert artefact.path == target
    assert artefact.bytes == target.stat().st_size > 4


def test_an_old_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "old"
    target.mkdir()
    (target / "left over").touch()
    with export.staged(target, overwrite=True) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["old", "new"]


# Presets


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


def test_a_preset_loads_by_name(model, preset, monkeypatch):
    monkeypatch.setenv("TFDERAIN_PRESETS", str(preset.parent))
    loaded = models.load("drizzle")
    assert not loaded.compiled
    rainy = export.random_image((20, 31))
    assert np.array_equal(loaded(rainy), model(rainy))


def test_a_preset_that_is_too_large_is_not_written(model, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "MAX_PRESET_BYTES", 10_000)
    with pytest.raises(ValueError, match="must not exceed 10000 bytes"):
        export.export_preset(model, "drizzle", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_every_preset_says_how_it_is_trained():
    assert set(presets.TRAINING) == set(models.PRESETS)


# scripts/make_preset.py


def load_script():
    spec = importlib.util.spec_from_file_location("make_preset", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_make_preset_merges_run_scores_and_words(model, tmp_path, capsys):
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


def test_make_preset_wants_all_words(tmp_path):
    (tmp_path / "about.json").write_text('{"licence": "Apache-2.0", "terms": ""}')
    with pytest.raises(ValueError, match="without terms, data, command"):
        load_script().read_about(tmp_path / "about.json")
