"""Analysis commands `tfderain analyze ...`: pictures and numbers about results."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Argument, Option

from tfderain.cli import console, options
from tfderain.cli.options import refuse_existing

app = typer.Typer(help="Draw pictures of scores, training runs, regions and features.")

Scores = Annotated[
    list[Path], Argument(metavar="SCORES.json", exists=True, dir_okay=False)
]


@app.command(short_help="PSNR histogram and SSIM box plot of evaluations.")
def scores(files: Scores, out: options.Picture, overwrite: options.Overwrite = False):
    """PSNR histogram and SSIM box plot of several evaluations in one picture.

    \b
    tfderain analyze scores gb.json lb.json --out scores.png
    """
    refuse_existing(out, overwrite)
    from tfderain import analysis
    from tfderain.files import distinct

    names = distinct((file.stem for file in files), map(str, files))
    analysis.score_distributions(dict(zip(names, files, strict=True)), out)
    print(out)


@app.command(short_help="The weights of a run's tasks over its training.")
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


@app.command(short_help="Share of images improved: all, hard, easy.")
def improvement(
    files: Scores,
    out: Annotated[
        Path | None, Option(metavar="FILE.png", help="Also draw a bar chart.")
    ] = None,
    json: options.Json = None,
    overwrite: options.Overwrite = False,
):
    """Share of images that a model derains better than a reference: all, hard, easy.

    Hard images are those where the reference's PSNR is below its mean. The first file
    on the same images is the reference; files of several data sets may be given, and
    files of `evaluate` with several models.

    \b
    tfderain analyze improvement before.json after.json --out improved.png
    """
    refuse_existing(out, overwrite)
    refuse_existing(json, overwrite)
    from tfderain import analysis, reports
    from tfderain.evaluation import comparison

    found = comparison.improvements(comparison.read(files))
    print(comparison.improvement_table(found))
    if json:
        content = [one.as_dict() for one in found]
        reports.json_text(content, options.make_folder(json))
    if out:
        analysis.improvement_bars(found, options.make_folder(out))


@app.command(short_help="Improvement in rain and in background: mIoR, mIoB.")
def regions(
    reference: Annotated[
        str,
        Argument(metavar="REFERENCE", help="Model, or folder of derained images."),
    ],
    model: Annotated[
        str, Argument(metavar="MODEL", help="The same, to compare with it.")
    ],
    data: options.Data,
    masks: Annotated[
        Path | None,
        Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Region masks such as Rain100H's rainregion-*.png, rain is white. "
            "[default: the rain's mean as threshold]",
        ),
    ] = None,
    variant: Annotated[
        Literal["paper", "code"], Option(help="code: thresholds as the authors' code.")
    ] = "paper",
    out_dir: Annotated[
        Path | None,
        Option(metavar="DIR", help="Write the maps as pictures, four per image."),
    ] = None,
    protocol: options.ProtocolName = "matlab_y_float",
    runtime: options.RuntimeName = None,
    layout: options.LayoutName = "auto",
    pattern: options.Pattern = None,
    limit: options.Limit = None,
    json: options.Json = None,
    overwrite: options.Overwrite = False,
):
    """Where a model improves on a reference: share of rain (IoR), of background (IoB).

    An image without rain (background) is left out of the mean, and counted.

    \b
    tfderain analyze regions before.keras after.keras --data Rain100H --out-dir maps
    tfderain analyze regions derained_a derained_b --data Rain100H --masks Rain100H
    """
    refuse_existing(json, overwrite)
    from tfderain.evaluation import regions

    pairs = options.pairs(data, layout, pattern, limit)
    both = [options.restorer_or_images(one, runtime) for one in (reference, model)]
    with console.Progress("regions") as progress:
        result = regions.evaluate(
            *both,
            pairs,
            protocol,
            masks=masks,
            maps_dir=out_dir,
            progress=progress,
            variant=variant,
            names=(reference, model),
            overwrite=overwrite,
        )
    print(result.table())
    if json:
        result.to_json(options.make_folder(json))


@app.command(short_help="Feature maps of an entangled network's branches.")
def features(
    model: options.Model,
    image: Annotated[
        Path, Argument(metavar="IMAGE", exists=True, dir_okay=False, help="Rainy.")
    ],
    out: options.Picture,
    scaling: Annotated[
        Literal["own", "common"],
        Option(help="Each map's own range, or one for a channel of all branches."),
    ] = "own",
    json: options.Json = None,
    overwrite: options.Overwrite = False,
):
    """Feature maps of the middle layer: main, residual and entangled branch.

    Prints how the channels of both branches correlate with the entangled ones.

    \b
    tfderain analyze features runs/erlnet rainy.jpg --out features.png
    """
    refuse_existing(out, overwrite)
    refuse_existing(json, overwrite)
    from tfderain import analysis, images, reports

    rainy = images.to_float(images.read_rgb(image))[None]
    from tfderain import models  # TensorFlow starts here

    loaded = models.load(model)
    if not hasattr(loaded, "middle_features"):
        raise ValueError(
            "Only a network of two branches, such as ERLNet, has features to compare. "
            f"Received: {model}, a {type(loaded).__name__}."
        )
    found = loaded.middle_features(rainy)
    correlations = analysis.feature_maps(found, options.make_folder(out), scaling)
    print(analysis.correlation_table(correlations))
    print(out)
    if json:
        content = {
            name: [None if value != value else value for value in values.tolist()]
            for name, values in correlations.items()
        }
        reports.json_text(content, options.make_folder(json))


@app.command(short_help="What JRGR makes of rain: Figures 6, 8 and 9 of its paper.")
def jrgr(
    models: Annotated[
        list[str], Argument(metavar="MODEL...", help="Presets or run folders of JRGR.")
    ],
    synthetic: Annotated[
        Path, Option(metavar="PATH", exists=True, help="Picture, or folder of them.")
    ],
    real: Annotated[
        Path, Option(metavar="PATH", exists=True, help="The same, of real rain.")
    ],
    out: options.Picture,
    figure: Annotated[
        Literal["translations", "layers", "comparison"],
        Option(help="Figure 6; t-SNE of rain layers, Figure 8; several models, 9."),
    ] = "translations",
    overwrite: options.Overwrite = False,
):
    """Translate a synthetic and a real picture, or compare the rain in many.

    \b
    tfderain analyze jrgr jrgr --synthetic s.png --real r.jpg --out figure_6.png
    tfderain analyze jrgr jrgr --figure layers --synthetic s/ --real r/ --out 8.png
    tfderain analyze jrgr jrgr runs/jrgr-CycleGAN/joint-proposed-CycleGAN \\
        --figure comparison --synthetic s.png --real r.jpg --out figure_9.png
    """
    refuse_existing(out, overwrite)
    if len(models) > 1 and figure != "comparison":
        raise ValueError(
            "Only --figure comparison takes several models. "
            f"Received: {', '.join(models)}."
        )
    from tfderain import images
    from tfderain import models as networks  # TensorFlow starts here
    from tfderain.analysis import translations

    loaded = [networks.load(model) for model in models]
    options.make_folder(out)
    many = figure == "layers"
    found = [options.pictures(path, many) for path in (synthetic, real)]
    read = [
        [images.to_float(images.read_rgb(file)) for file in files] for files in found
    ]
    if many:
        layers = translations.rain_layers(loaded[0], *read)
        translations.draw_layers(translations.tsne(layers), out)
    elif figure == "comparison":
        translations.figure_9(loaded, read[0][0], read[1][0], out)
    else:
        translations.figure_6(loaded[0], read[0][0], read[1][0], out)
    print(out)


@app.command(short_help="NIQE of photos that have no clean ones.")
def naturalness(
    models: Annotated[
        list[str], Argument(metavar="MODEL...", help="Presets, files or run folders.")
    ],
    data: Annotated[
        Path,
        Option(metavar="DIR", exists=True, file_okay=False, help="Rainy photos."),
    ],
    clean: Annotated[
        Path,
        Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Some hundred clean photos to measure by.",
        ),
    ],
    layout: Annotated[
        options.Layout | None,
        Option(help="Of --clean, if it has pairs, whose clean images count."),
    ] = None,
    out: Annotated[
        Path | None,
        Option(metavar="FILE.png", help="Strip: each photo rainy, then derained."),
    ] = None,
    runtime: options.RuntimeName = None,
    json: options.Json = None,
    overwrite: options.Overwrite = False,
):
    """NIQE of photos before and after deraining: how natural they look, less is better.

    Needs no clean image of a photo, and cannot see whether the picture is the right
    one. Scores compare only if measured by the same clean photos.

    \b
    tfderain analyze naturalness menet erlnet --data photos/ --clean clean/
    """
    refuse_existing(json, overwrite)
    refuse_existing(out, overwrite)
    from tfderain import images, reports
    from tfderain.evaluation import comparison, niqe, subjects

    files = options.pictures(data, many=True)
    names = comparison.labels(models)
    restorers = [options.restorer(model, runtime) for model in models]
    if layout:
        sharp = options.pairs(clean, layout, None, None)
        photos = (subjects.read_pair(sharp, i)[1] for i in range(len(sharp)))
    else:
        photos = map(images.read_rgb, options.pictures(clean, many=True))
    pristine = niqe.fit(photos)
    rows = [] if out else None
    with console.Progress("naturalness") as progress:
        both = dict(zip(names, restorers, strict=True))
        result = niqe.compare(both, files, pristine, progress, rows)
    print(result.table())
    if json:
        reports.json_text(result.as_dict(), options.make_folder(json))
    if out:
        images.before_after(rows, options.make_folder(out))


@app.command(short_help="How data sets relate to an encoder: scores, UMAP.")
def relations(
    more: Annotated[
        list[Path] | None,
        Argument(metavar="DIR", exists=True, file_okay=False, help="As --data."),
    ] = None,
    data: Annotated[
        list[Path] | None,
        Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Folder of pairs, whose rainy images count, or of images; several.",
        ),
    ] = None,
    model: Annotated[
        str, Option(metavar="MODEL", help="A Rainmer or an AirNet, file or run folder.")
    ] = "rainmer",
    out: Annotated[
        Path, Option(metavar="DIR", help="Folder for the numbers and pictures.")
    ] = Path("relations"),
    images: Annotated[
        int, options.count("Random images of each folder.", "--images")
    ] = 500,
    seed: Annotated[int, options.count("Of choice and map.", least=0)] = 42,
    umap: Annotated[
        bool, Option("--umap/--no-umap", help="Maps of the sphere (needs umap-learn).")
    ] = True,
    layout: options.Layouts = ("auto",),
    pattern: options.Patterns = None,
    overwrite: options.Overwrite = False,
):
    """How data sets relate as an encoder sees them: mean cosines, and maps by UMAP.

    Embeds images of each folder and prints the mean cosine similarity of each two
    folders, in each space of the encoder. Writes relations.json, a heat map and the
    longitude and latitude of each image.

    \b
    tfderain analyze relations --data rain/ snow/ drops/ --model runs/all_in_one
    """
    refuse_existing(out / "relations.json", overwrite)
    folders = [*(data or ()), *(more or ())]
    if not folders:
        raise ValueError("There must be a folder: --data DIR. Received: none.")
    from tfderain import models as networks  # TensorFlow starts here
    from tfderain.analysis import relations as relating
    from tfderain.evaluation import comparison
    from tfderain.training import run_folder

    sources = run_folder.sources_of(folders, layout, pattern, None)
    each = [options.several(sources[name]) for name in ("data", "layout", "pattern")]
    found = [relating.rainy_pairs(*one) for one in zip(*each, strict=True)]
    names = comparison.labels(folders)
    if len(set(names)) < len(names):  # one folder with several patterns
        names = [f"{name} {number}" for number, name in enumerate(names, 1)]
    sets = dict(zip(names, found, strict=True))
    loaded = networks.load(model)
    with console.Progress("relations") as progress:
        print(relating.report(loaded, sets, out, images, seed, umap, progress))
    print(out)
