"""TensorFlow Serving's gRPC API: PredictionService and ModelService.

Of these, `Predict`, `GetModelMetadata` and `GetModelStatus`; all other methods are
UNIMPLEMENTED.
"""

import logging
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

import numpy as np

from tfderain.serving import protos, signatures
from tfderain.serving.refusal import Refusal, invalid
from tfderain.serving.service import Service

LOG = logging.getLogger("tfderain.serving")


def server(service: Service, address: str):
    """Returns a `grpc.Server` that is not started, and the number of its port.

    Args:
        service: `Service`.
        address: str, `HOST:PORT`; port 0 is any free one.

    Raises:
        OSError: the port is taken.
    """
    import grpc

    # Twice as many as calls, since as many may be arriving, perhaps slowly: each holds
    # a thread until then, but those of one connection cannot hold all. A few more are
    # for questions about the model.
    own = service.limits.calls + 8
    calls = service.limits.calls + own
    age = round(1000 * service.limits.seconds)
    made = grpc.server(
        ThreadPoolExecutor(calls, thread_name_prefix="grpc"),
        maximum_concurrent_rpcs=calls,
        options=[
            ("grpc.max_receive_message_length", service.limits.body),
            ("grpc.max_concurrent_streams", own),
            # Clients open another connection; calls not yet arrived are cut off.
            ("grpc.max_connection_age_ms", age),
            ("grpc.max_connection_age_grace_ms", age),
            # Otherwise a second server could start on this port, and take half of them.
            ("grpc.so_reuseport", 0),
        ],
    )
    messages = protos.load()
    made.add_generic_rpc_handlers(_handlers(service, messages, grpc))
    try:
        port = made.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"The gRPC address {address} cannot be used: {error}") from error
    return made, port


def _handlers(service, messages, grpc):
    """The handlers for the methods of both services.

    Messages are read here, because grpc reports unreadable ones as its own fault.
    """

    def answering(method, call, kind):
        def answer(data, context):
            try:
                with service.metrics.call("grpc", method):
                    return call(service, messages, read_message(data, kind), context)
            # Only texts: an error stored here would keep this frame, and with it the
            # stream of the call, until Python's next garbage collection. After a few of
            # these, the connection would accept no more calls.
            except Refusal as error:
                code, message = error.code, error.message
            except Exception as error:
                LOG.exception("A call failed.")
                code, message = "INTERNAL", f"Internal: {type(error).__name__}"
            context.abort(grpc.StatusCode[code], message)

        return grpc.unary_unary_rpc_method_handler(
            answer, response_serializer=lambda message: message.SerializeToString()
        )

    calls = {
        "PredictionService": {
            "Predict": (predict, messages.PredictRequest),
            "GetModelMetadata": (
                model_metadata,
                messages.GetModelMetadataRequest,
            ),
        },
        "ModelService": {
            "GetModelStatus": (model_status, messages.GetModelStatusRequest)
        },
    }
    return tuple(
        grpc.method_handlers_generic_handler(
            f"tensorflow.serving.{name}",
            {method: answering(method, *call) for method, call in methods.items()},
        )
        for name, methods in calls.items()
    )


def read_message(data: bytes, kind: Any) -> Any:
    """Returns the message of a class that is encoded in some bytes.

    Raises:
        Refusal: `INVALID_ARGUMENT` if they do not hold one.
    """
    try:
        return kind.FromString(data)
    except Exception as error:  # DecodeError, whose class depends on protobuf's build
        raise invalid(f"The message must be a {kind.DESCRIPTOR.name}.") from error


def predict(service: Service, messages: Any, request: Any, context: Any):
    """Answers `PredictionService.Predict`."""
    left = context.time_remaining()  # None if the client set no deadline
    seconds = (
        service.limits.seconds if left is None else min(left, service.limits.seconds)
    )
    until = time.monotonic() + seconds
    with service.admitted():
        check_model(service, request)
        name, signature = signatures.find(request.model_spec.signature_name)
        rainy = find_input(request, signature)
        if set(request.output_filter) - {signature.derained}:
            raise invalid(
                "output tensor alias not found in signature: "
                f"{', '.join(request.output_filter)} Outputs expected to be in the "
                f"set {{{signature.derained}}}."
            )
        images = read_tensor(rainy, signature, messages, service.limits.body)
        future = service.submit(signature, images, until - time.monotonic())
        context.add_callback(future.cancel)  # when the client is gone
        try:
            derained = future.result(max(until - time.monotonic(), 0))
        except TimeoutError as error:
            future.cancel()
            raise service.overdue() from error
        except CancelledError as error:
            raise Refusal("CANCELLED", "The client is gone.") from error
    response = messages.PredictResponse()
    describe(service, response.model_spec, name)
    write_tensor(response.outputs[signature.derained], derained, rainy, messages)
    return response


def model_metadata(service: Service, messages: Any, request: Any, context: Any):
    """Answers `PredictionService.GetModelMetadata`."""
    check_model(service, request)
    if list(request.metadata_field) != ["signature_def"]:
        raise invalid(
            "`metadata_field` must be signature_def. "
            f"Received: {', '.join(request.metadata_field) or 'none'}."
        )
    definitions = messages.SignatureDefMap()
    for name, signature in signatures.SIGNATURES.items():
        definition = definitions.signature_def[name]
        definition.method_name = signatures.METHOD
        sides = (
            (definition.inputs, signature.rainy),
            (
                definition.outputs,
                signature.derained,
            ),
        )
        for tensors, alias in sides:
            tensors[alias].name = f"{alias}:0"
            tensors[alias].dtype = messages.DataType.Value(signature.dtype)
            for size in signature.shape:
                tensors[alias].tensor_shape.dim.add(size=size)
    response = messages.GetModelMetadataResponse()
    describe(service, response.model_spec)
    response.metadata["signature_def"].Pack(definitions)
    return response


def model_status(service: Service, messages: Any, request: Any, context: Any):
    """Answers `ModelService.GetModelStatus`."""
    check_model(service, request)
    response = messages.GetModelStatusResponse()
    state = messages.ModelVersionStatus.AVAILABLE
    version = response.model_version_status.add(version=service.version, state=state)
    version.status.SetInParent()  # no error
    return response


def check_model(service: Service, request: Any):
    """Finds the model that a request names.

    Raises:
        Refusal: `INVALID_ARGUMENT` without a name, otherwise `NOT_FOUND`.
    """
    spec = request.model_spec
    if not spec.name:
        raise invalid("ModelSpec has no name specified.")
    if spec.version_label:
        raise invalid(f"Unrecognized servable version label: {spec.version_label}")
    version = spec.version.value if spec.HasField("version") else None
    service.check(spec.name, version)


def describe(service: Service, spec: Any, signature_name: str = ""):
    """Fills the `ModelSpec` of an answer."""
    spec.name = service.name
    spec.version.value = service.version
    spec.signature_name = signature_name


def find_input(request: Any, signature: Any):
    """Returns the only input of a request, a `TensorProto`."""
    if set(request.inputs) != {signature.rainy}:
        sent = ", ".join(sorted(request.inputs))
        raise invalid(
            f"input size does not match signature: the only input is "
            f"{signature.rainy}. Received: {sent or 'none'}."
        )
    return request.inputs[signature.rainy]


def read_tensor(tensor: Any, signature: Any, messages: Any, limit: int) -> list:
    """Returns the images of a `TensorProto`: bytes, or arrays `(height, width, 3)`.

    Args:
        tensor: `TensorProto`.
        signature: `Signature`.
        messages: see `protos.load`.
        limit: int. Largest number of bytes of all arrays together.

    Raises:
        Refusal: `INVALID_ARGUMENT` if type, shape or size do not fit.
    """
    known = messages.DataType.values()
    number = tensor.dtype
    dtype = messages.DataType.Name(number) if number in known else f"type {number}"
    shape = tuple(dimension.size for dimension in tensor.tensor_shape.dim)
    fits = len(shape) == len(signature.shape) and min(shape) >= 0
    wanted = zip(signature.shape, shape, strict=False)
    fits = fits and all(want in (-1, size) for want, size in wanted)
    if dtype != signature.dtype or not fits or tensor.tensor_shape.unknown_rank:
        raise invalid(
            f"{signature.rainy} must be {signature.dtype} of the shape "
            f"{signature.shape}. Received: {dtype}, {shape}."
        )
    if dtype == signatures.STRING:
        if len(tensor.string_val) != shape[0]:
            raise invalid(f"Expected {shape[0]} strings, got {len(tensor.string_val)}.")
        return list(tensor.string_val)
    return list(_floats(tensor, shape, limit))


def _floats(tensor, shape, limit):
    count = int(np.prod(shape, dtype=object))  # cannot overflow, whatever is claimed
    if tensor.tensor_content:
        if len(tensor.tensor_content) == 4 * count:
            return np.frombuffer(tensor.tensor_content, "<f4").reshape(shape)
    elif len(tensor.float_val) <= count <= limit / 4:
        values = np.array(tensor.float_val, np.float32)
        # In this form, the last value also stands for all that are left out.
        if len(values) or not count:
            return np.pad(values, (0, count - len(values)), "edge").reshape(shape)
    raise invalid(
        f"There must be {count} float values for the shape {shape}, and at most "
        f"{limit} bytes."
    )


def write_tensor(tensor: Any, derained: list, rainy: Any, messages: Any):
    """Writes the images of an answer, in the shape of the request's images."""
    tensor.dtype = rainy.dtype
    tensor.tensor_shape.CopyFrom(rainy.tensor_shape)
    if rainy.dtype == messages.DataType.Value("DT_STRING"):
        tensor.string_val.extend(derained)
    else:
        tensor.tensor_content = b"".join(
            np.asarray(image, "<f4").tobytes() for image in derained
        )
