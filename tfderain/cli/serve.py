"""Serving command: `tfderain serve`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from tfderain import presets
from tfderain.cli import options
from tfderain.cli.options import count

if TYPE_CHECKING:
    from tfderain import serving

Served = Annotated[
    str,
    Argument(
        metavar="MODEL",
        help="Preset name, .tflite or .keras file, SavedModel or run folder.",
    ),
]
Host = Annotated[
    str, Option(metavar="ADDRESS", help="0.0.0.0 opens it to the network.")
]
Name = Annotated[
    str | None, Option(metavar="NAME", help="Name in URLs. [default: the model's]")
]
Workers = Annotated[
    int | None,
    count("Parallel images. [default: one per core, at most 4; with --ui 1]"),
]
Threads = Annotated[int | None, count("Per worker. [default: its share of the cores]")]
MaxMegabytes = Annotated[
    int | None,
    count("Largest request in MB. [default: 32, with --ui 128]", "--max-mb"),
]
Timeout = Annotated[
    float | None,
    Option(
        metavar="SECONDS", min=0.001, help="Per request. [default: 60, with --ui 600]"
    ),
]
Grace = Annotated[
    float, Option(metavar="SECONDS", min=0, help="Time to finish after SIGTERM.")
]
UploadTimeout = Annotated[
    float | None,
    Option(
        metavar="SECONDS",
        min=0.001,
        help="For a request to arrive. [default: 30, with --ui 300]",
    ),
]
Page = Annotated[
    Path | None,
    Option(metavar="DIR", help="The page, if not web/dist; implies --ui."),
]


def serve(
    model: Served = presets.DEFAULT,
    host: Host = "127.0.0.1",
    port: Annotated[int, count("For REST; 0: any free one.", least=0)] = 8501,
    grpc_port: Annotated[int, count("For gRPC; 0: any free one.", least=0)] = 8500,
    rest_only: Annotated[bool, Option("--rest-only", help="Without gRPC.")] = False,
    name: Name = None,
    workers: Workers = None,
    threads: Threads = None,
    queue: Annotated[int, count("Images that may wait; more get error 503.")] = 64,
    max_mb: MaxMegabytes = None,
    max_pixels: Annotated[int, count("Largest image, in pixels.")] = 50_000_000,
    timeout: Timeout = None,
    upload_timeout: UploadTimeout = None,
    grace: Grace = 30,
    tile: options.Tile = "auto",
    scales: options.Scales = "auto",
    runtime: options.RuntimeName = None,
    ui: Annotated[bool, Option("--ui", help="Also serve the page for photos.")] = False,
    ui_dir: Page = None,
):
    """Answer REST and gRPC as TensorFlow Serving does, for clients of either.

    Images go in as files or as float tensors. There is no encryption and no password:
    put a proxy in front of it. SIGTERM and Ctrl-C let pending requests finish.
    --ui also serves the page that `make web` builds: in the browser it derains small
    photos itself and sends large ones here, one by one.

    \b
    tfderain serve menet
    tfderain serve menet --ui
    curl -d "{\\"instances\\": [{\\"b64\\": \\"$(base64 -w0 rainy.jpg)\\"}]}" \\
        http://127.0.0.1:8501/v1/models/menet:predict
    """
    from tfderain import serving

    page = ui_dir or (serving.PAGE if ui else None)
    if page:  # one person's photos: few, of up to 50 megapixels, sent as PNG
        workers, max_mb, timeout = workers or 1, max_mb or 128, timeout or 600
        upload_timeout = upload_timeout or 300
    settings = serving.Settings(
        host=host,
        port=port,
        grpc_port=None if rest_only else grpc_port,
        name=name,
        workers=workers,
        threads=threads,
        queue=queue,
        max_bytes=(max_mb or 32) * 1_000_000,
        max_pixels=max_pixels,
        timeout=timeout or 60,
        upload_timeout=upload_timeout or 30,
        grace=grace,
        tile=options.tile_side(tile),
        scales=options.scale_count(scales),
        runtime=runtime,
        ui=page,
    )
    run(model, settings)


def run(model: str, settings: "serving.Settings"):
    """Serves until a signal arrives; fails if requests were left unfinished."""
    from tfderain import serving

    if not serving.serve(model, settings, tell):
        print("error: not all requests were finished in time", file=sys.stderr)
        raise typer.Exit(1)
    print("stopped; all requests were finished", file=sys.stderr)


def tell(server: "serving.Server"):
    """Prints where a server listens."""
    address = f"{server.rest_address}/v1/models/{server.name}"
    print(f"REST: {address}", flush=True)
    if server.grpc_address:
        print(f"gRPC: {server.grpc_address}, model {server.name}", flush=True)
    if server.settings.ui:
        print(f"page: {server.rest_address}/", flush=True)
    print("Ctrl-C stops", file=sys.stderr, flush=True)
