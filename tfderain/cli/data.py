"""Data commands `tfderain data ...`: known data sets, tools for folders of pairs."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from tfderain.cli import console, options
from tfderain.cli.options import count

app = typer.Typer(help="Known data sets, and tools for folders of rainy/clean pairs.")


@app.callback()
def group():
    """Known data sets, and tools for folders of rainy/clean pairs."""


Name = Annotated[
    str, Argument(metavar="NAME", help="Data set, see tfderain data list.")
]
SplitName = Annotated[
    str | None,
    Option("--split", metavar="SPLIT", help="[default: what the names tell]"),
]
Folder = Annotated[
    Path, Argument(metavar="DIR", exists=True, file_okay=False, help="Folder of it.")
]


@app.command("list", short_help="List the known data sets.")
def list_sets(json: options.Json = None, overwrite: options.Overwrite = False):
    """Names, kinds of rain, numbers of pairs and terms of the known data sets.

    \b
    tfderain data list
    """
    options.refuse_existing(overwrite, json)
    from tfderain.data import descriptions

    options.show(descriptions.listing(), json)


@app.command(short_help="What is known of a data set.")
def info(name: Name, json: options.Json = None, overwrite: options.Overwrite = False):
    """Where to get a data set, its terms, numbers of pairs, names of files, pitfalls.

    \b
    tfderain data info RainTrainH
    """
    options.refuse_existing(overwrite, json)
    from tfderain.data import descriptions

    options.show(descriptions.describe(name), json)


@app.command(short_help="Check a folder: counts, pairing, sizes, unreadable files.")
def verify(
    name: Name,
    folder: Folder,
    split: SplitName = None,
    whole: Annotated[
        bool, Option("--whole", help="Decode every image, not only its header.")
    ] = False,
    json: options.Json = None,
    overwrite: options.Overwrite = False,
):
    """Compare a folder with what is known of a data set; exit code 1 with problems.

    The folder may hold one split or several.

    \b
    tfderain data verify Rain100H downloads/Rain100H
    tfderain data verify DDN-Data rain14000/ --whole --json ddn.json
    """
    options.refuse_existing(overwrite, json)
    from tfderain.data import verification

    with console.Progress("verify") as progress:
        found = verification.verify(name, folder, split, whole, progress)
    options.show(found, json)
    fail_for(found.problems)


@app.command(short_help="Backgrounds that two folders share.")
def overlap(
    first: Annotated[
        Path, Argument(metavar="A", exists=True, file_okay=False, help="Pictures.")
    ],
    second: Annotated[
        Path, Argument(metavar="B", exists=True, file_okay=False, help="Others.")
    ],
    layout: options.Layouts = options.AUTO,
    pattern: options.Patterns = None,
    quick: Annotated[
        bool, Option("--quick", help="Whole pictures only, no parts of others.")
    ] = False,
    json: options.Json = None,
    overwrite: options.Overwrite = False,
):
    """Find backgrounds that occur in both folders, such as of training and of test.

    Of pairs the clean images are compared, elsewhere all pictures; mirrored and resized
    copies are found, and with time parts that were cut out. Needs `[analysis]`.

    \b
    tfderain data overlap RainTrainH/ Rain100H/
    tfderain data overlap Rain800/training/ my_test/ --layout left_clean --layout auto
    """
    options.refuse_existing(overwrite, json)
    from tfderain.data import overlaps

    layouts = options.two(layout, "--layout")
    patterns = options.two(pattern or [None], "--pattern")
    paths, half = overlaps.backgrounds(first, layouts[0], patterns[0])
    others, other_half = overlaps.backgrounds(second, layouts[1], patterns[1])
    with console.Progress("overlap") as progress:
        found = overlaps.find(paths, others, (half, other_half), not quick, progress)
    options.show(found, json)


@app.command(short_help="Turn an archive into folders to train and score on.")
def prepare(
    name: Name,
    archive: Annotated[
        Path,
        Argument(
            metavar="ARCHIVE_DIR",
            exists=True,
            help="ZIP or TAR file, its folder, or a folder of such files.",
        ),
    ],
    out: Annotated[Path, Argument(metavar="OUT", help="Gets a folder per split.")],
    split: SplitName = None,
    json: options.Json = None,
    overwrite: options.Overwrite = False,
):
    """Write the pairs of an archive that you have to folders that `train` reads.

    Nothing is downloaded: `tfderain data info NAME` says where to get the files, and on
    which terms. Exit code 1 with problems, such as files without partner.

    \b
    tfderain data prepare Rain100H Rain100H.zip data/Rain100H
    tfderain data prepare DID-Data DID-MDN-datasets/ data/DID
    """
    options.refuse_existing(overwrite, json)
    from tfderain.data import preparation

    with console.Progress("prepare") as progress:
        made = preparation.prepare(name, archive, out, split, overwrite, progress)
    options.show(made, json)
    fail_for(made.problems)


def fail_for(problems: list[str]):
    """Ends a command with exit code 1, if there are problems."""
    if problems:
        noun = "problem" if len(problems) == 1 else "problems"
        raise console.Failure(f"{len(problems)} {noun}, see above")


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
