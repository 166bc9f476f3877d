"""Measuring commands: `tfderain evaluate` and `tfderain bench`."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from tfderain.cli import console, options
from tfderain.cli.options import count, refuse_existing, restorer


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
    from tfderain.evaluation import comparison, scores

    found = [options.pairs(folder, layout, pattern, limit) for folder in folders]
    opened = {name: options.restorer_or_images(name, runtime) for name in names}
    with console.Progress("evaluate") as progress:
        if len(names) * len(folders) > 1:
            sets = dict(zip(comparison.labels(folders), found, strict=True))
            result = comparison.compare(
                opened, sets, protocol, progress, identity=identity
            )
        else:
            result = scores.evaluate(
                opened[names[0]],
                found[0],
                protocol,
                save_images=save_images,
                progress=progress,
                groups=scores.scenes_of(found[0]),
                identity=identity,
                name=names[0],
                overwrite=overwrite,
            )
    print(result.table())
    if json:
        result.to_json(options.make_folder(json))


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
    from tfderain import presets
    from tfderain.benchmarks import profiling, timing
    from tfderain.runtime import engines

    runs = {name: runtime or presets.suited(name) for name in dict.fromkeys(models)}
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


def chosen_models(model, models):
    """Returns the models that the argument or the options name, each once."""
    if bool(model) == bool(models):
        raise ValueError(
            "Models are named either by MODEL or by --models. "
            f"Received: MODEL={model}, --models={', '.join(models or ['none'])}."
        )
    return list(dict.fromkeys(models or [model]))
