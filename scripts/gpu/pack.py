"""Packing of training pictures into one file, small enough to send to a GPU machine.

    python scripts/gpu/pack.py pack.zip --pairs Rain800 --clean clean \
        --streaks streaks --layers RainTrainH --limit 55

Writes a ZIP file of WebP pictures and `index.json`. Large pictures are cropped to a
window, so that pixels keep their scale; all are compressed at the best quality at which
the file stays below the limit. The split into training and validation is by background,
by `tfderain.data.splits.split_by_background` on the original files. `unpack.py` is the
other end.
"""

import argparse
import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from tfderain.data.mixer import added_layers
from tfderain.data.pairs import (
    Mixture,
    Pairs,
    find_images,
    find_pairs,
)
from tfderain.data.pipeline import read_pair
from tfderain.data.splits import split_by_background

QUALITIES = (92, 90, 88, 86, 84, 82, 80, 78, 76, 74, 72, 70, 65, 60, 50, 40, 30)
KEPT_SIDE = 256  # windows are not narrower than this, unless the picture is
SAMPLE = 23  # one in so many pictures decides on the first quality; odd, due to pairs
LAYER_SIDE = 384


def main(arguments=None):
    args = parse(arguments)
    split = find(args)
    members, groups = plan(split)
    streaks = find_images(args.streaks)[:: args.every]
    layers = layer_files(args.layers)
    for quality in qualities(members, streaks, layers, args):
        size = write(args.pack, members, groups, streaks, layers, quality, args)
        print(f"quality {quality}: {size / 1e6:.1f} MB", flush=True)
        if size <= args.limit * 1e6:
            break
    else:
        raise SystemExit(f"No quality fits. Received: limit={args.limit} MB.")


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", type=Path, help="ZIP file to write")
    parser.add_argument("--pairs", required=True, help="folder of rainy/clean pairs")
    parser.add_argument("--layout", default="left_clean", help="of the pairs")
    parser.add_argument("--clean", required=True, help="folder of clean pictures")
    parser.add_argument("--streaks", required=True, help="pictures of streaks on black")
    parser.add_argument("--layers", help="pairs whose rain is an added grey layer")
    parser.add_argument("--limit", type=float, default=55, help="MB of the file")
    parser.add_argument("--area", type=int, default=120_000, help="pixels of a window")
    parser.add_argument("--every", type=int, default=1, help="N: every Nth streak file")
    parser.add_argument("--least", type=int, default=200, help="side of clean pictures")
    order = "of the clean pictures, on which the split depends"
    orders = ("plain", "natural")
    parser.add_argument("--order", default="plain", choices=orders, help=order)
    parser.add_argument("--fraction", type=float, default=0.05, help="for validation")
    parser.add_argument("--seed", type=int, default=0, help="of the split")
    return parser.parse_args(arguments)


def find(args):
    """`{"training": Mixture, "validation": Mixture}` of pairs and clean pictures."""
    real = find_pairs(args.pairs, args.layout)
    pictures = find_images(args.clean, recursive=True)
    pictures = pictures if args.order == "natural" else sorted(pictures)
    pictures = tuple(p for p in pictures if shorter_side(p) >= args.least)
    both = Mixture((real, Pairs(pictures, pictures)))
    return dict(
        zip(
            ("training", "validation"),
            split_by_background(both, args.fraction, args.seed),
            strict=True,
        )
    )


def shorter_side(path):
    with Image.open(path) as picture:
        return min(picture.size)


def plan(split):
    """Members of the file, and which of them belong together.

    Returns:
        dict from a member's name to `(Pairs, index, 0 for rainy or 1 for clean)`, and
        dict from `"training"` and `"validation"` to a dict with pairs of names under
        `"own"` and names under `"clean"`.
    """
    members, groups = {}, {}
    for part, mixture in split.items():
        groups[part] = {"own": [], "clean": []}
        for pairs in mixture.parts:
            for i, (rainy, clean) in enumerate(
                zip(pairs.rainy, pairs.clean, strict=True)
            ):
                if rainy == clean and pairs.layout == "files":
                    name = f"{part}/clean/{i:04}.webp"
                    members[name] = pairs, i, 1
                    groups[part]["clean"].append(name)
                    continue
                names = [f"{part}/own/{i:04}_{x}.webp" for x in ("rainy", "clean")]
                members |= {name: (pairs, i, k) for k, name in enumerate(names)}
                groups[part]["own"].append(names)
    return members, groups


def read(member, area):
    """The picture of a member of `plan`, cropped to a window of `area` pixels."""
    pairs, index, side = member
    image = read_pair(pairs, index)[side]
    top, left, height, width = window(image.shape[:2], area, index)
    return image[top : top + height, left : left + width]


def window(shape, area, seed):
    """`(top, left, height, width)` of a random window, the same for both of a pair."""
    height, width = shape
    share = min(1.0, (area / (height * width)) ** 0.5)
    height = max(min(height, KEPT_SIDE), round(height * share))
    width = max(min(width, KEPT_SIDE), round(width * share))
    rng = np.random.default_rng((1, seed))
    top, left = rng.integers(shape[0] - height + 1), rng.integers(shape[1] - width + 1)
    return int(top), int(left), height, width


def encode(image, quality):
    """A uint8 image as bytes of WebP."""
    memory = io.BytesIO()
    Image.fromarray(image).save(memory, "WEBP", quality=quality, method=4)
    return memory.getvalue()


def streak_bytes(path, quality):
    """A picture of streaks; half the bytes are enough for what can be seen."""
    with Image.open(path) as picture:
        return encode(np.asarray(picture.convert("L").convert("RGB")), quality * 2 // 3)


def layer_files(folder):
    """Layers that were added to images, as PNG, by their names in the file."""
    made = {}
    if folder is None:
        return made
    for i, layer in enumerate(added_layers(find_pairs(folder), LAYER_SIDE)):
        memory = io.BytesIO()
        Image.fromarray(layer).save(memory, "PNG", optimize=True)
        made[f"given/{i:04}.png"] = memory.getvalue()
    return made


def qualities(members, streaks, layers, args):
    """Qualities to try, from the first at which everything should fit by a sample."""
    few = [read(member, args.area) for member in list(members.values())[::SAMPLE]]
    some = streaks[::SAMPLE]
    fixed = sum(map(len, layers.values()))
    for place, quality in enumerate(QUALITIES):
        size = np.mean([len(encode(image, quality)) for image in few]) * len(members)
        each = np.mean([len(streak_bytes(path, quality)) for path in some])
        if size + each * len(streaks) + fixed <= args.limit * 1e6:
            return QUALITIES[place:]
    return QUALITIES[-1:]


def write(path, members, groups, streaks, layers, quality, args):
    """Writes the file and returns its size in bytes."""
    names = [f"streaks/{i:04}.webp" for i in range(len(streaks))]
    index = {"groups": groups, "streaks": names, "given": list(layers)}
    index |= {"quality": quality, "area": args.area}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as file:
        for name, member in members.items():
            file.writestr(name, encode(read(member, args.area), quality))
        for name, picture in zip(names, streaks, strict=True):
            file.writestr(name, streak_bytes(picture, quality))
        for name, data in layers.items():
            file.writestr(name, data)
        compressed = zipfile.ZIP_DEFLATED
        file.writestr("index.json", json.dumps(index, indent=1), compressed)
    os.replace(part, path)
    return path.stat().st_size


if __name__ == "__main__":
    main()
