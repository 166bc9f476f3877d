"""The command `tfderain serve`."""

import sys
from typing import Annotated

import typer
from typer import Argument, Option

from tfderain import options
from tfderain.options import count


def serve(
    model: Annotated[
        str,
        Argument(
            metavar="MODEL",
            help="Preset name, .tflite or .keras file, SavedModel or run folder.",
        ),
    ] = "menet",
    host: Annotated[
        str, Option(metavar="ADDRESS", help="0.0.0.0 opens it to the network.")
    ] = "127.0.0.1",
    port: Annotated[int, count("REST; 0 takes a free one.", least=0)] = 8501,
    grpc_port: Annotated[int, count("gRPC; 0 takes a free one.", least=0)] = 8500,
    rest_only: Annotated[bool, Option("--rest-only", help="No gRPC.")] = False,
    name: Annotated[
        str | None, Option(metavar="NAME", help="In addresses. [default: the model's]")
    ] = None,
    workers: Annotated[
        int | None, count("Images at once. [default: one per core, at most 4]")
    ] = None,
    threads: Annotated[
        int | None, count("Of one worker. [default: the cores shared out]")
    ] = None,
    queue: Annotated[int, count("Images that may wait; more get error 503.")] = 64,
    max_mb: Annotated[int, count("Megabytes of a request.", "--max-mb")] = 32,
    max_pixels: Annotated[int, count("Pixels of an image.")] = 50_000_000,
    timeout: Annotated[
        float, Option(metavar="SECONDS", min=0.001, help="For a request.")
    ] = 60,
    grace: Annotated[
        float, Option(metavar="SECONDS", min=0, help="To finish after SIGTERM.")
    ] = 30,
    tile: Annotated[str, Option(metavar="N", help="Tile side, or auto.")] = "auto",
    runtime: options.RuntimeName = None,
):
    """Answer REST and gRPC as TensorFlow Serving does, for clients of either.

    Images go in as files or as float tensors. Without encryption or passwords: put a
    proxy before it. SIGTERM and Ctrl-C let the requests that are here finish.

    \b
    tfderain serve menet
    curl -d "{\\"instances\\": [{\\"b64\\": \\"$(base64 -w0 rainy.jpg)\\"}]}" \\
        http://127.0.0.1:8501/v1/models/menet:predict
    """
    from tfderain import serving

    settings = serving.Settings(
        host=host,
        port=port,
        grpc_port=None if rest_only else grpc_port,
        name=name,
        workers=workers,
        threads=threads,
        queue=queue,
        max_bytes=max_mb * 1_000_000,
        max_pixels=max_pixels,
        timeout=timeout,
        grace=grace,
        tile=options.tile_side(tile),
        runtime=runtime,
    )
    if not serving.serve(model, settings, tell):
        print("error: not all requests were finished in time", file=sys.stderr)
        raise typer.Exit(1)
    print("stopped; all requests were finished", file=sys.stderr)


def tell(server):
    """Says where a server listens."""
    address = f"{server.rest_address}/v1/models/{server.name}"
    print(f"REST: {address}", flush=True)
    if server.grpc_address:
        print(f"gRPC: {server.grpc_address}, model {server.name}", flush=True)
    print("Ctrl-C stops", file=sys.stderr, flush=True)
