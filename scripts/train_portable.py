"""Trains the supervised part of a recipe on any Keras backend, TensorFlow or not.

For GPU machines that have PyTorch or JAX but no TensorFlow. Once, where the data are:

    python scripts/train_portable.py pack DATA patches.npz --streaks STREAKS

then there, with keras, numpy, pillow and the backend, and the repository on PYTHONPATH:

    KERAS_BACKEND=torch python scripts/train_portable.py train patches.npz RUN --bf16

RUN/best.keras can be loaded in TensorFlow: `tfderain.models.load("RUN")`. After a kill
at any moment, the same command continues. Weighting by GB needs TensorFlow's tape;
batches whose loss is not finite are not skipped here, but end the run. Of a recipe with
stages, this is the first (ERL-Net's plain network, JRGR's pre-training), from which
`tfderain train RECIPE --from RUN` continues.
"""

import argparse
import collections
import concurrent.futures
import hashlib
import itertools
import multiprocessing
import os
import pathlib

import numpy as np

RECIPE_ARGUMENTS = (
    ("--recipe", {"default": "menet", "help": "see `tfderain.training.recipes`"}),
    ("--ablation", {"help": "a row of the paper's tables, such as LpLeLt+LB+CA"}),
    (
        "--set",
        {"nargs": "*", "default": [], "metavar": "NAME=VALUE", "help": "settings"},
    ),
)


def parse(arguments=None):
    """Returns the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    pack_parser = commands.add_parser("pack", help="folders to one .npz")
    pack_parser.add_argument("data", help="folder of rainy/clean pairs")
    pack_parser.add_argument("output", help="path of the .npz to write")
    pack_parser.add_argument("--layout", default="auto", help="of the pairs")
    pack_parser.add_argument("--pattern", help="RAINY:CLEAN, names of the pairs")
    pack_parser.add_argument("--streaks", help="folder with pictures of streaks")
    pack_parser.add_argument("--size", type=int, help="of a patch; crop + 64")
    train_parser = commands.add_parser("train", help="from a .npz to weights")
    train_parser.add_argument("patches", help=".npz written by `pack`")
    train_parser.add_argument("run", help="run folder")
    train_parser.add_argument("--bf16", action="store_true", help="mixed_bfloat16")
    train_parser.add_argument("--workers", type=int, default=os.cpu_count() - 1)
    for command in (pack_parser, train_parser):
        for name, options in RECIPE_ARGUMENTS:
            command.add_argument(name, **options)
    return parser.parse_args(arguments)


# Packing


def pack(data, output, config, layout="auto", pattern=None, streaks=None, size=None):
    """Writes the patches, rain layers and validation patches of a recipe to a .npz.

    Args:
        data, layout, pattern: see `tfderain.data.pairs.find_pairs`.
        output: path of the file; about 6 * height * width bytes for each pair.
        config: `TrainConfig`.
        streaks: folder with pictures of streaks for the rain layers, or `None`.
        size: height and width of a patch, from which training cuts random crops.
            Patches cover each image; they overlap if it is not a multiple of `size`.

    Raises:
        ValueError: for unusable data.
    """
    from tfderain import files
    from tfderain.data import pairs as pairing
    from tfderain.data import pipeline
    from tfderain.training import mixing
    from tfderain.training.material import Material, Source

    material = Material([Source(data, layout, pattern)], streaks)
    kept, held_out = pipeline.split_by_background(
        pairing.find_pairs(data, layout, pattern),
        config.validation_fraction,
        config.seed,
    )
    sizes = pairing.check(kept, config.crop)
    size = min(size or config.crop + 64, min(itertools.chain(*sizes)))
    arrays = {"rainy": [], "clean": []}
    for index in range(len(kept)):
        both = pipeline.read_pair(kept, index)
        for name, image in zip(("rainy", "clean"), both, strict=True):
            arrays[name] += tiles(image, size)
    pools = mixing.render(config, material)
    arrays |= {f"pool_{name}": pool for name, pool in pools.items()}
    kinds = mixing.validation_kinds(held_out, config, pools)
    validation = mixing.validation_patches(kinds, config)
    for name, images in zip(("rainy", "clean"), validation, strict=True):
        arrays[f"validation_{name}"] = np.rint(images * 255).astype(np.uint8)
    with files.replacing(output) as temporary:
        np.savez(temporary, **arrays)


def tiles(image, size):
    """Evenly spaced square parts that cover an image."""
    starts = []
    for side in image.shape[:2]:
        count = -(-side // size)
        starts.append(np.linspace(0, side - size, count).round().astype(int))
    return [image[y : y + size, x : x + size] for y in starts[0] for x in starts[1]]


# Batches


class Patches:
    """Batches of random crops of the packed patches, a function of seed and index.

    Args:
        path: .npz written by `pack`.
        config: `TrainConfig`.
    """

    def __init__(self, path, config):
        from tfderain.training import mixing

        with np.load(path) as packed:
            self.rainy, self.clean = packed["rainy"], packed["clean"]
            named = (name.partition("pool_") for name in packed if "pool_" in name)
            pools = {name: packed[pool + name] for _, pool, name in named}
        self.config = config
        self.degrade = mixing.make_mixer(config, pools)

    def __len__(self):
        return len(self.rainy)

    def batch(self, number):
        """`(rainy, clean)`, float32 `(batch, crop, crop, 3)` in [0, 1]."""
        first = number * self.config.batch_size
        samples = [self.sample(first + k) for k in range(self.config.batch_size)]
        rainy, clean = zip(*samples, strict=True)
        return np.stack(rainy), np.stack(clean)

    def sample(self, number):
        seed, crop = self.config.seed, self.config.crop
        epoch, place = divmod(number, len(self))
        order = np.random.default_rng((seed, 0, epoch)).permutation(len(self))
        rng = np.random.default_rng((seed, 1, number))
        free = self.rainy.shape[1] - crop + 1
        y, x = rng.integers(free, size=2)
        cut = (slice(y, y + crop), slice(x, x + crop))
        step = -1 if rng.integers(2) else 1
        rainy, clean = (
            np.float32(images[order[place]][cut][:, ::step]) / np.float32(255)
            for images in (self.rainy, self.clean)
        )
        if self.degrade is None:
            return rainy, clean
        rainy, clean = self.degrade(rainy, clean, int(rng.integers(2**31)))
        return np.clip(rainy, 0, 1), np.clip(clean, 0, 1)


_worker = None  # the `Patches` of a worker process


def _start_worker(path, config):
    global _worker
    _worker = Patches(path, config)


def _work(number):
    return _worker.batch(number)


def stream(path, config, start, workers):
    """Yields batch `start`, `start + 1`, ... in order, made by worker processes."""
    if workers < 1:
        patches = Patches(path, config)
        yield from map(patches.batch, itertools.count(start))
    context = multiprocessing.get_context("spawn")  # backends do not survive a fork
    with concurrent.futures.ProcessPoolExecutor(
        workers, context, _start_worker, (path, config)
    ) as executor:
        numbers = itertools.count(start)
        ahead = itertools.islice(numbers, 3 * workers)
        waiting = collections.deque(executor.submit(_work, n) for n in ahead)
        while True:
            waiting.append(executor.submit(_work, next(numbers)))
            yield waiting.popleft().result()


# Training


def train(path, run_dir, config, workers=0):
    """Trains a recipe on packed patches; returns the path of the best weights."""
    from tfderain import training
    from tfderain.training import run_folder, strategies

    if config.strategy is not None:
        stages = strategies.stages_of(config)
        config = next(own for stage, own in stages if not stage.teaches)
    if strategies.takes_photos(config):
        raise ValueError(
            "Only TensorFlow can train JRGR's networks together. "
            "Received: a recipe without pre-training."
        )
    sha256 = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
    run_folder.check_run(config, run_dir, {"data": sha256})
    run_dir = run_folder.prepare_run(config, run_dir, {"data": sha256})
    with np.load(path) as packed:
        count = len(packed["rainy"])
        validation = tuple(
            np.float32(packed[f"validation_{name}"]) / 255
            for name in ("rainy", "clean")
        )
    steps = config.steps_per_epoch or max(1, count // config.batch_size)

    def batches(start):
        return stream(path, config, start, workers)

    with training.switches(config):
        model = training.build_model(config, config.mixed_precision)
        training.compile_model(model, config, steps)
        return training.fit(
            model, config, run_dir, batches, validation, steps, verbose=2
        )


def main():
    """Runs the command line."""
    args = parse()
    from tfderain.training import recipes

    settings = list(args.set)
    if args.command == "train" and args.bf16:
        settings.append("mixed_precision=mixed_bfloat16")
    config = recipes.resolve(args.recipe, args.ablation, settings)
    if args.command == "pack":
        names = ("layout", "pattern", "streaks", "size")
        options = {name: getattr(args, name) for name in names}
        pack(args.data, args.output, config, **options)
    else:
        print(train(args.patches, args.run, config, args.workers))


if __name__ == "__main__":
    main()
