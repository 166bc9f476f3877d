"""The arguments and options of `tfderain` that several commands share, and parsers.

Used by `tfderain.cli` alone. Importing it loads typer, and nothing of the networks.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

Runtime = Literal["litert", "tensorflow"]
Format = Literal["png", "jpg", "webp"]
Kind = Literal["light", "medium", "heavy", "veil", "mixed"]
Layout = Literal["auto", "folders", "flat", "scenes", "left_clean", "left_rainy"]
Protocol = Literal[
    "matlab_y_uint8", "matlab_y_float", "opencv_y_uniform", "rgb_gaussian"
]


class Target(StrEnum):
    """What `export` can write; an enum because typer repeats no Literal option."""

    SAVED_MODEL = "saved_model"
    LITERT = "litert"


def count(default_help: str, name: str | None = None, least: int = 1):
    """Returns the option of a whole number, shown as N in the help."""
    names = [name] if name else []
    return Option(*names, min=least, metavar="N", help=default_help)


Inputs = Annotated[list[str], Argument(metavar="IN", help="Pictures and folders.")]
Recursive = Annotated[bool, Option("--recursive", "-r", help="Also subfolders.")]
Overwrite = Annotated[bool, Option("--overwrite", help="Replace what exists.")]
Model = Annotated[
    str, Argument(metavar="MODEL", help="Preset name, .keras file or run folder.")
]
RuntimeName = Annotated[
    Runtime | None,
    Option("--runtime", help="[default: litert; tensorflow for .keras files and runs]"),
]
Data = Annotated[
    Path,
    Option(
        "--data",
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="Folder of rainy/clean pairs.",
    ),
]
LayoutName = Annotated[
    Layout,
    Option("--layout", help="left_*: both images of a pair side by side in one file."),
]
Pattern = Annotated[
    str | None,
    Option(metavar="RAINY:CLEAN", help='Paths below DIR, e.g. "in/*.jpg:gt/*.png".'),
]
Streaks = Annotated[
    Path | None,
    Option(
        metavar="DIR", exists=True, file_okay=False, help="Streak pictures to mix in."
    ),
]
Picture = Annotated[
    Path, Option("--out", metavar="FILE.png", help="The picture to write.")
]


def tile_side(text: str) -> int | str:
    """Returns the side of a tile in pixels, or `"auto"`."""
    if text == "auto":
        return text
    if text.isdecimal() and int(text):
        return int(text)
    raise ValueError(f"`--tile` must be auto or a number of pixels. Received: {text}.")


def size(text: str) -> tuple[int, int]:
    """Returns `(height, width)` of a text such as `"256x320"`."""
    height, _, width = text.partition("x")
    if height.isdecimal() and width.isdecimal():
        return int(height), int(width)
    raise ValueError(f"`--size` must be HEIGHTxWIDTH. Received: {text}.")
