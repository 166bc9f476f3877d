"""gRPC as TensorFlow Serving has it: a real server, and clients with its own stubs."""

import concurrent.futures
import pathlib
import threading
import time

import grpc
import helpers
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import json_format
from serving_clients import decode, encode, photo, slow_server
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tfderain import runtime, serving
from tfderain.serving import rest

PRESET = pathlib.Path(__file__).parents[2] / "savedmodels" / "menet"
NO_LIMIT = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
]


@pytest.fixture(scope="module")
def server():
    options = serving.Settings(
        port=0, grpc_port=0, threads=1, max_bytes=400_000, max_pixels=9000
    )
    with serving.Server(PRESET, options) as server:
        yield server


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(server.grpc_address, NO_LIMIT) as channel:
        yield channel


@pytest.fixture(scope="module")
def stub(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def restorer():
    return runtime.Restorer("menet", threads=1)


def request(name="menet", signature="", version=None, **inputs):
    made = predict_pb2.PredictRequest()
    made.model_spec.name = name
    made.model_spec.signature_name = signature
    if version is not None:
        made.model_spec.version.value = version
    for alias, value in inputs.items():
        made.inputs[alias].CopyFrom(tf.make_tensor_proto(value))
    return made


def refused(stub, code, made, **options):
    with pytest.raises(grpc.RpcError) as error:
        stub.Predict(made, timeout=options.pop("timeout", 60), **options)
    assert error.value.code() is grpc.StatusCode[code]
    return error.value.details()


def test_image_files(stub, restorer):
    rainy = [photo(*size, seed) for seed, size in enumerate([(16, 20), (7, 5)])]
    files = [encode(pixels) for pixels in rainy]
    answer = stub.Predict(request(rainy_bytes=files), timeout=60)
    assert list(answer.outputs) == ["derained_bytes"]
    assert answer.model_spec.name == "menet"
    assert answer.model_spec.version.value == 1
    assert answer.model_spec.signature_name == "serving_default"
    derained = tf.make_ndarray(answer.outputs["derained_bytes"])
    assert derained.shape == (2,)
    for pixels, data in zip(rainy, derained, strict=True):
        expected = restorer.derain(pixels).astype(int)
        # The same code on the same pixels; a thread more may round otherwise.
        assert np.abs(decode(data) - expected).max() <= 1


@pytest.mark.parametrize("signature", ["tensor", "serve"])
def test_tensors(stub, restorer, signature):
    rainy = helpers.images(2, 7, 12, 3)
    made = request(signature=signature, version=1, rainy=rainy)
    made.output_filter.append("derained")
    answer = stub.Predict(made, timeout=60)
    derained = tf.make_ndarray(answer.outputs["derained"])
    # Float32 sums that threads may add in another order.
    np.testing.assert_allclose(derained, restorer.derain(rainy), atol=1e-6)


def test_tensors_in_the_short_form_of_repeated_values(stub, restorer):
    made = request(signature="tensor", rainy=np.zeros((1, 4, 4, 3), np.float32))
    made.inputs["rainy"].ClearField("tensor_content")
    made.inputs["rainy"].float_val.extend([0.25, 0.5])
    answer = stub.Predict(made, timeout=60)
    rainy = np.full((1, 4, 4, 3), 0.5, np.float32)
    rainy[0, 0, 0, 0] = 0.25
    derained = tf.make_ndarray(answer.outputs["derained"])
    np.testing.assert_allclose(derained, restorer.derain(rainy), atol=1e-6)


def test_no_images_are_no_error(stub):
    made = request(signature="tensor", rainy=np.zeros((0, 4, 4, 3), np.float32))
    answer = stub.Predict(made, timeout=60)
    assert tf.make_ndarray(answer.outputs["derained"]).shape == (0, 4, 4, 3)


def test_metadata_is_that_of_rest(server, stub):
    asked = get_model_metadata_pb2.GetModelMetadataRequest()
    asked.model_spec.name = "menet"
    with pytest.raises(grpc.RpcError, match="metadata_field"):
        stub.GetModelMetadata(asked, timeout=60)
    asked.metadata_field.append("signature_def")
    answer = stub.GetModelMetadata(asked, timeout=60)
    definitions = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(definitions)
    options = {"always_print_fields_with_no_presence": True}
    as_json = json_format.MessageToDict(
        definitions, preserving_proto_field_name=True, **options
    )
    told = rest.model_metadata(server.service)
    assert as_json == told["metadata"]["signature_def"]
    assert answer.model_spec.name == told["model_spec"]["name"]
    assert str(answer.model_spec.version.value) == told["model_spec"]["version"]


def test_status_is_that_of_rest(server, channel):
    models = model_service_pb2_grpc.ModelServiceStub(channel)
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = "menet"
    answer = models.GetModelStatus(asked, timeout=60)
    as_json = json_format.MessageToDict(
        answer, always_print_fields_with_no_presence=True
    )
    assert as_json == rest.model_status(server.service)


def test_unknown_models_and_versions_are_not_found(stub):
    file = [encode(photo(4, 4))]
    message = refused(stub, "NOT_FOUND", request("other", rainy_bytes=file))
    assert message == "Servable not found for request: Latest(other)"
    refused(stub, "NOT_FOUND", request(version=2, rainy_bytes=file))
    refused(stub, "INVALID_ARGUMENT", request("", rainy_bytes=file))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (request(signature="x"), '"x" not found in signature def'),
        (request(), "the only input is rainy_bytes. Received: none."),
        (request(rainy=[b""]), "Received: rainy."),
        (request(rainy_bytes=[0.5]), "Received: DT_FLOAT, (1,)."),
        (request(rainy_bytes=b""), "Received: DT_STRING, ()."),
        (request(rainy_bytes=[b"no image"]), "not a picture of a known format"),
        (request(signature="tensor", rainy=np.zeros((2, 3, 3), "f4")), "(2, 3, 3)."),
        (request(signature="tensor", rainy=np.zeros((1, 2, 2, 4), "f4")), "2, 2, 4)."),
        (request(signature="tensor", rainy=np.ones((1, 2, 2, 3))), "DT_DOUBLE"),
        (request(signature="tensor", rainy=np.full((1, 2, 2, 3), 2, "f4")), "[0, 1]"),
        (
            request(signature="tensor", rainy=np.ones((1, 91, 100, 3), "f4")),
            "than 9000",
        ),
        (
            request(signature="tensor", rainy=np.ones((1, 0, 4, 3), "f4")),
            "without a 0",
        ),
        (request(rainy_bytes=[encode(photo(91, 100))]), "limit of 9000"),
        (request(rainy_bytes=[b""] * 65), "more than 64 images"),
    ],
)
def test_requests_that_are_wrong(stub, made, message):
    assert message in refused(stub, "INVALID_ARGUMENT", made)


def test_tensors_that_claim_more_than_they_hold(stub):
    made = request(signature="tensor", rainy=np.zeros((1, 4, 4, 3), np.float32))
    made.inputs["rainy"].ClearField("tensor_content")
    made.inputs["rainy"].float_val.append(0.5)
    for side in (2**31, 2**62):
        made.inputs["rainy"].tensor_shape.dim[1].size = side
        made.inputs["rainy"].tensor_shape.dim[2].size = side
        assert "at most 400000 bytes" in refused(stub, "INVALID_ARGUMENT", made)


def test_outputs_must_exist(stub):
    made = request(rainy_bytes=[encode(photo(4, 4))])
    made.output_filter.append("clean")
    assert "{derained_bytes}" in refused(stub, "INVALID_ARGUMENT", made)


def test_messages_beyond_the_limit(stub):
    # gRPC's own answer; TensorFlow Serving gives the same.
    refused(stub, "RESOURCE_EXHAUSTED", request(rainy_bytes=[b" " * 400_001]))
    stub.Predict(request(rainy_bytes=[encode(photo(4, 4))]), timeout=60)


def test_every_answer_belongs_to_its_request(stub, restorer):
    photos = [photo(5 + number % 3, 9, number) for number in range(32)]

    def ask(pixels):
        answer = stub.Predict(request(rainy_bytes=[encode(pixels)]), timeout=60)
        return decode(answer.outputs["derained_bytes"].string_val[0])

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(ask, photos))
    for pixels, answer in zip(photos, answers, strict=True):
        expected = restorer.derain(pixels).astype(int)
        assert np.abs(answer - expected).max() <= 1  # rounding, as above


def test_a_full_queue_deadlines_and_clients_that_cancel(monkeypatch):
    made = request("slow", rainy_bytes=[encode(photo(3, 3))])
    with (
        slow_server(monkeypatch, queue=1, grpc_port=0) as (server, restorer, _),
        grpc.insecure_channel(server.grpc_address) as channel,
    ):
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        restorer.close_gate()
        working = stub.Predict.future(made, timeout=60)
        assert restorer.begun.acquire(timeout=30)
        refused(stub, "DEADLINE_EXCEEDED", made, timeout=0.2)
        two = request("slow", rainy_bytes=[encode(photo(3, 3))] * 2)
        refused(stub, "INVALID_ARGUMENT", two)  # can never fit
        waiting = stub.Predict.future(made, timeout=60)
        while not len(server.engine):
            assert not waiting.done()
        message = refused(stub, "RESOURCE_EXHAUSTED", made)
        assert "try again later" in message
        waiting.cancel()
        restorer.gate.release(1000)
        assert working.result().model_spec.name == "slow"
        stub.Predict(made, timeout=60)
        assert server.stop()


def test_bytes_that_are_no_message_cost_their_own_call_only(monkeypatch):
    made = request("slow", rainy_bytes=[encode(photo(3, 3))])
    with (
        slow_server(monkeypatch, queue=1, grpc_port=0) as (server, _, _),
        grpc.insecure_channel(server.grpc_address) as channel,
    ):
        raw = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        for _ in range(30):  # more than there are places
            with pytest.raises(
                grpc.RpcError, match="must be a PredictRequest"
            ) as error:
                raw(made.SerializeToString()[:-1], timeout=30)
            assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        assert stub.Predict(made, timeout=30).model_spec.name == "slow"


def test_slow_uploads_hold_nobody_up(monkeypatch):
    release = threading.Event()

    def never():
        release.wait(60)
        yield from ()

    predict = "/tensorflow.serving.PredictionService/Predict"
    made = request("slow", rainy_bytes=[encode(photo(3, 3))])
    with (
        slow_server(monkeypatch, queue=1, grpc_port=0, timeout=3) as (server, _, _),
        grpc.insecure_channel(server.grpc_address) as slow,
        # A connection of its own, as another client has.
        grpc.insecure_channel(
            server.grpc_address, [("grpc.use_local_subchannel_pool", 1)]
        ) as channel,
    ):
        # Requests whose headers come, and no message: more than there are places.
        calls = [slow.stream_unary(predict).future(never()) for _ in range(20)]
        time.sleep(0.5)
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        assert stub.Predict(made, timeout=30).model_spec.name == "slow"
        # After `timeout` and as long again their connection is closed.
        assert calls[0].exception(30).code() is grpc.StatusCode.UNAVAILABLE
        release.set()


def test_a_port_that_is_taken_is_an_error(server):
    port = int(server.grpc_address.rsplit(":", 1)[1])
    with pytest.raises(OSError, match=f":{port} cannot be used"):
        serving.Server(PRESET, serving.Settings(port=0, grpc_port=port)).start()
    port = int(server.rest_address.rsplit(":", 1)[1])
    with pytest.raises(OSError, match=f":{port} cannot be used"):
        serving.Server(PRESET, serving.Settings(port=port, grpc_port=None)).start()
