"""Splits of pairs into training and validation, by the backgrounds that they show.

```python
training, validation = split_by_background(find_pairs("Rain800", "left_clean"))
```

The side of each background is drawn from its content, so that adding pictures later
moves none of the others. TensorFlow is not needed.
"""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from tfderain.data.pairs import (
    SAME_BACKGROUND,
    Mixture,
    Pairs,
    grey_thumbnails,
    similar,
    unit_rows,
)

Data = TypeVar("Data", Pairs, Mixture)


def backgrounds(pairs: Pairs, threshold: float = SAME_BACKGROUND) -> list[list[int]]:
    """Indices of the pairs grouped by what the clean image shows, in order."""
    return _groups(unit_rows(grey_thumbnails(pairs)), threshold)


def split_by_background(pairs: Data, fraction: float = 0.08, seed: int = 0):
    """Splits into training and validation pairs that share no background.

    Each part of a mixture is split; a background that occurs in several of them goes
    to the same side everywhere.

    Several rainy images of one scene are common (Rain800 has about two per scene), and
    a validation image whose background was seen in training scores too well.

    Args:
        pairs: `Pairs` or a `Mixture`; at least two backgrounds, see `backgrounds`.
        fraction: probability that a background is for validation, in (0, 1). If that
            would be none or all, the one with the lowest or highest draw changes sides.
        seed: chooses the backgrounds.

    Returns:
        `(training, validation)`, both of the type and in the order of `pairs`.

    Raises:
        ValueError: for another `fraction`, or fewer than two backgrounds.
    """
    return divide(pairs, held_out(pairs, fraction, seed))


def held_out(
    pairs: Pairs | Mixture,
    fraction: float,
    seed: int,
    threshold: float = SAME_BACKGROUND,
) -> list[bool]:
    """Whether each pair is for validation, part after part; see `split_by_background`.

    A function of each background and `seed` only, unless one side would be empty.
    `threshold` is the correlation of thumbnails from which on two show one background.
    """
    rows, groups = _checked_groups(pairs, fraction, threshold)
    drawn = [_draw(rows, group, seed) for group in groups]
    chosen = {place for place, draw in enumerate(drawn) if draw < fraction}
    if not chosen:
        chosen = {int(np.argmin(drawn))}
    elif len(chosen) == len(groups):
        chosen.remove(int(np.argmax(drawn)))
    members = {i for place in chosen for i in groups[place]}
    return [i in members for i in range(len(rows))]


def held_out_of_more(
    pairs: Pairs | Mixture,
    known: Sequence[bool | None],
    fraction: float,
    seed: int,
    threshold: float = SAME_BACKGROUND,
) -> list[bool | None]:
    """Sides of pairs, some of which already have a side and keep it.

    Args:
        pairs: `Pairs` or a `Mixture`.
        known: for each pair, whether it is for validation; `None` if it is new.
        fraction, seed: see `split_by_background`.
        threshold: see `held_out`.

    Returns:
        `known`, with `False` for new pairs to train on. New pairs that show a
        background of the validation, or that are drawn for validation, stay `None`:
        they are not trained on, and scores stay comparable.
    """
    if None not in known:
        return list(known)
    rows, groups = _checked_groups(pairs, fraction, threshold)
    sides = list(known)
    for group in groups:
        found = {known[i] for i in group} - {None}
        trained = found == {False} or not found and _draw(rows, group, seed) >= fraction
        for i in group:
            if known[i] is None and trained:
                sides[i] = False
    return sides


def held_out_until_0_1(pairs: Pairs | Mixture, fraction: float, seed: int):
    """The former `held_out`, whose draws depend on all backgrounds, for older runs."""
    rows, groups = _checked_groups(pairs, fraction)
    wanted, chosen = fraction * len(pairs), set()
    for place in np.random.default_rng(seed).permutation(len(groups)):
        if len(chosen) + len(groups[place]) <= wanted:
            chosen.update(groups[place])
    chosen = chosen or set(min(groups, key=len))
    return [i in chosen for i in range(len(rows))]


def divide(pairs: Data, held: Sequence[bool | None]) -> tuple[Data, Data]:
    """`(training, validation)` by the sides of the pairs, leaving out `None`."""
    split, start = [], 0
    for part in pairs.parts:
        sides = held[start : start + len(part)]
        chosen = (
            [i for i, s in enumerate(sides) if s is side] for side in (False, True)
        )
        start += len(part)
        split.append(tuple(part.subset(indices) for indices in chosen))
    training, validation = zip(*split, strict=True)
    return pairs.replaced(training), pairs.replaced(validation)


def _checked_groups(pairs, fraction, threshold=SAME_BACKGROUND):
    if not 0 < fraction < 1:
        raise ValueError(f"`fraction` must be in (0, 1). Received: {fraction=}.")
    rows = np.concatenate([grey_thumbnails(part) for part in pairs.parts])
    groups = _groups(unit_rows(rows), threshold)
    if len(groups) < 2:
        raise ValueError(
            "There must be two different backgrounds to split. "
            f"Received: {len(pairs)} pairs that show {len(groups)}."
        )
    return rows, groups


def _draw(rows, group, seed):
    """A number in [0, 1) for a background, independent of all other pictures.

    Thumbnails of one background are nearly always equal; if not, the first in the order
    of their bytes counts, whatever the order of the files.
    """
    shown = min(rows[i].tobytes() for i in group)
    digest = hashlib.sha256(b"%d:%b" % (seed, shown)).digest()
    return int.from_bytes(digest[:8]) / 2**64


def _groups(rows, threshold):
    parent = list(range(len(rows)))

    def root(i):
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in similar(rows, rows, threshold):
        low, high = sorted((root(i), root(j)))
        parent[high] = low
    groups = {}
    for i in range(len(rows)):
        groups.setdefault(root(i), []).append(i)
    return list(groups.values())
