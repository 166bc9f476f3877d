"""Picture commands: `tfderain derain` and `tfderain synthesize`."""

import contextlib
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer import Option

from tfderain import presets
from tfderain.cli import console, options
from tfderain.cli.options import count, refuse_existing, restorer

if TYPE_CHECKING:
    import numpy as np

    from tfderain import batch, video
    from tfderain.runtime import Restorer

Networks = Annotated[
    list[str] | None,
    Option(
        "--model",
        metavar="MODEL",
        help="Preset name, file or run folder; repeatable: one after the other. "
        f"[default: {presets.DEFAULT}]",
    ),
]
Mask = Annotated[
    Path | None,
    Option("--mask", metavar="DIR", help="Also write where drops are on the glass."),
]
SkipExisting = Annotated[
    bool, Option("--skip-existing", help="Leave out pictures that are done.")
]
Compare = Annotated[
    bool, Option("--compare", help="Also write NAME.compare.png, side by side.")
]
Best = Annotated[
    bool, Option("--best", help="Average with the mirror image; twice the time.")
]
Overlap = Annotated[
    int | None, count("Pixels that tiles share. [default: 128]", least=0)
]


Codec = Annotated[
    str | None,
    Option("--codec", metavar="NAME", help="Of films. [default: H.264; VP9 in .webm]"),
]
Quality = Annotated[
    float | None,
    Option("--quality", metavar="N", help="Of films, lower is better. [default: 18]"),
]
PixelFormat = Annotated[
    str | None,
    Option("--pixel-format", metavar="NAME", help="Of films. [default: the input's]"),
]
Temporal = Annotated[
    int,
    count("Of films: look at N frames before and after each.", "--temporal", least=0),
]
Align = Annotated[
    options.Align, Option("--align", help="none: for cameras that stand still.")
]

Preview = Annotated[
    int | None,
    Option("--preview", metavar="PORT", min=0, help="Of cameras: a page with them."),
]


def derain(
    inputs: options.Films,
    out: Annotated[
        str | None,
        options.out("OUT", "A picture, a film, or a folder (end it with /)."),
    ] = None,
    model: Networks = None,
    recursive: options.Recursive = False,
    skip_existing: SkipExisting = False,
    overwrite: options.Overwrite = False,
    format: Annotated[
        options.Format | None, Option(help="[default: the input's]")
    ] = None,
    compare: Compare = False,
    mask: Mask = None,
    scales: options.Scales = "auto",
    best: Best = False,
    tile: options.Tile = "auto",
    overlap: Overlap = None,
    threads: Annotated[int | None, count("[default: one per core]")] = None,
    runtime: options.RuntimeName = None,
    max_pixels: Annotated[int | None, count("Refuse larger pictures.")] = None,
    temporal: Temporal = 0,
    align: Align = "flow",
    codec: Codec = None,
    quality: Quality = None,
    pixel_format: PixelFormat = None,
    preview: Preview = None,
    json: options.Json = None,
):
    """Remove the rain from pictures and films: files, a folder or a tree.

    Nothing is overwritten unless asked; a bad picture does not stop the others.

    \b
    tfderain derain photo.jpg --out derained.jpg
    tfderain derain a.jpg b.png --out derained/ --compare
    tfderain derain photos/ --out derained/ --recursive --skip-existing
    tfderain derain photos/ --out derained/ --model drops --mask masks/
    tfderain derain photos/ --out derained/ --model drops --model resunet
    tfderain derain rainy.mp4 --out derained.mp4 --temporal 2
    tfderain derain rtsp://camera/stream --preview 8080 --out today.mkv
    """
    refuse_existing(overwrite, json)
    from tfderain import batch, images, video

    settings = {
        "tile": options.tile_side(tile),
        "overlap": overlap,
        "scales": options.scale_count(scales),
        "best": best,
    }
    models = model or [presets.DEFAULT]
    make = functools.partial(opened, models, runtime, threads=threads, **settings)
    encoding = video.Encoding(codec, quality, pixel_format)
    if any(map(video.is_live, inputs)):
        refuse_several(models, mask, inputs)
        derain_live(inputs, out, preview, make, encoding, temporal, align, overwrite)
        return
    if out is None or preview is not None:
        raise ValueError(
            "--out says where derained pictures go; --preview is for cameras and "
            f"streams. Received: {', '.join(inputs)}."
        )
    with console.Progress("derain") as progress:
        summary = batch.derain_files(
            inputs,
            out,
            make,
            recursive=recursive,
            skip_existing=skip_existing,
            overwrite=overwrite,
            format=format,
            compare=compare,
            masks=mask,
            max_pixels=max_pixels or images.MAX_PIXELS,
            films=batch.Films(encoding, temporal, align),
            progress=progress,
            say=progress.say,
            status=progress.status,
        )
    finish(summary, json)


def opened(models: list[str], runtime: str | None, **settings):
    """Returns what derains with one model, or with several one after the other."""
    restorers = [restorer(model, runtime, **settings) for model in models]
    if len(restorers) == 1:
        return restorers[0]
    from tfderain.runtime import Chain

    return Chain(restorers)


def refuse_several(models: list[str], mask: Path | None, inputs: list[str]):
    """Says that cameras and streams take one model and give no masks."""
    if len(models) > 1 or mask:
        more = f" --mask {mask}" if mask else ""
        raise ValueError(
            "Cameras and streams take one --model and no --mask. Received: "
            f"{', '.join(inputs)} with --model {' --model '.join(models)}{more}."
        )


def derain_live(
    inputs: list[str],
    out: str | None,
    preview: int | None,
    make: "Callable[[], Restorer]",
    encoding: "video.Encoding",
    neighbours: int,
    align: str,
    overwrite: bool,
):
    """Derains a camera or a stream until it ends, or Ctrl-C, which keeps the file."""
    if len(inputs) > 1 or (out is None and preview is None):
        raise ValueError(
            "One camera or stream goes to --out FILE, --out - or --preview PORT. "
            f"Received: {', '.join(inputs)}."
        )
    if out not in (None, "-"):
        refuse_existing(overwrite, Path(out))
    from tfderain import video

    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(console.Progress("live", every=5.0))
        sinks = []
        if out == "-":
            sinks.append(video.live.RawFrames(sys.stdout.buffer, progress.say))
        elif out is not None:
            options.make_folder(Path(out))
            sinks.append(stack.enter_context(video.Recording(out, encoding)))
        if preview is not None:
            sinks.append(stack.enter_context(video.Preview(preview)))
            progress.say(f"preview: {sinks[-1].url}")
        restorer = make()
        camera = stack.enter_context(video.Camera(inputs[0]))
        done = video.derain_live(
            camera,
            restorer,
            sinks,
            neighbours=neighbours,
            align=align,
            status=lambda line: told(progress, line),
        )
    print(
        f"{done.frames} frames derained, {done.dropped} dropped, "
        f"{1000 * done.latency:.0f} ms late",
        file=sys.stderr,
    )
    if done.problem:
        raise console.Failure(f"{inputs[0]} ended: {done.problem}")
    if not done.frames:
        raise console.Failure(f"{inputs[0]} had no frame")


def told(progress: console.Progress, line: str):
    """Shows a line of a live film, which has no end that one could count to."""
    progress.status(line)
    progress(0, 1)


def synthesize(
    inputs: options.Inputs,
    out: Annotated[str, options.out("DIR", "Folder for rainy/ and clean/.")],
    kind: Annotated[options.Kind, Option(help="Kind of weather.")] = "mixed",
    seed: Annotated[int, count("Same seed, same rain.", least=0)] = 0,
    copies: Annotated[int, count("Rainy pictures for each clean one.")] = 1,
    streaks: options.Streaks = None,
    style: Annotated[
        Literal["synthetic", "real", "streaks"],
        Option(help="real: as JRGR learned it; streaks: those it finds in --photos."),
    ] = "synthetic",
    model: Annotated[
        str, Option(metavar="MODEL", help="A JRGR, for --style real and streaks.")
    ] = "jrgr",
    photos: options.Photos = None,
    recursive: options.Recursive = False,
    overwrite: options.Overwrite = False,
    json: options.Json = None,
):
    """Add rain, snow or drops on the lens to clean pictures and keep the pairs.

    --kind night first turns them into dark scenes, which are then the clean pictures.

    \b
    tfderain synthesize photos/ --out pairs/ --kind heavy --seed 7 --copies 3
    tfderain synthesize photos/ --out night_pairs/ --kind night
    tfderain synthesize photos/ --out pairs/ --style streaks --photos rainy_photos/
    """
    refuse_existing(overwrite, json)
    if photos and style == "synthetic":
        raise ValueError(
            f"--photos needs --style real or streaks. Received: --style {style}."
        )
    from tfderain import batch

    learned = functools.partial(rain_maker, model, photos, kind, style == "streaks")
    with console.Progress("synthesize") as progress:
        summary = batch.synthesize_files(
            inputs,
            out,
            kind=kind,
            seed=seed,
            copies=copies,
            streaks=streaks,
            maker=None if style == "synthetic" else learned,
            recursive=recursive,
            overwrite=overwrite,
            progress=progress,
            say=progress.say,
        )
    finish(summary, json)


def rain_maker(
    model: str,
    photos: Path | None,
    kind: str,
    streaks_only: bool,
    pool: "np.ndarray",
):
    """Returns a maker of rain as a JRGR learned it."""
    from tfderain.batch import rainmaking  # TensorFlow starts here

    return rainmaking.RainMaker(model, photos, kind, pool, streaks_only)


def finish(summary: "batch.Summary", json: Path | None):
    """Prints the summary of a batch to stderr: its results are files."""
    try:
        if json:
            summary.to_json(options.make_folder(json))
    finally:
        print(summary.table(), file=sys.stderr)
    if not summary.complete:
        raise typer.Exit(1)
