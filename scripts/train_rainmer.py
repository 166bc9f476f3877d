"""Trains Rainmer on several sets of pairs together with Keras's own `model.fit`.

    python scripts/train_rainmer.py RAIN13K GT-RAIN GTAV-BALANCE rainmer.keras

Each folder holds rainy/clean pairs (see `tfderain.data.pairs.find_pairs`). `tfderain
train rainmer` adds synthetic rain, validation, checkpoints, resuming and logs to these
lines.
"""

import argparse

from tfderain.data import pairs, pipeline
from tfderain.models import PRESETS, Rainmer
from tfderain.optimizers import CosineCycles, TwoGroupAdamW

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("data", nargs="+", help="folders of rainy/clean pairs")
parser.add_argument("output", help="path of the .keras file to write")
parser.add_argument("--layout", default="auto", choices=pairs.LAYOUTS)
parser.add_argument("--small", action="store_true", help="for CPUs")
parser.add_argument("--epochs", type=int, default=300)
parser.add_argument("--steps", type=int, default=2000, help="per epoch")
parser.add_argument("--crop", type=int, default=128)
args = parser.parse_args()

found = tuple(pairs.find_pairs(folder, args.layout) for folder in args.data)
batches = pipeline.train_dataset(pairs.Mixture(found), args.crop, 4, seed=100)
options = PRESETS["rainmer"] if args.small else {}
model = Rainmer(**options)
steps = args.epochs * args.steps  # two batches make one step of the optimizer
first = max(1, steps * 92 // 300)
rate = CosineCycles(3e-4, (first, steps - first), (1e-4, 1e-6))
model.compile(TwoGroupAdamW(rate, ["encoder"], gradient_accumulation_steps=2))
model.fit(batches, steps_per_epoch=args.steps, epochs=args.epochs, shuffle=False)
shipped = Rainmer(**options, contrast_weight=0.0)  # without archives and key encoder
shipped.build((None, None, None, 3))
shipped.adopt(model)
shipped.save(args.output)
