"""LiteRT files of every precision run in the interpreter of devices."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from export_model import TOLERANCE, make_drops_model, make_model

from tfderain import export, models, runtime
from tfderain.export import litert as writing
from tfderain.runtime import engines


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def litert(model, tmp_path_factory):
    return export.to_litert(model, tmp_path_factory.mktemp("litert") / "m.tflite")


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


# Precisions


def photos(count=8, size=(64, 96)):
    """Smooth pictures with bright streaks: ranges like those of rainy photos."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(count):
        coarse = rng.random((8, 12, 3), dtype="float32")
        smooth = keras.ops.image.resize(coarse[None], size, antialias=False)[0]
        streaks = 0.3 * (rng.random((1, size[1], 1)) > 0.9)
        made.append(np.clip(np.asarray(smooth) + streaks, 0, 1).astype("float32"))
    return made


@pytest.fixture(scope="module")
def wide():
    """LiteRT quantises only weights of more than 1,024 values."""
    return make_model(filters=16)


@pytest.fixture(scope="module")
def quantized(wide, tmp_path_factory):
    """A file of each precision by name."""
    folder = tmp_path_factory.mktemp("quantized")
    int8 = {"quantization": "int8", "representative": photos()}
    kinds = {
        "float32": {},
        "float16": {"quantization": "float16"},
        "dynamic_int8": {"quantization": "dynamic_int8"},
        "int8": int8,
        "uint8": {**int8, "interface": "uint8"},
    }
    return {
        name: export.to_litert(wide, folder / f"{name}.tflite", (64, 96), **options)
        for name, options in kinds.items()
    }


def test_quantised_files_are_close_and_small(wide, quantized):
    rainy = photos()[3][None]
    wanted = wide(rainy).numpy()
    # What 11, 8 and 8 bits leave of values in [0, 1] after 9 layers. A layer in the
    # wrong scale is at 0.1.
    for name, mean in (("float16", 1e-3), ("dynamic_int8", 0.02), ("int8", 0.03)):
        derained = export.run_litert(quantized[name].path, rainy)
        assert 0 < np.abs(derained - wanted).mean() < mean, name
        assert quantized[name].bytes < 0.8 * quantized["float32"].bytes
        assert quantized[name].precision == name


def test_int8_computes_in_int8_throughout(quantized):
    interpreter = Interpreter(
        str(quantized["uint8"].path),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    kinds = {tensor["dtype"] for tensor in interpreter.get_tensor_details()}
    assert np.float32 not in kinds
    assert interpreter.get_input_details()[0]["dtype"] == np.uint8
    assert interpreter.get_output_details()[0]["dtype"] == np.uint8


def test_grey_levels_in_and_out_are_the_same_network(quantized):
    rainy = np.rint(photos()[0] * 255) / np.float32(255)
    levels = engines.LiteRT(quantized["uint8"].path)(rainy)
    floats = engines.LiteRT(quantized["int8"].path)(rainy)
    assert np.abs(levels - floats).max() <= 1.01 / 255  # one step of the output


def test_a_dynamic_size_is_resized(model, tmp_path):
    made = export.to_litert(model, tmp_path / "m.tflite", size=None)
    assert made.sizes == ((24, 20), (4, 36))
    interpreter = Interpreter(str(made.path))
    signature = interpreter.get_input_details()[0]["shape_signature"]
    assert list(signature) == [1, -1, -1, 3]


def test_the_file_says_what_it_is(model, litert, tmp_path):
    about = engines.litert_metadata(litert.path)
    assert (about["model"], about["stride"]) == ("MENET", 4)
    path = tmp_path / "m.tflite"
    export.to_litert(model, path, (8, 8), metadata={"licence": "Apache-2.0"})
    assert engines.litert_metadata(path)["licence"] == "Apache-2.0"
    assert runtime.Restorer(path).stride == 4  # 16 is the guess for unknown files


@pytest.mark.parametrize(
    "options, message",
    [
        ({"quantization": "int4"}, "`quantization` must be one of"),
        ({"interface": "int8"}, "`interface` one of"),
        ({"interface": "uint8"}, "Only int8 files can take grey levels"),
        ({"quantization": "int8"}, "at least 8 representative images"),
        (
            {"quantization": "int8", "representative": photos(), "size": None},
            "a fixed size",
        ),
    ],
)
def test_options_must_fit_each_other(model, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        export.to_litert(model, tmp_path / "m.tflite", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_export_leaves_nothing_behind(model, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "run_litert", lambda path, rainy: rainy)
    with pytest.raises(ValueError, match="same pixels as Keras"):
        export.to_litert(model, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_the_mask_of_drops_is_a_second_output(tmp_path):
    model = make_drops_model()
    path = export.to_litert(model, tmp_path / "m.tflite", (64, 64)).path
    rainy = export.random_image((32, 48))
    derained, mask = model.with_mask(rainy)
    engine = engines.LiteRT(path)
    made = engine.with_mask(rainy[0])
    assert engine.makes_mask and made[1].shape == (32, 48, 1)
    assert np.ptp(made[1]) > 0.1
    for one, wanted in zip(made, (derained, mask), strict=True):
        assert np.abs(one - wanted[0]).max() < TOLERANCE
    # who knows of no mask reads the first output, and finds the picture there
    first = Interpreter(str(path)).get_output_details()[0]
    assert first["shape"][-1] == 3


def test_int8_files_have_the_mask_as_well(tmp_path):
    model = make_drops_model()
    photos = [export.random_image((32, 32))[0] * 0.5 for _ in range(8)]
    path = export.to_litert(
        model, tmp_path / "m.tflite", (32, 32), False, "int8", photos, "uint8"
    ).path
    derained, mask = engines.LiteRT(path).with_mask(photos[0])
    assert derained.shape == (32, 32, 3) and mask.shape == (32, 32, 1)
    # int8 of a network that was never trained: a few of 255 levels
    assert np.abs(mask - model.with_mask(photos[0][None])[1][0]).mean() < 0.03
