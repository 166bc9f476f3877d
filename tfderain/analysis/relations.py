"""Relations between data sets in the eyes of a trained encoder: mean cosines, UMAP.

```python
found = relations.embed(model, {"day": day_pairs, "night": night_pairs}, count=500)
scores = relations.score(found["chromatic"])  # mean cosine of every two sets
relations.draw_scores(scores, list(found["chromatic"]), "chromatic.png")
places = relations.sphere(found["chromatic"])  # UMAP, needs umap-learn
relations.draw_sphere(places, "chromatic_sphere.png")

result = relations.relate(model, {"day": day_pairs, "night": night_pairs})
result.to_json("relations.json")  # all of these numbers; result.draw(folder)
```

Rainmer has two spaces, one of colours and one of details with degradation; AirNet has
one. As in appendix C of Rainmer (https://doi.org/10.1145/3664647.3681342) and
umap_vis.py of github.com/Schizophreni/Rainmer at 9db7c6b7eb15.
"""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfderain import extras, images, reports
from tfderain.analysis import charts
from tfderain.data import layouts, pipeline
from tfderain.data import pairs as pairing
from tfderain.data.pairs import Pairs

COUNT = 500  # images of each set
SIZE = 128  # pixels, of the squares that AirNet sees
SEED = 42
NEIGHBOURS = 50


def rainy_pairs(
    folder: str | os.PathLike, layout: str = "auto", pattern: str | None = None
):
    """The rainy images of a folder of pairs, or all images of any other folder.

    Returns:
        `Pairs`; without clean images, the rainy ones take their place.

    Raises:
        ValueError: for a folder without images; see also `find_pairs`.
    """
    if layout == "auto" and pattern is None:
        files = pairing.relative_images(folder)
        found = layouts.recognise(files, "auto")
        if found.rainy:  # files without a partner are left out
            return pairing.from_matches(folder, found, layout)
        alone = tuple(os.path.join(folder, file) for file in files)
        if not alone:
            raise ValueError(f"There must be images. Received: folder={str(folder)!r}.")
        return pairing.Pairs(alone, alone)
    return pairing.find_pairs(folder, layout, pattern)


def embed(
    model: Any,
    sets: dict[str, Pairs],
    count: int = COUNT,
    seed: int = SEED,
    progress: reports.Progress | None = None,
):
    """Representations of random images of several sets.

    Args:
        model: `tfderain.models.Rainmer` with at least one view, or `AirNet`.
        sets: dict from the name of a set to its `Pairs`. Rainy images are drawn with
            replacement, as in the authors' code, so that small sets count as much as
            large ones.
        count: int. Images of each set.
        seed: int.
        progress: called with `(done, total)`, or `None`.

    Returns:
        `{space: {set: float32 array (count, length) of rows of length 1}}`.

    Raises:
        ValueError: for a model without representations.
    """
    encode = _encoder(model)
    rng = np.random.default_rng(seed)
    drawn = {name: rng.integers(len(pairs), size=count) for name, pairs in sets.items()}
    total = sum(len(np.unique(chosen)) for chosen in drawn.values())
    found, done = {}, 0
    for name, chosen in drawn.items():
        unique, places = np.unique(chosen, return_inverse=True)
        rows, told = [], reports.part(progress, done, total)
        done += len(unique)
        for index in reports.tracked(unique.tolist(), told):  # one by one: sizes differ
            rainy, _ = pipeline.read_pair(sets[name], index)
            rows.append(encode(images.to_float(rainy)[None]))
        for space in rows[0]:
            stacked = np.concatenate([row[space] for row in rows])
            found.setdefault(space, {})[name] = stacked[places]
    return found


def _encoder(model):
    """Function from one image `(1, height, width, 3)` to `{space: (1, length)}`."""
    from keras import ops

    from tfderain import models

    if isinstance(model, models.AirNet):

        def degradation(image):
            vectors = model(ops.image.resize(image, (SIZE, SIZE)))
            return {"degradation": ops.convert_to_numpy(vectors)}

        return degradation
    views = getattr(model, "views", ())
    if not views:
        raise ValueError(
            "Only a Rainmer with a view and AirNet have representations. "
            f"Received: {type(model).__name__}{', views=[]' * (views == [])}."
        )

    def encode(image):
        made = model.represent(image)
        return {view: ops.convert_to_numpy(made[view]) for view in views}

    return encode


def score(vectors: dict[str, np.ndarray]):
    """Relationship scores: the mean cosine over all pairs of images of two sets.

    Args:
        vectors: dict from set to rows of length 1.

    Returns:
        float64 array `(sets, sets)` in [-1, 1], symmetric. Images are also compared
        with themselves, as in the authors' code.
    """
    # the mean of all products is the product of the means
    means = np.stack([np.mean(rows, axis=0, dtype=float) for rows in vectors.values()])
    return means @ means.T


def sphere(
    vectors: dict[str, np.ndarray], seed: int = SEED, neighbours: int = NEIGHBOURS
):
    """Places images on a sphere so that similar ones are close together (UMAP).

    Args:
        vectors: dict from set to rows of length 1. Their distance is the angle.
        seed: int.
        neighbours: int. Fewer if there are fewer images.

    Returns:
        Dict from set to float array `(images, 2)`: longitude in (-pi, pi] and
        latitude, which is the angle from the pole, in [0, pi].

    Raises:
        ValueError: for fewer than five images in all.
        ImportError: without umap-learn.
    """
    rows = np.concatenate(list(vectors.values())).astype(float)
    if len(rows) < 5:
        raise ValueError(f"There must be at least five images. Received: {len(rows)}.")
    angles = np.arccos(np.clip(rows @ rows.T, -1, 1))
    np.fill_diagonal(angles, 0)
    made = _umap(angles, seed, min(neighbours, len(rows) - 1))
    first, second = made.T
    x, y = np.sin(first) * np.cos(second), np.sin(first) * np.sin(second)
    latitude = np.arccos(np.clip(np.cos(first), -1, 1))
    places = np.stack([np.arctan2(x, y), latitude], axis=1)
    ends = np.cumsum([len(part) for part in vectors.values()])[:-1]
    return dict(zip(vectors, np.split(places, ends), strict=True))


def _umap(distances, seed, neighbours):
    """Two angles for each row of a matrix of distances."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numba and of optional parts
        umap = extras.require("umap", extra="analysis")
    options = {"n_neighbors": neighbours, "min_dist": 0.0, "random_state": seed}
    reducer = umap.UMAP(
        metric="precomputed", output_metric="haversine", n_jobs=1, **options
    )
    with warnings.catch_warnings():
        # that nothing can be mapped back, and that small sets are fitted densely
        warnings.simplefilter("ignore")
        return reducer.fit_transform(distances)


def draw_scores(
    scores: np.ndarray,
    names: Sequence[str],
    path: str | os.PathLike,
    title: str = "Mean cosine similarity",
):
    """Draws relationship scores as a heat map, from the smallest to the largest.

    Returns:
        The Matplotlib figure.
    """
    figure = charts.new_figure(2 + 0.8 * len(names), 1.4 + 0.7 * len(names))
    axis = figure.subplots()
    drawn = axis.imshow(scores, cmap="coolwarm")
    middle = (np.min(scores) + np.max(scores)) / 2
    reach = max(float(np.ptp(scores)), 1e-6) / 2
    for (row, column), value in np.ndenumerate(scores):
        dark = abs(value - middle) > 0.7 * reach
        axis.text(
            *(column, row, f"{value:.2f}"),
            ha="center",
            va="center",
            fontsize="small",
            color="white" if dark else "black",
        )
    ticks = range(len(names))
    axis.set_xticks(ticks, names, rotation=45, ha="right")
    axis.set_yticks(ticks, names)
    axis.set_title(title)
    figure.colorbar(drawn, ax=axis, shrink=0.8)
    return charts.save_figure(figure, path)


def draw_sphere(
    places: dict[str, np.ndarray],
    path: str | os.PathLike,
    title: str = "UMAP on the sphere",
):
    """Draws what `sphere` returned: longitude across, latitude up, one colour per set.

    Returns:
        The Matplotlib figure.
    """
    figure = charts.new_figure(7, 4.5)
    axis = figure.subplots()
    for name, points in places.items():
        axis.scatter(*points.T, s=8, label=name, alpha=0.7, linewidths=0)
    axis.set(
        xlim=(-np.pi, np.pi),
        ylim=(0, np.pi),
        xlabel="longitude",
        ylabel="latitude",
        title=title,
    )
    figure.legend(loc="outside right upper", fontsize="small", markerscale=2)
    return charts.save_figure(figure, path)


@dataclass(frozen=True)
class Relations(reports.Report):
    """How sets of images relate in each space of an encoder.

    Args:
        names: names of the sets.
        count, seed: number of images of each set, and the seed that chose them.
        scores: dict from space to the result of `score`.
        places: dict from space to the result of `sphere`; empty without maps.
    """

    names: tuple[str, ...]
    count: int
    seed: int
    scores: dict[str, np.ndarray]
    places: dict[str, dict[str, np.ndarray]]

    def table(self) -> str:
        """Returns a fixed-width table for each space: the scores of every two sets."""
        return "\n\n".join(
            reports.text_table([space, *self.names], self._rows(scores))
            for space, scores in self.scores.items()
        )

    def _rows(self, scores):
        return [
            (name, *(f"{value:.3f}" for value in row))
            for name, row in zip(self.names, scores, strict=True)
        ]

    def as_dict(self) -> dict:
        """Returns everything as JSON-compatible values; the numbers are in `spaces`."""
        spaces = {space: {"scores": x.tolist()} for space, x in self.scores.items()}
        for space, places in self.places.items():
            spaces[space]["longitude_latitude"] = {
                name: points.tolist() for name, points in places.items()
            }
        about = {"names": list(self.names), "count": self.count, "seed": self.seed}
        return {**about, "spaces": spaces}

    def draw(self, folder: str | os.PathLike):
        """Draws `<space>.png`, and `<space>_sphere.png` for spaces with a map."""
        for space, scores in self.scores.items():
            path = os.path.join(folder, f"{space}.png")
            title = f"Mean cosine similarity, {space}"
            draw_scores(scores, self.names, path, title)
        for space, places in self.places.items():
            path = os.path.join(folder, f"{space}_sphere.png")
            draw_sphere(places, path, f"UMAP, {space}")


def relate(
    model: Any,
    sets: dict[str, Pairs],
    count: int = COUNT,
    seed: int = SEED,
    umap: bool = True,
    progress: reports.Progress | None = None,
) -> Relations:
    """Scores of several sets, and maps of the sphere, in each space of an encoder.

    Args:
        model, sets, count, seed, progress: see `embed`.
        umap: whether to compute the maps of the sphere.
    """
    found = embed(model, sets, count, seed, progress)
    scores = {space: score(vectors) for space, vectors in found.items()}
    mapped = found if umap else {}
    places = {space: sphere(vectors, seed) for space, vectors in mapped.items()}
    return Relations(tuple(sets), count, seed, scores, places)
