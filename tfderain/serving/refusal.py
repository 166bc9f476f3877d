"""Refusals of calls, in the words of gRPC; TensorFlow Serving uses them too."""

from tfderain import errors

# As in TensorFlow Serving's `ToHTTPStatusCode`, except RESOURCE_EXHAUSTED, where 503
# tells load balancers and clients to try again.
HTTP = {
    "INVALID_ARGUMENT": 400,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 503,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
    "CANCELLED": 499,
    "INTERNAL": 500,
}
TOO_LARGE = 413


class Refusal(Exception):
    """Ends a call with an error that its client is told.

    Args:
        code: str. Name of a gRPC status code, a key of `HTTP`.
        message: str. One line: the rule and what was received.
        http: int, or `None` for the HTTP status that belongs to `code`.
    """

    def __init__(self, code: str, message: str, http: int | None = None):
        super().__init__(message)
        self.code = code
        # A client may send what is not valid text: half of a surrogate pair.
        quoted = errors.one_line(message).encode("utf-8", "backslashreplace")
        self.message = quoted.decode()
        self.http = http or HTTP[code]

    def about(self, number: int, count: int) -> "Refusal":
        """Returns the same error, naming one of `count` images."""
        if count == 1:
            return self
        return Refusal(self.code, f"Image {number}: {self.message}", self.http)


def invalid(message: str) -> Refusal:
    """Returns the error for a request that is wrong however often it is repeated."""
    return Refusal("INVALID_ARGUMENT", message)


def too_large(message: str) -> Refusal:
    """Returns the error for a request or image beyond a limit of this server."""
    return Refusal("INVALID_ARGUMENT", message, TOO_LARGE)
