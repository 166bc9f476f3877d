"""Unpacking of a file of `pack.py`: pixels, layers of rain, validation crops.

```python
materials = unpack("pack.zip")  # a quarter of a minute on 16 processors
```

Decoding and rendering of layers are spread over processes; the result depends on the
seed and the number of parts, not on the machine. Needs NumPy, Pillow and
`tfderain.data`, but neither PyTorch nor TensorFlow.
"""

import dataclasses
import io
import json
import multiprocessing
import os
import tempfile
import zipfile

import numpy as np
from PIL import Image

from tfderain.data import mixer

NIGHT_SIDE = 256  # of crops that are turned to night
VALIDATION_KINDS = ("own", "heavy", "light", "editor")


@dataclasses.dataclass
class Materials:
    """Material that training pairs are made from.

    Attributes:
        pixels: uint8 `(pixels, 3)`, those of all pictures, concatenated.
        table: int64 `(pictures, 3)`: offset in `pixels`, height, width.
        groups: rows of `table`: `"own"` and `"night"` `(pairs, 2)`, rainy and clean,
            `"clean"` `(pictures,)`.
        pools: see `tfderain.data.mixer.render_pools`.
        validation: dict from kind to `(rainy, clean)`, float32 `(n, size, size, 3)`.
    """

    pixels: np.ndarray
    table: np.ndarray
    groups: dict
    pools: dict
    validation: dict


def unpack(
    path,
    layers=1200,
    nights=960,
    parts=16,
    side=384,
    seed=0,
    validation=64,
    workers=None,
):
    """Reads a file of `pack.py` and renders what it does not contain.

    Args:
        path: path of the file.
        layers: number of layers of most kinds, and half as many soft and broad ones.
        nights: number of pairs of night pictures.
        parts: number of parts that the work is divided into, each with its own seeds.
        side: side of the layers in pixels.
        seed: int.
        validation: number of crops of each of `VALIDATION_KINDS`.
        workers: largest number of processes; `None` for the number of CPUs.

    Returns:
        `Materials`.
    """
    index = read_index(path)
    layers, nights = max(2, layers // parts), nights // parts
    with tempfile.TemporaryDirectory() as folder:
        extract(path, index["streaks"], folder)
        streaks = os.path.join(folder, "streaks") if index["streaks"] else None
        work = [
            (path, index, part, parts, streaks, layers, side, nights, seed + 10 * part)
            for part in range(parts)
        ]
        made = in_processes(prepare, work, workers)
    pictures = {
        name: image for part in made for name, image in part["pictures"].items()
    }
    pools = {
        name: np.concatenate([part["pools"][name] for part in made])
        for name in made[0]["pools"]
    }
    if index["given"]:
        pools["given"] = np.stack(
            [decode(path, name)[..., 0] for name in index["given"]]
        )
    pairs = [pair for part in made for pair in part["nights"]]
    held = held_out(path, index["groups"]["validation"], pools, validation, seed)
    return Materials(
        *flatten(pictures, pairs, index["groups"]["training"]), pools, held
    )


def read_index(path):
    with zipfile.ZipFile(path) as file:
        return json.loads(file.read("index.json"))


def extract(path, names, folder):
    with zipfile.ZipFile(path) as file:
        file.extractall(folder, names)


def decode(path, name):
    """A picture of the file, uint8 `(height, width, 3)`."""
    with zipfile.ZipFile(path) as file:
        return _decoded(file, name)


def _decoded(file, name):
    with Image.open(io.BytesIO(file.read(name))) as picture:
        return np.asarray(picture.convert("RGB"))


def in_processes(function, work, workers=None):
    """`[function(item) for item in work]`, in as many processes as there are CPUs.

    They are forked, because a fresh process would import PyTorch; call it before any
    threads or the GPU are in use.
    """
    workers = min(len(work), workers or available())
    if workers == 1:
        return [function(item) for item in work]
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        return pool.map(function, work, chunksize=1)


def available():
    """Number of CPUs this process may use."""
    return len(os.sched_getaffinity(0))


def prepare(item):
    """One part of the work: layers, some of the pictures, nights made from these."""
    path, index, part, parts, streaks, layers, side, nights, seed = item
    training = index["groups"]["training"]
    names = sorted({*training["clean"], *(n for pair in training["own"] for n in pair)})
    with zipfile.ZipFile(path) as file:
        pictures = {name: _decoded(file, name) for name in names[part::parts]}
    pools = mixer.render_pools(seed, streaks, None, count=layers, size=side)
    dry = [
        image for name, image in pictures.items() if not name.endswith("_rainy.webp")
    ]
    return {
        "pictures": pictures,
        "pools": pools,
        "nights": make_nights(dry, pools, nights, seed),
    }


def make_nights(pictures, pools, count, seed):
    """Pairs of rain at night, uint8 `(2, side, side, 3)`, on crops of pictures."""
    kinds, made = mixer.KindMixer(pools), []
    rng = np.random.default_rng((seed, 4))
    large = [image for image in pictures if min(image.shape[:2]) >= NIGHT_SIDE]
    for _ in range(count if large else 0):
        crop = random_crop(large[rng.integers(len(large))], NIGHT_SIDE, rng)
        made.append(
            np.rint(np.stack(kinds.make("night", crop, rng)) * 255).astype("u1")
        )
    return made


def random_crop(image, side, rng):
    """Float32 `(side, side, channels)` in [0, 1]."""
    top, left = (int(rng.integers(full - side + 1)) for full in image.shape[:2])
    return image[top : top + side, left : left + side].astype(np.float32) / 255


def flatten(pictures, nights, training):
    """`(pixels, table, groups)` of `Materials`."""
    place = {name: i for i, name in enumerate(pictures)}
    images = [*pictures.values(), *(image for pair in nights for image in pair)]
    sizes = np.array([image.shape[:2] for image in images], np.int64)
    ends = np.cumsum(sizes.prod(axis=1))
    table = np.column_stack([ends - sizes.prod(axis=1), sizes])
    pixels = np.concatenate([image.reshape(-1, 3) for image in images])
    first = len(pictures)
    own = [[place[name] for name in pair] for pair in training["own"]]
    night = [[first + 2 * i, first + 2 * i + 1] for i in range(len(nights))]
    groups = {
        "own": np.array(own, np.int64).reshape(-1, 2),
        "night": np.array(night, np.int64).reshape(-1, 2),
        "clean": np.array([place[name] for name in training["clean"]], np.int64),
    }
    return pixels, table, groups


def held_out(path, groups, pools, count, seed, side=128):
    """Validation crops of each kind, made by the NumPy mixer."""
    kinds, held = mixer.KindMixer(pools), {}
    for place, kind in enumerate(VALIDATION_KINDS):
        rng = np.random.default_rng((seed, 5, place))
        names = groups["own"] if kind == "own" else groups["clean"]
        if not names:
            continue
        made = []
        for i in range(count):
            name = names[i % len(names)]
            if kind == "own":
                both = [decode(path, n) for n in name]
                made.append(
                    np.split(random_crop(np.dstack(both), side, rng), 2, axis=-1)
                )
            else:
                crop = random_crop(decode(path, name), side, rng)
                made.append(kinds.make(kind, crop, rng))
        rainy, clean = zip(*made, strict=True)
        held[kind] = np.stack(rainy), np.stack(clean)
    return held
