"""A tiny LiteRT preset, servers on free ports, and the calls that tests make."""

import base64
import contextlib
import io
import threading

import httpx
import numpy as np
from PIL import Image

from tfderain import runtime, serving

PREDICT = "/v1/models/menet:predict"


def photo(height, width, seed=0):
    """Random `uint8` RGB pixels."""
    shape = (height, width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def encode(pixels, format="PNG", **options):
    """Returns the bytes of an image file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format, **options)
    return file.getvalue()


def decode(data):
    """Returns the pixels of an image file."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def b64(data):
    """Returns the JSON value of bytes."""
    return {"b64": base64.b64encode(data).decode()}


def unb64(value):
    """Returns the pixels of an image file in a JSON answer."""
    return decode(base64.b64decode(value["b64"]))


class Restorer:
    """Gives negatives, when `gate` lets it; stands for a slow network."""

    stride = 1

    def __init__(self):
        self.gate = threading.Semaphore(1000)
        self.begun = threading.Semaphore(0)
        self.tiles = 0

    def derain(self, rainy, progress=None, alpha=None):
        self.begun.release()
        if rainy.ndim and rainy.shape[:2] == (13, 13):
            raise MemoryError("as a network may")
        assert self.gate.acquire(timeout=60)
        for done in range(1, 4):
            self.tiles += 1
            if progress:
                progress(done, 3)
        return (255 if rainy.dtype == np.uint8 else 1) - rainy

    def close_gate(self):
        """Lets nothing pass until `gate.release()`."""
        while self.gate.acquire(blocking=False):
            pass
        while self.begun.acquire(blocking=False):
            pass


@contextlib.contextmanager
def slow_server(monkeypatch, **settings):
    """A server with one worker, its restorer, and an HTTP client."""
    restorer = Restorer()
    monkeypatch.setattr(runtime, "Restorer", lambda *arguments, **settings: restorer)
    options = {"port": 0, "grpc_port": None, "name": "slow", "workers": 1, **settings}
    with (
        serving.Server("menet", serving.Settings(**options)) as server,
        httpx.Client(base_url=server.rest_address, timeout=60) as client,
    ):
        yield server, restorer, client
        restorer.gate.release(1000)


def predict(client, status=200, path=PREDICT, **body):
    answer = client.post(path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()
