"""The command `tfderain`: each command parses, calls a module and prints.

Results go to stdout; progress, notes and errors to stderr. The exit code is 0, 1 if
files failed, or 2 for bad usage. TensorFlow, LiteRT and rich load inside the commands
that need them, so that `--help` and mistakes answer at once.
"""

import functools
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Argument, Option

import tfderain
from tfderain import cli_analyze, cli_data, cli_serve, console, options
from tfderain.options import count, refuse_existing, restorer

app = typer.Typer(
    help="Removes rain from images; trains, scores and exports the networks for it.",
    epilog="Example: tfderain derain photos/ derained/",
    rich_markup_mode=None,  # plain help: rich alone would take longer than the rest
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(cli_analyze.app, name="analyze")
app.add_typer(cli_data.app, name="data")


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


@app.command(short_help="Add rain or snow to pictures, keep the pairs.")
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
            from tfderain import rainmaking  # TensorFlow starts here

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


@app.command(short_help="Train a recipe, or go on with a stopped run.")
def train(
    recipe: Annotated[
        str,
        Argument(
            metavar="RECIPE",
            help="menet, erlnet, jrgr, rainmer, drsformer, each also with _paper; "
            "jrgr_code; all_in_one; smoke.",
        ),
    ],
    data: options.TrainingData,
    streaks: options.Streaks = None,
    real: options.Photos = None,
    run: Annotated[
        Path | None,
        Option(metavar="DIR", help="Run folder. [default: runs/RECIPE]"),
    ] = None,
    ablation: Annotated[
        str | None,
        Option(metavar="NAME", help="Row of the paper: LpLeLt+GB+CA, wochr..."),
    ] = None,
    strategy: Annotated[
        str | None,
        Option(metavar="NAME", help="ERL-Net: MA_A ... MA_D, DT; JRGR: Init-1, ..."),
    ] = None,
    entanglement: Annotated[
        str | None, Option(metavar="NAME", help="Of ERL-Net: clgd or mlgd.")
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
    layout: options.Layouts = ("auto",),
    pattern: options.Patterns = None,
    start: Annotated[
        str | None,
        Option("--from", metavar="MODEL", help="Start from its weights (fine-tuning)."),
    ] = None,
):
    """Train a recipe; the same command goes on with a run that was stopped.

    \b
    tfderain train menet --data pairs/ --run runs/mine
    tfderain train menet_paper --data pairs/ --ablation LpLeLt+GB+CA --epochs 20
    tfderain train erlnet --data pairs/ --strategy MA_D --entanglement mlgd
    tfderain train jrgr --synthetic pairs/ --real photos/
    tfderain train menet --data pairs/ --from menet --set learning_rate=2e-4
    tfderain train menet --data pairs/ --set batch_size=8 --set crop=96
    tfderain train rainmer --data day/ --data night/
    tfderain train rainmer --data day/=2 --data night/=1 --layout left_clean \\
        --layout folders
    """
    folders, weights = options.weighted_folders(data)
    from tfderain import recipes

    asked = list(settings or ())
    asked += ["mixed_precision=mixed_bfloat16"] * mixed_precision + ["jit=true"] * jit
    asked += ["deterministic=true"] * deterministic
    named = {"epochs": epochs, "seed": seed, "strategy": strategy}
    named["model_config.entanglement"] = entanglement
    asked += [f"{name}={value}" for name, value in named.items() if value is not None]
    config = recipes.resolve(recipe, ablation=ablation, overrides=asked)
    run = run or Path("runs", f"{recipe}-{ablation}" if ablation else recipe)
    run_training(
        config,
        run,
        options.single(folders),
        streaks,
        options.single(layout),
        options.single(pattern),
        start,
        real,
        weights,
    )


@app.command(short_help="Score models on rainy/clean pairs.")
def evaluate(
    data: Annotated[
        list[Path],
        Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Folder of rainy/clean pairs; repeatable.",
        ),
    ],
    model: Annotated[
        str | None,
        Argument(
            metavar="MODEL",
            help="Preset name, .keras file, run folder, or folder of derained images.",
        ),
    ] = None,
    models: Annotated[
        list[str] | None,
        Option(metavar="MODEL", help="Instead of MODEL; repeatable, to compare."),
    ] = None,
    protocol: options.ProtocolName = "matlab_y_float",
    runtime: options.RuntimeName = None,
    layout: options.LayoutName = "auto",
    pattern: options.Pattern = None,
    limit: options.Limit = None,
    identity: Annotated[
        bool, Option("--identity", help="Give it the clean images: any harm?")
    ] = False,
    save_images: Annotated[
        Path | None,
        Option(metavar="DIR", help="Write the derained images (one model, one DIR)."),
    ] = None,
    json: options.Json = None,
    overwrite: options.Overwrite = False,
):
    """Score a model on pairs of rainy and clean images, image by image.

    With several models or data sets, one table of mean PSNR/SSIM: a line per model, a
    column per data set. Repeat the option before each value. A folder of derained
    images then needs a folder of the name of each data set.

    \b
    tfderain evaluate menet --data Rain100L --json scores.json
    tfderain evaluate runs/mine --data GT-Rain --layout scenes --protocol rgb_gaussian
    tfderain evaluate --models a --models b --data Rain100L --data Rain100H
    """
    refuse_existing(json, overwrite)
    names = chosen_models(model, models)
    folders = list(dict.fromkeys(data))
    if save_images and len(names) * len(folders) > 1:
        raise ValueError(
            "`--save-images` goes with one model and one data set. "
            f"Received: {len(names)} models, {len(folders)} data sets."
        )
    from tfderain import comparison, evaluation

    found = [options.pairs(folder, layout, pattern, limit) for folder in folders]
    opened = {name: options.restorer_or_images(name, runtime) for name in names}
    with console.Progress("evaluate") as progress:
        if len(names) * len(folders) > 1:
            sets = dict(zip(comparison.labels(folders), found, strict=True))
            result = comparison.compare(
                opened, sets, protocol, progress, identity=identity
            )
        else:
            result = evaluation.evaluate(
                opened[names[0]],
                found[0],
                protocol,
                save_images=save_images,
                progress=progress,
                groups=evaluation.scenes_of(found[0]),
                identity=identity,
                name=names[0],
                overwrite=overwrite,
            )
    print(result.table())
    if json:
        result.to_json(options.make_folder(json))


@app.command(short_help="Time models on one image.")
def bench(
    models: Annotated[
        list[str],
        Argument(metavar="MODEL", help="Preset names, files or run folders."),
    ],
    size: Annotated[
        str, Option(metavar="HxW", help="Height and width of the image.")
    ] = "320x320",
    repeats: Annotated[
        int | None, count("Timed images. [default: 20; fewer, 5 at least, after 30 s]")
    ] = None,
    threads: Annotated[int | None, count("[default: one per core]")] = None,
    runtime: options.RuntimeName = None,
    profile: Annotated[
        bool, Option("--profile", help="Also each kind of operation (LiteRT files).")
    ] = False,
    json: options.Json = None,
    overwrite: options.Overwrite = False,
):
    """Print the seconds and the memory that models take for one image.

    The models take turns. The first image of each, which includes what a runtime
    compiles, is counted apart. Memory is what a fresh process gains by loading the
    model and its runtime (loaded) and by then, at most, deraining one image (peak);
    only Linux tells. Let nothing else run meanwhile.

    \b
    tfderain bench menet runs/mine --size 320x320
    tfderain bench exported/model_int8.tflite --threads 4 --profile --json int8.json
    """
    refuse_existing(json, overwrite)
    wanted = options.size(size)
    from tfderain import engines, profiling, timing

    runs = {name: runtime or engines.suited(name) for name in dict.fromkeys(models)}
    if profile and set(runs.values()) != {"litert"}:
        others = [f"{name} ({run})" for name, run in runs.items() if run != "litert"]
        raise ValueError(
            "`--profile` reads LiteRT's own profiler, so every model must be one for "
            f"LiteRT (see `tfderain export`). Received: {', '.join(others)}."
        )
    opened = {name: restorer(name, run, threads=threads) for name, run in runs.items()}
    with console.Progress("bench") as progress:
        timings = timing.time_models(opened, wanted, repeats, progress)
    threads = threads or engines.processors()
    timings = [timing.add_memory(one, runs[one.model], threads) for one in timings]
    print(timing.table(timings, threads))
    if profile:
        timings = [timing.add_profile(one, threads) for one in timings]
        for one in timings:
            print(f"\n{one.model}: {profiling.table(one.profile)}")
    if json:
        timing.to_json(timings, options.make_folder(json), threads)


@app.command(short_help="Write a SavedModel or a LiteRT file.")
def export(
    model: options.Model,
    out: Annotated[Path, Option(metavar="DIR", help="Folder for the files.")],
    to: Annotated[
        list[options.Target], Option(help="Repeatable: --to saved_model --to litert")
    ],
    size: Annotated[
        str, Option(metavar="HxW", help="Input size of LiteRT files, or dynamic.")
    ] = "256x256",
    representative: Annotated[
        Path | None,
        Option(metavar="DIR", help="Rainy pictures, 8 or more, for int8 ranges."),
    ] = None,
    data: options.ScoredData = None,
    protocol: options.ProtocolName = "matlab_y_float",
    layout: options.LayoutName = "auto",
    pattern: options.Pattern = None,
    limit: options.Limit = None,
    rain_generator: Annotated[
        bool,
        Option("--rain-generator", help="JRGR's other half: makes rain look real."),
    ] = False,
    overwrite: options.Overwrite = False,
):
    """Write a model for servers, devices and browsers; each file is run and compared.

    With --data each file is also scored. All measurements go into DIR/export.json.

    \b
    tfderain export menet --to saved_model --to litert --to onnx --out exported/
    tfderain export menet --to litert_int8 --representative photos/ --out exported/
    """
    wanted = None if size == "dynamic" else options.size(size)
    pairs = options.pairs(data, layout, pattern, limit) if data else None
    pictures = options.pictures(representative, many=True) if representative else None
    from tfderain import export, models  # TensorFlow starts here

    loaded = models.load(model)
    if rain_generator:
        if not hasattr(loaded, "rain_generator"):
            raise ValueError(
                "Only a JRGR has a rain generator. "
                f"Received: {model}, a {type(loaded).__name__}."
            )
        loaded = loaded.rain_generator()
    export.export_all(
        loaded,
        out,
        list(dict.fromkeys(target.value for target in to)),
        wanted,
        pictures and export.read_representative(pictures),
        pairs,
        protocol,
        overwrite,
        metadata(model),
        lambda target, record: print(export.line(target, record)),
    )


def metadata(model):
    """What a LiteRT file keeps of a preset's card."""
    from tfderain import presets

    if not presets.is_name(model) or model not in presets.available():
        return {}
    card = presets.read_card(presets.folder(model))
    return {"preset": model, "licence": card["licence"], "terms": card.get("terms", "")}


app.command(short_help="Answer REST and gRPC as TensorFlow Serving does.")(
    cli_serve.serve
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


def chosen_models(model, models):
    """Returns the models that the argument or the options name, each once."""
    if bool(model) == bool(models):
        raise ValueError(
            "Models are named either by MODEL or by --models. "
            f"Received: MODEL={model}, --models={', '.join(models or ['none'])}."
        )
    return list(dict.fromkeys(models or [model]))


def run_training(config, run, data, streaks, layout, pattern, start, real, weights):
    """Trains, and prints where the results are."""
    from tfderain import training  # TensorFlow starts here

    try:
        verbose = 1 if sys.stdout.isatty() else 2  # no progress bars in log files
        best = training.train(
            config, run, data, streaks, layout, pattern, start, verbose, real, weights
        )
    except training.NonFiniteLoss as error:
        raise console.Failure(str(error)) from error
    print(f"weights:  {best}")
    print(f"history:  {best.parent / 'history.csv'}")
    print(f"pictures: tensorboard --logdir {run}")
    print(f"next:     tfderain evaluate {best.parent} --data DIR")


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
