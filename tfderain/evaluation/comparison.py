"""Comparison of several models: share of improved images, table across data sets.

```python
from tfderain import evaluation
from tfderain.evaluation import comparison

before, after = (evaluation.Result.from_json(f) for f in ("memd.json", "erl.json"))
print(comparison.improvement(before, after).hard.fraction)

table = comparison.compare({"a": model_a, "b": model_b}, {"Rain100H": pairs})
print(table.table())
```

Reference: Wang, Sun and Sowmya, 2019, ERL-Net: Entangled Representation Learning for
Single Image De-Raining, Figure 3; its rebuttal letter, Table R2. TensorFlow is not
imported here.
"""

import dataclasses
import functools
import json
import os
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfderain import metrics, reports
from tfderain.data.pairs import Pairs
from tfderain.evaluation import scores, subjects
from tfderain.files import distinct

# Improved images (Figure 3)


@dataclass(frozen=True)
class Share:
    """How many images of a kind improved.

    Args:
        improved, count: number of images that improved, and of all images.
    """

    improved: int
    count: int

    @property
    def fraction(self) -> float | None:
        """In [0, 1], or `None` if there is no image of that kind."""
        return self.improved / self.count if self.count else None

    def __str__(self):
        if not self.count:
            return "none"
        return f"{self.fraction:.1%} ({self.improved}/{self.count})"


@dataclass(frozen=True)
class Improvement:
    """The images of a data set that a model derains better than a reference does.

    Args:
        reference, model: names of the two models.
        data: name of the data set.
        protocol: one of `metrics.PROTOCOLS`, under which PSNR was computed.
        fit: see `scores.Result`.
        mean_psnr: of the reference over the images, in dB; separates hard from easy.
        gain: by how much the model's mean PSNR is higher, in dB. Shares count any
            difference, so that one network in two runtimes "improves" half of the
            images by 0.00 dB.
        all, hard, easy: the `Share` of all images, and of those where the reference has
            a PSNR below (above) its mean. Images on the mean are neither hard nor easy.
    """

    reference: str
    model: str
    data: str
    protocol: str
    mean_psnr: float
    gain: float
    all: Share
    hard: Share
    easy: Share
    fit: str | None = None

    def as_dict(self) -> dict:
        """Returns the numbers and the fractions as JSON-compatible values."""
        content = dataclasses.asdict(self)
        for kind in ("all", "hard", "easy"):
            content[kind]["fraction"] = getattr(self, kind).fraction
        return content


@dataclass(frozen=True)
class Improvements(reports.Report):
    """Improvements over the references of one or more data sets; a sequence of them.

    Args:
        each: tuple of at least one `Improvement`, all under one protocol.
    """

    each: tuple[Improvement, ...]

    def __len__(self):
        return len(self.each)

    def __getitem__(self, place):
        return self.each[place]

    def as_dict(self) -> dict:
        """Returns `improvements`, a list of what `Improvement.as_dict` returns."""
        return {"improvements": [one.as_dict() for one in self.each]}

    def table(self) -> str:
        """Returns a fixed-width table with a line per `Improvement`."""
        titles = ("data", "reference", "model", "all", "hard", "easy")
        titles += ("mean psnr", "gain")
        rows = [
            (one.data, one.reference, one.model)
            + (str(one.all), str(one.hard), str(one.easy))
            + (f"{one.mean_psnr:.2f}", f"{one.gain:+.2f}")
            for one in self.each
        ]
        about = "images improved over the reference model; hard (easy): its PSNR is "
        about += f"below (above) its mean, {self.each[0].protocol}"
        if fit := self.each[0].fit:
            about += f", {scores.described_fit(fit)}"
        return f"{about}\n\n{reports.text_table(titles, rows)}"


def improvement(reference: scores.Result, result: scores.Result) -> Improvement:
    """Counts the images that improved, as Figure 3 of the ERL-Net paper does.

    Args:
        reference, result: `scores.Result`s on the same images. An image improved if
            its PSNR in `result` is higher; an equal PSNR is no improvement.

    Raises:
        ValueError: protocols or images differ, or the models were given clean images.
    """
    _check_alike(reference, result)
    before = {row.name: row.psnr for row in reference.rows}
    mean = float(statistics.mean(before.values()))  # exact: equal scores are on it

    def share(wanted):
        gains = [row.psnr > before[row.name] for row in result.rows if wanted(row.name)]
        return Share(sum(gains), len(gains))

    return Improvement(
        reference.model,
        result.model,
        label(result.data),
        result.protocol,
        mean,
        gain=statistics.fmean(row.psnr for row in result.rows) - mean,
        all=share(lambda name: True),
        hard=share(lambda name: before[name] < mean),
        easy=share(lambda name: before[name] > mean),
        fit=result.fit,
    )


def improvements(results: Sequence[scores.Result]) -> Improvements:
    """Compares each result with the first one on the same images.

    Args:
        results: sequence of `scores.Result`s on one or more data sets, under one
            protocol. The first on each data set is the reference.

    Raises:
        ValueError: protocols differ, or a data set has one result only.
    """
    protocols = {result.protocol for result in results}
    if len(protocols) != 1:
        raise ValueError(
            "Scores under different protocols cannot be compared. "
            f"Received: protocols={', '.join(sorted(protocols)) or 'none'}."
        )
    groups = {}
    for result in results:
        groups.setdefault(_images(result), []).append(result)
    for first, *others in groups.values():
        if not others:
            raise ValueError(
                "Each data set needs scores of a reference and then of another model "
                f"on the same images. Received: only those of {first.model} for "
                f"{first.data} ({first.count} images)."
            )
    names = labels([first.data for first, *_ in groups.values()])
    return Improvements(
        tuple(
            dataclasses.replace(improvement(first, other), data=name)
            for name, (first, *others) in zip(names, groups.values(), strict=True)
            for other in others
        )
    )


def read(paths: Sequence[str | os.PathLike]) -> tuple[scores.Result, ...]:
    """Reads score files of `tfderain evaluate --json`, of one model or several.

    If a model occurs twice on the same images, the name of its file is added.

    Raises:
        ValueError: a file is something else (it is named).
    """
    names = distinct((Path(p).stem for p in paths), (os.fspath(p) for p in paths))
    found = []
    for name, path in zip(names, paths, strict=True):
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError:
            content = None  # the reader of a single result will say what is wrong
        several = isinstance(content, dict) and "results" in content
        results = Comparison.from_json(path).flat() if several else None
        results = results or [scores.Result.from_json(path)]
        found += [(name, result) for result in results]
    times = Counter((_images(result), result.model) for _, result in found)
    return tuple(
        dataclasses.replace(result, model=f"{result.model} ({name})")
        if times[_images(result), result.model] > 1
        else result
        for name, result in found
    )


def label(path: str | os.PathLike) -> str:
    """Returns the last name of a path, as tables show it."""
    return Path(os.path.abspath(path)).name or os.fspath(path)


def labels(paths: Sequence[str | os.PathLike]) -> list[str]:
    """Returns a name for each path: its last part, or the whole path if these clash."""
    short = [label(path) for path in paths]
    return short if len(set(short)) == len(short) else [os.fspath(p) for p in paths]


def _images(result):
    """Identifies a data set, wherever it lies, by the names and scores of its input."""
    # six decimals: NumPy's sums differ by less than that between machines
    return tuple((row.name, round(row.input_psnr, 6)) for row in result.rows)


def _check_alike(reference, result):
    for name in ("protocol", "identity", "fit"):
        values = [getattr(one, name) for one in (reference, result)]
        if values[0] != values[1]:
            raise ValueError(
                f"Both results must be of one {name}. "
                f"Received: {name}={values[0]!r} and {values[1]!r}."
            )
    names = [sorted(row.name for row in one.rows) for one in (reference, result)]
    if names[0] != names[1] or not names[0]:
        raise ValueError(
            "Both results must be of the same images. Received: "
            f"{reference.count} of {reference.data}, {result.count} of {result.data}."
        )


# Models across data sets (Table R2)


@dataclass(frozen=True)
class Comparison(reports.Report):
    """Scores of several models on several data sets under one protocol.

    Args:
        results: dict from the name of a model to a dict from the name of a data set to
            a `scores.Result`; every model has the same data sets.
    """

    results: Mapping[str, Mapping[str, scores.Result]]

    def flat(self) -> list[scores.Result]:
        """Returns every result, model by model."""
        return [result for row in self.results.values() for result in row.values()]

    def table(self) -> str:
        """Returns a fixed-width table: a line per model, `PSNR/SSIM` per data set.

        The first line has the scores before deraining.
        """
        first = next(iter(self.results.values()))
        protocol = self.flat()[0].protocol
        given = "clean" if self.flat()[0].identity else "rainy"
        titles = ["model", *(f"{name} ({r.count})" for name, r in first.items())]
        before = [given, *(_cell(r.means, "input_") for r in first.values())]
        rows = [
            [model, *(_cell(result.means) for result in row.values())]
            for model, row in self.results.items()
        ]
        channel = metrics.channel(protocol)
        about = f"psnr_{channel}/ssim_{channel}, {protocol} (number of images)"
        if fit := self.flat()[0].fit:
            about += f", {scores.described_fit(fit)}"
        return f"{about}\n\n{reports.text_table(titles, [before], rows)}"

    def as_dict(self) -> dict:
        """Returns `means`, the table's numbers, and `results`, those of each image."""
        first = next(iter(self.results.values()))
        return {
            "protocol": self.flat()[0].protocol,
            "fit": self.flat()[0].fit,
            "models": list(self.results),
            "data": list(first),
            "means": {
                model: {name: result.means for name, result in row.items()}
                for model, row in self.results.items()
            },
            "results": {
                model: {name: result.as_dict() for name, result in row.items()}
                for model, row in self.results.items()
            },
        }

    @classmethod
    def from_json(cls, path: str | os.PathLike) -> "Comparison":
        """Reads what `to_json` wrote; a `ValueError` names a file of any other kind."""
        rule = "A comparison must be a JSON file that `tfderain evaluate --json` wrote."
        return reports.read_json(path, cls.from_dict, rule)

    @classmethod
    def from_dict(cls, content: Any) -> "Comparison":
        """Restores a comparison from what `as_dict` returned."""
        return cls(
            {
                model: {
                    name: scores.Result.from_dict(result)
                    for name, result in row.items()
                }
                for model, row in content["results"].items()
            }
        )


def compare(
    models: dict[str, Any],
    data: dict[str, Pairs],
    protocol: str = "matlab_y_float",
    progress: reports.Progress | None = None,
    *,
    identity: bool = False,
    patches: str | None = None,
    patch: int = 224,
    fit: str | None = None,
    watch: Callable[..., object] | None = None,
) -> Comparison:
    """Scores every model on every data set.

    Args:
        models: dict from a name to a model, see `scores.evaluate`, or to a folder
            of derained images. With several data sets it must have a subfolder named
            after each of them.
        data: dict from a name to `data.pipeline.Pairs`. GT-Rain is averaged by scene.
        protocol: one of `metrics.PROTOCOLS`.
        progress: called with `(done, total)`, in images over all, or `None`.
        identity: give the models the clean images.
        patches, patch, fit: see `scores.evaluate`.
        watch: called with the names of model and data set, each `scores.Row` and its
            images, see `scores.evaluate`; or `None`.

    Raises:
        ValueError: there is no model or no data set; otherwise as `scores.evaluate`.
    """
    if not models or not data:
        raise ValueError(
            "There must be at least one model and one data set. "
            f"Received: models={len(models)}, data={len(data)}."
        )
    for name, pairs in data.items():  # check them all first: each may take hours
        subjects.check(pairs, patch if patches else 1)
        for model in models.values():
            subjects.derainer(_for_data(model, name, data), pairs)
    total = len(models) * sum(map(len, data.values()))
    results, done = {}, 0
    for model_name, model in models.items():
        for data_name, pairs in data.items():
            result = scores.evaluate(
                _for_data(model, data_name, data),
                pairs,
                protocol,
                progress=reports.part(progress, done, total),
                groups=scores.scenes_of(pairs),
                identity=identity,
                name=model_name,
                patches=patches,
                patch=patch,
                fit=fit,
                watch=watch and functools.partial(watch, model_name, data_name),
            )
            results.setdefault(model_name, {})[data_name] = result
            done += len(pairs)
    return Comparison(results)


def _for_data(model, name, data):
    """Returns the model, or the folder of its derained images of one data set.

    Names such as `1.png` occur in many data sets, so no folder may serve two of them.
    """
    if len(data) > 1 and isinstance(model, (str, os.PathLike)):
        return Path(model, name)
    return model


def _cell(means, which=""):
    return f"{means[f'{which}psnr']:.2f}/{means[f'{which}ssim']:.4f}"
