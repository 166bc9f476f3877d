"""Calls via REST or gRPC: checks, limits, queue and deadline."""

import contextlib
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from tfderain.serving.engine import Call, Engine
from tfderain.serving.metrics import Metrics
from tfderain.serving.refusal import Refusal
from tfderain.serving.signatures import Signature


@dataclass(frozen=True)
class Limits:
    """Limits of a call.

    Attributes:
        body: int. Largest number of bytes of a request.
        pixels: int. Largest height times width of an image.
        calls: int. Number of calls that may be open at once; as many may be arriving.
        seconds: float. Time for a call, from its first byte to its answer.
        arrival: float. Time for a request to arrive.
    """

    body: int
    pixels: int
    calls: int
    seconds: float
    arrival: float


class Service:
    """A model under one name and version.

    Attributes:
        name, version: str and int, as in `/v1/models/<name>/versions/<version>`.
        stopping: bool. Whether new work should go elsewhere.
    """

    def __init__(
        self, name: str, version: int, engine: Engine, limits: Limits, metrics: Metrics
    ):
        self.name = name
        self.version = version
        self.limits = limits
        self.metrics = metrics
        self.stopping = False
        self._engine = engine
        self._open = self._present = 0
        self._changed = threading.Condition()
        metrics.watch(lambda: len(engine), lambda: self._open)

    @contextlib.contextmanager
    def present(self):
        """Keeps the server busy while a request arrives or is answered; see `idle`."""
        with self._changed:
            self._present += 1
        try:
            yield
        finally:
            with self._changed:
                self._present -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def admitted(self):
        """Occupies one of the places for open calls.

        Raises:
            Refusal: `RESOURCE_EXHAUSTED` if all places are taken.
        """
        with self.present():
            with self._changed:
                self.check_places()
                self._open += 1
            try:
                yield
            finally:
                with self._changed:
                    self._open -= 1

    def check_places(self):
        """Checks that there is a place for a call, without taking it.

        Raises:
            Refusal: `RESOURCE_EXHAUSTED` if all places are taken.
        """
        if self._open >= self.limits.calls:
            raise Refusal(
                "RESOURCE_EXHAUSTED",
                f"{self._open} requests are already open; try again later.",
            )

    def idle(self, timeout: float) -> bool:
        """Waits until no request is left; returns whether that was within `timeout`."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._present, timeout)

    def check(self, name: str, version: int | None = None):
        """Checks the name and version of the model.

        Raises:
            Refusal: `NOT_FOUND`, in TensorFlow Serving's words.
        """
        if name == self.name and version in (None, self.version):
            return
        wanted = f"Specific({name}, {version})" if version else f"Latest({name})"
        raise Refusal("NOT_FOUND", f"Servable not found for request: {wanted}")

    def submit(
        self, signature: Signature, images: Sequence[Any], seconds: float
    ) -> Future:
        """Queues the images of a call; see `Engine.submit`.

        Args:
            signature: what is to be done with them.
            images: sequence of bytes or of float32 arrays `(height, width, 3)`.
            seconds: float. Remaining time.
        """

        def restore(restorer, image, progress):
            return signature.restore(restorer, image, self.limits.pixels, progress)

        return self._engine.submit(Call(images, restore, time.monotonic() + seconds))

    def overdue(self) -> Refusal:
        """Returns the error for a call whose time is up."""
        return Refusal(
            "DEADLINE_EXCEEDED",
            f"There was no answer within {self.limits.seconds:g} s, or the client's "
            "own deadline.",
        )
