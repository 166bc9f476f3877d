"""Uploads: bodies of arriving requests, handled so that slow clients hold nobody up.

They do not take the places for calls. If there are too many at once, the slowest upload
of the client with the most uploads gives way.
"""

import asyncio
import time
from typing import Any

from tfderain.serving.refusal import Refusal, too_large

PATIENCE = 1.0  # seconds that an upload may take before it can be asked to give way


class Upload:
    """A body that is arriving.

    Attributes:
        client: address of the client.
        size: number of bytes that have arrived.
    """

    def __init__(self, client: str):
        self.client = client
        self.size = 0
        self.gave_way = False
        self._began = time.monotonic()
        self._timeout: asyncio.Timeout | None = None

    @property
    def seconds(self) -> float:
        """Seconds since its beginning."""
        return time.monotonic() - self._began

    def within(self, seconds: float) -> asyncio.Timeout:
        """Its time-out, to be entered once."""
        self._timeout = asyncio.timeout(seconds)
        return self._timeout

    def end(self):
        """Ends it as if its time were up."""
        self.gave_way = True
        if self._timeout:
            self._timeout.reschedule(asyncio.get_running_loop().time())


class Uploads:
    """Receives bodies in one event loop.

    Args:
        most: int. Number of bodies that may arrive at once.
        size: int. Largest number of bytes of a body.
        seconds: float. Time for a body to arrive.
    """

    def __init__(self, most: int, size: int, seconds: float):
        self.most, self.size, self.seconds = most, size, seconds
        self._open: set[Upload] = set()

    async def receive(self, request: Any) -> bytes:
        """Returns the body of a request.

        Raises:
            Refusal: it is too large or too slow, there is no place for it, or the
                client is gone.
        """
        upload = Upload(request.client.host if request.client else "")
        self._make_room()
        self._open.add(upload)
        try:
            async with upload.within(self.seconds):
                return await self._read(request, upload)
        except TimeoutError as error:
            message = f"The request did not arrive within {self.seconds:g} s."
            if upload.gave_way:
                message = "The request arrived too slowly while others were waiting."
            raise Refusal("DEADLINE_EXCEEDED", message, 408) from error
        finally:
            self._open.discard(upload)

    def _make_room(self):
        if len(self._open) < self.most:
            return
        counts: dict[str, int] = {}
        for upload in self._open:
            counts[upload.client] = counts.get(upload.client, 0) + 1
        slow = [upload for upload in self._open if upload.seconds > PATIENCE]
        if not slow:
            raise Refusal(
                "RESOURCE_EXHAUSTED",
                f"{len(self._open)} requests are already arriving; try again later.",
            )
        slowest = max(slow, key=lambda u: (counts[u.client], -u.size / u.seconds))
        self._open.discard(slowest)
        slowest.end()

    async def _read(self, request, upload) -> bytes:
        from starlette.requests import ClientDisconnect

        message = f"A request must not have more than {self.size} bytes."
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self.size:
            raise too_large(f"{message} Received: {length}.")
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                upload.size = len(body)
                if len(body) > self.size:
                    raise too_large(message)
        except ClientDisconnect as error:
            raise Refusal("CANCELLED", "The client is gone.") from error
        return bytes(body)
