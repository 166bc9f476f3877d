"""Trains MENET with `model.fit`: the shortest complete training script.

    python scripts/train_menet.py DATA menet.keras

DATA holds rainy/clean pairs (see `tfderain.data.pairs.find_pairs`). `tfderain train`
adds synthetic rain, validation, checkpoints and logs to these lines.
"""

import argparse

import keras

from tfderain.data import pairs, pipeline
from tfderain.models import MENET

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("data", help="folder of rainy/clean pairs")
parser.add_argument("output", help="path of the .keras file to write")
parser.add_argument("--layout", default="auto", choices=pairs.LAYOUTS)
parser.add_argument("--epochs", type=int, default=100)
parser.add_argument("--steps", type=int, help="per epoch; all of the data if not given")
parser.add_argument("--crop", type=int, default=224)
parser.add_argument("--batch", type=int, default=20)
args = parser.parse_args()

found = pairs.find_pairs(args.data, args.layout)
batches = pipeline.train_dataset(found, args.crop, args.batch, 0, crops="five_crop")
steps = args.steps or pipeline.epoch_size(found, "five_crop") // args.batch
tenths = keras.optimizers.schedules.PiecewiseConstantDecay(
    [40 * steps, 80 * steps], [1e-3, 1e-4, 1e-5]
)
model = MENET()
model.compile(optimizer=keras.optimizers.Adam(tenths))
model.fit(batches, steps_per_epoch=steps, epochs=args.epochs, shuffle=False)
model.save(args.output)
