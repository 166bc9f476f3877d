"""SavedModels run where servers run them, with the names that clients know."""

import io
import shutil
import subprocess
import sysconfig
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from export_model import TOLERANCE, make_drops_model, make_model
from PIL import Image
from tensorflow_serving.apis import prediction_log_pb2

from tfderain import export, runtime
from tfderain.export import saved_model as writing
from tfderain.serving.signatures import SIGNATURES, STRING


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def saved_model(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("serving") / "drizzle" / "1"
    return export.to_saved_model(model, folder)


def test_saved_model_runs_in_the_session_loader(model, saved_model):
    rainy = export.random_image((21, 13), batch=3)
    derained = export.run_saved_model(saved_model.path, rainy)
    assert np.abs(derained - model(rainy)).max() < TOLERANCE
    assert saved_model.largest_difference < TOLERANCE
    assert saved_model.mean_difference <= saved_model.largest_difference
    assert saved_model.sizes == ((64, 96), (37, 50), (1, 3))


def test_signatures_have_the_names_that_clients_know(saved_model):
    signatures = tf.saved_model.load(str(saved_model.path)).signatures
    assert sorted(signatures) == ["serve", "serving_default", "tensor"]
    (image,) = signatures["serving_default"].structured_input_signature[1].values()
    assert (image.name, image.dtype, image.shape.rank) == ("rainy_bytes", tf.string, 1)
    assert list(signatures["serving_default"].structured_outputs) == ["derained_bytes"]
    (rainy,) = signatures["tensor"].structured_input_signature[1].values()
    assert (rainy.name, rainy.dtype) == ("rainy", tf.float32)
    assert rainy.shape.as_list() == [None, None, None, 3]
    assert list(signatures["tensor"].structured_outputs) == ["derained"]


def test_names_may_have_what_tensorflow_takes_for_patterns(model, tmp_path):
    written = export.to_saved_model(model, tmp_path / "run[1]" / "1", ((8, 8),))
    assert written.path == tmp_path / "run[1]" / "1"
    rainy = export.random_image((8, 8))[0]
    expected = model(rainy[None])[0]
    for folder in (written.path, written.path.parent):
        derained = runtime.Restorer(folder, "tensorflow").derain(rainy)
        assert np.abs(derained - expected).max() < TOLERANCE


def picture(size, format="PNG", seed=0):
    """Pixels and the bytes of an image file."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format)
    return pixels, file.getvalue()


def derained_by_keras(model, pixels):
    derained = model(pixels[None].astype("float32") / 255)[0].numpy()
    return np.rint(255 * derained).astype(int)


def test_files_of_any_sizes_and_formats_in_one_request(model, saved_model):
    pictures = [picture((21, 13)), picture((1, 3)), picture((40, 64), "BMP")]
    answers = export.run_saved_model(
        saved_model.path, [file for _, file in pictures], "serving_default"
    )
    for (pixels, _), answer in zip(pictures, answers, strict=True):
        derained = Image.open(io.BytesIO(answer))
        assert (derained.format, derained.mode) == ("PNG", "RGB")
        # 1: a value within float32's rounding of half a grey level
        difference = np.asarray(derained) - derained_by_keras(model, pixels)
        assert np.abs(difference).max() <= 1
        assert np.mean(difference != 0) < 0.01


@pytest.mark.parametrize("file", [b"", b"no image", picture((9, 9))[1][:-20]])
def test_a_bad_file_is_an_invalid_argument(saved_model, file):
    files = [picture((8, 8))[1], file]
    with pytest.raises(tf.errors.InvalidArgumentError):
        export.run_saved_model(saved_model.path, files, "serving_default")


def test_warm_up_requests_run(saved_model):
    path = saved_model.path / "assets.extra" / "tf_serving_warmup_requests"
    seen = []
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        request = log.predict_log.request
        ((alias, tensor),) = request.inputs.items()
        fed = tf.make_ndarray(tensor)
        signature = request.model_spec.signature_name
        assert len(export.run_saved_model(saved_model.path, fed, signature)) == 1
        seen.append((request.model_spec.name, signature, alias))
    assert seen == [
        ("drizzle", "serving_default", "rainy_bytes"),
        ("drizzle", "tensor", "rainy"),
    ]


def test_batching_parameters_are_text_that_servers_parse(saved_model):
    lines = (saved_model.path / "batching_params.pbtxt").read_text().splitlines()
    names = [line.split(" { value: ")[0] for line in lines]
    assert names == [
        *("max_batch_size", "batch_timeout_micros"),
        *("num_batch_threads", "max_enqueued_batches"),
    ]


def test_only_operations_of_tensorflow_itself(saved_model):
    meta = tf.compat.v1.saved_model.loader.load
    with tf.Graph().as_default(), tf.compat.v1.Session() as session, writing.quiet():
        graph = meta(session, ["serve"], str(saved_model.path)).graph_def
    used = {node.op for node in graph.node}
    used |= {node.op for f in graph.library.function for node in f.node_def}
    assert {"DecodeImage", "EncodePng", "Conv2D"} <= used
    assert not [op for op in used if "PyFunc" in op or "Custom" in op or "Xla" in op]


@pytest.fixture(scope="module")
def loader(tmp_path_factory):
    """A program in C against TensorFlow's library: what TF Serving's loader is."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    library = Path(tf.sysconfig.get_lib())
    program = tmp_path_factory.mktemp("c") / "serving_loader"
    command = [compiler, Path(__file__).with_name("serving_loader.c"), "-o", program]
    command += [f"-I{tf.sysconfig.get_include()}", f"-L{library}"]
    command += [f"-Wl,-rpath,{library}"]
    command += ["-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2"]
    if not list(library.glob("libtensorflow_cc.so.2")):
        pytest.skip(f"no C library on {sysconfig.get_platform()}")
    subprocess.run(command, check=True)
    return program


def run_loader(loader, folder, *arguments, input):
    run = subprocess.run(
        [loader, folder, *map(str, arguments)], input=input, capture_output=True
    )
    return run.returncode, run.stdout, run.stderr.decode()


def test_the_c_library_runs_both_signatures(model, saved_model, loader):
    folder = saved_model.path
    pixels, file = picture((21, 13))
    source, target = operations(folder, "serving_default")
    code, out, err = run_loader(loader, folder, source, target, "bytes", input=file)
    assert code == 0, err
    difference = np.asarray(Image.open(io.BytesIO(out))) - derained_by_keras(
        model, pixels
    )
    assert np.abs(difference).max() <= 1  # rounding, as above
    rainy = export.random_image((21, 13))
    source, target = operations(folder, "tensor")
    shape = ("float", 21, 13)
    code, out, err = run_loader(
        loader, folder, source, target, *shape, input=rainy.tobytes()
    )
    assert code == 0, err
    derained = np.frombuffer(out, "float32").reshape(rainy.shape)
    assert np.abs(derained - model(rainy)).max() < TOLERANCE
    source, target = operations(folder, "serving_default")
    code, _, err = run_loader(loader, folder, source, target, "bytes", input=b"none")
    assert code == 1 and "code 3: " in err  # INVALID_ARGUMENT


def operations(folder, signature):
    """Names of the input and the output operation of a signature."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session, writing.quiet():
        graph = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(folder))
    wanted = graph.signature_def[signature]
    (source,), (target,) = wanted.inputs.values(), wanted.outputs.values()
    return source.name.split(":")[0], target.name.split(":")[0]


def test_our_server_answers_to_the_same_names(saved_model):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session, writing.quiet():
        load = tf.compat.v1.saved_model.loader.load
        written = load(session, ["serve"], str(saved_model.path)).signature_def
    assert set(written) - {"__saved_model_init_op"} == set(SIGNATURES)
    for name, ours in SIGNATURES.items():
        ((rainy, source),) = written[name].inputs.items()
        ((derained, target),) = written[name].outputs.items()
        assert (rainy, derained) == (ours.rainy, ours.derained)
        assert tf.as_dtype(source.dtype) == tf.as_dtype(target.dtype)
        assert f"DT_{tf.as_dtype(source.dtype).name.upper()}".startswith(
            "DT_STRING" if ours.dtype == STRING else "DT_FLOAT"
        )


def test_it_is_a_layer_of_keras(model, saved_model):
    layer = keras.layers.TFSMLayer(str(saved_model.path))  # endpoint "serve"
    rainy = export.random_image((21, 13))
    assert np.abs(layer(rainy)["derained"] - model(rainy)).max() < TOLERANCE


def test_restorer_runs_a_saved_model(model, saved_model):
    restorer = runtime.Restorer(saved_model.path, runtime="tensorflow")
    rainy = export.random_image((21, 13))[0]
    assert np.abs(restorer.derain(rainy) - model(rainy[None])[0]).max() < TOLERANCE


def test_saved_model_holds_each_weight_once_and_no_optimizer(model, saved_model):
    stored = tf.train.list_variables(f"{saved_model.path}/variables/variables")
    values = sum(np.prod(shape) for _, shape in stored if shape)
    assert values == sum(np.prod(weight.shape) for weight in model.network.weights)


def test_a_saved_model_that_only_python_can_run_is_refused(
    model, tmp_path, monkeypatch
):
    def save_plainly(model, folder):
        # What users of Keras 3 try first. `tf.saved_model.load` runs the result.
        rainy = tf.TensorSpec((None, None, None, 3), tf.float32, name="rainy")
        module = tf.Module()
        module.model = model
        module.serve = tf.function(lambda rainy: {"derained": model(rainy)}, [rainy])
        tf.saved_model.save(module, str(folder), {"tensor": module.serve})

    monkeypatch.setattr(writing, "write_signatures", save_plainly)
    monkeypatch.setattr(writing, "deployable", lambda model: model)
    with pytest.raises(ValueError, match="session loader.*Could not find variable"):
        export.to_saved_model(model, tmp_path / "1")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_export_leaves_nothing_behind(model, tmp_path, monkeypatch):
    def plain(folder, rainy, signature="tensor"):
        return rainy

    monkeypatch.setattr(writing, "run_saved_model", plain)
    with pytest.raises(ValueError, match="same pixels as Keras"):
        export.to_saved_model(model, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_the_mask_of_drops_has_a_signature_of_its_own(tmp_path):
    model = make_drops_model()
    path = export.to_saved_model(model, tmp_path / "drops" / "1", [(16, 24)]).path
    signatures = tf.saved_model.load(str(path)).signatures
    assert list(signatures["tensor"].structured_outputs) == ["derained"]
    assert sorted(signatures["mask"].structured_outputs) == ["derained", "mask"]
    rainy = export.random_image((21, 13))[0]
    restorer = runtime.Restorer(path, runtime="tensorflow")
    made = restorer.derain_and_mask(rainy)
    for one, wanted in zip(made, model.with_mask(rainy[None]), strict=True):
        assert np.abs(one - np.squeeze(wanted)).max() < TOLERANCE
    assert np.ptp(made[1]) > 0.1
