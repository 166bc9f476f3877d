"""Turn a run folder into a preset: `savedmodels/NAME/` with its card.

    python scripts/make_preset.py runs/menet menet --about about.json \
        --scores Rain100L=rain100l.json Rain100H=rain100h.json

`about.json` holds what only people know, all as texts: `licence`, `terms`, `data` and
`command`. The scores are files written by `tfderain evaluate --json`.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np

from tfderain import export, models
from tfderain.data.pairs import find_images

ABOUT = ("licence", "terms", "data", "command")
HALF = "round weights to what float16 can hold: the Keras file deflates to half"


def main(arguments=None):
    args = parse(arguments)
    model = models.load(args.run)
    if args.half:
        round_to_half(model)
    scores = [read_score(text, args.name) for text in args.scores]
    card = {
        **read_about(args.about),
        "protocol": ", ".join(sorted({score["protocol"] for score in scores})),
        "scores": scores,
        **describe_run(args.run),
    }
    folder = export.export_preset(
        model,
        args.name,
        args.root,
        card,
        tuple(args.size),
        args.overwrite,
        args.representative and read_pictures(args.representative),
    )
    print(f"{folder}: {export.total_bytes(folder):,} bytes")


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="run folder with best.keras")
    parser.add_argument("name", help="name of the preset")
    parser.add_argument("--about", type=Path, required=True, help="JSON file")
    parser.add_argument("--scores", nargs="*", default=[], metavar="SET=FILE")
    parser.add_argument("--root", type=Path, default=Path("savedmodels"))
    parser.add_argument("--representative", type=Path, help="rainy photos, for int8")
    parser.add_argument("--size", type=int, nargs=2, default=(256, 256))
    parser.add_argument("--half", action="store_true", help=HALF)
    parser.add_argument("--overwrite", action="store_true")
    return parser.parse_args(arguments)


def round_to_half(model):
    """Rounds all weights to the nearest float16; they stay float32."""
    weights = model.get_weights()
    largest = np.finfo(np.float16).max
    if any(np.abs(weight).max() > largest for weight in weights):
        raise ValueError(f"Weights must not exceed float16's largest value {largest}.")
    model.set_weights([weight.astype(np.float16) for weight in weights])


def read_pictures(folder):
    """Returns the pictures of a folder, see `export.read_representative`."""
    return export.read_representative(find_images(folder))


def read_about(path):
    """Returns the fields that people write; all are required."""
    about = json.loads(path.read_text(encoding="utf-8"))
    missing = [name for name in ABOUT if not about.get(name)]
    if missing:
        raise ValueError(
            f"`about` must have {', '.join(ABOUT)}. Received: {path} without "
            f"{', '.join(missing)}."
        )
    return about


def read_score(text, name):
    """Returns an entry of the card's `scores` for `SET=FILE`."""
    dataset, equals, path = text.partition("=")
    if not equals:
        raise ValueError(f"Scores must be SET=FILE. Received: {text}.")
    result = json.loads(Path(path).read_text(encoding="utf-8"))
    means = {key: round(value, 4) for key, value in result["means"].items()}
    identity = result.get("identity", False)
    command = f"tfderain evaluate {name} --data {dataset} --protocol "
    return {
        "set": dataset,
        "protocol": result["protocol"],
        "count": result["count"],
        **{key: means[key] for key in ("input_psnr", "input_ssim", "psnr", "ssim")},
        "clean_input": identity,  # if so, scores say how little clean photos change
        "command": command + result["protocol"] + " --identity" * identity,
    }


def describe_run(run):
    """Returns the config, commit and progress of a run, as far as they are recorded.

    The folders that it read are left out, since they reveal something about a machine.
    """
    config, state = (
        json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        for path in (run / "config.json", run / "state.json")
    )
    return {
        "training": {
            "config": config.get("config"),
            "git_commit": config.get("git_commit"),
            "versions": config.get("versions"),
            "epochs_done": state.get("epoch"),
            "best_validation_score": state.get("best_score"),
            "learning_curve": learning_curve(run / "history.csv"),
        }
    }


def learning_curve(history, most=24):
    """Epochs with the learning rate and the PSNR in dB on each kind of validation rain.

    Thinned evenly to `most` rows, including the last; empty without a history.
    """
    if not history.is_file():
        return []
    with history.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return []
    step = -(-len(rows) // most)
    kept = [row for i, row in enumerate(reversed(rows)) if i % step == 0][::-1]
    names = [n for n in kept[0] if n == "learning_rate" or n.startswith("val_psnr")]
    return [
        {"epoch": int(row["epoch"]) + 1, **{n: float(row[n]) for n in names}}
        for row in kept
    ]


if __name__ == "__main__":
    main()
