"""Training command: `tfderain train`."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from tfderain.cli import console, options
from tfderain.cli.options import count
from tfderain.training import recipes  # names and numbers: nothing heavy

if TYPE_CHECKING:
    from tfderain.training.config import TrainConfig
    from tfderain.training.material import Material

Recipe = Annotated[
    str,
    Argument(metavar="RECIPE", help=f"One of {', '.join(sorted(recipes.RECIPES))}."),
]
Out = Annotated[Path | None, options.out("DIR", "Run folder. [default: runs/RECIPE]")]
Ablation = Annotated[
    str | None, Option(metavar="NAME", help="Row of a table: LpLeLt+GB+CA, wochr, ...")
]
Strategy = Annotated[
    str | None,
    Option(metavar="NAME", help="ERL-Net: MA_A ... MA_D, DT; JRGR: Init-1, ..."),
]
Entanglement = Annotated[
    str | None, Option(metavar="NAME", help="ERL-Net: clgd or mlgd.")
]
Settings = Annotated[
    list[str] | None,
    Option("--set", metavar="KEY=VALUE", help="Any setting; repeatable."),
]
MixedPrecision = Annotated[bool, Option("--mixed-precision", help="bfloat16 layers.")]
Jit = Annotated[bool, Option("--jit", help="Compile the step with XLA.")]
Deterministic = Annotated[
    bool, Option("--deterministic", help="Same numbers each time; slower.")
]
Start = Annotated[
    str | None,
    Option("--from", metavar="MODEL", help="Start from its weights (fine-tuning)."),
]


def train(
    recipe: Recipe,
    data: options.TrainingData,
    streaks: options.Streaks = None,
    layers: options.Layers = None,
    photos: options.Photos = None,
    out: Out = None,
    ablation: Ablation = None,
    strategy: Strategy = None,
    entanglement: Entanglement = None,
    settings: Settings = None,
    epochs: Annotated[int | None, count("[default: the recipe's]")] = None,
    seed: Annotated[int | None, count("[default: 0]", least=0)] = None,
    mixed_precision: MixedPrecision = False,
    jit: Jit = False,
    deterministic: Deterministic = False,
    layout: options.Layouts = options.AUTO,
    pattern: options.Patterns = None,
    start: Start = None,
):
    """Train a recipe; the same command continues a run that was stopped.

    \b
    tfderain train menet --data pairs/ --out runs/mine
    tfderain train menet_paper --data pairs/ --ablation LpLeLt+GB+CA --epochs 20
    tfderain train erlnet --data pairs/ --strategy MA_D --entanglement mlgd
    tfderain train jrgr --data pairs/ --photos photos/
    tfderain train menet --data pairs/ --from menet --set learning_rate=2e-4
    tfderain train menet --data pairs/ --set batch_size=8 --set crop=96
    tfderain train rainmer --data day/ --data night/
    tfderain train resunet --data pairs/ --data photos/ --layout folders \\
        --layout clean --layers RainTrainH/
    tfderain train rainmer --data day/=2 --data night/=1 --layout left_clean \\
        --layout folders
    """
    folders, weights = options.weighted_folders(data)
    from tfderain.data import pairs, recognition
    from tfderain.training.material import Material

    asked = list(settings or ())
    asked += ["mixed_precision=mixed_bfloat16"] * mixed_precision + ["jit=true"] * jit
    asked += ["deterministic=true"] * deterministic
    named = {"epochs": epochs, "seed": seed, "strategy": strategy}
    named["model_config.entanglement"] = entanglement
    asked += [f"{name}={value}" for name, value in named.items() if value is not None]
    config = recipes.resolve(recipe, ablation=ablation, overrides=asked)
    run = out or Path("runs", f"{recipe}-{ablation}" if ablation else recipe)
    sources = pairs.Source.each(folders, layout, pattern or (None,), weights or (None,))
    for line in (line for folder in folders for line in recognition.warnings(folder)):
        tell(f"warning: {line}")
    run_training(config, run, Material(sources, streaks, layers, photos, start))


def run_training(config: "TrainConfig", run: str | os.PathLike, material: "Material"):
    """Trains, and prints where the results are."""
    from tfderain import training  # TensorFlow starts here

    try:
        verbose = 1 if sys.stdout.isatty() else 2  # no progress bars in log files
        best = training.train(config, run, material, verbose, tell)
    except training.NonFiniteLoss as error:
        raise console.Failure(str(error)) from error
    print(f"weights:  {best}")
    print(f"history:  {best.parent / 'history.csv'}")
    print(f"pictures: tensorboard --logdir {run}")
    print(f"next:     tfderain evaluate {best.parent} --data DIR")


def tell(line: str):
    """Prints a line about the data."""
    print(line, file=sys.stderr)
