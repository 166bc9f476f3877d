"""The command `tfderain`: each command parses, calls a module and prints.

Results go to stdout; progress, notes and errors to stderr. The exit code is 0, 1 if
files failed, or 2 for bad usage. TensorFlow, LiteRT and rich load inside the commands
that need them, so that `--help` and mistakes answer at once.
"""

import functools
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

import tfderain
from tfderain import console, options
from tfderain.options import count

app = typer.Typer(
    help="Removes rain from images; trains, scores and exports the networks for it.",
    epilog="Example: tfderain derain photos/ derained/",
    rich_markup_mode=None,  # plain help: rich alone would take longer than the rest
    add_completion=False,
    pretty_exceptions_enable=False,
)
analyze = typer.Typer(help="Draw pictures of scores and of training runs.")
app.add_typer(analyze, name="analyze")


def show_version(wanted: bool):
    if wanted:
        print(f"tfderain {tfderain.__version__}")
        raise typer.Exit


@app.callback()
def start(
    version: Annotated[
        bool, Option("--version", is_eager=True, callback=show_version)
    ] = False,
    debug: Annotated[
        bool, Option("--debug", help="Show tracebacks of errors.")
    ] = False,
):
    if debug:
        os.environ["TFDERAIN_DEBUG"] = "1"


@app.command(short_help="Remove the rain from pictures, folders and trees.")
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
    overlap: Annotated[int, count("Pixels that tiles share.", least=0)] = 48,
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


@app.command(short_help="Add synthetic rain to pictures and keep the pairs.")
def synthesize(
    inputs: options.Inputs,
    output: Annotated[
        str, Argument(metavar="OUT", help="Folder; gets rainy/ and clean/.")
    ],
    kind: Annotated[options.Kind, Option(help="Kind of rain.")] = "mixed",
    seed: Annotated[int, count("Same seed, same rain.", least=0)] = 0,
    copies: Annotated[int, count("Rainy pictures for each clean one.")] = 1,
    streaks: options.Streaks = None,
    recursive: options.Recursive = False,
    overwrite: options.Overwrite = False,
):
    """Add synthetic rain to clean pictures and keep the pairs.

    \b
    tfderain synthesize photos/ pairs/ --kind heavy --seed 7 --copies 3
    """
    from tfderain import batch

    with console.Progress("synthesize") as progress:
        summary = batch.synthesize_files(
            inputs,
            output,
            kind=kind,
            seed=seed,
            copies=copies,
            streaks=streaks,
            recursive=recursive,
            overwrite=overwrite,
            progress=progress,
        )
    finish(summary)


@app.command(short_help="Train a recipe, or go on with a stopped run.")
def train(
    recipe: Annotated[
        str, Argument(metavar="RECIPE", help="menet, menet_paper or smoke.")
    ],
    data: options.Data,
    streaks: options.Streaks = None,
    run: Annotated[
        Path | None,
        Option(metavar="DIR", help="Run folder. [default: runs/RECIPE]"),
    ] = None,
    ablation: Annotated[
        str | None, Option(metavar="NAME", help="Row of the paper: LpLeLt+GB+CA, ...")
    ] = None,
    settings: Annotated[
        list[str] | None,
        Option("--set", metavar="KEY=VALUE", help="Any setting; repeatable."),
    ] = None,
    epochs: Annotated[int | None, count("[default: the recipe's]")] = None,
    seed: Annotated[int | None, count("[default: 0]", least=0)] = None,
    mixed_precision: Annotated[
        bool, Option("--mixed-precision", help="bfloat16 layers.")
    ] = False,
    jit: Annotated[bool, Option("--jit", help="Compile the step with XLA.")] = False,
    deterministic: Annotated[
        bool, Option("--deterministic", help="Same numbers each time; slower.")
    ] = False,
    layout: options.LayoutName = "auto",
    pattern: options.Pattern = None,
    start: Annotated[
        str | None,
        Option("--from", metavar="MODEL", help="Start from its weights (fine-tuning)."),
    ] = None,
):
    """Train a recipe; the same command goes on with a run that was stopped.

    \b
    tfderain train menet --data pairs/ --run runs/mine
    tfderain train menet_paper --data pairs/ --ablation LpLeLt+GB+CA --epochs 20
    tfderain train menet --data pairs/ --from menet --set learning_rate=2e-4
    tfderain train menet --data pairs/ --set batch_size=8 --set crop=96
    """
    from tfderain import recipes

    asked = list(settings or ())
    asked += ["mixed_precision=mixed_bfloat16"] * mixed_precision + ["jit=true"] * jit
    asked += ["deterministic=true"] * deterministic
    named = {"epochs": epochs, "seed": seed}
    asked += [f"{name}={value}" for name, value in named.items() if value is not None]
    config = recipes.resolve(recipe, ablation=ablation, overrides=asked)
    run = run or Path("runs", f"{recipe}-{ablation}" if ablation else recipe)
    run_training(config, run, data, streaks, layout, pattern, start)


@app.command(short_help="Score a model on rainy/clean pairs.")
def evaluate(
    model: options.Model,
    data: options.Data,
    protocol: Annotated[
        options.Protocol, Option(help="How scores are computed.")
    ] = "matlab_y_float",
    runtime: options.RuntimeName = None,
    layout: options.LayoutName = "auto",
    pattern: options.Pattern = None,
    limit: Annotated[int | None, count("Only the first N pairs.")] = None,
    identity: Annotated[
        bool, Option("--identity", help="Give it the clean images: any harm?")
    ] = False,
    save_images: Annotated[
        Path | None, Option(metavar="DIR", help="Write the derained images.")
    ] = None,
    json: Annotated[
        Path | None, Option("--json", metavar="FILE", help="Write all scores.")
    ] = None,
    overwrite: options.Overwrite = False,
):
    """Score a model on pairs of rainy and clean images, image by image.

    \b
    tfderain evaluate menet --data Rain100L --json scores.json
    tfderain evaluate runs/mine --data GT-Rain --layout scenes --protocol rgb_gaussian
    """
    from tfderain import evaluation
    from tfderain.data import pairs as pairing

    refuse_existing(json, overwrite)
    pairs = pairing.find_pairs(data, layout, pattern)
    pairs = pairs.subset(range(min(limit or len(pairs), len(pairs))))
    with console.Progress("evaluate") as progress:
        result = evaluation.evaluate(
            restorer(model, runtime),
            pairs,
            protocol,
            save_images=save_images,
            progress=progress,
            groups=evaluation.scenes_of(pairs),
            identity=identity,
            name=model,
            overwrite=overwrite,
        )
    print(result.table())
    if json:
        json.parent.mkdir(parents=True, exist_ok=True)
        result.to_json(json)


@app.command(short_help="Write a SavedModel or a LiteRT file.")
def export(
    model: options.Model,
    out: Annotated[Path, Option(metavar="DIR", help="Folder for the files.")],
    to: Annotated[
        list[options.Target], Option(help="Repeatable: --to saved_model --to litert")
    ],
    size: Annotated[
        str, Option(metavar="HxW", help="Input size in the LiteRT file.")
    ] = "256x256",
    overwrite: options.Overwrite = False,
):
    """Write a model as a SavedModel (TF Serving) or LiteRT file, run and compared.

    \b
    tfderain export runs/mine --to saved_model --to litert --out exported/
    """
    wanted = options.size(size)
    from tfderain import export, models  # TensorFlow starts here

    loaded = models.load(model)
    for target in dict.fromkeys(to):
        if target is options.Target.SAVED_MODEL:
            made = export.to_saved_model(loaded, out / "1", overwrite=overwrite)
        else:
            file = out / "model.tflite"
            made = export.to_litert(loaded, file, size=wanted, overwrite=overwrite)
        print(
            f"{made.path}: {made.bytes / 1e6:.1f} MB, differs from Keras by at most "
            f"{made.largest_difference:.1e}"
        )


@app.command("list", short_help="List the presets: size, scores, terms.")
def list_presets(
    json: Annotated[bool, Option("--json", help="The whole cards as JSON.")] = False,
):
    """List the presets whose weights are here: size, scores, terms."""
    from json import dumps

    from tfderain import presets

    cards = presets.available()
    if json:
        print(dumps(cards, indent=1))
        return
    for name, card in cards.items():
        print(describe(name, card))
    if not cards:
        print("No preset is installed. Train one: tfderain train --help")


@analyze.command(short_help="PSNR histogram and SSIM box plot of evaluations.")
def scores(
    files: Annotated[
        list[Path], Argument(metavar="SCORES.json", exists=True, dir_okay=False)
    ],
    out: options.Picture,
    overwrite: options.Overwrite = False,
):
    """PSNR histogram and SSIM box plot of several evaluations in one picture.

    \b
    tfderain analyze scores gb.json lb.json --out scores.png
    """
    refuse_existing(out, overwrite)
    from tfderain import analysis

    stems = [file.stem for file in files]
    names = stems if len(set(stems)) == len(files) else map(str, files)
    analysis.score_distributions(dict(zip(names, files, strict=True)), out)
    print(out)


@analyze.command(short_help="The weights of a run's tasks over its training.")
def weights(
    run: Annotated[Path, Argument(metavar="RUN", exists=True, file_okay=False)],
    out: options.Picture,
    overwrite: options.Overwrite = False,
):
    """The weights of a run's tasks over its training.

    \b
    tfderain analyze weights runs/mine --out weights.png
    """
    refuse_existing(out, overwrite)
    from tfderain import analysis

    analysis.task_weights(run / "history.csv", out)
    print(out)


def main(arguments: list[str] | None = None):
    """Runs the command line and exits; the entry point of `tfderain`.

    Args:
        arguments: list of str, by default those of the process.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.exit(console.run(app, sys.argv[1:] if arguments is None else arguments))


def finish(summary):
    print(summary, file=sys.stderr)
    if summary.failed:
        raise typer.Exit(1)


def refuse_existing(path, overwrite):
    if path and path.exists() and not overwrite:
        raise ValueError(f"{path} exists; --overwrite replaces it.")


def restorer(model, runtime=None, **settings):
    """Returns the `Restorer` of a preset, a file or a run folder."""
    from tfderain.runtime import Restorer

    trained = model.endswith(".keras") or Path(model, "best.keras").exists()
    runtime = runtime or ("tensorflow" if trained else "litert")
    return Restorer(model, runtime=runtime, **settings)


def run_training(config, run, data, streaks, layout, pattern, start):
    """Trains, and prints where the results are."""
    from tfderain import training  # TensorFlow starts here

    try:
        verbose = 1 if sys.stdout.isatty() else 2  # no progress bars in log files
        best = training.train(
            config, run, data, streaks, layout, pattern, start, verbose
        )
    except training.NonFiniteLoss as error:
        raise console.Failure(str(error)) from error
    print(f"weights:  {best}")
    print(f"history:  {run / 'history.csv'}")
    print(f"pictures: tensorboard --logdir {run / 'logs'}")
    print(f"next:     tfderain evaluate {run} --data DIR")


def describe(name, card):
    """Returns a few lines about a preset, from its card."""
    size = card.get("files", {}).get("model.tflite", {}).get("bytes", 0)
    lines = [f"{name}: {card.get('model', 'model')}, {size / 1e6:.1f} MB (LiteRT)"]
    for score in card.get("scores", []):
        psnr = f"{score['input_psnr']:.2f} -> {score['psnr']:.2f} dB"
        ssim = f"{score['input_ssim']:.4f} -> {score['ssim']:.4f}"
        lines.append(f"  {score['set']}: {psnr}, {ssim} ({score['protocol']})")
    for word in ("licence", "terms"):
        if card.get(word):
            lines.append(f"  {word}: {card[word]}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
