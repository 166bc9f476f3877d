"""Preset and export commands: `tfderain export` and `tfderain list`."""

from pathlib import Path
from typing import Annotated, Any

from typer import Option

from tfderain.cli import console, options


def export(
    model: options.Model,
    out: Annotated[Path, options.out("DIR", "Folder for the files.")],
    to: Annotated[
        list[options.Target], Option(help="Repeatable: --to saved_model --to litert")
    ],
    size: Annotated[
        str | None,
        Option(
            metavar="HxW",
            help="Input size of LiteRT and ONNX files, or dynamic; by default 256x256 "
            "for LiteRT, which can be resized, and dynamic for ONNX.",
        ),
    ] = None,
    opset: Annotated[int, options.count("Of ONNX files.", least=13)] = 17,
    representative: Annotated[
        Path | None,
        options.folder("At least 8 rainy pictures, for the ranges of int8."),
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
    names: Annotated[
        str, Option(metavar="IN,OUT", help="Of input and output, for ffmpeg.")
    ] = "x,y",
    overwrite: options.Overwrite = False,
):
    """Write a model for servers, devices and browsers; each file is run and compared.

    With --data each file is also scored. All measurements go into DIR/export.json.

    \b
    tfderain export menet --to saved_model --to litert --to onnx --out exported/
    tfderain export menet --to litert_int8 --representative photos/ --out exported/
    tfderain export menet --to onnx_nchw --size 360x640 --out opencv/
    tfderain export menet --to ffmpeg --out exported/
    """
    wanted = options.size(size) if size not in (None, "dynamic") else size
    pairs = options.pairs(data, layout, pattern, limit) if data else None
    pictures = options.pictures(representative, many=True) if representative else None
    from tfderain import export, models  # TensorFlow starts here

    loaded = models.load(model)
    loaded = other_half(loaded, model) if rain_generator else loaded
    with console.Progress("export") as progress:
        result = export.export_all(
            loaded,
            out,
            list(dict.fromkeys(target.value for target in to)),
            wanted,
            export.read_representative(pictures) if pictures else None,
            pairs,
            protocol,
            overwrite,
            metadata(model),
            two_names(names),
            progress,
            opset,
        )
    print(result.table())


def two_names(text: str) -> tuple[str, str]:
    """Returns the names of input and output of a text such as `"x,y"`."""
    source, comma, target = text.partition(",")
    if not (source and target) or "," in target:
        raise ValueError(f"`--names` must be IN,OUT. Received: {text}.")
    return source, target


def other_half(model: Any, name: str):
    """Returns the part of a JRGR that makes rain look real."""
    if not hasattr(model, "rain_generator"):
        raise ValueError(
            "Only a JRGR has a rain generator. "
            f"Received: {name}, a {type(model).__name__}."
        )
    return model.rain_generator()


def metadata(model: str):
    """The part of a preset's card that a LiteRT file keeps."""
    from tfderain import presets

    located = presets.locate(model)
    if located.card is None:
        return {}
    terms = {name: located.card.get(name, "") for name in ("licence", "terms")}
    return {"preset": located.path.name, **terms}


def list_presets(
    json: Annotated[
        Path | None, Option("--json", metavar="FILE", help="Write the whole cards.")
    ] = None,
    overwrite: options.Overwrite = False,
):
    """List the presets whose weights are installed: size, scores, terms."""
    options.refuse_existing(overwrite, json)
    from tfderain import presets, reports

    cards = presets.available()
    if json:
        reports.json_text(cards, options.make_folder(json))
    for name, card in cards.items():
        print(describe(name, card))
    if not cards:
        print("No preset is installed. Train one: tfderain train --help")


def describe(name: str, card: dict):
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
