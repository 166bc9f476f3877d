"""Score a model on enlarged pairs: how much of its gain is left if rain is larger.

    python scripts/score_sizes.py resunet --data Rain100L --sizes 1 2 4 8 --count 12

Both images of a pair are enlarged bicubically, as phones and editors do; the rainy one
is derained at its new size, and all are reduced again by averaging over boxes. The gain
in PSNR (RGB) is measured against the clean image after the same steps, `like`, and
against the original clean image, `plain`: since enlarging and reducing blurs a little,
not even perfect deraining reaches all of the latter.
"""

import argparse
import time

import numpy as np
from PIL import Image

from tfderain.data.pairs import find_pairs
from tfderain.data.pipeline import read_pair
from tfderain.runtime import Restorer


def main(arguments=None):
    args = parse(arguments)
    pairs = find_pairs(args.data, args.layout)
    chosen = chosen_pairs(pairs, args.count)
    restorer = Restorer(args.model, scales=args.scales)
    print(f"{args.model}, scales {args.scales}, {len(chosen)} pairs")
    for size in args.sizes:
        start = time.perf_counter()
        gains = [gain(restorer, *read_pair(pairs, i)[:2], size) for i in chosen]
        like, plain = np.mean(gains, axis=0)
        seconds = (time.perf_counter() - start) / len(chosen)
        print(
            f"{size} times: like {like:.2f} dB, plain {plain:.2f} dB, {seconds:.1f} s"
        )


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="preset or model")
    parser.add_argument("--data", required=True, help="folder of rainy/clean pairs")
    parser.add_argument("--layout", default="auto")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--count", type=int, default=12, help="pairs, evenly chosen")
    parser.add_argument("--scales", default="auto", help="auto, or a number")
    args = parser.parse_args(arguments)
    if args.scales != "auto":
        args.scales = int(args.scales)
    return args


def chosen_pairs(pairs, count):
    """Indices of at most `count` pairs, evenly chosen."""
    return np.linspace(0, len(pairs) - 1, min(count, len(pairs))).astype(int)


def gain(restorer, rainy, clean, size):
    """`(like, plain)` of one pair, see above."""
    large = enlarged(rainy, size)
    derained = reduced(restorer.derain(large), size)
    target = reduced(enlarged(clean, size), size)
    before, plain = reduced(large, size), clean.astype(float)
    return (
        psnr(derained, target) - psnr(before, target),
        psnr(derained, plain) - psnr(rainy.astype(float), plain),
    )


def enlarged(image, size):
    height, width = image.shape[:2]
    wanted = width * size, height * size
    return np.asarray(Image.fromarray(image).resize(wanted, Image.Resampling.BICUBIC))


def reduced(image, size):
    height, width = (side // size for side in image.shape[:2])
    return image.reshape(height, size, width, size, 3).astype(float).mean((1, 3))


def psnr(image, target):
    return 20 * np.log10(255) - 10 * np.log10(np.mean(np.square(image - target)))


if __name__ == "__main__":
    main()
