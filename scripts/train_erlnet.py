"""Trains ERL-Net in stages (MA_D with MLGD), with one `model.fit` for each stage.

    python scripts/train_erlnet.py DATA erlnet.keras

DATA holds rainy/clean pairs (see `tfderain.data.pairs.find_pairs`). `tfderain train
erlnet` adds synthetic rain, validation, checkpoints, resuming and logs to these lines.
"""

import argparse

import keras

from tfderain.data import pairs, pipeline
from tfderain.models import ERLNet
from tfderain.models.entanglement import STRATEGIES

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("data", help="folder of rainy/clean pairs")
parser.add_argument("output", help="path of the .keras file to write")
parser.add_argument("--layout", default="auto", choices=pairs.LAYOUTS)
parser.add_argument("--strategy", default="MA_D", choices=STRATEGIES)
parser.add_argument("--epochs", type=int, default=400, help="of each stage")
parser.add_argument("--steps", type=int, help="per epoch; all of the data if not given")
parser.add_argument("--crop", type=int, default=320)
args = parser.parse_args()

found = pairs.find_pairs(args.data, args.layout)
batches = pipeline.train_dataset(found, args.crop, 1, 0, flips=False)
steps = args.steps or pipeline.epoch_size(found)


def fit(model, batches):
    model.compile(optimizer=keras.optimizers.Adam(4e-4))
    model.fit(batches, steps_per_epoch=steps, epochs=args.epochs, shuffle=False)
    return model


clean_to_clean = fit(
    ERLNet(stage="main"), batches.map(lambda rainy, clean: (clean, clean))
)
model = None
for stage in STRATEGIES[args.strategy]:
    before = model
    model = ERLNet(stage=stage, entanglement=None if stage == "main" else "mlgd")
    model.build((None, None, None, 3))
    if before is not None:
        model.adopt(before)
    if model.teacher is not None:
        model.learn_from(clean_to_clean)
    fit(model, batches)
model.save(args.output)
