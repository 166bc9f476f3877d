"""Data commands `tfderain data ...`: tools for folders of pairs."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from tfderain.cli import console, options
from tfderain.cli.options import count

app = typer.Typer(help="Work on folders of rainy/clean pairs.")


@app.callback()
def group():
    """Work on folders of rainy/clean pairs."""


@app.command(short_help="Sub-sample pairs to balance dense and light rain.")
def balance(
    data: options.Data,
    out: Annotated[
        Path, options.out("DIR", "New folder for links to the chosen pairs.")
    ],
    like: Annotated[
        list[Path] | None,
        options.folder("Use the mean of these pairs' proportions; repeatable."),
    ] = None,
    target: Annotated[
        str | None,
        Option(metavar="A,B,C", help="Proportions. [default: GTAV-balance's]"),
    ] = None,
    seed: Annotated[int, count("Same seed, same pairs.", least=0)] = 0,
    copy: Annotated[bool, Option("--copy", help="Copies instead of links.")] = False,
    layout: options.LayoutName = "auto",
    pattern: options.Pattern = None,
    json: options.Json = None,
    overwrite: options.Overwrite = False,
):
    """Keep as many pairs as the target proportions of light and dense rain allow.

    The density of a pair is the mean of its relative changes; bins end at 0.04 and
    0.08. Rainmer's GTAV-balance was made in this way. Prints the proportions before and
    after.

    \b
    tfderain data balance --data night_crops/ --out night_balanced/
    tfderain data balance --data night/ --like day/ --like real/ --out balanced/
    """
    if like and target:
        raise ValueError(
            f"`--like` and `--target` exclude each other. Received: --target {target}."
        )
    options.refuse_existing(overwrite, json)
    from tfderain.data import balance as balancing

    wanted = proportions(target) if target else balancing.GTAV_BALANCE
    pairs = options.pairs(data, layout, pattern, None)
    with console.Progress("balance") as progress:
        if like:
            references = [options.pairs(one, "auto", None, None) for one in like]
            wanted = balancing.mean_proportions(
                [balancing.densities(one, progress) for one in references]
            )
        chosen, result = balancing.balanced(pairs, wanted, seed, progress=progress)
    balancing.write_folder(chosen, out, copy, overwrite)
    options.show(result, json)
    print(out)


def proportions(text: str):
    """Numbers such as `"0.1,0.2,0.7"`."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(
            f"`--target` must be numbers such as 0.1,0.2,0.7. Received: {text}."
        ) from None
