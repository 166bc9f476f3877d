"""Options and arguments that commands of `tfderain` share, and their values.

Importing this module loads typer, but none of the networks. That is why the choices
are repeated here; tests/cli/test_options.py compares them with their sources.
"""

import shlex
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from typer import Argument, Option

if TYPE_CHECKING:
    import typer

    from tfderain import reports

Runtime = Literal["litert", "onnx", "tensorflow"]
Format = Literal["png", "jpg", "webp"]
Kind = Literal["light", "medium", "heavy", "veil", "mixed", "night", "drops", "snow"]
Align = Literal["flow", "none"]
Layout = Literal[
    "auto", "folders", "flat", "scenes", "left_clean", "left_rainy", "clean"
]
Protocol = Literal[
    "matlab_y_uint8",
    "matlab_y_float",
    "rainmer_y_float",
    "opencv_y_uniform",
    "rgb_gaussian",
]


class Target(StrEnum):
    """What `export` can write; an enum because typer cannot repeat a Literal option."""

    SAVED_MODEL = "saved_model"
    LITERT = "litert"
    LITERT_FLOAT16 = "litert_float16"
    LITERT_DYNAMIC_INT8 = "litert_dynamic_int8"
    LITERT_INT8 = "litert_int8"
    LITERT_UINT8 = "litert_uint8"
    ONNX = "onnx"
    FFMPEG = "ffmpeg"


def count(default_help: str, name: str | None = None, least: int = 1):
    """Returns an option for a whole number, shown as N in the help."""
    names = [name] if name else []
    return Option(*names, min=least, metavar="N", help=default_help)


def folder(text: str, *names: str):
    """Returns an option for an existing folder, by default named as in Python."""
    return Option(*names, metavar="DIR", exists=True, file_okay=False, help=text)


def out(metavar: str, text: str):
    """Returns the option that says where a command writes its main output."""
    return Option("--out", "-o", metavar=metavar, help=text)


# These are the same in all commands: the output goes to --out, all its numbers to
# --json, and --overwrite applies to both. Options with several values are repeated.

Inputs = Annotated[list[str], Argument(metavar="IN...", help="Pictures and folders.")]
Films = Annotated[
    list[str], Argument(metavar="IN...", help="Pictures, films and folders.")
]
Recursive = Annotated[bool, Option("--recursive", "-r", help="Also subfolders.")]
Model = Annotated[
    str, Argument(metavar="MODEL", help="Preset name, .keras file or run folder.")
]
Models = Annotated[
    list[str],
    Argument(metavar="MODEL...", help="Preset names, files or run folders."),
]
RuntimeName = Annotated[
    Runtime | None,
    Option("--runtime", help="[default: the file's own; litert for presets]"),
]

Picture = Annotated[Path, out("FILE.png", "The picture to write.")]
Json = Annotated[
    Path | None, Option("--json", metavar="FILE", help="Write all numbers.")
]
Overwrite = Annotated[bool, Option("--overwrite", help="Replace what exists.")]

Data = Annotated[Path, folder("Folder of rainy/clean pairs.", "--data")]
Datas = Annotated[
    list[Path], folder("Folder of rainy/clean pairs; repeatable.", "--data")
]
ScoredData = Annotated[
    Path | None, folder("Folder of rainy/clean pairs to score on.", "--data")
]
TrainingData = Annotated[
    list[str],
    Option(
        "--data",
        metavar="DIR[=WEIGHT]",
        help="Folder of rainy/clean pairs; repeatable, to train on several at once.",
    ),
]
Photos = Annotated[
    Path | None, folder("Real rainy photos for JRGR to take rain from.", "--photos")
]
Streaks = Annotated[Path | None, folder("Streak pictures to mix in.", "--streaks")]
Layers = Annotated[
    Path | None,
    folder("Pairs whose rain is one added layer, reused on others.", "--layers"),
]
LayoutName = Annotated[
    Layout,
    Option("--layout", help="left_*: both images of a pair side by side in one file."),
]
# The default of `Layouts`: a tuple, which no command can change.
AUTO: Any = ("auto",)
Layouts = Annotated[
    list[str],
    Option(
        "--layout",
        metavar="NAME",
        help=f"{', '.join(get_args(Layout))} (left_*: both images of a pair side by "
        "side in one file; clean: pictures without rain); repeatable, one for each "
        "--data.",
    ),
]
Pattern = Annotated[
    str | None,
    Option(metavar="RAINY:CLEAN", help='Paths below DIR, e.g. "in/*.jpg:gt/*.png".'),
]
Patterns = Annotated[
    list[str] | None,
    Option(
        "--pattern",
        metavar="RAINY:CLEAN",
        help='Paths below DIR, e.g. "in/*.jpg:gt/*.png"; repeatable.',
    ),
]
Limit = Annotated[int | None, count("Only the first N pairs.", "--limit")]
ProtocolName = Annotated[
    Protocol, Option("--protocol", help="How scores are computed.")
]
Tile = Annotated[str, Option("--tile", metavar="N", help="Tile side, or auto.")]
Scales = Annotated[
    str,
    Option(
        "--scales",
        metavar="N",
        help="Sizes to derain a picture at, for large rain; auto or a number.",
    ),
]


def weighted_folders(texts: list[str]) -> tuple[list[str], list[float] | None]:
    """Folders, and the weights after their `=`, of all of them or of none.

    Raises:
        ValueError: for a folder that does not exist, or a weight that is missing or not
            positive.
    """
    folders, weights = [], []
    for text in texts:
        folder, equals, weight = text.rpartition("=")
        if not equals or Path(text).is_dir():  # a folder's name may contain a =
            folder, weight = text, None
        if not Path(folder).is_dir():
            raise ValueError(f"`--data` must be a folder. Received: {folder}.")
        folders.append(folder)
        weights.append(weight)
    if weights.count(None) == len(weights):
        return folders, None
    try:
        numbers = [float(weight) for weight in weights]
    except (TypeError, ValueError):
        numbers = [0.0]
    if not all(0 < number < float("inf") for number in numbers):
        raise ValueError(
            "`--data DIR=WEIGHT` needs a positive number for each folder or for none. "
            f"Received: {', '.join(texts)}."
        )
    return folders, numbers


def tile_side(text: str) -> int | Literal["auto"]:
    """Returns the side of a tile in pixels, or `"auto"`."""
    if text == "auto":
        return "auto"
    if text.isdecimal() and int(text):
        return int(text)
    raise ValueError(f"`--tile` must be auto or a number of pixels. Received: {text}.")


def scale_count(text: str) -> int | Literal["auto"]:
    """Returns the number of sizes at which a picture is derained, or `"auto"`."""
    if text == "auto":
        return "auto"
    if text.isdecimal() and int(text):
        return int(text)
    raise ValueError(f"`--scales` must be auto or a number from 1. Received: {text}.")


def pictures(path: Path, many: bool) -> list[str]:
    """The picture at `path`, or all of a folder.

    Raises:
        ValueError: `path` is a folder where one picture is wanted, or has no pictures.
    """
    if path.is_dir():
        from tfderain.data import pairs

        found = pairs.find_images(path)
        if many and found:
            return found
    elif not many:
        return [str(path)]
    wanted = "a folder with pictures" if many else "a picture"
    raise ValueError(f"There must be {wanted}. Received: {path}.")


def size(text: str) -> tuple[int, int]:
    """Returns `(height, width)` of a text such as `"256x320"`."""
    height, _, width = text.partition("x")
    if height.isdecimal() and width.isdecimal() and int(height) and int(width):
        return int(height), int(width)
    raise ValueError(f"`--size` must be HEIGHTxWIDTH. Received: {text}.")


def refuse_existing(overwrite: bool, *paths: Path | None):
    """Stops a command early if its output already exists."""
    for path in paths:
        if path and path.exists() and not overwrite:
            raise ValueError(f"{path} exists; --overwrite replaces it.")


def make_folder(path: Path) -> Path:
    """Returns the path of a file to write, after making its folder if missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def command_line(context: "typer.Context") -> str:
    """Returns the command with the options that were said, for a shell."""
    words = context.command_path.split()
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if source is None or source.name != "COMMANDLINE":
            continue
        value = context.params[str(parameter.name)]
        values = value if isinstance(value, (list, tuple)) else [value]
        if parameter.param_type_name == "argument":
            words += map(str, values)
        else:
            name = max(parameter.opts, key=len)  # `--out`, not `-o`
            words += [
                word
                for value in values
                for word in ([name] if value is True else [name, str(value)])
            ]
    return shlex.join(words)


def show(result: "reports.Report", json: Path | None):
    """Writes the numbers of a `reports.Report`, if wanted, and prints its table."""
    try:
        if json:
            result.to_json(make_folder(json))
    finally:  # if the file cannot be written, the numbers must not be lost
        print(result.table())


def pairs(folder: str | Path, layout: str, pattern: str | None, limit: int | None):
    """Returns the `Pairs` of a folder, at most `limit` of them."""
    from tfderain.data import pairs as pairing

    found = pairing.find_pairs(folder, layout, pattern)
    return found.subset(range(min(limit or len(found), len(found))))


def two(values: Sequence, option: str) -> Sequence:
    """What was said once for two folders, or once for each.

    Raises:
        ValueError: for more.
    """
    if len(values) > 2:
        raise ValueError(
            f"`{option}` must be said once for both folders or once for each. "
            f"Received: {len(values)}."
        )
    return list(values) * (3 - len(values))


def each_folder(
    folders: Sequence[str | Path],
    layouts: Sequence[str],
    patterns: Sequence[str | None] | None,
) -> dict[str, tuple]:
    """Folder, layout and pattern of each `--data`, under distinct names.

    Raises:
        ValueError: a layout or pattern is given neither once nor for each folder.
    """
    columns: list[list[Any]] = [list(folders)]
    for option, values in (("--layout", layouts), ("--pattern", patterns or [None])):
        if len(values) not in (1, len(folders)):
            raise ValueError(
                f"`{option}` must be given once for all --data or once for each. "
                f"Received: {len(values)} for {len(folders)} folders."
            )
        columns.append(list(values) * (len(folders) if len(values) == 1 else 1))
    from tfderain.evaluation import comparison

    described = list(dict.fromkeys(zip(*columns, strict=True)))
    names = comparison.labels([folder for folder, *_ in described])
    if len(set(names)) < len(names):  # one folder with several patterns
        names = [f"{name} {number}" for number, name in enumerate(names, 1)]
    return dict(zip(names, described, strict=True))


def restorer(model: str | Path, runtime: str | None = None, **settings):
    """Returns the `Restorer` of a preset, a file or a run folder."""
    from tfderain import presets
    from tfderain.runtime import Restorer

    return Restorer(model, runtime=runtime or presets.locate(model).runtime, **settings)


def restorer_or_images(model: str | Path, runtime: str | None = None):
    """Returns a `Restorer`, or the folder itself if it holds derained images."""
    from tfderain import presets

    located = presets.locate(model)
    return located.path if located.kind == "folder" else restorer(model, runtime)
