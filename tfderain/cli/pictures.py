"""Picture commands: `tfderain derain` and `tfderain synthesize`."""

import functools
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Argument, Option

from tfderain.cli import console, options
from tfderain.cli.options import count, restorer


def derain(
    inputs: options.Inputs,
    output: Annotated[
        str, Argument(metavar="OUT", help="A picture, or a folder (end it with /).")
    ],
    model: Annotated[str, Option(help="Preset name, file or run folder.")] = "menet",
    recursive: options.Recursive = False,
    skip_existing: Annotated[
        bool, Option("--skip-existing", help="Leave out pictures that are done.")
    ] = False,
    overwrite: options.Overwrite = False,
    format: Annotated[
        options.Format | None, Option(help="[default: the input's]")
    ] = None,
    compare: Annotated[
        bool, Option("--compare", help="Also write NAME.compare.png, side by side.")
    ] = False,
    tile: Annotated[str, Option(metavar="N", help="Tile side, or auto.")] = "auto",
    overlap: Annotated[
        int | None, count("Pixels that tiles share. [default: 128]", least=0)
    ] = None,
    threads: Annotated[int | None, count("[default: one per core]")] = None,
    runtime: options.RuntimeName = None,
    max_pixels: Annotated[int | None, count("Refuse larger pictures.")] = None,
):
    """Remove the rain from pictures: a file, several files, a folder or a tree.

    Nothing is overwritten unless asked; a bad picture does not stop the others.

    \b
    tfderain derain photo.jpg derained.jpg
    tfderain derain a.jpg b.png derained/ --compare
    tfderain derain photos/ derained/ --recursive --skip-existing
    """
    from tfderain import batch, images

    tiles = {"tile": options.tile_side(tile), "overlap": overlap}
    with console.Progress("derain") as progress:
        summary = batch.derain_files(
            inputs,
            output,
            functools.partial(restorer, model, runtime, threads=threads, **tiles),
            recursive=recursive,
            skip_existing=skip_existing,
            overwrite=overwrite,
            format=format,
            compare=compare,
            max_pixels=max_pixels or images.MAX_PIXELS,
            progress=progress,
        )
    finish(summary)


def synthesize(
    inputs: options.Inputs,
    output: Annotated[
        str, Argument(metavar="OUT", help="Folder; gets rainy/ and clean/.")
    ],
    kind: Annotated[options.Kind, Option(help="Kind of weather.")] = "mixed",
    seed: Annotated[int, count("Same seed, same rain.", least=0)] = 0,
    copies: Annotated[int, count("Rainy pictures for each clean one.")] = 1,
    streaks: options.Streaks = None,
    style: Annotated[
        Literal["synthetic", "real"],
        Option(help="real: rain as JRGR learned it from photos."),
    ] = "synthetic",
    model: Annotated[
        str, Option(metavar="NAME", help="A JRGR, for --style real.")
    ] = "jrgr",
    photos: Annotated[
        Path | None,
        Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Take the rain off these real photos.",
        ),
    ] = None,
    recursive: options.Recursive = False,
    overwrite: options.Overwrite = False,
):
    """Add rain, snow or drops on the lens to clean pictures and keep the pairs.

    --kind night turns them into dark scenes first, which are then the clean pictures.

    \b
    tfderain synthesize photos/ pairs/ --kind heavy --seed 7 --copies 3
    tfderain synthesize photos/ night_pairs/ --kind night
    tfderain synthesize photos/ pairs/ --style real --photos rainy_photos/
    """
    from tfderain import batch

    if photos and style != "real":
        raise ValueError(f"--photos needs --style real. Received: --style {style}.")
    maker = None
    if style == "real":

        def maker(pool):
            from tfderain.batch import rainmaking  # TensorFlow starts here

            return rainmaking.RainMaker(model, photos, kind, pool)

    with console.Progress("synthesize") as progress:
        summary = batch.synthesize_files(
            inputs,
            output,
            kind=kind,
            seed=seed,
            copies=copies,
            streaks=streaks,
            maker=maker,
            recursive=recursive,
            overwrite=overwrite,
            progress=progress,
        )
    finish(summary)


def finish(summary):
    print(summary, file=sys.stderr)
    if summary.failed:
        raise typer.Exit(1)
