"""Judge synthetic rain with networks that others trained on the rain of a data set.

    python scripts/judge_rain.py H=PReNet_Rain100H.pth --clean clean --psnr 13 \\
        --pairs RainTrainH --rain lines lines:width=4,6 heavy

A network is best at removing the rain that it was trained on. So the gain in PSNR of
PReNet's published weights tells how similar a generator's rain is to that of their set,
in comparison with the set's own rain (`layers`: the grey layers of the pairs on the
same clean crops; `pairs`: crops of the pairs as they are). It cannot distinguish
similar rain from easy rain: every judge removes a few strong lines well. And it is
blind to kinds that its set lacks: widen the ranges around what it likes, and look at
the pictures.

Rain by name: the looks of `data.lines` and `data.editors` (`lines`, `sheet`, `thin`,
`fine`, `broad`), whose ranges `name:field=low,high:...` changes, and the kinds of
`data.mixer` (`heavy`, `light`, `editor`, `varied`, `night`). Never judge on test
pictures what is tuned for them.
"""

import argparse
import dataclasses

import numpy as np

from tfderain import convert, metrics, reports
from tfderain.data import composition, editors, lines, mixer
from tfderain.data.pairs import find_images, find_pairs
from tfderain.data.pipeline import read_pair
from tfderain.images import picture, pixels, reading

LOOKS = {
    "lines": lines.HEAVY,
    "sheet": lines.SHEET,
    "thin": lines.LIGHT,
    "fine": editors.FINE,
    "broad": editors.BROAD,
}
KINDS = tuple(kind for kind in mixer.KINDS if kind not in ("own", "clean"))


def main(arguments=None):
    args = parse(arguments)
    clean = clean_crops(args.clean, args.count, args.crop, args.seed)
    sets = {name: (rained(clean, maker(name, args), args), clean) for name in args.rain}
    if args.pairs:
        official = find_pairs(args.pairs, args.layout)
        sets["layers"] = rained(clean, layer_maker(official, args.crop), args), clean
        sets["pairs"] = pair_crops(official, args)
    for title, weights in args.judges:
        judge = convert.load("prenet", weights)
        rows = [row(judge, name, *crops) for name, crops in sets.items()]
        titles = (f"judge {title}, Y", "crops", "rainy", "derained", "gain", "error")
        print(reports.text_table(titles, rows), end="\n\n", flush=True)


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("judges", nargs="+", help="NAME=FILE, weights of PReNet (.pth)")
    parser.add_argument("--clean", required=True, help="folder of clean pictures")
    parser.add_argument("--rain", nargs="+", default=[], help="names, see above")
    parser.add_argument("--pairs", help="folder of official pairs of the judge's set")
    parser.add_argument("--layout", default="auto", help="of these pairs")
    parser.add_argument("--streaks", help="folder of streaks on black, for the kinds")
    parser.add_argument("--psnr", type=float, nargs="+", default=[13.0], help="RGB, dB")
    parser.add_argument("--count", type=int, default=32, help="crops of each rain")
    parser.add_argument("--crop", type=int, default=128, help="their side in pixels")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    args.judges = [judge.rpartition("=")[::2] for judge in args.judges]
    for name in args.rain:
        try:
            look(name)
        except (ValueError, TypeError) as error:
            parser.error(f"--rain: {error}")
    return args


def look(name):
    """The `Look` for a name with changed ranges; `None` for a mixer's kind."""
    name, *changes = name.split(":")
    if name in KINDS and not changes:
        return None
    if name not in LOOKS:
        raise ValueError(f"must be one of {[*LOOKS, *KINDS]}; received {name!r}")
    values = {}
    for change in changes:
        field, _, text = change.partition("=")
        numbers = tuple(map(float, text.split(",")))
        values[field] = numbers if len(numbers) > 1 else numbers[0]
    return dataclasses.replace(LOOKS[name], **values)


def clean_crops(folder, count, size, seed):
    """Crops `(count, size, size, 3)` of different pictures, in [0, 1]."""
    rng, made = np.random.default_rng(seed), []
    paths = find_images(folder, recursive=True)
    for path in rng.permutation(paths):
        try:
            image = pixels.to_rgb(pixels.to_float(reading.read(path).pixels))
        except picture.ImageError:
            continue
        if min(image.shape[:2]) >= size:
            made.append(crop(image, size, rng))
        if len(made) == count:
            return np.stack(made)
    raise ValueError(
        f"`--clean` must hold {count} pictures of at least {size} pixels. Received: "
        f"{folder} with {len(made)} of them."
    )


def crop(image, size, rng):
    top, left = (rng.integers(full - size + 1) for full in image.shape[:2])
    return image[top : top + size, left : left + size]


def rained(clean, make, args):
    """Rain on all crops, at strengths spread evenly over the given ones."""
    low, high = min(args.psnr), max(args.psnr)
    rainy = [
        make(image, np.random.default_rng((args.seed, i)), low + (high - low) * part)
        for i, (image, part) in enumerate(
            zip(clean, np.linspace(0, 1, len(clean)), strict=True)
        )
    ]
    return np.stack(rainy)


def maker(name, args):
    """`make(clean, rng, psnr)` of a look or a kind; `varied`, `night` ignore `psnr`."""
    kind, chosen = name.split(":")[0], look(name)
    if chosen is None:
        return mixer_maker(kind, args)

    def lay_lines(clean, rng, psnr):
        layer = lines.render_lines(clean.shape[:2], rng, chosen)
        return composition.at_strength(clean, layer, psnr, mixer.RANGES.most)

    def blend_noise(clean, rng, psnr):
        layer = editors.render_noise(clean.shape[:2], rng, chosen)
        return editors.blend(clean, layer, rng, psnr, chosen)

    return lay_lines if isinstance(chosen, lines.Look) else blend_noise


def mixer_maker(kind, args):
    """`make(clean, rng, psnr)` of a kind in the training mixture."""
    size = max(256, args.crop)
    pools = mixer.render_pools(args.seed, args.streaks, count=args.count, size=size)
    mix = mixer.KindMixer(pools)

    def make(clean, rng, psnr):
        strengths = dict.fromkeys(("heavy", "light", "editor"), (psnr, psnr))
        mix.ranges = dataclasses.replace(mixer.RANGES, **strengths)
        return mix.make(kind, clean, rng)[0]

    return make


def layer_maker(pairs, size):
    """`make(clean, rng, psnr)` with the layers that were added in pairs."""
    layers = mixer.added_layers(pairs, 2 * size)

    def make(clean, rng, psnr):
        layer = crop(layers[rng.integers(len(layers))], size, rng) / np.float32(255)
        return composition.at_strength(clean, layer, psnr, mixer.RANGES.most)

    return make


def pair_crops(pairs, args):
    """`(rainy, clean)` crops of the pairs as they are, a few of each."""
    made, rng = [], np.random.default_rng(args.seed)
    for i in range(args.count):
        both = np.concatenate(read_pair(pairs, i % len(pairs)), axis=-1)
        made.append(crop(both, args.crop, rng) / np.float32(255))
    made = np.stack(made)
    return made[..., :3], made[..., 3:]


def row(judge, name, rainy, clean):
    """Cells of a table: mean PSNR before and after the judge, gain and its error."""
    rainy = pixels.to_uint8(rainy) / np.float32(255)  # files hold 8 bits
    derained = np.concatenate([judge(image[None]) for image in rainy])
    before, after = (metrics.psnr(images, clean) for images in (rainy, derained))
    gain = after - before
    error = gain.std() / len(gain) ** 0.5
    values = (before.mean(), after.mean(), gain.mean(), error)
    return name, str(len(gain)), *(f"{value:.2f}" for value in values)


if __name__ == "__main__":
    main()
