"""TensorFlow Serving's REST API, `/healthz` and `/metrics`, as a FastAPI application.

`GET /v1/models/<name>[/versions/<version>][/metadata]` and
`POST /v1/models/<name>[/versions/<version>]:predict`; errors are `{"error": "..."}`.
In addition to TensorFlow Serving's: `GET /v1/models`, for the page of `web/`, and that
page at `/`.
"""

import asyncio
import contextlib
import os
import time
from concurrent.futures import Future
from typing import Any

from tfderain.serving import json_tensors, page, signatures, uploads
from tfderain.serving.refusal import Refusal, invalid
from tfderain.serving.service import Service


def application(service: Service, ui: str | os.PathLike | None = None):
    """Returns the ASGI application of a service.

    Args:
        service: the service that answers.
        ui: folder of the built page, or `None` for no page.
    """
    from fastapi import FastAPI, Request

    # Without FastAPI's documentation pages, which would load scripts from elsewhere.
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    _add_errors(app)
    _add_health(app, service)
    _add_models(app, service)
    _add_predict(app, service)

    @app.api_route("/v1/{path:path}", methods=["GET", "POST"])
    async def malformed(request: Request, path: str):
        raise invalid(f"Malformed request: {request.method} /v1/{path}")

    if ui:
        app.mount("/", page.files(ui))
    return app


def _add_errors(app):
    """Adds the answers to errors."""
    from fastapi import Request
    from fastapi.responses import JSONResponse
    from starlette.exceptions import HTTPException

    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal):
        headers = {"Retry-After": "1"} if error.http == 503 else None
        return JSONResponse({"error": error.message}, error.http, headers)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException):
        return JSONResponse({"error": error.detail}, error.status_code)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception):
        return JSONResponse({"error": f"Internal error: {type(error).__name__}"}, 500)


def _add_health(app, service):
    """Adds `/healthz` and `/metrics`."""
    from fastapi import Response
    from fastapi.concurrency import run_in_threadpool
    from fastapi.responses import JSONResponse

    @app.get("/healthz")
    async def healthz():
        if service.stopping:
            return JSONResponse({"status": "stopping"}, 503)
        return {"status": "ok"}

    @app.get("/metrics")
    async def metrics():
        numbers, kind = await run_in_threadpool(service.metrics.page)
        return Response(numbers, media_type=kind)


def _add_models(app, service):
    """Adds information about the model: its name, state and signatures."""

    @app.get("/v1/models")
    async def models():
        return model_list(service)

    @app.get("/v1/models/{name}")
    @app.get("/v1/models/{name}/versions/{version:int}")
    async def status(name: str, version: int | None = None):
        with service.metrics.call("rest", "GetModelStatus"):
            service.check(name, version)
            return model_status(service)

    @app.get("/v1/models/{name}/metadata")
    @app.get("/v1/models/{name}/versions/{version:int}/metadata")
    async def metadata(name: str, version: int | None = None):
        with service.metrics.call("rest", "GetModelMetadata"):
            service.check(name, version)
            return model_metadata(service)


def _add_predict(app, service):
    """Adds the deraining of images."""
    from fastapi import Request, Response
    from fastapi.concurrency import run_in_threadpool

    # As Python lists, JSON of floats takes 16 times its size; because of Python's lock,
    # only one thread could work on it anyway.
    turns = asyncio.Semaphore(2)
    limits = service.limits
    arriving = uploads.Uploads(limits.calls, limits.body, limits.arrival)

    @app.post("/v1/models/{name}:predict")
    @app.post("/v1/models/{name}/versions/{version:int}:predict")
    async def predict(request: Request, name: str, version: int | None = None):
        until = time.monotonic() + service.limits.seconds
        with service.metrics.call("rest", "Predict"), service.present():
            service.check_places()  # before megabytes arrive in vain
            body = await arriving.receive(request)
            with service.admitted():
                # Parsing megabytes of JSON would hold up the other connections.
                async with turns:
                    signature, images, row = await run_in_threadpool(
                        understand, service, name, version, body
                    )
                del body  # as large as the images, which may wait for a long time
                seconds = until - time.monotonic()
                future = service.submit(signature, images, seconds)
                derained = await answers(request, service, future, seconds)
                async with turns:
                    answer = await run_in_threadpool(
                        json_tensors.write_images, derained, signature, row
                    )
        return Response(answer, media_type="application/json")


def understand(service: Service, name: str, version: int | None, body: bytes):
    """Returns the signature, the images, and whether they came in the row form.

    Raises:
        Refusal: `NOT_FOUND` or `INVALID_ARGUMENT`.
    """
    document = json_tensors.parse(body)
    service.check(name, version)
    signature = signatures.find(json_tensors.signature_name(document))[1]
    return signature, *json_tensors.read_images(document, signature)


async def answers(
    request: Any, service: Service, future: Future, seconds: float
) -> list:
    """Waits for the images of a call, as long as there is time and a client.

    Raises:
        Refusal: that of the call, or that for running out of time.
    """

    async def disconnect():
        while (await request.receive())["type"] != "http.disconnect":
            pass

    answer = asyncio.wrap_future(future)
    gone = asyncio.ensure_future(disconnect())
    try:
        first = asyncio.FIRST_COMPLETED
        await asyncio.wait({answer, gone}, timeout=max(seconds, 0), return_when=first)
        if answer.done():
            return answer.result()
        if gone.done():
            raise Refusal("CANCELLED", "The client is gone.")
        raise service.overdue()
    except asyncio.CancelledError as error:  # by uvicorn, after the grace period
        raise Refusal("UNAVAILABLE", "The server is stopping.") from error
    finally:
        answer.cancel()  # drops the images that are still waiting
        gone.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await gone


def model_list(service: Service) -> dict:
    """Returns the answer to `GET /v1/models`: all that a client needs to know."""
    model = {
        "name": service.name,
        "version": str(service.version),
        "max_bytes": service.limits.body,
        "max_pixels": service.limits.pixels,
    }
    return {"models": [model]}


def model_status(service: Service) -> dict:
    """Returns the answer to `GET /v1/models/<name>`."""
    status = {"error_code": "OK", "error_message": ""}
    version = {"version": str(service.version), "state": "AVAILABLE", "status": status}
    return {"model_version_status": [version]}


def model_metadata(service: Service) -> dict:
    """Returns the answer to `GET /v1/models/<name>/metadata`: the signatures."""
    definitions = {
        name: {
            "inputs": {signature.rainy: _tensor(signature.rainy, signature)},
            "outputs": {signature.derained: _tensor(signature.derained, signature)},
            "method_name": signatures.METHOD,
            "defaults": {},
        }
        for name, signature in signatures.SIGNATURES.items()
    }
    version = str(service.version)
    spec = {"name": service.name, "signature_name": "", "version": version}
    return {
        "model_spec": spec,
        "metadata": {"signature_def": {"signature_def": definitions}},
    }


def _tensor(alias, signature):
    dimensions = [{"size": str(size), "name": ""} for size in signature.shape]
    return {
        "name": f"{alias}:0",
        "dtype": signature.dtype,
        "tensor_shape": {"dim": dimensions, "unknown_rank": False},
    }
