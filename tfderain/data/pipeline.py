"""Pipelines from image files to batches: pairs are found, split, and fed to `fit`.

```python
from tfderain.data import pipeline

pairs = pipeline.find_pairs("Rain800", layout="left_clean")
train, validation = pipeline.split_by_background(pairs)
batches = pipeline.train_dataset(train, crop=128, batch_size=16, seed=0)
rainy, clean = next(iter(batches))  # float32 in [0, 1], (16, 128, 128, 3)

both = pipeline.Mixture((train, others), weights=(2, 1))  # two thirds, one third
batches = pipeline.train_dataset(both, crop=128, batch_size=16, seed=0)
```

Batch `i` is a pure function of `(seed, i)`: to continue training, one need only
remember the number of the batch, and the number of parallel calls does not change the
batches. TensorFlow is imported by the functions that return a `tf.data.Dataset`.
"""

import collections
import contextlib
import functools
from collections.abc import Callable, Sequence

import numpy as np

from tfderain import images
from tfderain.data import alignment
from tfderain.data.pairs import (
    Mixture,
    Pairs,
    Source,
    check,
    find_images,
    find_mixture,
    find_pairs,
)
from tfderain.data.splits import split_by_background

__all__ = [
    "Mixture",
    "Pairs",
    "PatchSampler",
    "Source",
    "check",
    "epoch_size",
    "evaluation_dataset",
    "find_images",
    "find_mixture",
    "find_pairs",
    "five_crop",
    "plain_errors",
    "read_pair",
    "split_by_background",
    "train_dataset",
    "unpaired_dataset",
]

PATCHES_PER_IMAGE = {"random": 1, "five_crop": 10}

# Puts rain on a crop: from `(rainy, clean, seed)` to another `(rainy, clean)`.
Degrade = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]


class PatchSampler:
    """Cuts the batches of an endless stream; batch `i` depends only on `(seed, i)`.

    For one set of pairs, an epoch is a permutation of the patches drawn from
    `(seed, epoch)`. For a mixture, each sample's set is drawn by its share; within a
    set all patches are equally likely. Offset, flip and the seed of `degrade` of sample
    `s` are drawn from `(seed, s)`; both images of a pair share them all. Safe to call
    from several threads.

    Args:
        pairs: `Pairs` to cut from or a `Mixture` of them; all images at least `crop`
            high and wide.
        crop: height and width of the patches.
        batch_size: patches in a batch.
        seed: non-negative int.
        crops: `"random"`: one random patch of each image per epoch. `"five_crop"`: the
            four corners and the centre of each image and of its mirror image, ten per
            epoch (MENET's recipe).
        flips: mirror random patches with probability 1/2; `"five_crop"` mirrors anyway.
        turns: `None`, or one of `TURNS`, instead of `flips`: `"geometric"`: one of the
            eight ways to turn and mirror a square; `"either"`: mirrored left-right or
            upside down with probability 1/4 each.
        whole: `None`, or the side of a square to which the whole images of the patches
            are resized; batches then have four arrays, see `batch`.
        degrade: `None` or a callable from `(rainy, clean, seed)` to `(rainy, clean)`,
            float32 arrays `(crop, crop, 3)` in [0, 1], to which results are clipped.
        cache: keep the decoded images in memory (height x width x 3 bytes each).

    Raises:
        ValueError: images are unreadable, differ in size or are too small; names all.
    """

    def __init__(
        self,
        pairs: Pairs | Mixture,
        crop: int,
        batch_size: int,
        seed: int,
        crops: str = "random",
        flips: bool = True,
        degrade: Degrade | None = None,
        cache: bool = True,
        turns: str | None = None,
        whole: int | None = None,
        align: bool = False,
    ):
        if turns not in (None, *TURNS):
            raise ValueError(
                f"`turns` must be None or one of {tuple(TURNS)}. Received: {turns=}."
            )
        if whole and degrade is not None:
            raise ValueError(
                "Whole images are not degraded. Received: `whole` and `degrade`."
            )
        if crops not in PATCHES_PER_IMAGE:
            raise ValueError(
                f"`crops` must be one of {tuple(PATCHES_PER_IMAGE)}. "
                f"Received: {crops=}."
            )
        sizes = {"crop": crop, "batch_size": batch_size, "pairs": len(pairs)}
        for name, value in sizes.items():
            if value < 1:
                raise ValueError(f"There must be at least 1. Received: {name}={value}.")
        if seed < 0:
            raise ValueError(f"`seed` must not be negative. Received: {seed=}.")
        seeds = (seed,)
        if len(pairs.parts) > 1:  # a seed for each set, so that their choices differ
            states = np.random.SeedSequence(seed).generate_state(len(pairs.parts))
            seeds = tuple(int(state) for state in states)
        self.sets = [
            _Set(part, crop, own, crops, flips, degrade, cache, turns, whole, align)
            for part, own in zip(pairs.parts, seeds, strict=True)
        ]
        self.seed, self.batch_size = seed, batch_size
        self.ends = np.cumsum(pairs.shares)[:-1]

    def batch(self, index: int) -> tuple[np.ndarray, ...]:
        """Rainy and clean patches, float32 `(batch_size, crop, crop, 3)` in [0, 1].

        With `whole`, also the rainy and clean images, `(batch_size, whole, whole, 3)`.
        """
        first = int(index) * self.batch_size
        samples = [self.sample(first + k) for k in range(self.batch_size)]
        return tuple(np.stack(parts) for parts in zip(*samples, strict=True))

    def sample(self, number: int) -> tuple[np.ndarray, ...]:
        """Sample `number` of the stream: two float32 patches in [0, 1], see `batch`."""
        # domain 2: `_Set` and `_order` use 1 and 0
        draw = np.random.default_rng((self.seed, 2, number)).random()
        return self.sets[int(np.searchsorted(self.ends, draw))].sample(number)


class _Set:
    """The samples of one set of pairs; arguments are those of `PatchSampler`."""

    def __init__(
        self, pairs, crop, seed, crops, flips, degrade, cache, turns, whole, align
    ):
        check(pairs, crop)
        if align:
            check(pairs.with_rain(), crop + alignment.MOST_SHIFT)
        self.aligned = {} if align else None
        self.turns, self.whole = turns, whole
        self.pairs, self.crop, self.seed = pairs, crop, seed
        self.crops, self.flips, self.degrade = crops, flips, degrade
        self.patches = epoch_size(pairs, crops)
        self._cache = {} if cache else None

    def sample(self, number):
        epoch, place = divmod(number, self.patches)
        patch = int(_order(self.seed, epoch, self.patches)[place])
        image, patch = divmod(patch, PATCHES_PER_IMAGE[self.crops])
        rng = np.random.default_rng((self.seed, 1, number))
        rainy, clean = self._pair(image)
        if self.crops == "five_crop":
            (top, left), mirrored = five_crop(rainy.shape, self.crop, patch)
        else:
            top = int(rng.integers(rainy.shape[0] - self.crop + 1))
            left = int(rng.integers(rainy.shape[1] - self.crop + 1))
            mirrored = self.flips and not self.turns and bool(rng.integers(2))
        wholes = ()
        if self.whole:
            wholes = tuple(resized(image, self.whole) for image in (rainy, clean))
        alone = rainy is clean  # a clean picture, which `degrade` may rain on
        rainy = self._cut(rainy, top, left, mirrored)
        clean = rainy if alone else self._cut(clean, top, left, mirrored)
        if self.turns:
            turn = TURNS[self.turns](rng)
            rainy, clean = turned(rainy, turn), rainy if alone else turned(clean, turn)
            clean = rainy if alone else clean
        if self.degrade is None:
            return rainy, clean, *wholes
        rainy, clean = self.degrade(rainy, clean, int(rng.integers(2**31)))
        rainy = np.clip(rainy, 0, 1)
        if clean.shape[-1] == 3:  # else with a mask, and in its range, see `DropMixer`
            clean = np.clip(clean, 0, 1)
        return rainy, clean

    def _cut(self, image, top, left, mirrored):
        patch = image[top : top + self.crop, left : left + self.crop]
        return images.to_float(patch[:, ::-1] if mirrored else patch)

    def _pair(self, index):
        if self.aligned is None:
            return read_pair(self.pairs, index, self._read)
        if index in self.aligned:
            return self.aligned[index]
        rainy, clean = read_pair(self.pairs, index, self._read)
        if rainy is clean:
            return rainy, clean
        return self.aligned.setdefault(index, alignment.aligned(rainy, clean))

    def _read(self, path):
        if self._cache is None:
            return images.read_rgb(path)
        # two threads may decode the same file at once, but they store equal arrays
        if path not in self._cache:
            self._cache[path] = images.read_rgb(path)
        return self._cache[path]


# How patches are turned, by name: `(quarter turns, mirrored)` drawn from a generator.
TURNS: dict = {
    "geometric": lambda rng: divmod(int(rng.integers(8)), 2),
    "either": lambda rng: ((0, 0), (0, 0), (0, 1), (2, 1))[int(rng.integers(4))],
}


def turned(image: np.ndarray, turn: tuple[int, int]):
    """A square image after quarter turns, then mirrored left-right if asked to be."""
    image = np.rot90(image, turn[0])
    return np.ascontiguousarray(image[:, ::-1] if turn[1] else image)


def resized(image: np.ndarray, side: int):
    """A whole image of any size as float32 `(side, side, 3)` in [0, 1].

    Bilinear between the nearest pixels, without anti-aliasing, as in OpenCV and
    `keras.ops.image.resize`, and as Rainmer's encoder sees images.

    Args:
        image: uint8 `(height, width, 3)`.
        side: int.
    """
    image = images.to_float(image)
    for axis in (0, 1):
        size = image.shape[axis]
        place = np.clip((np.arange(side) + 0.5) * size / side - 0.5, 0, size - 1)
        first = np.minimum(place.astype(int), max(size - 2, 0))
        shape = [1, 1, 1]
        shape[axis] = side
        share = (place - first).astype("float32").reshape(shape)
        second = np.minimum(first + 1, size - 1)
        image = (1 - share) * image.take(first, axis) + share * image.take(second, axis)
    return image


def _centre(image: np.ndarray, crop: int | None) -> np.ndarray:
    if crop is None:
        return image
    top, left = (image.shape[0] - crop) // 2, (image.shape[1] - crop) // 2
    return image[top : top + crop, left : left + crop]


def read_pair(
    pairs: Pairs, index: int, read: Callable[[str], np.ndarray] = images.read_rgb
):
    """The rainy and the clean image of a pair, uint8 `(height, width, 3)`."""
    rainy = read(pairs.rainy[index])
    if pairs.layout == "files":
        if pairs.clean[index] == pairs.rainy[index]:
            return rainy, rainy
        return rainy, read(pairs.clean[index])
    half = rainy.shape[1] // 2
    left, right = rainy[:, :half], rainy[:, half : 2 * half]
    return (right, left) if pairs.layout == "left_clean" else (left, right)


def epoch_size(pairs: Pairs | Mixture, crops: str = "random") -> int:
    """Number of patches in an epoch."""
    return len(pairs) * PATCHES_PER_IMAGE[crops]


@functools.lru_cache(maxsize=8)
def _order(seed: int, epoch: int, size: int) -> np.ndarray:
    return np.random.default_rng((seed, 0, epoch)).permutation(size)


def five_crop(shape: Sequence[int], crop: int, patch: int):
    """Offset and mirroring of patches 0..9: corners and centre, then these mirrored.

    "Four corners and the central crop plus the flipped version of these" (Fan et al.,
    2020, arXiv:2003.09689, section IV-A).

    Args:
        shape: of the image, height and width first.
        crop: height and width of the patch.
        patch: 0 to 9.

    Returns:
        `((top, left), mirrored)`.
    """
    bottom, right = shape[0] - crop, shape[1] - crop
    places = (
        (0, 0),
        (0, right),
        (bottom, 0),
        (bottom, right),
        (bottom // 2, right // 2),
    )
    return places[patch % 5], patch >= 5


def train_dataset(
    pairs: Pairs | Mixture,
    crop: int,
    batch_size: int,
    seed: int,
    start: int = 0,
    crops: str = "random",
    flips: bool = True,
    degrade: Degrade | None = None,
    cache: bool = True,
    turns: str | None = None,
    whole: int | None = None,
    align: bool = False,
):
    """Endless batches `(rainy, clean)` for `model.fit(..., steps_per_epoch=...)`.

    Args:
        start: number of the first batch; a training run that continues after `k` steps
            passes `k` and sees exactly what it would have seen without interruption.
        pairs: `Pairs`, or a `Mixture` of several sets of them.
        crop, batch_size, seed, crops, flips, degrade, cache, turns, whole, align: see
            `PatchSampler`.

    Returns:
        A `tf.data.Dataset` of float32 tensors `(batch_size, crop, crop, 3)` in [0, 1];
        with `whole`, of `((rainy, whole rainy), (clean, whole clean))`. Clean ones have
        the `channels` of `degrade`, where it says some.

    Raises:
        ValueError: images are unreadable, differ in size or are too small; names all.
    """
    options = {"crops": crops, "flips": flips, "degrade": degrade, "cache": cache}
    options |= {"turns": turns, "whole": whole, "align": align}
    sampler = PatchSampler(pairs, crop, batch_size, seed, **options)
    shape = (batch_size, crop, crop, 3)
    if not whole:
        target = (batch_size, crop, crop, getattr(degrade, "channels", 3))
        return _stream(sampler.batch, start, (shape, target))
    side = (batch_size, whole, whole, 3)
    made = _stream(sampler.batch, start, (shape, shape, side, side))
    return made.map(lambda rainy, clean, *both: ((rainy, both[0]), (clean, both[1])))


def _stream(batch: Callable, start: int, shapes):
    """Endless dataset of `batch(start)`, `batch(start + 1)`, ..."""
    import tensorflow as tf

    if start < 0:
        raise ValueError(f"`start` must not be negative. Received: {start=}.")
    return _batches(tf.data.Dataset.counter(start), batch, shapes)


def _batches(numbers, batch: Callable, shapes):
    """Maps numbers to float32 arrays of these shapes, in parallel and in order."""
    import tensorflow as tf

    def remembering(number):
        try:
            return batch(number)
        except Exception as error:
            _RAISED.append(error)
            raise

    def load(number):
        # stateless: a pure function of the number, which may run in parallel
        types = [tf.float32] * len(shapes)
        arrays = tf.numpy_function(remembering, [number], types, stateful=False)
        return tuple(tf.ensure_shape(a, s) for a, s in zip(arrays, shapes, strict=True))

    made = numbers.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return made.prefetch(2)


# The last errors of batches, of which TensorFlow reports no more than tracebacks.
_RAISED: collections.deque = collections.deque(maxlen=64)


@contextlib.contextmanager
def plain_errors():
    """Raises what the batches of a data set raise, such as `images.ImageError`.

    ```python
    with pipeline.plain_errors():
        model.fit(pipeline.train_dataset(...), steps_per_epoch=100)
    ```
    """
    try:
        yield
    except Exception as error:
        # TensorFlow's own class, which need not be there under another backend. By its
        # text: batches of another data set may fail in the background.
        message = getattr(error, "message", "")
        for raised in list(_RAISED):
            if raised is not error and str(raised) in message:
                raise raised from error
        raise


def evaluation_dataset(pairs: Pairs, crop: int | None = None):
    """The pairs in order, each once, as batches of one image.

    Args:
        pairs: what to read; images may differ in size.
        crop: `None` for whole images, or the height and width of a patch from the
            centre of each.

    Returns:
        A finite `tf.data.Dataset` of `(rainy, clean)`, float32 `(1, height, width, 3)`
        in [0, 1].

    Raises:
        ValueError: images are unreadable, differ in size or are too small; names all.
    """
    import tensorflow as tf

    check(pairs, crop or 1)

    def whole(index):
        pair = read_pair(pairs, int(index))
        return [images.to_float(_centre(image, crop))[None] for image in pair]

    numbers = tf.data.Dataset.range(len(pairs))
    return _batches(numbers, whole, ((1, crop, crop, 3),) * 2)


def unpaired_dataset(
    synthetic_pairs: Pairs | Mixture,
    real_paths: Sequence[str],
    crop: int,
    batch_size: int,
    seed: int,
    start: int = 0,
    flips: bool = False,
    degrade: Degrade | None = None,
    cache: bool = True,
):
    """Endless batches of synthetic pairs and real rainy images, drawn independently.

    Each of the two sources has its own patches and its own length of an epoch (JRGR
    trains on both at once). The arguments are those of `train_dataset`; `real_paths` is
    a sequence of paths.

    Returns:
        A `tf.data.Dataset` of `(synthetic_rainy, synthetic_clean, real_rainy)`, float32
        `(batch_size, crop, crop, 3)` in [0, 1].
    """
    real = Pairs(tuple(real_paths), tuple(real_paths))
    make = functools.partial(
        PatchSampler, crop=crop, batch_size=batch_size, flips=flips, cache=cache
    )
    # two seeds from one, so that the choices of the two sources differ
    seeds = np.random.SeedSequence(seed).generate_state(2)
    paired = make(synthetic_pairs, seed=int(seeds[0]), degrade=degrade)
    alone = make(real, seed=int(seeds[1]))

    def batch(index):
        return *paired.batch(index), alone.batch(index)[0]

    return _stream(batch, start, ((batch_size, crop, crop, 3),) * 3)
