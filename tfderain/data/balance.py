"""Balance of light and dense rain: density of pairs, sub-sampling to a proportion.

```python
found = balance.densities(pairs)
target = balance.mean_proportions([balance.densities(other) for other in references])
chosen = pairs.subset(balance.choose(found, target, seed=0))
```

Rainmer's GTAV-balance was made in this way: of 60,000 crops of night rain, half of them
nearly dry, all crops with dense rain were kept, and as many of the others as give the
proportions of its other training sets (https://doi.org/10.1145/3664647.3681342;
exploration/ in github.com/Schizophreni/Rainmer at 9db7c6b7eb15).
"""

import dataclasses
import itertools
import os
import re
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import ArrayLike

from tfderain import images, reports
from tfderain.data import pipeline
from tfderain.data.pairs import SIDE_BY_SIDE, Pairs

BOUNDS = (0.04, 0.08)  # hardly any rain up to the first, dense above the second
# Means of Rain13K's and GT-Rain's proportions, measured on the authors' files.
GTAV_BALANCE = (0.036, 0.2305, 0.7335)

_NUMBERED = re.compile(r"\d{6}_")  # files of `write_folder`


def density(rainy: np.ndarray, clean: np.ndarray):
    """Share of the rain in what is seen, from 0 to 1.

    The mean over the pixels of the largest difference of any channel, relative to the
    sum of the brightest channels of both images.

    Args:
        rainy, clean: arrays `(height, width, 3)`, float in [0, 1] or uint8.
    """
    rainy, clean = images.to_float(rainy), images.to_float(clean)
    change = np.abs(rainy - clean).max(axis=-1)
    light = rainy.max(axis=-1) + clean.max(axis=-1)
    return float(np.mean(change / (light + 1e-3)))


def densities(pairs: Pairs, progress: reports.Progress | None = None):
    """The density of each pair, float64 `(len(pairs),)`.

    Args:
        pairs: `tfderain.data.pairs.Pairs`.
        progress: called with `(done, total)`, or `None`.
    """

    def measure(index):
        return density(*pipeline.read_pair(pairs, index))

    found = np.empty(len(pairs))
    with ThreadPoolExecutor(4) as pool:
        for index, value in enumerate(pool.map(measure, range(len(pairs)))):
            found[index] = value
            if progress is not None:
                progress(index + 1, len(pairs))
    return found


def counts(found: np.ndarray, bounds: Sequence[float] = BOUNDS):
    """Number of densities up to the first bound, up to the second, and above it."""
    # a density that equals a bound counts as below it
    places = np.searchsorted(bounds, found, side="left")
    return np.bincount(places, minlength=len(bounds) + 1)


def mean_proportions(
    references: Sequence[np.ndarray], bounds: Sequence[float] = BOUNDS
):
    """Mean of the proportions of several sets, each counting equally.

    Args:
        references: sequence of non-empty arrays of densities.
    """
    shares = [counts(found, bounds) / len(found) for found in references]
    return tuple(float(share) for share in np.mean(shares, axis=0))


def choose(
    found: np.ndarray,
    target: ArrayLike = GTAV_BALANCE,
    seed: int = 0,
    bounds: Sequence[float] = BOUNDS,
):
    """Sorted indices of as many pairs as the target's proportions allow.

    The bin that runs out first, which for GTAV's crops is the dense one, is kept whole;
    from the others a random part is drawn.

    Args:
        found: array of densities.
        target: proportion of each bin; they are divided by their sum.
        seed: int.

    Raises:
        ValueError: for a wrong number of proportions, or if the target asks for pairs
            from an empty bin.
    """
    shares = np.asarray(target, float)
    if len(shares) != len(bounds) + 1 or shares.min() < 0 or not shares.sum() > 0:
        raise ValueError(
            f"There must be {len(bounds) + 1} proportions, none below 0. "
            f"Received: target={tuple(shares.tolist())}."
        )
    shares = shares / shares.sum()
    have = counts(found, bounds)
    needed = shares > 0
    total = float(np.min(have[needed] / shares[needed]))
    if total < 1:
        raise ValueError(
            "Each bin of the target must have pairs. Received: "
            f"counts={tuple(have.tolist())}, target={tuple(shares.round(4).tolist())}."
        )
    places = np.searchsorted(bounds, found, side="left")
    rng = np.random.default_rng(seed)
    chosen = [
        rng.permutation(np.flatnonzero(places == index))[: round(total * share)]
        for index, share in enumerate(shares)
    ]
    return np.sort(np.concatenate(chosen))


def write_folder(
    pairs: Pairs,
    folder: str | os.PathLike,
    copy: bool = False,
    overwrite: bool = False,
):
    """Puts pairs into a new folder that `find_pairs` reads.

    Files are numbered, so that none replaces another: `rainy/000017_NAME.png` and
    `clean/000017_NAME.jpg`. Files of side-by-side pairs go directly into `folder`.

    Args:
        pairs: `Pairs`.
        folder: path that does not exist, or is empty.
        copy: copies instead of symbolic links.
        overwrite: the folder may hold pairs written earlier; they are deleted.

    Raises:
        ValueError: for a folder that is not empty.
    """
    files = [name for _, _, names in os.walk(folder) for name in names]
    if files and not (overwrite and all(map(_NUMBERED.match, files))):
        raise ValueError(f"The folder must be empty. Received: folder={str(folder)!r}.")
    if files:
        shutil.rmtree(folder)
    one = pairs.layout in SIDE_BY_SIDE
    sides = {"": pairs.rainy} if one else {"rainy": pairs.rainy, "clean": pairs.clean}
    for side, paths in sides.items():
        os.makedirs(os.path.join(folder, side), exist_ok=True)
        for number, path in enumerate(paths):
            stem = os.path.splitext(os.path.basename(pairs.rainy[number]))[0]
            name = f"{number:06d}_{stem}{os.path.splitext(path)[1]}"
            put = shutil.copyfile if copy else os.symlink
            put(os.path.abspath(path), os.path.join(folder, side, name))


@dataclasses.dataclass(frozen=True)
class Balance(reports.Report):
    """Pairs by the density of their rain, before and after a choice.

    Args:
        bounds: densities at which the bins end.
        before, after: number of pairs in each bin.
        target: requested proportion of each bin; their sum is 1.
    """

    bounds: tuple[float, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    target: tuple[float, ...]

    def table(self) -> str:
        """Returns a line for each bin, with numbers and proportions, and the sums."""
        edges = ["0", *(f"{bound:g}" for bound in self.bounds), "1"]
        names = [f"{low} .. {high}" for low, high in itertools.pairwise(edges)]
        sums = sum(self.before), sum(self.after)
        rows = [
            (name, str(one), f"{one / sums[0]:.3f}", str(two), f"{two / sums[1]:.3f}")
            + (f"{share:.3f}",)
            for name, one, two, share in zip(
                names, self.before, self.after, self.target, strict=True
            )
        ]
        titles = ("density", "before", "share", "after", "share", "target")
        total = ("pairs", str(sums[0]), "", str(sums[1]), "", "")
        return reports.text_table(titles, rows, [total])


def balanced(
    pairs: Pairs,
    target: ArrayLike = GTAV_BALANCE,
    seed: int = 0,
    bounds: Sequence[float] = BOUNDS,
    progress: reports.Progress | None = None,
) -> tuple[Pairs, Balance]:
    """The pairs that `choose` keeps by their densities, and their numbers.

    Args:
        pairs: `Pairs`.
        target, seed, bounds: see `choose`.
        progress: called with `(done, total)`, or `None`.

    Raises:
        ValueError: see `choose`.
    """
    found = densities(pairs, progress)
    chosen = choose(found, target, seed, bounds)
    before, after = (counts(each, bounds).tolist() for each in (found, found[chosen]))
    shares = np.asarray(target, float) / np.sum(target)
    result = Balance(tuple(bounds), tuple(before), tuple(after), tuple(shares.tolist()))
    return pairs.subset(chosen), result
