"""Messages of TensorFlow Serving: compared with those that TensorFlow brings."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.descriptor import FieldDescriptor
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
    status_pb2,
)

from tfderain.serving import protos

OFFICIAL = {
    "SignatureDef": meta_graph_pb2,
    "TensorInfo": meta_graph_pb2,
    "SignatureDefMap": get_model_metadata_pb2,
    "GetModelMetadataRequest": get_model_metadata_pb2,
    "GetModelMetadataResponse": get_model_metadata_pb2,
    "GetModelStatusRequest": get_model_status_pb2,
    "GetModelStatusResponse": get_model_status_pb2,
    "ModelVersionStatus": get_model_status_pb2,
    "StatusProto": status_pb2,
    "PredictRequest": predict_pb2,
    "PredictResponse": predict_pb2,
}
UNIONS = {"ModelSpec": "version_choice", "TensorInfo": "encoding"}


def compare(ours, theirs, seen):
    """Fields and, through them, messages and enumerations of the official file."""
    if ours.full_name in seen:
        return
    seen.add(ours.full_name)
    assert ours.full_name == theirs.full_name
    for field in ours.fields:
        official = theirs.fields_by_name[field.name]
        assert (field.number, field.type) == (official.number, official.type)
        assert field.is_repeated == official.is_repeated
        assert field.is_packed == official.is_packed
        union = official.containing_oneof and official.containing_oneof.name
        assert bool(field.containing_oneof) == (union in UNIONS.values())
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            compare(field.message_type, official.message_type, seen)
        if field.type == FieldDescriptor.TYPE_ENUM:
            assert field.enum_type.full_name == official.enum_type.full_name
            for value in field.enum_type.values:
                named = official.enum_type.values_by_name[value.name]
                assert named.number == value.number


def test_fields_are_the_official_ones():
    messages, seen = protos.load(), set()
    for name, module in OFFICIAL.items():
        ours, theirs = (getattr(home, name).DESCRIPTOR for home in (messages, module))
        compare(ours, theirs, seen)
    names = {name.rpartition(".")[2] for name in seen}
    assert names >= {"ModelSpec", "TensorProto", "TensorShapeProto", "Dim", "Any"}


def test_messages_cross_over_byte_for_byte():
    messages = protos.load()
    pixels = np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3)
    theirs = predict_pb2.PredictRequest()
    theirs.model_spec.name = "menet"
    theirs.model_spec.version.value = 3
    theirs.inputs["rainy"].CopyFrom(tf.make_tensor_proto(pixels))
    theirs.output_filter.append("derained")
    ours = messages.PredictRequest.FromString(theirs.SerializeToString())
    assert ours.model_spec.version.value == 3
    assert ours.inputs["rainy"].dtype == messages.DataType.Value("DT_FLOAT")
    content = np.frombuffer(ours.inputs["rainy"].tensor_content, "<f4")
    np.testing.assert_array_equal(content, pixels.ravel())
    again = predict_pb2.PredictRequest.FromString(ours.SerializeToString())
    assert again == theirs


def test_metadata_unpacks_with_the_official_classes():
    messages = protos.load()
    definitions = messages.SignatureDefMap()
    definitions.signature_def["a"].inputs["rainy"].name = "rainy:0"
    ours = messages.GetModelMetadataResponse()
    ours.metadata["signature_def"].Pack(definitions)
    theirs = get_model_metadata_pb2.GetModelMetadataResponse.FromString(
        ours.SerializeToString()
    )
    found = get_model_metadata_pb2.SignatureDefMap()
    assert theirs.metadata["signature_def"].Unpack(found)
    assert found.signature_def["a"].inputs["rainy"].name == "rainy:0"


def test_they_need_no_tensorflow():
    code = """
import sys
sys.modules["tensorflow"] = sys.modules["tensorflow_serving"] = None
from tfderain.serving import protos
request = protos.load().PredictRequest()
request.inputs["a"].string_val.append(b"x")
assert protos.load().PredictRequest.FromString(request.SerializeToString()) == request
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("name", ["PredictRequest", "ModelSpec", "ModelVersionStatus"])
def test_fields_that_are_not_listed_are_passed_over(name):
    message = getattr(protos.load(), name)
    unknown = bytes([0x9A, 0x3F, 1, 65])  # field 1011, one byte of text
    assert message.FromString(unknown).ListFields() == []
