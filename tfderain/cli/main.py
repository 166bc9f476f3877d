"""Command line: the application `tfderain`, its commands and its entry point.

Each command parses, calls a module and prints. Results go to stdout; progress, notes
and errors to stderr. The exit code is 0, 1 if files failed, or 2 for bad usage.
TensorFlow, LiteRT and rich are imported by the commands that need them, so that
`--help` and usage errors appear at once.
"""

import os
import sys
from typing import Annotated

import typer
from typer import Option

import tfderain
from tfderain.cli import (
    analyze,
    console,
    convert,
    data,
    evaluate,
    export,
    pictures,
    serve,
    train,
)

app = typer.Typer(
    help="Removes rain from images; trains, scores and exports the networks for it.",
    epilog="Example: tfderain derain photos/ --out derained/",
    rich_markup_mode=None,  # plain help: rich alone would take longer than the rest
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(analyze.app, name="analyze")
app.add_typer(data.app, name="data")
app.command(short_help="Remove the rain from pictures, folders and trees.")(
    pictures.derain
)
app.command(short_help="Add rain or snow to pictures and keep the pairs.")(
    pictures.synthesize
)
app.command(short_help="Train a recipe, or continue a stopped run.")(train.train)
app.command(short_help="Score models on rainy/clean pairs.")(evaluate.evaluate)
app.command(short_help="Time models on one image.")(evaluate.bench)
app.command(short_help="Write a SavedModel or a LiteRT file.")(export.export)
app.command(short_help="Turn the authors' weights into a model.")(convert.convert)
app.command(short_help="Answer REST and gRPC as TensorFlow Serving does.")(serve.serve)
app.command("list", short_help="List the presets: size, scores, terms.")(
    export.list_presets
)


def show_version(wanted: bool):
    """Prints the version and ends the command, if wanted."""
    if wanted:
        print(f"tfderain {tfderain.__version__}")
        raise typer.Exit


@app.callback()
def start(
    version: Annotated[
        bool, Option("--version", is_eager=True, callback=show_version)
    ] = False,
    debug: Annotated[
        bool, Option("--debug", help="Show the tracebacks of errors.")
    ] = False,
):
    if debug:
        os.environ["TFDERAIN_DEBUG"] = "1"


def main(arguments: list[str] | None = None):
    """Runs the command line and exits; the entry point of `tfderain`.

    Args:
        arguments: list of str, by default those of the process.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    console.open_streams()
    code = console.run(app, sys.argv[1:] if arguments is None else arguments)
    console.close_streams()
    sys.exit(code)
