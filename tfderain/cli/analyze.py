"""Analysis commands `tfderain analyze ...`: pictures and numbers about results."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Argument, Option

from tfderain.cli import console, options
from tfderain.cli.options import refuse_existing, show

Variant = Literal["paper", "code"]
Scaling = Literal["own", "common"]
Figure = Literal["translations", "layers", "comparison", "rain", "sets"]

app = typer.Typer(help="Draw pictures of scores, training runs, regions and features.")

Scores = Annotated[
    list[Path], Argument(metavar="SCORES.json...", exists=True, dir_okay=False)
]


Reference = Annotated[
    str, Argument(metavar="REFERENCE", help="Model, or folder of derained images.")
]
Compared = Annotated[
    str, Argument(metavar="MODEL", help="The same, to compare with it.")
]


@app.command(short_help="PSNR histogram and SSIM box plot of evaluations.")
def scores(files: Scores, out: options.Picture, overwrite: options.Overwrite = False):
    """PSNR histogram and SSIM box plot of several evaluations in one picture.

    \b
    tfderain analyze scores gb.json lb.json --out scores.png
    """
    refuse_existing(overwrite, out)
    from tfderain import analysis
    from tfderain.files import distinct

    names = distinct((file.stem for file in files), map(str, files))
    analysis.score_distributions(dict(zip(names, files, strict=True)), out)
    print(out)


@app.command(short_help="The weights of a run's tasks in the course of training.")
def weights(
    run: Annotated[Path, Argument(metavar="RUN", exists=True, file_okay=False)],
    out: options.Picture,
    overwrite: options.Overwrite = False,
):
    """The weights of a run's tasks in the course of its training.

    \b
    tfderain analyze weights runs/mine --out weights.png
    """
    refuse_existing(overwrite, out)
    from tfderain import analysis

    analysis.task_weights(run / "history.csv", out)
    print(out)


@app.command(short_help="Share of images improved: all, hard, easy.")
def improvement(
    files: Scores,
    out: Annotated[
        Path | None, options.out("FILE.png", "Also draw a bar chart.")
    ] = None,
    json: options.Json = None,
    overwrite: options.Overwrite = False,
):
    """Share of images that a model derains better than a reference: all, hard, easy.

    Hard images are those where the reference's PSNR is below its mean. Of files on the
    same images, the first is the reference. Files may be about several data sets, and
    may come from `evaluate` with several models.

    \b
    tfderain analyze improvement before.json after.json --out improved.png
    """
    refuse_existing(overwrite, out, json)
    from tfderain import analysis
    from tfderain.evaluation import comparison

    found = comparison.improvements(comparison.read(files))
    try:
        if out:
            analysis.improvement_bars(found, options.make_folder(out))
    finally:
        show(found, json)


@app.command(short_help="Improvement in rain and in background: mIoR, mIoB.")
def regions(
    reference: Reference,
    model: Compared,
    data: options.Data,
    masks: Annotated[
        Path | None,
        options.folder(
            "Region masks such as Rain100H's rainregion-*.png, where rain is white. "
            "[default: the rain's mean as a threshold]"
        ),
    ] = None,
    variant: Annotated[
        Variant, Option(help="code: thresholds as in the authors' code.")
    ] = "paper",
    out: Annotated[
        Path | None, options.out("DIR", "Write the maps as pictures, four per image.")
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

    Images without rain (background) are left out of the mean, but counted.

    \b
    tfderain analyze regions before.keras after.keras --data Rain100H --out maps/
    tfderain analyze regions derained_a derained_b --data Rain100H --masks Rain100H
    """
    refuse_existing(overwrite, json)
    from tfderain.evaluation import regions

    pairs = options.pairs(data, layout, pattern, limit)
    before = options.restorer_or_images(reference, runtime)
    after = options.restorer_or_images(model, runtime)
    with console.Progress("regions") as progress:
        result = regions.evaluate(
            before,
            after,
            pairs,
            protocol,
            masks=masks,
            maps_dir=out,
            progress=progress,
            variant=variant,
            names=(reference, model),
            overwrite=overwrite,
        )
    show(result, json)


@app.command(short_help="The hard and the easy images that improve most, with crops.")
def examples(
    reference: Reference,
    model: Compared,
    data: options.Data,
    out: options.Picture,
    images: Annotated[int, options.count("Of each kind.", "--images")] = 2,
    crop: Annotated[int, options.count("Side of the enlarged part.", "--crop")] = 64,
    protocol: options.ProtocolName = "matlab_y_float",
    runtime: options.RuntimeName = None,
    layout: options.LayoutName = "auto",
    pattern: options.Pattern = None,
    limit: options.Limit = None,
    overwrite: options.Overwrite = False,
):
    """The hard and the easy images that a model improves most, and a part of each.

    Hard images are those where the reference's PSNR is below its mean. Each row shows
    rainy, reference, model and clean; below it, enlarged, the part that improved most.

    \b
    tfderain analyze examples before.keras after.keras --data Rain100H --out 4.png
    """
    refuse_existing(overwrite, out)
    from tfderain.analysis import examples as drawing
    from tfderain.evaluation import scores, subjects

    pairs = options.pairs(data, layout, pattern, limit)
    both = [options.restorer_or_images(name, runtime) for name in (reference, model)]
    with console.Progress("examples") as progress:
        results = [
            scores.evaluate(one, pairs, protocol, progress=progress) for one in both
        ]
    derainers = [subjects.derainer(one, pairs) for one in both]
    rows = []
    before, after = results
    for kind, chosen in drawing.hard_and_easy(before, after, images).items():
        for index in chosen:
            rainy, clean = subjects.read_pair(pairs, index)
            rows.append((rainy, *(d(index, rainy)[0] for d in derainers), clean))
            psnr = " -> ".join(f"{one.rows[index].psnr:.2f}" for one in results)
            print(f"{kind}: {after.rows[index].name} {psnr} dB")
    drawing.draw(rows, options.make_folder(out), crop)
    print(out)


@app.command(short_help="Gradient maps of a rainy and a clean picture.")
def gradients(
    rainy: Annotated[
        Path, Argument(metavar="RAINY", exists=True, dir_okay=False, help="Picture.")
    ],
    clean: Annotated[
        Path,
        Argument(metavar="CLEAN", exists=True, dir_okay=False, help="Its clean image."),
    ],
    out: options.Picture,
    overwrite: options.Overwrite = False,
):
    """Gradients along y and x of a rainy picture and of its clean one, and their norm.

    MENET's edge loss compares them (Figure 7 of its paper).

    \b
    tfderain analyze gradients rain-001.png norain-001.png --out gradients.png
    """
    refuse_existing(overwrite, out)
    from tfderain import images
    from tfderain.analysis import examples as drawing

    pair = images.read_rgb(rainy), images.read_rgb(clean)
    drawing.gradient_maps(pair[0], pair[1], options.make_folder(out))
    print(out)


@app.command(short_help="Feature maps of an entangled network's branches.")
def features(
    model: options.Model,
    image: Annotated[
        Path, Argument(metavar="IMAGE", exists=True, dir_okay=False, help="Rainy.")
    ],
    out: options.Picture,
    scaling: Annotated[
        Scaling,
        Option(help="Each map's own range, or one for a channel in all branches."),
    ] = "own",
    json: options.Json = None,
    overwrite: options.Overwrite = False,
):
    """Feature maps of the middle layer: main, residual and entangled branch.

    Prints how the channels of both branches correlate with the entangled ones.

    \b
    tfderain analyze features runs/erlnet rainy.jpg --out features.png
    """
    refuse_existing(overwrite, out, json)
    from tfderain import analysis, images

    rainy = images.to_float(images.read_rgb(image))[None]
    from tfderain import models  # TensorFlow starts here

    loaded = models.load(model)
    if not hasattr(loaded, "middle_features"):
        raise ValueError(
            "Only a network with two branches, such as ERLNet, has features to "
            f"compare. Received: {model}, a {type(loaded).__name__}."
        )
    found = loaded.middle_features(rainy)
    correlations = analysis.feature_maps(found, options.make_folder(out), scaling)
    show(correlations, json)
    print(out)


@app.command(short_help="What JRGR makes of rain: Figures 6 to 10 of its paper.")
def jrgr(
    models: Annotated[
        list[str],
        Argument(metavar="MODEL...", help="JRGR: presets or run folders; or CycleGAN."),
    ],
    synthetic: Annotated[
        Path, Option(metavar="PATH", exists=True, help="Picture, or folder of them.")
    ],
    real: Annotated[
        Path, Option(metavar="PATH", exists=True, help="The same, of real rain.")
    ],
    out: options.Picture,
    figure: Annotated[
        Figure,
        Option(
            help="Figure 6; t-SNE of rain layers, 8; several models, 9; rain made "
            "real, 7; models of several data sets, whose clean pictures are in "
            "--synthetic, 10."
        ),
    ] = "translations",
    overwrite: options.Overwrite = False,
):
    """Translate a synthetic and a real picture, or compare the rain of many.

    \b
    tfderain analyze jrgr jrgr --synthetic s.png --real r.jpg --out figure_6.png
    tfderain analyze jrgr jrgr --figure layers --synthetic s/ --real r/ --out 8.png
    tfderain analyze jrgr runs/cyclegan_paper jrgr --figure comparison \\
        --synthetic s.png --real r.jpg --out figure_9.png
    """
    refuse_existing(overwrite, out)
    if len(models) > 1 and figure not in ("comparison", "sets"):
        raise ValueError(
            "Only --figure comparison and sets take several models. "
            f"Received: {', '.join(models)}."
        )
    from tfderain import images
    from tfderain import models as networks  # TensorFlow starts here
    from tfderain.analysis import translations

    loaded = [networks.load(model) for model in models]
    options.make_folder(out)
    many = figure in ("layers", "rain", "sets")
    found = [options.pictures(path, many) for path in (synthetic, real)]
    synthetic_rainy, real_rainy = (
        [images.to_float(images.read_rgb(file)) for file in files] for files in found
    )
    if figure == "rain":
        translations.figure_7(loaded[0], synthetic_rainy, out)
    elif figure == "sets":
        translations.figure_10(loaded, synthetic_rainy, real_rainy, out)
    elif many:
        layers = translations.rain_layers(loaded[0], synthetic_rainy, real_rainy)
        translations.draw_layers(translations.tsne(layers), out)
    elif figure == "comparison":
        translations.figure_9(loaded, synthetic_rainy[0], real_rainy[0], out)
    else:
        translations.figure_6(loaded[0], synthetic_rainy[0], real_rainy[0], out)
    print(out)


@app.command(short_help="NIQE of photos without a clean counterpart.")
def naturalness(
    models: options.Models,
    photos: Annotated[Path, options.folder("Rainy photos.", "--photos")],
    clean: Annotated[
        Path, options.folder("A hundred or so clean photos as the norm.", "--clean")
    ],
    layout: Annotated[
        options.Layout | None,
        Option(help="Layout of --clean, if it holds pairs; their clean images count."),
    ] = None,
    out: Annotated[
        Path | None,
        options.out("FILE.png", "Strip: each photo rainy, then derained."),
    ] = None,
    runtime: options.RuntimeName = None,
    json: options.Json = None,
    overwrite: options.Overwrite = False,
):
    """NIQE of photos before and after deraining: naturalness, lower is better.

    Needs no clean version of a photo, and cannot tell whether the picture is the right
    one. Only scores measured with the same clean photos can be compared.

    \b
    tfderain analyze naturalness menet erlnet --photos photos/ --clean clean/
    """
    refuse_existing(overwrite, out, json)
    from tfderain import images
    from tfderain.evaluation import comparison, niqe

    files = options.pictures(photos, many=True)
    names = comparison.labels(models)
    restorers = [options.restorer(model, runtime) for model in models]
    pristine = niqe.fit(clean_images(clean, layout))
    rows: list | None = [] if out else None
    with console.Progress("naturalness") as progress:
        both = dict(zip(names, restorers, strict=True))
        result = niqe.compare(both, files, pristine, progress, rows)
    try:
        if out and rows is not None:
            images.before_after(rows, options.make_folder(out))
    finally:
        show(result, json)


def clean_images(folder: Path, layout: str | None):
    """Yields the pictures of a folder, or, with a layout, the clean ones of pairs."""
    from tfderain import images
    from tfderain.evaluation import subjects

    if layout:
        pairs = options.pairs(folder, layout, None, None)
        yield from (subjects.read_pair(pairs, i)[1] for i in range(len(pairs)))
    else:
        yield from map(images.read_rgb, options.pictures(folder, many=True))


@app.command(short_help="How data sets relate in an encoder's eyes: scores, UMAP.")
def relations(
    model: Annotated[
        str, Argument(metavar="MODEL", help="Rainmer or AirNet: preset or run folder.")
    ],
    data: Annotated[
        list[Path],
        options.folder(
            "Images, or pairs, whose rainy images count; repeatable.", "--data"
        ),
    ],
    out: Annotated[Path, options.out("DIR", "Folder for the pictures.")],
    images: Annotated[
        int, options.count("Random images of each folder.", "--images")
    ] = 500,
    seed: Annotated[int, options.count("Seed of choice and maps.", least=0)] = 42,
    umap: Annotated[
        bool, Option("--umap/--no-umap", help="Maps of the sphere (needs umap-learn).")
    ] = True,
    layout: options.Layouts = options.AUTO,
    pattern: options.Patterns = None,
    json: options.Json = None,
    overwrite: options.Overwrite = False,
):
    """How data sets relate in an encoder's eyes: mean cosines, and maps by UMAP.

    Embeds images of each folder and prints the mean cosine similarity of every two
    folders in each space of the encoder. Draws heat maps and maps of the sphere.

    \b
    tfderain analyze relations rainmer --data rain/ --data snow/ --out relations/
    """
    filled = out if out.is_dir() and any(out.iterdir()) else None
    refuse_existing(overwrite, filled, json)
    folders = options.each_folder(data, layout, pattern)
    from tfderain import models as networks  # TensorFlow starts here
    from tfderain.analysis import relations as relating

    sets = {name: relating.rainy_pairs(*one) for name, one in folders.items()}
    loaded = networks.load(model)
    with console.Progress("relations") as progress:
        result = relating.relate(loaded, sets, images, seed, umap, progress)
    try:
        out.mkdir(parents=True, exist_ok=True)
        result.draw(out)
    finally:
        show(result, json)
    print(out)
