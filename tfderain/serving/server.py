"""Server of one model: its ports, start and stop."""

import ipaddress
import os
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tfderain import extras, presets, runtime
from tfderain.runtime import engines
from tfderain.serving import page, protos
from tfderain.serving.engine import Engine
from tfderain.serving.metrics import Metrics
from tfderain.serving.service import Limits, Service

# Seconds that finishing may take beyond what it waits for.
_MARGIN = 2.0


@dataclass(frozen=True)
class Settings:
    """How a model is served.

    Attributes:
        host: str. Address to listen on; by default only this machine can connect. There
            is no encryption and no password: put a proxy that has them in front of any
            other address.
        port: int. Port of REST, `/healthz` and `/metrics`; 0 is any free one.
        grpc_port: int, or `None` for no gRPC.
        name: str. Name in `/v1/models/<name>`. `None` for the preset's or the path's.
        workers: int. Images to derain in parallel, each with a copy of the model.
            `None` for one per processor, but at most 4; for 1 with TensorFlow.
        threads: int. Threads per worker. `None` divides the processors among workers.
        queue: int. Images that may wait; more are refused.
        max_bytes: int. Largest request. In the worst case, `queue + workers` of these
            wait at once, and as many are arriving.
        max_pixels: int. Largest height times width of an image.
        timeout: float. Seconds for a request.
        grace: float. Seconds that requests may take to finish after `stop`.
        tile, scales: see `tfderain.runtime.Restorer`.
        runtime: `"litert"`, `"tensorflow"`, or `None` for the one that suits the model.
        ui: path. Folder of the built page, to be served at `/`; `None` for no page.
        upload_timeout: float. Seconds, within `timeout`, for a request to arrive.
    """

    host: str = "127.0.0.1"
    port: int = 8501
    grpc_port: int | None = 8500
    name: str | None = None
    workers: int | None = None
    threads: int | None = None
    queue: int = 64
    max_bytes: int = 32_000_000
    max_pixels: int = 50_000_000
    timeout: float = 60.0
    grace: float = 30.0
    tile: int | Literal["auto"] | None = "auto"
    scales: int | Literal["auto"] = "auto"
    runtime: str | None = None
    ui: str | os.PathLike | None = None
    upload_timeout: float = 30.0

    def __post_init__(self):
        for name in ("workers", "threads", "queue", "max_bytes", "max_pixels"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be positive. Received: {value}.")
        if not min(self.timeout, self.upload_timeout) > 0 or not self.grace >= 0:
            raise ValueError(
                "Time-outs must be positive and `grace` at least 0. Received: "
                f"timeout={self.timeout}, upload_timeout={self.upload_timeout}, "
                f"grace={self.grace}."
            )
        if self.ui is not None:
            page.check(self.ui)


class Server:
    """Serves a model until it is stopped; a context manager.

    Args:
        model: name of a preset, or path; see `tfderain.runtime.Restorer`.
        settings: `Settings`.

    Attributes:
        name, version: str and int. The version is the number in the name of a
            SavedModel's folder, else 1.
        rest_address: str, `http://HOST:PORT`, once the server is running.
        grpc_address: str, `HOST:PORT`, or `None`.

    Raises:
        ImportError: a package of the extra `serve` is missing.
        OSError: (in `start`) an address cannot be used.
        ValueError: the model cannot be loaded or a setting does not fit.
    """

    def __init__(
        self,
        model: str | os.PathLike = presets.DEFAULT,
        settings: Settings | None = None,
    ):
        self.settings = settings = settings or Settings()
        require_packages(settings.grpc_port is not None)
        self.name, self.version = name_and_version(model, settings.name)
        self.rest_address = self.grpc_address = None
        restorers = open_restorers(model, settings)
        self.metrics = Metrics()
        self.engine = Engine(restorers, settings.queue, self.metrics)
        limits = Limits(
            body=settings.max_bytes,
            pixels=settings.max_pixels,
            calls=settings.queue + len(restorers),
            seconds=settings.timeout,
            arrival=min(settings.upload_timeout, settings.timeout),
        )
        self.service = Service(
            self.name, self.version, self.engine, limits, self.metrics
        )
        self._rest = self._grpc = self._finished = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def start(self) -> "Server":
        """Opens the ports; returns as soon as requests are answered."""
        try:
            if self.settings.grpc_port is not None:
                self._start_grpc()
            self._start_rest()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> bool:
        """Accepts no new requests, finishes the pending ones, closes the ports.

        Returns:
            Whether all of them were finished within `settings.grace` seconds.
        """
        if self._finished is not None:
            return self._finished
        until = time.monotonic() + self.settings.grace
        self.service.stopping = True
        grpc_ended = self._grpc.stop(self.settings.grace) if self._grpc else None
        if self._rest:
            self._rest.should_exit = True
        # Before both cut off what is still open.
        self._finished = self.service.idle(self.settings.grace)
        if self._rest:
            self._thread.join(_left(until) + _MARGIN)
        if grpc_ended:
            grpc_ended.wait(_left(until) + _MARGIN)
        self.engine.stop(_left(until) + _MARGIN)
        return self._finished

    def running(self) -> bool:
        """Whether the thread that answers REST is alive."""
        return bool(self._rest) and self._thread.is_alive()

    def _start_grpc(self):
        from tfderain.serving import grpc_api

        host = _bracketed(self.settings.host)
        self._grpc, port = grpc_api.server(
            self.service, f"{host}:{self.settings.grpc_port}"
        )
        self._grpc.start()
        self.grpc_address = f"{host}:{port}"

    def _start_rest(self):
        import uvicorn

        from tfderain.serving import rest

        listener = listen(self.settings.host, self.settings.port)
        config = uvicorn.Config(
            rest.application(self.service, self.settings.ui),
            http="h11",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="error",
            server_header=False,
            timeout_graceful_shutdown=max(int(self.settings.grace), 1),
        )
        self._rest = uvicorn.Server(config)
        # In a separate thread, where it leaves signals to this program.
        self._thread = threading.Thread(
            target=self._rest.run, kwargs={"sockets": [listener]}, daemon=True
        )
        self._thread.start()
        while not self._rest.started:
            if not self._thread.is_alive():
                raise OSError("The REST server did not start.")
            time.sleep(0.01)
        port = listener.getsockname()[1]
        self.rest_address = f"http://{_bracketed(self.settings.host)}:{port}"


def serve(
    model: str | os.PathLike, settings: Settings, ready: Callable[[Server], None]
) -> bool:
    """Serves a model until the process receives SIGTERM or Ctrl-C.

    The first signal lets pending requests finish; a second one stops immediately.

    Args:
        model: see `Server`.
        settings: `Settings`.
        ready: called with the running `Server`.

    Returns:
        Whether all requests were finished.

    Raises:
        OSError: an address cannot be used, or the server broke down.
    """
    warnings.filterwarnings("ignore", module="PIL")  # of damaged metadata
    asked = threading.Event()
    handlers = {}

    def stop(number, frame):
        asked.set()
        for signum, handler in handlers.items():
            signal.signal(signum, handler)

    server = Server(model, settings)
    for signum in (signal.SIGTERM, signal.SIGINT):
        handlers[signum] = signal.signal(signum, stop)
    try:
        with server:
            ready(server)
            while not asked.wait(1.0):
                if not server.running():
                    raise OSError("The REST server broke down.")
            return server.stop()
    finally:
        for signum, handler in handlers.items():
            signal.signal(signum, handler)


def require_packages(grpc: bool):
    """Checks that the extra is installed.

    Raises:
        ImportError: a package of the extra `serve` is not installed.
    """
    extras.require("fastapi", "prometheus_client", "uvicorn", extra="serve")
    if grpc:
        extras.require("grpc", extra="serve")
        protos.load()


def name_and_version(
    model: str | os.PathLike, name: str | None = None
) -> tuple[str, int]:
    """Returns the name and version that clients use for a model.

    Raises:
        ValueError: the name cannot be part of an address.
    """
    located = presets.locate(model)
    path, folder = located.path, located.saved_model
    version = int(folder.name) if folder and folder.name.isdecimal() else 1
    if path.name.isdecimal():  # exported/menet/1
        path = path.resolve().parent
    name = name or (path.stem if path.suffix in (".keras", ".tflite") else path.name)
    if not name or set(name) & set("/:?#%"):
        raise ValueError(
            f"`name` must not contain any of / : ? # %. Received: name={name!r}."
        )
    return name, version


def open_restorers(
    model: str | os.PathLike, settings: Settings
) -> list[runtime.Restorer]:
    """Returns a warm `Restorer` for each worker."""
    kind = settings.runtime or presets.locate(model).runtime
    processors = engines.processors()
    # TensorFlow spreads one image over all processors, and its copies are large.
    workers = settings.workers or (1 if kind == "tensorflow" else min(processors, 4))
    threads = settings.threads or max(processors // workers, 1)
    restorers = []
    # One after another: `Restorer` holds back LiteRT's greeting on file descriptor 2.
    for _ in range(workers):
        restorer = runtime.Restorer(
            model, kind, threads, settings.tile, scales=settings.scales
        )
        # So that the first request need not wait for tracing and packing.
        restorer.derain(np.zeros((restorer.stride, restorer.stride, 3), np.float32))
        restorers.append(restorer)
    return restorers


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket bound to an address, for uvicorn to listen on.

    Raises:
        OSError: the address cannot be used; names it.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family)
        try:
            # A restarted server need not wait for connections of the previous one.
            # On Windows, the option would let two servers share the port.
            if os.name != "nt":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"The address {host}:{port} cannot be used: {reason}.") from error
    return listener


def _bracketed(host):
    try:
        return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:  # a name
        return host


def _left(until):
    return max(until - time.monotonic(), 0)
