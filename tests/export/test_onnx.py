"""ONNX files give Keras's pixels in ONNX Runtime and in OpenVINO."""

import json

import numpy as np
import onnx
import pytest
from export_model import TOLERANCE, make_drops_model, make_model

from tfderain import export, runtime
from tfderain.export import onnx as writing


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def made(model, tmp_path_factory):
    return export.to_onnx(model, tmp_path_factory.mktemp("onnx") / "m.onnx")


@pytest.mark.parametrize("run", [export.run_onnx, export.run_openvino])
def test_any_size_and_batch(model, made, run):
    rainy = export.random_image((21, 13), batch=3)
    derained = run(made.path, rainy)
    assert derained.shape == rainy.shape
    assert np.abs(derained - model(rainy)).max() < TOLERANCE


def test_axes_and_opset(made):
    proto = onnx.load(made.path)
    assert proto.opset_import[0].version == 17
    for value, name in ((proto.graph.input, "rainy"), (proto.graph.output, "derained")):
        assert [v.name for v in value] == [name]
        axes = [d.dim_param or d.dim_value for d in value[0].type.tensor_type.shape.dim]
        assert axes == ["batch", "height", "width", 3]


def test_the_file_says_what_it_is(made):
    (entry,) = onnx.load(made.path).metadata_props
    assert json.loads(entry.value)["stride"] == 4


def test_restorer_runs_it(model, made, tmp_path):
    restorer = runtime.Restorer(made.path, runtime="onnx", threads=1)
    assert restorer.stride == 4
    rainy = export.random_image((21, 13))[0]
    assert np.abs(restorer.derain(rainy) - model(rainy[None])[0]).max() < TOLERANCE
    (tmp_path / "bad.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="must be an ONNX file"):
        runtime.Restorer(tmp_path / "bad.onnx", runtime="onnx")


def test_a_wrong_export_leaves_nothing_behind(model, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "run_openvino", lambda path, rainy: rainy)
    with pytest.raises(ValueError, match="same pixels as Keras"):
        export.to_onnx(model, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_mask_of_drops_is_a_second_output(tmp_path):
    model = make_drops_model()
    path = export.to_onnx(model, tmp_path / "m.onnx", [(16, 24)]).path
    outputs = onnx.load(path).graph.output
    assert [output.name for output in outputs] == ["derained", "mask"]
    rainy = export.random_image((21, 13))[0]
    restorer = runtime.Restorer(path, runtime="onnx", threads=1)
    made = restorer.derain_and_mask(rainy)
    for one, wanted in zip(made, model.with_mask(rainy[None]), strict=True):
        assert np.abs(one - np.squeeze(wanted)).max() < TOLERANCE
    assert np.ptp(made[1]) > 0.1


def test_nchw_gives_the_same_pixels(model, tmp_path):
    made = export.to_onnx(model, tmp_path / "m.onnx", layout="nchw")
    proto = onnx.load(made.path)
    for value in (proto.graph.input[0], proto.graph.output[0]):
        axes = [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        assert axes == ["batch", 3, "height", "width"]
    rainy = export.random_image((21, 13), batch=2)
    derained = export.run_onnx(made.path, rainy.transpose(0, 3, 1, 2).copy())
    assert np.abs(derained.transpose(0, 2, 3, 1) - model(rainy)).max() < TOLERANCE
    restorer = runtime.Restorer(made.path, runtime="onnx", threads=1)
    assert np.abs(restorer.derain(rainy[0]) - model(rainy[:1])[0]).max() < TOLERANCE
    with pytest.raises(ValueError, match="one of nhwc, nchw. Received: 'chwn'"):
        export.to_onnx(model, tmp_path / "other.onnx", layout="chwn")


def test_nchw_moves_the_mask_of_drops_too(tmp_path):
    model = make_drops_model()
    path = export.to_onnx(model, tmp_path / "m.onnx", [(16, 24)], layout="nchw").path
    for output, channels in zip(onnx.load(path).graph.output, (3, 1), strict=True):
        axes = [d.dim_param or d.dim_value for d in output.type.tensor_type.shape.dim]
        assert axes == ["batch", channels, "height", "width"]
    rainy = export.random_image((21, 13))[0]
    restorer = runtime.Restorer(path, runtime="onnx", threads=1)
    made = restorer.derain_and_mask(rainy)
    for one, wanted in zip(made, model.with_mask(rainy[None]), strict=True):
        assert np.abs(one - np.squeeze(wanted)).max() < TOLERANCE
    one_size = tmp_path / "one.onnx"
    export.to_onnx(model, one_size, layout="nchw", size=(16, 24))
    assert [
        [d.dim_value for d in output.type.tensor_type.shape.dim]
        for output in onnx.load(one_size).graph.output
    ] == [[1, 3, 16, 24], [1, 1, 16, 24]]


# What OpenCV's dnn module and small converters know: no arithmetic on shapes.
PLAIN = {
    *("Add", "Concat", "Conv", "DepthToSpace", "Max", "Min", "Mul", "Relu", "Sigmoid"),
    *("Slice", "SpaceToDepth", "Sub", "Transpose", "Pad"),
}


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_a_file_of_one_size_is_plain_and_runs_in_opencv(model, tmp_path, layout):
    dnn = pytest.importorskip("cv2").dnn
    size = (36, 52)
    made = export.to_onnx(model, tmp_path / "m.onnx", size=size, layout=layout)
    assert made.sizes == (size,)
    proto = onnx.load(made.path)
    assert {node.op_type for node in proto.graph.node} <= PLAIN
    rainy = export.random_image(size, batch=1)
    given = rainy if layout == "nhwc" else rainy.transpose(0, 3, 1, 2).copy()
    network = dnn.readNetFromONNX(str(made.path))
    network.setInput(given)
    derained = network.forward()
    if layout == "nchw":
        derained = derained.transpose(0, 2, 3, 1)
    assert np.abs(derained - model(rainy)).max() < TOLERANCE
    with pytest.raises(ValueError, match="must take images of any size"):
        runtime.Restorer(made.path, runtime="onnx")
