"""Average the weights of training runs that started from the same weights.

    python scripts/average_runs.py runs/a runs/b --out runs/average
    python scripts/average_runs.py menet runs/a --shares 0.25 0.75 --out runs/average

Such weights lie in one basin of the loss: their mean is often better than any of them,
as after longer training at a lower rate (Wortsman et al., 2022, arXiv:2203.05482).
Choose the shares on validation data. The new folder can be used wherever a run folder
can.
"""

import argparse
from pathlib import Path

import numpy as np

from tfderain import models


def main(arguments=None):
    args = parse(arguments)
    averaged = average([models.load(run) for run in args.runs], args.shares)
    args.out.mkdir(parents=True)
    averaged.save(args.out / "best.keras")
    print(f"{args.out / 'best.keras'}: {', '.join(args.runs)} with {args.shares}")


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", help="presets, .keras files, run folders")
    parser.add_argument("--shares", type=float, nargs="+", help="default: equal ones")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    args = parser.parse_args(arguments)
    args.shares = args.shares or [1 / len(args.runs)] * len(args.runs)
    if len(args.shares) != len(args.runs) or not np.isclose(sum(args.shares), 1.0):
        parser.error(
            "there must be a share for each run, and they must add up to 1; "
            f"received {args.shares} for {len(args.runs)} runs"
        )
    if args.out.exists():
        parser.error(f"{args.out} exists")
    return args


def average(networks, shares):
    """Returns the first model with the weighted mean of all models' weights.

    Raises:
        ValueError: the weights differ in number or shape.
    """
    weights = [network.get_weights() for network in networks]
    shapes = [[weight.shape for weight in each] for each in weights]
    if any(each != shapes[0] for each in shapes):
        raise ValueError("Only models of the same network can be averaged.")
    networks[0].set_weights(
        [
            np.average(np.asarray(each, "float64"), axis=0, weights=shares)
            for each in zip(*weights, strict=True)
        ]
    )
    return networks[0]


if __name__ == "__main__":
    main()
