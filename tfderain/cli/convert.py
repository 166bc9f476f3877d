"""Conversion command: `tfderain convert`, official weights to `.keras`."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from typer import Argument, Option

from tfderain.cli import options

Network = Literal["airnet", "drsformer", "jrgr", "menet", "prenet", "rainmer"]


def convert(
    network: Annotated[
        Network, Argument(metavar="NETWORK", help="Whose weights they are.")
    ],
    weights: Annotated[
        Path,
        Argument(
            metavar="WEIGHTS",
            help="The authors' .pth file; JRGR: their folder; MENET: a checkpoint.",
        ),
    ],
    out: Annotated[
        Path, Argument(metavar="OUT.keras", help="The model file to write.")
    ],
    settings: Annotated[
        list[str] | None,
        Option(
            "--set",
            metavar="KEY=VALUE",
            help="What the weights do not reveal: stages (prenet), statistics (jrgr), "
            "cumulative and encoder_size (rainmer); repeatable.",
        ),
    ] = None,
    overwrite: options.Overwrite = False,
):
    """Turn weights published by a paper's authors into a model of this package.

    NETWORK is airnet (its encoder), drsformer, jrgr, menet, prenet or rainmer. Files
    are read, never executed, and PyTorch is not needed. OUT.keras can then be used like
    any other model: evaluate, export, serve, derain.

    \b
    tfderain convert prenet PReNet6_latest.pth prenet.keras
    tfderain convert jrgr checkpoints/raincycle/ jrgr.keras --set statistics=image
    tfderain convert menet checkpoint/model.ckpt-90000 menet.keras
    """
    options.refuse_existing(overwrite, out)
    arguments = dict(map(setting, settings or ()))
    from tfderain import convert  # TensorFlow starts here

    made = convert.convert(network, weights, options.make_folder(out), arguments)
    print(f"model: {made}")
    if network != "airnet":
        print(f"next:  tfderain evaluate {made} --data DIR")


def setting(text: str) -> tuple[str, Any]:
    """Returns `(name, value)` of a text such as `"stages=4"`; values are JSON or text.

    Raises:
        ValueError: for a text without `=`.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"Settings must be name=value. Received: {text!r}.")
    try:
        return name.strip(), json.loads(value)
    except json.JSONDecodeError:
        return name.strip(), value
