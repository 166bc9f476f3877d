"""Contents of the data that a run reads: whether they are the same, wherever they are.

`data.json` in a run folder lists each file below its folder, with its size and a hash
of its beginning, and the pairs that are kept for validation. Needs neither Keras nor
TensorFlow.
"""

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tfderain import presets
from tfderain.data import pairs as pairing
from tfderain.data import splits
from tfderain.training.config import TrainConfig
from tfderain.training.material import Material

HEADER = 4096  # bytes to hash; all of them would take minutes for large data sets
FOLDERS = ("streaks", "layers", "photos")
WEIGHTS = ("start", "teacher")


def describe(material: Material, data: Any) -> dict:
    """Describes what a run reads, in plain values.

    Args:
        material: `Material`.
        data: the `Mixture` of its sources.

    Returns:
        dict with `sources`, a list of dicts with `files`, and with `streaks`, `layers`,
        `photos`, `start`, `teacher`. Files are a dict from the name below the folder to
        size and hash; `None` if nothing is given.
    """
    found: dict = {"sources": []}
    for source, part in zip(material.sources, data.parts, strict=True):
        names = _below(source.folder, dict.fromkeys((*part.rainy, *part.clean)))
        found["sources"].append({"files": _hashes(source.folder, names)})
    for name in FOLDERS:
        folder = getattr(material, name)
        names = None if folder is None else pairing.relative_images(folder)
        found[name] = None if names is None else _hashes(folder, names)
    return found | {name: _weights(getattr(material, name)) for name in WEIGHTS}


def _below(folder, paths: Iterable[str]) -> list[str]:
    return [os.path.relpath(path, folder).replace(os.sep, "/") for path in paths]


def _hashes(folder, names):
    paths = [os.path.join(folder, name) for name in names]
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(names, pool.map(_hash, paths), strict=True))


def _hash(path):
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read(HEADER)).hexdigest()
    return [os.path.getsize(path), digest[:16]]


def _weights(model):
    """Size and hash of a trained network; `None` without one, or if it is gone."""
    try:
        path = None if model is None else presets.locate(model).keras
    except ValueError:
        return None
    record = None if path is None else presets.file_record(path)
    return record and [record["bytes"], record["sha256"][:16]]


def equal(before: dict, now: dict) -> bool:
    """Whether the files in `data.json` and from `describe` are the same."""
    files = [[source["files"] for source in x["sources"]] for x in (before, now)]
    return files[0] == files[1] and all(
        before[name] == now[name] for name in (*FOLDERS, *WEIGHTS)
    )


def compare(before: dict, now: dict, kept: dict, given: dict) -> list[str]:
    """Compares what a run has read with what it would read now.

    Args:
        before, now: content of the run's `data.json`, and result of `describe`.
        kept, given: `Material.as_dict()` of the run, and of the present material.

    Returns:
        Lines about pictures that were added or removed.

    Raises:
        ValueError: the data are others; names the files that differ. Pictures may be
            added; those to train on may be removed if the folder is still the same.
    """
    sources = zip(before["sources"], now["sources"], strict=True)
    places = (
        [source["folder"] for source in about["sources"]] for about in (kept, given)
    )
    notes = []
    for (old, new), was, place in zip(sources, *places, strict=True):
        held = set(old["validation"]) if was == place else None
        notes += _compare_files(old["files"], new["files"], place, held)
    for name in FOLDERS:
        if None in (kept[name], given[name]):
            _same_or_refuse(name, kept, given)
        else:
            notes += _compare_files(before[name], now[name], given[name])
    for name in WEIGHTS:
        if before[name] is None or before[name] != now[name]:
            _same_or_refuse(name, kept, given)
    return notes


def _same_or_refuse(name, kept, given):
    if kept[name] != given[name]:
        raise ValueError(
            "A run can continue only with what it began with: choose another run "
            "folder. "
            f"Received: {name}={given[name]!r} (was {kept[name]!r})."
        )


def _compare_files(old, new, place, held=None):
    """Lines about files that were added or, if none is in `held`, removed."""
    gone = [name for name in old if name not in new]
    differ = [name for name in old if name in new and old[name] != new[name]]
    if held is None or held & set(gone):
        differ += gone
    if differ:
        raise ValueError(
            "A run can continue only with the pictures that it began with, wherever "
            "they are (more may be added): put them back or choose another run folder. "
            f"Received: folder={place!r}, where {pairing.name_files(differ)} "
            f"{'was' if len(differ) == 1 else 'were'} changed or removed."
        )
    counts = {"more": len(new) - len(old) + len(gone), "fewer": len(gone)}
    return [
        f"{count} {word} {'file' if count == 1 else 'files'} than when the run began "
        f"in {place}"
        for word, count in counts.items()
        if count
    ]


def split(config: TrainConfig, material: Material, data: Any, before: dict | None):
    """Splits what a run reads; pairs that it already knows keep their side.

    Args:
        config: `TrainConfig`.
        material, data: see `describe`.
        before: content of `data.json` of a run to continue; `{}` for one from before
            there was such a file, `None` for a new run.

    Returns:
        Training and validation pairs (the latter `None` without a validation fraction),
        and, for `data.json`, a dict for each source with the names of the rainy files
        for `validation` and of those `left_out`.
    """
    if not config.validation_fraction:
        nothing = [{"validation": [], "left_out": []} for _ in material.sources]
        return data, None, nothing
    names = [
        _below(source.folder, part.rainy)
        for source, part in zip(material.sources, data.parts, strict=True)
    ]
    settings = config.validation_fraction, config.seed
    if before is None:
        held = splits.held_out(data, *settings, config.same_background)
    elif before:
        known = map(_known_sides, before["sources"], names)
        known = [side for sides in known for side in sides]
        alike = config.same_background
        held = splits.held_out_of_more(data, known, *settings, alike)
    else:
        held = splits.held_out_until_0_1(data, *settings)
    sides, lists = iter(held), []
    for part in names:
        own = [(name, next(sides)) for name in part]
        lists.append(
            {
                "validation": [name for name, side in own if side],
                "left_out": [name for name, side in own if side is None],
            }
        )
    return *splits.divide(data, held), lists


def _known_sides(source, names):
    """Whether each pair of a source is for validation; `None` if unknown."""
    new = set(names) - set(source["files"]) | set(source["left_out"])
    held = set(source["validation"])
    return [None if name in new else name in held for name in names]
