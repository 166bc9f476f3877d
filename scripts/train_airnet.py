"""Trains AirNet's contrastive encoder, for comparison with Rainmer's.

    python scripts/train_airnet.py RAIN SNOW DROPS airnet.keras
    tfderain analyze relations airnet.keras --data RAIN --data SNOW --data DROPS \
        --out relations/

Each folder holds rainy/clean pairs, of which only the rainy images are used. The
authors train for 100 epochs, with the rate divided by ten after 60.
"""

import argparse

import keras

from tfderain.data import pairs, pipeline
from tfderain.models import AirNet

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("data", nargs="+", help="folders of rainy/clean pairs")
parser.add_argument("output", help="path of the .keras file to write")
parser.add_argument("--layout", default="auto", choices=pairs.LAYOUTS)
parser.add_argument("--epochs", type=int, default=100)
parser.add_argument("--steps", type=int, default=1000, help="per epoch")
parser.add_argument("--filters", type=int, nargs=3, default=(64, 128, 256))
parser.add_argument("--queue", type=int, default=1280)
args = parser.parse_args()

found = tuple(pairs.find_pairs(folder, args.layout) for folder in args.data)
mixture = pairs.Mixture(found, (1,) * len(found))  # each weather equally often
batches = pipeline.train_dataset(mixture, 128, 5, seed=0)
model = AirNet(args.filters, queue=args.queue)
boundary = max(1, args.epochs * args.steps * 60 // 100)
rate = keras.optimizers.schedules.PiecewiseConstantDecay([boundary], [1e-3, 1e-4])
model.compile(keras.optimizers.Adam(rate))
model.fit(batches, steps_per_epoch=args.steps, epochs=args.epochs, shuffle=False)
model.save(args.output)
