"""Protocol messages of TensorFlow Serving, without TensorFlow.

Their names, field numbers and types are those of tensorflow/serving and of TensorFlow's
core framework (https://github.com/tensorflow/serving, `apis/*.proto`),
as far as the server uses them: what goes over the wire is the same, and fields that are
not listed here are passed over, as protobuf wants it. They live in a pool of their own,
so that a process may load TensorFlow as well.
"""

import functools
import types

# For each message its fields `(number, type, name)`. A type is one of protobuf's own, a
# message or an enumeration below; "*" means repeated, "text ->" a map from texts, and
# "|" a member of the message's only union.
_TENSORFLOW = {
    "TensorShapeProto": [
        (2, "*TensorShapeProto.Dim", "dim"),
        (3, "bool", "unknown_rank"),
    ],
    "TensorShapeProto.Dim": [(1, "int64", "size"), (2, "string", "name")],
    "TensorProto": [
        (1, "DataType", "dtype"),
        (2, "TensorShapeProto", "tensor_shape"),
        (4, "bytes", "tensor_content"),
        (5, "*float", "float_val"),
        (8, "*bytes", "string_val"),
    ],
    "TensorInfo": [
        (1, "|string", "name"),
        (2, "DataType", "dtype"),
        (3, "TensorShapeProto", "tensor_shape"),
    ],
    "SignatureDef": [
        (1, "text -> TensorInfo", "inputs"),
        (2, "text -> TensorInfo", "outputs"),
        (3, "string", "method_name"),
    ],
}
_SERVING = {
    "ModelSpec": [
        (1, "string", "name"),
        (2, "|.google.protobuf.Int64Value", "version"),
        (4, "|string", "version_label"),
        (3, "string", "signature_name"),
    ],
    "PredictRequest": [
        (1, "ModelSpec", "model_spec"),
        (2, "text -> .tensorflow.TensorProto", "inputs"),
        (3, "*string", "output_filter"),
    ],
    "PredictResponse": [
        (1, "text -> .tensorflow.TensorProto", "outputs"),
        (2, "ModelSpec", "model_spec"),
    ],
    "SignatureDefMap": [(1, "text -> .tensorflow.SignatureDef", "signature_def")],
    "GetModelMetadataRequest": [
        (1, "ModelSpec", "model_spec"),
        (2, "*string", "metadata_field"),
    ],
    "GetModelMetadataResponse": [
        (1, "ModelSpec", "model_spec"),
        (2, "text -> .google.protobuf.Any", "metadata"),
    ],
    "GetModelStatusRequest": [(1, "ModelSpec", "model_spec")],
    "StatusProto": [(2, "string", "error_message")],
    "ModelVersionStatus": [
        (1, "int64", "version"),
        (2, "ModelVersionStatus.State", "state"),
        (3, "StatusProto", "status"),
    ],
    "GetModelStatusResponse": [(1, "*ModelVersionStatus", "model_version_status")],
}
_ENUMERATIONS = {
    # A client's other types are refused by their number.
    "DataType": {
        **{
            "DT_INVALID": 0,
            "DT_FLOAT": 1,
            "DT_DOUBLE": 2,
            "DT_INT32": 3,
            "DT_UINT8": 4,
        },
        **{"DT_INT16": 5, "DT_INT8": 6, "DT_STRING": 7, "DT_INT64": 9, "DT_BOOL": 10},
        **{"DT_BFLOAT16": 14, "DT_UINT16": 17, "DT_HALF": 19},
    },
    "ModelVersionStatus.State": {
        **{"UNKNOWN": 0, "START": 10, "LOADING": 20, "AVAILABLE": 30},
        **{"UNLOADING": 40, "END": 50},
    },
}


@functools.cache
def load() -> types.SimpleNamespace:
    """Returns the classes of all messages, and the enumeration `DataType`.

    Raises:
        ImportError: if protobuf is not installed.
    """
    from google.protobuf import (
        any_pb2,
        descriptor_pool,
        message_factory,
        wrappers_pb2,
    )
    from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

    pool = descriptor_pool.DescriptorPool()
    for known in (any_pb2, wrappers_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    core = _file("tensorflow", _TENSORFLOW, [])
    imports = ["google/protobuf/any.proto", "google/protobuf/wrappers.proto", core.name]
    for file in (core, _file("tensorflow.serving", _SERVING, imports)):
        pool.AddSerializedFile(file.SerializeToString())
    names = [f"tensorflow.{name}" for name in _TENSORFLOW]
    names += [f"tensorflow.serving.{name}" for name in _SERVING]
    found = [pool.FindMessageTypeByName(name) for name in names]
    return types.SimpleNamespace(
        DataType=EnumTypeWrapper(pool.FindEnumTypeByName("tensorflow.DataType")),
        **{
            message.name: message_factory.GetMessageClass(message)
            for message in found
            if message.containing_type is None
        },
    )


def _file(package, messages, imports):
    """The `FileDescriptorProto` of a package's messages and enumerations."""
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

    file = FileDescriptorProto(
        name=f"tfderain/{package}.proto", package=package, syntax="proto3"
    )
    file.dependency.extend(imports)
    made = {}
    for name, fields in messages.items():
        outer, _, inner = name.rpartition(".")
        home = made[outer].nested_type if outer else file.message_type
        made[name] = home.add(name=inner)
        if any(kind.startswith("|") for _, kind, _ in fields):
            made[name].oneof_decl.add(name="choice")
        for number, kind, field in fields:
            _add_field(made[name], f".{package}.{name}", number, kind, field)
    for name, values in _ENUMERATIONS.items():
        outer, _, inner = name.rpartition(".")
        if outer in made or (not outer and package == "tensorflow"):
            home = (made[outer] if outer else file).enum_type
            enumeration = home.add(name=inner)
            for value, number in values.items():
                enumeration.value.add(name=value, number=number)
    return file


def _add_field(message, path, number, kind, name):
    field = message.field.add(name=name, number=number)
    if kind.startswith("text -> "):
        entry = message.nested_type.add(name=f"{_camel(name)}Entry")
        entry.options.map_entry = True
        _add_field(entry, path, 1, "string", "key")
        _add_field(entry, path, 2, kind.removeprefix("text -> "), "value")
        kind = f"*{path}.{entry.name}"
    if kind.startswith("|"):
        field.oneof_index = 0
    field.label = field.LABEL_REPEATED if kind.startswith("*") else field.LABEL_OPTIONAL
    kind = kind.lstrip("|*")
    if kind in ("bool", "bytes", "float", "int64", "string"):
        field.type = getattr(field, f"TYPE_{kind.upper()}")
    else:
        enumeration = kind in _ENUMERATIONS
        field.type = field.TYPE_ENUM if enumeration else field.TYPE_MESSAGE
        package = ".".join(path.split(".")[: 3 if ".serving." in path else 2])
        field.type_name = kind if kind.startswith(".") else f"{package}.{kind}"


def _camel(name):
    return "".join(part.capitalize() for part in name.split("_"))
