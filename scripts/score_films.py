"""Score `--temporal`: films of falling rain over scenes that stand still or are panned.

    python scripts/score_films.py resunet --data Rain100L/target --count 8

Pictures without rain become scenes: seen by a camera that stands still, and by one that
pans by `--step` pixels per frame. Rain of several strengths falls through them
(`tfderain.data.films`), and noise of a sensor lies over all. Each frame is derained by
itself, and then combined with N neighbours. PSNR is in RGB against the clean frame, the
mean over frames. Flicker is the mean absolute change from frame to frame of what
differs from the clean frame, in grey levels: where nothing moves, that is the change of
the picture itself. `worst` is the smallest gain of any film over frame by frame.
"""

import argparse
import functools

import numpy as np

from tfderain import images
from tfderain.data import films
from tfderain.runtime import FrameRestorer, Restorer
from tfderain.video import temporal

VARIANTS = [(0, "flow"), (1, "flow"), (2, "flow"), (3, "flow"), (2, "none")]


def main(arguments=None):
    args = parse(arguments)
    paths = images.find_images(args.data)
    chosen = np.linspace(0, len(paths) - 1, min(args.count, len(paths))).astype(int)
    restorer = Restorer(args.model, threads=args.threads)
    print("camera | rain | frames | dB | flicker | gain in dB | worst | flicker's")
    for name, step in (("still", (0.0, 0.0)), ("panned", tuple(args.step))):
        for psnr in args.rain:  # 99: none
            found = [
                scores(restorer, paths[place], step, psnr, place, args)
                for place in chosen
            ]
            show(name, psnr, np.array(found))


def show(name, psnr, found):
    """Prints a line for each variant; `found` is `(films, variants + 1, 2)`."""
    names = ["rainy"] + [f"N={n} {align}" if n else "single" for n, align in VARIANTS]
    for label, one in zip(names, found.swapaxes(0, 1), strict=True):
        gains = one - found[:, 1]
        print(
            f"{name} | {psnr:.0f} dB | {label} | {one[:, 0].mean():.2f} | "
            f"{one[:, 1].mean():.2f} | {gains[:, 0].mean():+.2f} | "
            f"{gains[:, 0].min():+.2f} | {gains[:, 1].max():+.2f}",
            flush=True,
        )


def scores(restorer, path, step, psnr, seed, args):
    """`(dB, flicker)` of the rainy film and of each variant."""
    rng = np.random.default_rng([seed, round(psnr)])
    scene = images.to_float(images.read_rgb(path))
    clean = list(films.panned(scene, tuple(args.size), args.frames, step))
    rain = films.FallingRain(tuple(args.size), rng, psnr=psnr)
    rainy = []
    for number, frame in enumerate(clean):
        noise = args.noise / 255 * rng.standard_normal(frame.shape)
        rainy.append(images.from_float(rain.over(frame, number) + noise, np.uint8))
    restore = FrameRestorer(restorer, rainy[:1])
    derained = [restore(frame) for frame in rainy]
    made = [rainy]
    for neighbours, align in VARIANTS:
        combiner = temporal.Combiner(neighbours, align) if neighbours else None
        items = [(*pair, None) for pair in zip(derained, rainy, strict=True)]
        made.append([frame for frame, _ in temporal.combined(items, combiner)])
    return [score(film, clean) for film in made]


def score(film, clean):
    errors = [
        images.to_float(frame) - target
        for frame, target in zip(film, clean, strict=True)
    ]
    squares = [max(float(np.mean(np.square(error))), 1e-10) for error in errors]
    decibels = -10 * np.log10(squares)  # 100 dB at most
    changes = [
        np.abs(after - before).mean()
        for before, after in zip(errors, errors[1:], strict=False)
    ]
    return np.mean(decibels), 255 * np.mean(changes)


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="preset or LiteRT file")
    parser.add_argument("--data", required=True, help="folder of pictures without rain")
    parser.add_argument("--count", type=int, default=8, help="scenes, evenly chosen")
    parser.add_argument("--frames", type=int, default=9)
    sides = functools.partial(parser.add_argument, nargs=2)
    sides("--size", type=int, default=[240, 296], help="height and width")
    sides("--step", type=float, default=[0.7, 2.5], help="of the pan, down and right")
    parser.add_argument("--rain", type=float, nargs="+", default=[99, 28, 22, 16])
    parser.add_argument("--noise", type=float, default=1.5, help="of 255 levels")
    parser.add_argument("--threads", type=int)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
