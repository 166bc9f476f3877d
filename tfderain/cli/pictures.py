"""Picture commands: `tfderain derain` and `tfderain synthesize`."""

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer import Option

from tfderain import presets
from tfderain.cli import console, options
from tfderain.cli.options import count, refuse_existing, restorer

if TYPE_CHECKING:
    import numpy as np

    from tfderain import batch

Network = Annotated[
    str, Option(metavar="MODEL", help="Preset name, file or run folder.")
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


def derain(
    inputs: options.Films,
    out: Annotated[
        str, options.out("OUT", "A picture, a film, or a folder (end it with /).")
    ],
    model: Network = presets.DEFAULT,
    recursive: options.Recursive = False,
    skip_existing: SkipExisting = False,
    overwrite: options.Overwrite = False,
    format: Annotated[
        options.Format | None, Option(help="[default: the input's]")
    ] = None,
    compare: Compare = False,
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
    json: options.Json = None,
):
    """Remove the rain from pictures and films: files, a folder or a tree.

    Nothing is overwritten unless asked; a bad picture does not stop the others.

    \b
    tfderain derain photo.jpg --out derained.jpg
    tfderain derain a.jpg b.png --out derained/ --compare
    tfderain derain photos/ --out derained/ --recursive --skip-existing
    tfderain derain rainy.mp4 --out derained.mp4 --temporal 1
    """
    refuse_existing(overwrite, json)
    from tfderain import batch, images, video

    settings = {
        "tile": options.tile_side(tile),
        "overlap": overlap,
        "scales": options.scale_count(scales),
        "best": best,
    }
    with console.Progress("derain") as progress:
        summary = batch.derain_files(
            inputs,
            out,
            functools.partial(restorer, model, runtime, threads=threads, **settings),
            recursive=recursive,
            skip_existing=skip_existing,
            overwrite=overwrite,
            format=format,
            compare=compare,
            max_pixels=max_pixels or images.MAX_PIXELS,
            films=batch.Films(
                video.Encoding(codec, quality, pixel_format), temporal, align
            ),
            progress=progress,
            say=progress.say,
            status=progress.status,
        )
    finish(summary, json)


def synthesize(
    inputs: options.Inputs,
    out: Annotated[str, options.out("DIR", "Folder; gets rainy/ and clean/.")],
    kind: Annotated[options.Kind, Option(help="Kind of weather.")] = "mixed",
    seed: Annotated[int, count("Same seed, same rain.", least=0)] = 0,
    copies: Annotated[int, count("Rainy pictures for each clean one.")] = 1,
    streaks: options.Streaks = None,
    style: Annotated[
        Literal["synthetic", "real", "streaks"],
        Option(help="real: as JRGR learned it; streaks: its streaks off --photos."),
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

    --kind night turns them into dark scenes first, which are then the clean pictures.

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
    """Returns what puts rain on pictures as a JRGR learned it."""
    from tfderain.batch import rainmaking  # TensorFlow starts here

    return rainmaking.RainMaker(model, photos, kind, pool, streaks_only)


def finish(summary: "batch.Summary", json: Path | None):
    """Says what became of a batch, whose result on stdout are its files."""
    try:
        if json:
            summary.to_json(options.make_folder(json))
    finally:
        print(summary.table(), file=sys.stderr)
    if not summary.complete:
        raise typer.Exit(1)
