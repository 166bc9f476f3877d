"""Measuring commands: `tfderain evaluate` and `tfderain bench`."""

import functools
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from typer import Argument, Context, Option

from tfderain import reports
from tfderain.cli import console, options
from tfderain.cli.options import count, refuse_existing, restorer, show

Patches = Literal["five_crop"]
Fit = Literal["gain_offset"]
Subjects = Annotated[
    list[str],
    Argument(
        metavar="MODEL...",
        help="Preset names, .keras files, run folders, or folders of derained images.",
    ),
]


def evaluate(
    context: Context,
    models: Subjects,
    data: options.Datas,
    protocol: options.ProtocolName = "matlab_y_float",
    runtime: options.RuntimeName = None,
    layout: options.Layouts = options.AUTO,
    pattern: options.Patterns = None,
    limit: options.Limit = None,
    identity: Annotated[
        bool, Option("--identity", help="Derain the clean images: any harm?")
    ] = False,
    patches: Annotated[
        Patches | None,
        Option(help="Score patches, not images: corners, centre, their mirror images."),
    ] = None,
    patch: Annotated[int, count("Side of the patches.", "--patch")] = 224,
    fit: Annotated[
        Fit | None,
        Option(help="First fit each channel to the clean image, for other exposures."),
    ] = None,
    out: Annotated[
        Path | None,
        options.out("DIR", "Write the derained images (one model and one --data)."),
    ] = None,
    report: Annotated[
        Path | None,
        Option(
            metavar="DIR",
            help="Write a page of all this as HTML and Markdown: scores, charts, crops "
            "of the worst and best images, and what papers report.",
        ),
    ] = None,
    json: options.Json = None,
    overwrite: options.Overwrite = False,
):
    """Score models on pairs of rainy and clean images, image by image.

    Several models or data sets give one table of mean PSNR/SSIM: a line per model, a
    column per data set. A folder of derained images then needs a subfolder named after
    each data set.

    \b
    tfderain evaluate menet --data Rain100L --json scores.json
    tfderain evaluate runs/mine --data GT-Rain --layout scenes --protocol rgb_gaussian
    tfderain evaluate menet runs/mine --data Rain100L --data Rain100H
    tfderain evaluate menet runs/mine --data Rain100L --report report/
    tfderain evaluate runs/menet_paper --data Rain100H --protocol rgb_gaussian \\
        --patches five_crop --patch 224
    tfderain evaluate drops --data Raindrop --fit gain_offset
    """
    page = report / "report.html" if report else None
    refuse_existing(overwrite, json, page)
    folders = options.each_folder(data, layout, pattern)
    models = list(dict.fromkeys(models))
    if out and len(models) * len(folders) > 1:
        raise ValueError(
            "`--out` needs exactly one model and one data set. "
            f"Received: {len(models)} models, {len(folders)} data sets."
        )
    sets = {name: options.pairs(*one, limit=limit) for name, one in folders.items()}
    opened = {name: options.restorer_or_images(name, runtime) for name in models}
    alone = len(opened) * len(sets) == 1
    score = score_one if alone else score_several
    more: dict = {"identity": identity, "patches": patches, "patch": patch, "fit": fit}
    more |= {"save_images": out, "overwrite": overwrite} if out else {}
    more |= {"watch": watcher()} if report else {}
    with console.Progress("evaluate") as progress:
        result = score(opened, sets, protocol, progress, **more)
    show(result, json)
    if report:
        command = options.command_line(context)
        write_report(result, list(sets), report, more["watch"], command, overwrite)


def watcher():
    """What keeps the worst and the best images for a report."""
    from tfderain.analysis import extremes

    return extremes.Extremes()


def write_report(
    result: Any,
    sets: list[str],
    folder: Path,
    watch: Any,
    command: str,
    overwrite: bool,
):
    """Writes the pages, and says where they are and what they lack."""
    from tfderain import extras
    from tfderain.analysis import evaluation_report
    from tfderain.evaluation import comparison

    if not isinstance(result, comparison.Comparison):  # of one model on one set
        result = comparison.Comparison({result.model: {sets[0]: result}})
    path = evaluation_report.write(result, folder, watch, command, overwrite)
    if not extras.installed("matplotlib"):
        print(f"note: {evaluation_report.NO_CHARTS}", file=sys.stderr)
    print(f"report: {path}", file=sys.stderr)


def score_one(
    models: dict[str, Any],
    sets: dict[str, Any],
    protocol: str,
    progress: reports.Progress,
    **settings,
):
    """Scores of one model on one data set, image by image."""
    from tfderain.evaluation import scores

    ((name, model),), ((data, pairs),) = models.items(), sets.items()
    groups = scores.scenes_of(pairs)
    if watch := settings.pop("watch", None):
        settings["watch"] = functools.partial(watch, name, data)
    return scores.evaluate(
        model, pairs, protocol, progress=progress, groups=groups, name=name, **settings
    )


def score_several(
    models: dict[str, Any],
    sets: dict[str, Any],
    protocol: str,
    progress: reports.Progress,
    **settings,
):
    """Mean scores of each model on each data set."""
    from tfderain.evaluation import comparison

    return comparison.compare(models, sets, protocol, progress, **settings)


def bench(
    models: options.Models,
    size: Annotated[
        str, Option(metavar="HxW", help="Height and width of the image.")
    ] = "320x320",
    repeats: Annotated[
        int | None, count("Timed images. [default: 20, or at least 5 within 30 s]")
    ] = None,
    threads: Annotated[int | None, count("[default: one per core]")] = None,
    runtime: options.RuntimeName = None,
    profile: Annotated[
        bool, Option("--profile", help="Also time each kind of operation (LiteRT).")
    ] = False,
    json: options.Json = None,
    overwrite: options.Overwrite = False,
):
    """Print the time and the memory that models need for one image.

    The models take turns. The first image of each, which includes the runtime's
    compilation, is reported separately. Memory is what a fresh process gains by loading
    the model and its runtime (loaded), and its highest value while it derains one image
    (peak); only Linux reports it. Run nothing else at the same time.

    \b
    tfderain bench menet runs/mine --size 320x320
    tfderain bench exported/model_int8.tflite --threads 4 --profile --json int8.json
    """
    refuse_existing(overwrite, json)
    wanted = options.size(size)
    from tfderain import presets
    from tfderain.benchmarks import timing
    from tfderain.runtime import engines

    names = dict.fromkeys(models)
    runs = {name: runtime or presets.locate(name).runtime for name in names}
    if profile:
        check_profiled(runs)
    opened = {name: restorer(name, run, threads=threads) for name, run in runs.items()}
    with console.Progress("bench") as progress:
        timings = timing.time_models(opened, wanted, repeats, progress)
    threads = threads or engines.processors()
    timings = [timing.add_memory(one, runs[one.model], threads) for one in timings]
    if profile:
        timings = [timing.add_profile(one, threads) for one in timings]
    show(timing.Timings(timings, threads), json)


def check_profiled(runs: dict):
    """Refuses models without LiteRT; `runs` has the runtime of each."""
    others = [f"{name} ({run})" for name, run in runs.items() if run != "litert"]
    if others:
        raise ValueError(
            "`--profile` reads LiteRT's own profiler, so every model must be a LiteRT "
            f"file or preset (see `tfderain export`). Received: {', '.join(others)}."
        )
