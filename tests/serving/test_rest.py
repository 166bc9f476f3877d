"""REST as TensorFlow Serving has it: a real server, on a free port of this machine."""

import asyncio
import base64
import concurrent.futures
import contextlib
import io
import json
import pathlib
import socket
import time

import helpers
import httpx
import numpy as np
import pytest
from PIL import Image
from serving_clients import PREDICT, b64, encode, photo, predict, slow_server, unb64

from tfderain import runtime, serving
from tfderain.serving import json_tensors, signatures, uploads
from tfderain.serving.refusal import Refusal

ROOT = pathlib.Path(__file__).parents[2]
PRESET = ROOT / "savedmodels" / "menet"


@pytest.fixture(scope="module")
def server():
    options = serving.Settings(
        port=0, grpc_port=None, workers=2, threads=1, max_bytes=400_000, max_pixels=9000
    )
    with serving.Server(PRESET, options) as server:
        yield server


@pytest.fixture(scope="module")
def client(server):
    with httpx.Client(base_url=server.rest_address, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def restorer():
    return runtime.Restorer("menet", threads=1)


def refused(client, status=400, path=PREDICT, **body):
    answer = predict(client, status, path, **body)
    assert list(answer) == ["error"] and "\n" not in answer["error"]
    return answer["error"]


# About the model


def test_status_in_the_words_of_tensorflow_serving(client):
    ready = {"error_code": "OK", "error_message": ""}
    version = {"version": "1", "state": "AVAILABLE", "status": ready}
    for path in ("/v1/models/menet", "/v1/models/menet/versions/1"):
        assert client.get(path).json() == {"model_version_status": [version]}


def test_metadata_lists_the_signatures(client):
    for path in ("/v1/models/menet/metadata", "/v1/models/menet/versions/1/metadata"):
        answer = client.get(path).json()
        assert answer["model_spec"] == {
            "name": "menet",
            "signature_name": "",
            "version": "1",
        }
    definitions = answer["metadata"]["signature_def"]["signature_def"]
    assert sorted(definitions) == ["serve", "serving_default", "tensor"]
    files, tensors = definitions["serving_default"], definitions["tensor"]
    assert files["method_name"] == "tensorflow/serving/predict"
    assert files["inputs"]["rainy_bytes"]["dtype"] == "DT_STRING"
    assert files["outputs"]["derained_bytes"]["tensor_shape"] == {
        "dim": [{"size": "-1", "name": ""}],
        "unknown_rank": False,
    }
    assert tensors["inputs"]["rainy"]["dtype"] == "DT_FLOAT"
    sizes = [d["size"] for d in tensors["outputs"]["derained"]["tensor_shape"]["dim"]]
    assert sizes == ["-1", "-1", "-1", "3"]


@pytest.mark.parametrize(
    "path", ["/v1/models/other", "/v1/models/menet/versions/7", "/v1/models/o/metadata"]
)
def test_unknown_models_and_versions_are_not_found(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"].startswith("Servable not found for request: ")


def test_malformed_addresses(client):
    assert client.get("/v1/modules/menet").json() == {
        "error": "Malformed request: GET /v1/modules/menet"
    }
    assert client.get("/v1/models/menet/versions/new").status_code == 400
    assert client.post("/v1/models/menet:classify", json={}).status_code == 400
    assert client.get("/elsewhere").json() == {"error": "Not Found"}


def test_the_list_of_models_has_what_the_page_needs(client):
    model = {"name": "menet", "version": "1", "max_bytes": 400_000, "max_pixels": 9000}
    assert client.get("/v1/models").json() == {"models": [model]}
    assert client.get("/").status_code == 404, "no page, unless asked for"


# Images


@pytest.mark.parametrize("form", ["row", "named row", "column", "named column"])
def test_every_form_gives_the_restorers_pixels(client, restorer, form):
    sizes = [(16, 20), (7, 5), (20, 16)]
    rainy = [photo(*size, seed) for seed, size in enumerate(sizes)]
    values = [b64(encode(pixels)) for pixels in rainy]
    body = {
        "row": {"instances": values},
        "named row": {"instances": [{"rainy_bytes": value} for value in values]},
        "column": {"inputs": values},
        "named column": {"inputs": {"rainy_bytes": values}},
    }[form]
    answer = predict(client, **body)
    assert list(answer) == ["predictions" if "row" in form else "outputs"]
    for pixels, value in zip(rainy, *answer.values(), strict=True):
        derained = restorer.derain(pixels)
        assert np.abs(derained.astype(int) - pixels).max() > 20  # it does something
        # The same code on the same pixels; a thread more may round otherwise.
        assert np.abs(unb64(value).astype(int) - derained).max() <= 1


def test_tensors_in_both_forms(client, restorer):
    rainy = helpers.images(2, 8, 12, 3)
    for signature in ("tensor", "serve"):
        body = {"signature_name": signature, "instances": rainy.tolist()}
        rows = predict(client, **body)["predictions"]
        named = {"signature_name": signature, "inputs": {"rainy": rainy.tolist()}}
        columns = predict(client, **named)["outputs"]
        assert rows == columns
        # 8 decimal digits, and float32 sums that threads may add in another order.
        np.testing.assert_allclose(rows, restorer.derain(rainy), atol=1e-6)


def test_version_in_the_address(client):
    body = {"instances": [b64(encode(photo(4, 4)))]}
    path = "/v1/models/menet/versions/1:predict"
    assert len(predict(client, path=path, **body)["predictions"]) == 1
    refused(client, 404, path="/v1/models/menet/versions/2:predict", **body)
    refused(client, 404, path="/v1/models/other:predict", **body)


def test_pixels_as_the_saved_model_gives_them(client):
    # RGB in the order stored, whatever came; metadata says how to turn it.
    grey = np.repeat(photo(8, 12)[:, :, :1], 3, axis=2)
    exif = Image.Exif()
    exif[0x0112] = 6
    alpha = np.dstack([grey, np.full((8, 12), 9, np.uint8)])
    files = [
        encode(grey),
        encode(grey[:, :, 0]),
        encode(alpha),
        encode(grey, exif=exif.tobytes()),
    ]
    values = predict(client, instances=[b64(data) for data in files])["predictions"]
    first = unb64(values[0])
    for value in values:
        assert unb64(value).shape == (8, 12, 3)
        np.testing.assert_array_equal(unb64(value), first)
    with Image.open(io.BytesIO(base64.b64decode(values[3]["b64"]))) as image:
        assert image.format == "PNG" and image.getexif()[0x0112] == 6


def test_what_lies_under_transparent_pixels_changes_nothing(client, restorer):
    rainy, alpha = photo(20, 30), np.full((20, 30), 255, np.uint8)
    alpha[:, :9] = alpha[:6, :20] = 0
    cut = [np.where(alpha[..., None] == 0, under, rainy) for under in (0, 255)]
    files = [np.dstack([pixels, alpha]).astype(np.uint8) for pixels in cut]
    values = [b64(encode(pixels)) for pixels in files]
    answers = map(unb64, predict(client, instances=values)["predictions"])
    black, white = (pixels.astype(int) for pixels in answers)
    shown = alpha != 0
    # One grey level: threads may round otherwise.
    assert np.abs(black - white)[shown].max() <= 1
    expected = restorer.derain(files[0][..., :3], alpha=alpha)
    assert np.abs(black - expected).max() <= 1
    assert (black[~shown] == 0).all() and (white[~shown] == 255).all()


def test_every_answer_belongs_to_its_request(client, restorer):
    """32 clients at once, each with images of its own; nothing is lost."""
    photos = [photo(6 + number % 5, 9, number) for number in range(64)]

    def ask(number):
        mine = photos[2 * number : 2 * number + 2]
        body = {"instances": [b64(encode(pixels)) for pixels in mine]}
        return [unb64(value) for value in predict(client, **body)["predictions"]]

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        answers = [image for pair in pool.map(ask, range(32)) for image in pair]
    for pixels, answer in zip(photos, answers, strict=True):
        expected = restorer.derain(pixels)
        assert np.abs(answer.astype(int) - expected).max() <= 1  # rounding, as above


# What is wrong with a request


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"instances": [], "inputs": []}, "only one of 'inputs' or 'instances'"),
        ({"instances": "b64"}, "Expecting 'instances' to be an list"),
        ({"instances": []}, "No values in 'instances'"),
        ({"instances": ["text"]}, 'Image 0 must be {"b64": "..."}'),
        ({"instances": [{"b64": 3}]}, "Image 0 must be"),
        ({"instances": [{"b64": "????"}]}, "Unable to base64 decode image 0"),
        ({"instances": [{"image": {"b64": ""}}]}, "must only have keys: rainy_bytes"),
        ({"instances": [{"b64": ""}, {"rainy_bytes": 1}]}, "got object at item 1"),
        ({"instances": [{"rainy_bytes": 1}, {"b64": ""}]}, "got list at item 1"),
        ({"inputs": {"image": []}}, "Missing named input: rainy_bytes"),
        ({"inputs": {"b64": ""}}, "Images must be a list"),
        ({"instances": [1], "signature_name": "x"}, '"x" not found in signature def'),
        ({"instances": [1], "signature_name": 1}, "must be a string"),
        ({"instances": [{"b64": ""}]}, "Cannot read the picture: it is empty."),
        ({"instances": [b64(b"GIF")]}, "not a picture of a known format"),
    ],
)
def test_requests_that_are_wrong(client, body, message):
    assert message in refused(client, **body)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([0.5], "Received: shape=(1,)"),
        ([[[[0.5]]]], "shape=(1, 1, 1, 1)"),
        ([[[[0.1, 0.2, "0.3"]]]], "type=<U"),
        ([[[[True, False, True]]]], "type=bool"),
        ([[[[0.1, 0.2, 0.3]]], [[[0.1, 0.2, 0.3]] * 2]], "must be of equal size"),
        ([[[[0.1, 0.2, 1.5]]]], "must lie in [0, 1]"),
        ([[[[0.1, 0.2, 1e300]]]], "must lie in [0, 1]"),
        ([[[[0.1, 0.2, 2**70]]]], "type=object"),
        ([[]], "Received: shape=(1, 0)"),
    ],
)
def test_tensors_that_are_wrong(client, images, message):
    body = {"signature_name": "tensor", "instances": images}
    assert message in refused(client, **body)


def test_a_signature_that_is_no_text(client):
    body = b'{"signature_name": "\\ud800", "instances": []}'
    answer = client.post(PREDICT, content=body)
    assert answer.status_code == 400 and "\\ud800" in answer.json()["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"[1]"])
def test_bodies_that_are_no_json_object(client, body):
    answer = client.post(PREDICT, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("JSON ")


def test_nan_is_refused(client):
    body = '{"signature_name": "tensor", "instances": [[[[NaN, 0, 0]]]]}'
    answer = client.post(PREDICT, content=body)
    assert answer.status_code == 400 and "minimum=nan" in answer.json()["error"]


def test_a_bad_image_costs_its_own_request_only(client):
    good = encode(photo(5, 5))
    error = refused(client, instances=[b64(good), b64(good[:60]), b64(good)])
    assert error.startswith("Image 1: Cannot read the picture")
    predict(client, instances=[b64(good)])


def test_limits_of_bytes_and_pixels(client):
    large = b64(encode(photo(100, 100)))
    assert "10000 pixels" not in refused(client, 413, instances=[large])
    assert "limit of 9000" in refused(client, 413, instances=[large])
    tensor = np.zeros((1, 91, 100, 3)).tolist()
    body = {"signature_name": "tensor", "instances": tensor}
    assert "not have more than 9000 pixels" in refused(client, 413, **body)
    for content in (b" " * 400_001, iter([b" " * 100_000] * 5)):  # the second: chunked
        answer = client.post(PREDICT, content=content)
        assert answer.status_code == 413 and "400000 bytes" in answer.json()["error"]
    predict(client, instances=[b64(encode(photo(5, 5)))])


def test_more_images_than_the_queue_takes(client):
    assert "more than 64 images" in refused(client, instances=[b64(b"")] * 65)


def test_clients_that_vanish(server, client):
    host, port = server.rest_address.removeprefix("http://").split(":")
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n"
    for part in (b"", b"POST", head.encode(), head.encode() + b"{" * 10):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(part)
    predict(client, instances=[b64(encode(photo(5, 5)))])


def test_health_and_metrics(client):
    predict(client, instances=[b64(encode(photo(5, 5)))])
    refused(client)
    assert client.get("/healthz").json() == {"status": "ok"}
    page = client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    lines = dict(
        line.rsplit(" ", 1) for line in page.text.splitlines() if line[:1] != "#"
    )
    served = 'tfderain_requests_total{code="%s",method="Predict",protocol="rest"}'
    assert float(lines[served % "OK"]) >= 1
    assert float(lines[served % "INVALID_ARGUMENT"]) >= 1
    assert float(lines["tfderain_image_seconds_count"]) >= 1
    assert float(lines["tfderain_queue_images"]) == 0
    assert float(lines["tfderain_requests_open"]) == 0
    assert "process_resident_memory_bytes" in lines


# A slow network


def ask(pool, client, pixels):
    body = {"instances": [b64(encode(pixels))]}
    return pool.submit(client.post, "/v1/models/slow:predict", json=body)


def wait_for(condition):
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_a_full_queue_says_so_and_recovers(monkeypatch):
    with (
        slow_server(monkeypatch, queue=2) as (server, restorer, client),
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        restorer.close_gate()
        waiting = [ask(pool, client, photo(3, 3, 0))]
        assert restorer.begun.acquire(timeout=30)
        waiting += [ask(pool, client, photo(3, 3, seed)) for seed in (1, 2)]
        wait_for(lambda: len(server.engine) == 2)
        # A fourth request is one too many, even to read.
        full = client.post("/v1/models/slow:predict", content=b"{}")
        assert full.status_code == 503 and full.headers["retry-after"] == "1"
        assert "3 requests are already open" in full.json()["error"]
        assert client.get("/healthz").status_code == 200
        restorer.gate.release(1000)
        for seed, answer in enumerate(waiting):
            (value,) = answer.result(30).json()["predictions"]
            np.testing.assert_array_equal(unb64(value), 255 - photo(3, 3, seed))


def test_images_beyond_the_queue_are_refused_together(monkeypatch):
    with (
        slow_server(monkeypatch, queue=2) as (server, restorer, client),
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        restorer.close_gate()
        first = ask(pool, client, photo(3, 3))
        assert restorer.begun.acquire(timeout=30)
        second = ask(pool, client, photo(3, 3))
        wait_for(lambda: len(server.engine) == 1)
        body = {"instances": [b64(encode(photo(3, 3)))] * 2}
        full = client.post("/v1/models/slow:predict", json=body)
        assert full.status_code == 503 and "(1 of 2 images are waiting)" in full.text
        restorer.gate.release(1000)
        assert first.result(30).status_code == second.result(30).status_code == 200


def test_time_is_limited_and_the_rest_of_an_image_is_saved(monkeypatch):
    with slow_server(monkeypatch, timeout=0.2) as (server, restorer, client):
        restorer.close_gate()
        body = {"instances": [b64(encode(photo(3, 3)))] * 3}
        late = client.post("/v1/models/slow:predict", json=body)
        assert late.status_code == 504
        assert "no answer within 0.2 s" in late.json()["error"]
        tiles = restorer.tiles
        restorer.gate.release(1000)
        wait_for(lambda: not len(server.engine) and restorer.tiles > tiles)
        assert server.engine.stop(30)
        # One tile of the image in work; the images after it were not begun.
        assert restorer.tiles == tiles + 1


def test_a_body_that_does_not_arrive(monkeypatch):
    with slow_server(monkeypatch, timeout=0.2) as (server, _, client):
        host, port = server.rest_address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            head = "POST /v1/models/slow:predict HTTP/1.1\r\nHost: h\r\n"
            connection.sendall(f"{head}Content-Length: 9\r\n\r\n".encode())
            assert connection.recv(1000).startswith(b"HTTP/1.1 408")
        assert client.get("/healthz").status_code == 200


HEAD = b"POST /v1/models/slow:predict HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\n"


def slow_clients(server, count):
    """Connections whose requests never arrive."""
    host, port = server.rest_address.removeprefix("http://").split(":")
    for _ in range(count):
        connection = socket.create_connection((host, int(port)), timeout=30)
        connection.sendall(HEAD + b"{")
        yield connection


def test_slow_uploads_hold_nobody_up(monkeypatch):
    monkeypatch.setattr(uploads, "PATIENCE", 0.05)
    with (
        contextlib.ExitStack() as stack,
        slow_server(monkeypatch, queue=3) as (server, _, client),
    ):
        # As many as may be open, and more.
        slow = [stack.enter_context(one) for one in slow_clients(server, 24)]
        body = {"instances": [b64(encode(photo(3, 3)))]}
        for _ in range(3):
            time.sleep(0.1)
            assert client.post("/v1/models/slow:predict", json=body).status_code == 200
        assert slow[0].recv(1000).startswith((b"HTTP/1.1 408", b"HTTP/1.1 503"))
        for connection in slow:
            connection.close()
        assert server.stop()  # and they do not count as requests that are here


def test_a_burst_is_refused_rather_than_cut_off(monkeypatch):
    with slow_server(monkeypatch, queue=1) as (server, _, client):
        slow = list(slow_clients(server, 2))
        wait_for(lambda: server.service._present == 2)
        full = client.post("/v1/models/slow:predict", content=b"{}")
        assert full.status_code == 503
        assert "2 requests are already arriving" in full.text
        for connection in slow:
            connection.sendall(b" " * 97 + b"}")
            assert connection.recv(1000).startswith(b"HTTP/1.1 400")
            connection.close()


class Request:
    """What `Uploads` needs of a request; its body comes from a queue."""

    def __init__(self, host):
        self.client = type("Client", (), {"host": host})
        self.headers = {}
        self.parts = asyncio.Queue()

    async def stream(self):
        while part := await self.parts.get():
            yield part


def test_the_slowest_of_the_busiest_client_gives_way(monkeypatch):
    monkeypatch.setattr(uploads, "PATIENCE", 0.0)

    async def answer(arriving, request):
        try:
            return await arriving.receive(request)
        except Refusal as error:
            return error.http

    async def run():
        arriving = uploads.Uploads(4, 100, 60)
        requests = [Request(host) for host in ("a", "b", "b", "b", "c")]
        tasks = []
        for request, size in zip(requests, (0, 9, 2, 9, 1), strict=True):
            tasks.append(asyncio.create_task(answer(arriving, request)))
            if size:
                request.parts.put_nowait(b"x" * size)
            await asyncio.sleep(0.01)
        for request in requests:
            request.parts.put_nowait(b"")
        return await asyncio.gather(*tasks)

    # a is slower, and alone; b has most, and its second is the slowest of them
    assert asyncio.run(run()) == [b"", b"x" * 9, 408, b"x" * 9, b"x"]


def test_an_upload_has_a_time_of_its_own(monkeypatch):
    with slow_server(monkeypatch, upload_timeout=0.1) as (server, _, client):
        (slow,) = slow_clients(server, 1)
        with slow:
            assert slow.recv(1000).startswith(b"HTTP/1.1 408")


def test_a_network_that_breaks_down_costs_its_request_only(monkeypatch, caplog):
    with slow_server(monkeypatch) as (_, _, client):
        for size, status in ((13, 500), (3, 200)):
            body = {"instances": [b64(encode(photo(size, size)))]}
            answer = client.post("/v1/models/slow:predict", json=body)
            assert answer.status_code == status
    assert "MemoryError: as a network may" in caplog.text


def test_stop_finishes_what_was_begun_and_takes_nothing_new(monkeypatch):
    with (
        slow_server(monkeypatch) as (server, restorer, client),
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        restorer.close_gate()
        waiting = [ask(pool, client, photo(3, 3, seed)) for seed in range(3)]
        assert restorer.begun.acquire(timeout=30)
        wait_for(lambda: len(server.engine) == 2)
        stopping = pool.submit(server.stop)
        wait_for(lambda: server.service.stopping)

        def closed():
            try:
                httpx.get(f"{server.rest_address}/healthz")
            except (httpx.ConnectError, httpx.ReadError):
                # Reset: the system had taken the connection, the server did not.
                return True
            return False

        wait_for(closed)
        assert not stopping.done()
        restorer.gate.release(1000)
        assert [answer.result(30).status_code for answer in waiting] == [200] * 3
        assert stopping.result(30)


def test_stop_gives_up_after_its_grace(monkeypatch):
    with (
        slow_server(monkeypatch, grace=0.1) as (server, restorer, client),
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        restorer.close_gate()
        answer = ask(pool, client, photo(3, 3))
        assert restorer.begun.acquire(timeout=30)
        assert not server.stop()
        restorer.gate.release(1000)
        assert answer.result(30).status_code == 503


# Without a server


def test_json_of_an_answer_can_be_read_back():
    rainy = helpers.images(1, 6, 5, 3)
    text = json_tensors.write_images(list(rainy), signatures.TENSORS, row=False)
    read = np.array(json.loads(text)["outputs"], np.float32)
    # Half of the eighth digit, and a step of float32 below 1/8; near 1 it is exact.
    np.testing.assert_allclose(read, rainy, atol=1.3e-8, rtol=0)
