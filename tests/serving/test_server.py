"""`tfderain serve` as a process: signals, what it loads, options and mistakes."""

import concurrent.futures
import pathlib
import re
import signal
import subprocess
import sys
import time

import grpc
import httpx
import numpy as np
import pytest
import tensorflow as tf
from serving_clients import b64, decode, encode, photo, slow_server, unb64
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tfderain import cli, presets, runtime, serving
from tfderain.cli import console
from tfderain.runtime import engines
from tfderain.serving import server as servers

PRESET = pathlib.Path(__file__).parents[2] / "savedmodels" / "menet"
COMMAND = "import sys; from tfderain.cli import main; sys.exit(main())"


def test_a_process_serves_without_tensorflow_and_sigterm_lets_it_finish():
    options = ["--port", "0", "--grpc-port", "0", "--workers", "1", "--threads", "1"]
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, "serve", str(PRESET), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            address = re.search("REST: (.*)", process.stdout.readline())[1]
            grpc_address = re.search("gRPC: (.*),", process.stdout.readline())[1]
            assert address.startswith("http://127.0.0.1:"), "this machine only"
            maps = pathlib.Path(f"/proc/{process.pid}/maps")
            if maps.exists():
                assert "libtensorflow" not in maps.read_text()
            check_grpc(grpc_address)
            check_stop(process, address)
            assert process.wait(60) == 0
            assert "all requests were finished" in process.stderr.read()
        finally:
            process.kill()


def check_grpc(address):
    """The messages that were loaded without TensorFlow understand TensorFlow's."""
    made = predict_pb2.PredictRequest()
    made.model_spec.name = "menet"
    file = encode(photo(4, 6))
    made.inputs["rainy_bytes"].CopyFrom(tf.make_tensor_proto([file]))
    with grpc.insecure_channel(address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        answer = stub.Predict(made, timeout=60)
    (data,) = tf.make_ndarray(answer.outputs["derained_bytes"])
    assert decode(data).shape == (4, 6, 3)


def check_stop(process, address):
    """Signals while images are in work and wait; all of them are answered."""
    # Large: the first stays in work until the metrics have been read, also under load.
    body = {"instances": [b64(encode(photo(640, 640, seed))) for seed in range(3)]}
    with (
        httpx.Client(timeout=60) as client,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        answer = pool.submit(client.post, f"{address}:predict", json=body)
        root = address.split("/v1/")[0]
        until = time.monotonic() + 60
        # More than two wait; the third is in work.
        while "tfderain_queue_images 2.0" not in client.get(f"{root}/metrics").text:
            assert time.monotonic() < until and not answer.done()
        process.send_signal(signal.SIGTERM)
        values = answer.result().json()["predictions"]
    assert [unb64(value).shape for value in values] == [(640, 640, 3)] * 3


# Options


@pytest.mark.parametrize("missing", ["fastapi", "prometheus_client", "grpc"])
def test_without_the_extra_one_line_names_it(monkeypatch, capsys, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    assert console.run(cli.app, ["serve", "menet"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: This needs ") and missing in line
    assert '`pip install "tfderain[serve]"`. Received: ' in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["no_such_model"], "The preset must be one of"),
        (["--queue", "0"], "--queue"),
        (["--name", "a/b"], "`name` must not contain any of"),
        (["--tile", "some"], "`--tile` must be auto or a number"),
        (["--scales", "0"], "`--scales` must be auto or a number from 1"),
        (["--timeout", "0"], "--timeout"),
        (["--ui-dir", "/nowhere"], "`make web` builds web/dist"),
    ],
)
def test_mistakes_are_one_line(capsys, options, message):
    assert console.run(cli.app, ["serve", "--rest-only", *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_port_that_is_taken_is_one_line(monkeypatch, capsys):
    with slow_server(monkeypatch) as (server, _, _):
        port = server.rest_address.rsplit(":", 1)[1]
        assert console.run(cli.app, ["serve", "--rest-only", "--port", port]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"127.0.0.1:{port} cannot be used" in line


def test_options_become_settings(monkeypatch, capsys, tmp_path):
    seen = []
    monkeypatch.setattr(serving, "serve", lambda *asked: seen.append(asked) or True)
    assert console.run(cli.app, ["serve"]) == 0
    assert seen[0][:2] == (presets.DEFAULT, serving.Settings()), "the same defaults"
    options = "--host ::1 --port 1 --rest-only --name rain --workers 2 --threads 3"
    options += " --queue 4 --max-mb 5 --max-pixels 6 --timeout 7 --grace 8 --tile 64"
    options += " --scales 3"
    assert console.run(cli.app, ["serve", "x", *options.split()]) == 0
    assert seen[1][0] == "x"
    assert seen[1][1] == serving.Settings(
        *("::1", 1, None, "rain", 2, 3, 4, 5_000_000, 6, 7.0, 8.0, 64, 3)
    )
    (tmp_path / "index.html").touch()
    assert console.run(cli.app, ["serve", "--ui-dir", str(tmp_path)]) == 0
    assert seen[2][1] == serving.Settings(
        workers=1,
        max_bytes=128_000_000,
        timeout=600,
        ui=tmp_path,
        upload_timeout=300,
    )
    options = ["--ui", "--workers", "2", "--max-mb", "5", "--timeout", "7"]
    options += ["--upload-timeout", "9"]
    monkeypatch.setattr(serving, "PAGE", tmp_path)
    assert console.run(cli.app, ["serve", *options]) == 0
    assert seen[3][1] == serving.Settings(
        workers=2, max_bytes=5_000_000, timeout=7, ui=tmp_path, upload_timeout=9
    )
    monkeypatch.setattr(serving, "serve", lambda *asked: False)
    assert console.run(cli.app, ["serve"]) == 1
    assert "not all requests were finished" in capsys.readouterr().err


def test_ipv6_addresses_have_brackets(monkeypatch):
    try:
        servers.listen("::1", 0).close()
    except OSError:
        pytest.skip("This machine has no IPv6.")
    with slow_server(monkeypatch, host="::1", grpc_port=0) as (server, _, client):
        assert server.rest_address.startswith("http://[::1]:")
        assert server.grpc_address.startswith("[::1]:")
        assert client.get("/healthz").status_code == 200


def test_settings_that_cannot_be():
    for name in ("queue", "workers", "timeout", "upload_timeout"):
        with pytest.raises(ValueError, match="must be positive"):
            serving.Settings(**{name: 0})
    for wrong in ({"grace": -1},):
        with pytest.raises(ValueError, match="must be positive"):
            serving.Settings(**wrong)


@pytest.mark.parametrize(
    ("model", "name", "version"),
    [
        ("menet", "menet", 1),
        ("runs/mine/best.keras", "best", 1),
        ("dir/model.tflite", "model", 1),
        (PRESET, "menet", 1),
        (PRESET / "1", "menet", 1),
    ],
)
def test_names_and_versions(model, name, version, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file in ("runs/mine/best.keras", "dir/model.tflite"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()
    assert servers.name_and_version(model) == (name, version)
    assert servers.name_and_version(model, "other") == ("other", version)


def test_the_newest_saved_model_of_a_folder(tmp_path):
    for number in ("2", "10", "x"):
        (tmp_path / "rain" / number).mkdir(parents=True)
        (tmp_path / "rain" / number / "saved_model.pb").touch()
    located = presets.locate(tmp_path / "rain")
    assert located.saved_model == tmp_path / "rain" / "10"
    assert servers.name_and_version(tmp_path / "rain") == ("rain", 10)
    assert servers.name_and_version(tmp_path / "rain" / "2") == ("rain", 2)
    assert located.runtime == "tensorflow"


def test_workers_share_the_processors(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "best.keras").touch()
    made = []

    class Restorer:
        stride = 4

        def __init__(self, model, kind, threads, tile, scales):
            made.append((kind, threads))

        def derain(self, rainy):
            assert rainy.shape == (4, 4, 3)

    monkeypatch.setattr(runtime, "Restorer", Restorer)
    monkeypatch.setattr(engines, "processors", lambda: 12)
    for model, settings, expected in (
        ("menet", {}, [("litert", 3)] * 4),
        ("menet", {"workers": 16}, [("litert", 1)] * 16),
        ("menet", {"workers": 1, "threads": 2}, [("litert", 2)]),
        ("best.keras", {}, [("tensorflow", 12)]),
    ):
        made.clear()
        servers.open_restorers(model, serving.Settings(**settings))
        assert made == expected


def test_a_saved_model_gives_litert_pixels():
    rainy = np.random.default_rng(0).random((9, 14, 3), dtype=np.float32)
    saved = runtime.Restorer(PRESET / "1", presets.locate(PRESET / "1").runtime)
    assert saved.runtime == "tensorflow"
    assert saved.stride == runtime.Restorer(PRESET).stride
    derained = runtime.Restorer(PRESET).derain(rainy)
    # Float32 sums in another order; measured 1e-6.
    np.testing.assert_allclose(saved.derain(rainy), derained, atol=1e-5)
