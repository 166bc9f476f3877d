"""JSON bodies to images and back, by the rules of TensorFlow Serving's REST API.

The row form lists images, `{"instances": [{"b64": "..."}]}`, and is answered by
`{"predictions": [...]}`; the column form holds one tensor, `{"inputs": [...]}`, and is
answered by `{"outputs": [...]}`. In both, naming the only input is optional.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfderain.serving.refusal import invalid
from tfderain.serving.signatures import STRING, Signature


def parse(body: bytes) -> dict:
    """Returns the JSON object of a request.

    Raises:
        Refusal: `INVALID_ARGUMENT` if it is not a JSON object.
    """
    try:
        document = json.loads(body)
    # RecursionError: lists a thousand levels deep. UnicodeDecodeError is a ValueError.
    except (ValueError, RecursionError) as error:
        raise invalid(f"JSON Parse error: {error}") from error
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {_brief(document)} Is not object")
    return document


def signature_name(document: dict) -> str:
    """Returns the value of `signature_name`, or an empty string."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid("'signature_name' key must be a string value.")
    return name


def read_images(document: dict, signature: Signature) -> tuple[list, bool]:
    """Returns the images of a request, and whether it has the row form.

    Returns:
        List of bytes or of float32 arrays `(height, width, 3)`; bool.

    Raises:
        Refusal: `INVALID_ARGUMENT`, saying what is wrong.
    """
    row = "instances" in document
    if row and "inputs" in document:
        raise invalid("Expecting only one of 'inputs' or 'instances' keys to exist")
    if not row and "inputs" not in document:
        raise invalid("Missing 'inputs' or 'instances' key")
    values = document["instances" if row else "inputs"]
    if row:
        if not isinstance(values, list):
            raise invalid("Expecting 'instances' to be an list/array")
        if not values:
            raise invalid("No values in 'instances' array")
        values = _unnamed_rows(values, signature.rainy)
    elif isinstance(values, dict) and not _is_base64(values):
        if signature.rainy not in values:
            raise invalid(f"Missing named input: {signature.rainy} in 'inputs' object.")
        values = values[signature.rainy]
    if signature.dtype == STRING:
        return _read_strings(values), row
    return _read_floats(values), row


def write_images(derained: Sequence[Any], signature: Signature, row: bool) -> bytes:
    """Returns the JSON body of an answer."""
    if signature.dtype == STRING:
        values = [{"b64": base64.b64encode(data).decode()} for data in derained]
    else:
        # Eight digits keep a float32 in [0, 1] within 1.3e-8, in half the text.
        values = [np.round(image.astype(float), 8).tolist() for image in derained]
    return json.dumps({"predictions" if row else "outputs": values}).encode()


def _unnamed_rows(values, alias):
    named = isinstance(values[0], dict) and not _is_base64(values[0])
    if not named:
        for number, value in enumerate(values):
            if isinstance(value, dict) and not _is_base64(value):
                raise invalid(
                    "Expecting value/list but got object at item "
                    f"{number} of input list"
                )
        return values
    for number, value in enumerate(values):
        if not isinstance(value, dict) or _is_base64(value):
            raise invalid(
                f"Expecting object but got list at item {number} of input list"
            )
        if set(value) != {alias}:
            raise invalid(
                f"Failed to process element: {number} of 'instances' list. JSON "
                f"object: {_brief(value)} must only have keys: {alias}"
            )
    return [value[alias] for value in values]


def _is_base64(value):
    return isinstance(value, dict) and set(value) == {"b64"}


def _read_strings(values):
    if not isinstance(values, list):
        raise invalid(f"Images must be a list. Received: {_brief(values)}")
    return [_read_base64(value, number) for number, value in enumerate(values)]


def _read_base64(value, number):
    if not _is_base64(value) or not isinstance(value["b64"], str):
        raise invalid(
            f'Image {number} must be {{"b64": "..."}}, an image file in base64. '
            f"Received: {_brief(value)}"
        )
    text = "".join(value["b64"].split()).rstrip("=")
    try:  # with or without padding, like absl::Base64Unescape
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid(f"Unable to base64 decode image {number}: {error}") from error


def _read_floats(values):
    try:
        array = np.asarray(values)
    except ValueError as error:  # lists of different lengths
        raise invalid(f"Images of a request must be of equal size: {error}") from error
    # "0.5" and true must not become numbers.
    if array.dtype.kind not in "fiu" or array.ndim != 4 or array.shape[-1] != 3:
        raise invalid(
            "Images must be numbers in [0, 1] of shape (images, height, width, 3). "
            f"Received: shape={array.shape}, type={array.dtype}."
        )
    with np.errstate(over="ignore"):  # to infinity, which is refused later
        return list(array.astype(np.float32))


def _brief(value):
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
