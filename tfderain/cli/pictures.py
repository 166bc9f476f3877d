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


def derain(
    inputs: options.Inputs,
    out: Annotated[str, options.out("OUT", "A picture, or a folder (end it with /).")],
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
    json: options.Json = None,
):
    """Remove the rain from pictures: a file, several files, a folder or a tree.

    Nothing is overwritten unless asked; a bad picture does not stop the others.

    \b
    tfderain derain photo.jpg --out derained.jpg
    tfderain derain a.jpg b.png --out derained/ --compare
    tfderain derain photos/ --out derained/ --recursive --skip-existing
    tfderain derain photos/ --out derained/ --model drops --mask masks/
    tfderain derain photos/ --out derained/ --model drops --model resunet
    """
    refuse_existing(overwrite, json)
    from tfderain import batch, images

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
            functools.partial(
                opened, model or [presets.DEFAULT], runtime, threads=threads, **settings
            ),
            recursive=recursive,
            skip_existing=skip_existing,
            overwrite=overwrite,
            format=format,
            compare=compare,
            masks=mask,
            max_pixels=max_pixels or images.MAX_PIXELS,
            progress=progress,
            say=progress.say,
        )
    finish(summary, json)


def opened(models: list[str], runtime: str | None, **settings):
    """Returns what derains with one model, or with several one after the other."""
    restorers = [restorer(model, runtime, **settings) for model in models]
    if len(restorers) == 1:
        return restorers[0]
    from tfderain.runtime import Chain

    return Chain(restorers)


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
