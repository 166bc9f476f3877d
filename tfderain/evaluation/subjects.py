"""Subjects of scores: pairs, and a model or a folder of its derained images.

```python
from tfderain.evaluation import subjects

names = subjects.check(pairs)
derain = subjects.derainer("derained/", pairs)  # or a model
rainy, clean = subjects.read_pair(pairs, 0)
derained, seconds = derain(0, rainy)
```

Used by `scores`, `comparison`, `regions` and `niqe`; imports no TensorFlow.
"""

import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfderain import images
from tfderain.data import pairs as pairing
from tfderain.data import pipeline
from tfderain.files import stem


def check(pairs: pipeline.Pairs, least: int = 1) -> list[str]:
    """Checks all file headers and returns the name of each pair.

    Args:
        pairs: the pairs to check.
        least: the least height and width allowed.

    Returns:
        What `names_of` returns.

    Raises:
        ValueError: there are no pairs, or files cannot be read, differ in size or are
            too small.
    """
    if not len(pairs):
        raise ValueError("There must be at least one pair. Received: pairs=0.")
    pipeline.check(pairs, least)
    return names_of(pairs)


def names_of(pairs: pipeline.Pairs) -> list[str]:
    """Returns the rainy files relative to their common folder, separated by `/`."""
    return _relative(pairs.rainy)


def name_of(model: Any) -> str:
    """Returns what a model is called in results: its path, `name` or class."""
    if isinstance(model, (str, os.PathLike)):
        return os.fspath(model)
    return str(getattr(model, "name", None) or type(model).__name__)


def derainer(model: Any, pairs: pipeline.Pairs):
    """Returns a function that derains the image of a pair.

    Args:
        model: as in `evaluate`.
        pairs: `data.pipeline.Pairs`, whose files name those of a folder.

    Returns:
        A function from `(index, image)` to the derained image, uint8 of the same
        shape, and the seconds it took. Its `ValueError`s name the image.

    Raises:
        ValueError: the folder lacks an image of a pair.
    """
    names = names_of(pairs)
    if isinstance(model, (str, os.PathLike)):
        paths = find_derained(model, pairs)
        return lambda index, image: (
            _alike(images.read_rgb(paths[index]), image, names[index]),
            0.0,
        )
    function = getattr(model, "derain", model)

    def derain(index, image):
        start = time.perf_counter()
        derained = np.asarray(function(image))
        seconds = time.perf_counter() - start
        return images.to_uint8(_alike(derained, image, names[index])), seconds

    return derain


def find_derained(folder: str | os.PathLike, pairs: pipeline.Pairs) -> tuple[str, ...]:
    """Finds the derained image of each pair in a folder that some program wrote.

    The image has the name of the rainy file, relative to the folder of all rainy files,
    or failing that of the clean file; extensions and leading zeros may differ.

    Raises:
        ValueError: images are missing (they are named), or there is no such folder.
    """
    rainy, clean = names_of(pairs), _relative(pairs.clean)
    # "1.bmp.png" is what `save_images` makes of "1.bmp" beside "1.png"
    wanted = [
        (name, *map(stem, (name, c))) for name, c in zip(rainy, clean, strict=True)
    ]
    if len(set(clean)) < len(clean):  # several rainy images share one clean image
        wanted = [names[:2] for names in wanted]
    return find_partners(folder, wanted, "derained image")


def find_partners(
    folder: str | os.PathLike, wanted: Sequence[Sequence[str]], what: str
) -> tuple[str, ...]:
    """Finds one file for each image in a folder and its subfolders.

    Args:
        folder: where to look.
        wanted: for each image, the paths that its partner may have, relative to
            `folder`, without extension, best first. `rain-7` also matches `rain-007`.
        what: what a partner is called in the error message.

    Raises:
        ValueError: partners are missing (the images are named).
    """
    known = {_key(stem(f)): f for f in pairing.relative_images(folder)}
    found = [
        next((known[_key(name)] for name in names if _key(name) in known), None)
        for names in wanted
    ]
    missing = [names[0] for names, file in zip(wanted, found, strict=True) if not file]
    if missing:
        raise ValueError(
            f"The folder must have a {what} for each rainy image. Received: "
            f"folder={str(folder)!r} without {pairing.name_files(missing)}."
        )
    return tuple(os.path.join(folder, file) for file in found if file)


def read_pair(pairs: pipeline.Pairs, index: int):
    """Returns the rainy and the clean image of a pair, uint8 `(height, width, 3)`."""
    rainy, clean = pipeline.read_pair(pairs, index)
    if rainy.shape != clean.shape:  # headers may give another size than the pixels have
        raise ValueError(
            "The rainy and the clean image of a pair must have the same size. "
            f"Received: {pairs.rainy[index]!r} {rainy.shape[:2]}, "
            f"{pairs.clean[index]!r} {clean.shape[:2]}."
        )
    return rainy, clean


def common_folder(paths: Sequence[str | os.PathLike]) -> str:
    """Returns the folder that holds all the files."""
    return os.path.commonpath([os.path.dirname(path) or "." for path in paths])


def _relative(paths):
    folder = common_folder(paths)
    return [os.path.relpath(path, folder).replace(os.sep, "/") for path in paths]


def _key(path):
    return tuple(images.natural_key(path))


def _alike(derained, image, name):
    """Refuses an output that cannot be compared with its input."""
    if derained.shape != image.shape:
        raise ValueError(
            "A model must return an image of the shape it was given. Received: "
            f"shape={derained.shape} for {name!r} of shape {image.shape}."
        )
    if not np.isfinite(derained).all():
        raise ValueError(
            "A model must return finite values. "
            f"Received: NaN or infinity for {name!r}."
        )
    return derained
