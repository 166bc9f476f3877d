"""Scores of a model on pairs of images: per image, means, table, JSON.

```python
from tfderain import evaluation, runtime
from tfderain.data import pipeline

pairs = pipeline.find_pairs("Rain100L")
result = evaluation.evaluate(runtime.Restorer("resunet"), pairs, "matlab_y_float")
print(result.table())
result.to_json("scores.json")
```

GT-Rain (real rain with ground truth) is scored in RGB, as the mean of each scene first
and then over the scenes (Ba et al., 2022, GT-RAIN, https://arxiv.org/abs/2206.10779):

```python
pairs, scenes = evaluation.find_scenes("GT-Rain")
evaluation.evaluate(model, pairs, "rgb_gaussian", groups=scenes)
```

MENET's Tables I and II are scored on patches rather than whole images: 224x224 crops at
the corners and the centre of each image, and their mirror images, in RGB (section IV-A
of Fan et al., 2020, https://arxiv.org/abs/2003.09689, and heavy/ of the authors' code):

```python
evaluation.evaluate(model, pairs, "rgb_gaussian", patches="five_crop", patch=224)
```

A model has a method `derain` (a `runtime.Restorer`, a `models.Derainer`) or is a
callable. It takes a uint8 array `(h, w, 3)` and returns one of the same shape, uint8 or
float in [0, 1], which is rounded to uint8 before scoring. A folder of derained images
may take its place, so that images made by other programs are scored in the same way.
This module does not import TensorFlow; a Keras model does, a `runtime.Restorer` does
not.
"""

import dataclasses
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfderain import images, metrics, reports
from tfderain.data import pipeline
from tfderain.evaluation import subjects
from tfderain.files import distinct, stem

PATCHES = ("five_crop",)
FITS = ("gain_offset",)
SCORES = ("psnr", "ssim", "input_psnr", "input_ssim")


@dataclass(frozen=True)
class Row:
    """Scores of one image.

    Args:
        name: the rainy file, relative to the folder that holds all rainy files.
        psnr, ssim: PSNR in dB and SSIM (at most 1) of the derained image, rounded to
            uint8.
        input_psnr, input_ssim: the same of the image that the model was given.
        seconds: time taken to derain it, without reading and writing; 0.0 if the
            derained image was read from a folder.
        group: scene to whose mean this image belongs, or `None`.
    """

    name: str
    psnr: float
    ssim: float
    input_psnr: float
    input_ssim: float
    seconds: float
    group: str | None = None


@dataclass(frozen=True)
class Result(reports.Report):
    """Scores of one model on one data set under one protocol.

    Args:
        model: name of what was scored.
        protocol: one of `metrics.PROTOCOLS`.
        data: the folder that holds all the files.
        rows: one `Row` per image.
        versions: of Python, tfderain, NumPy and the libraries that ran the model.
        identity: whether the model was given clean images ("does it harm them?").
        patches: `None` for whole images; else a dict with `selection`, `side` in pixels
            and the number `per_image`, and `rows` has one `Row` per patch.
        fit: `None`, or what was fitted to the clean image before scoring, see
            `evaluate`.
    """

    model: str
    protocol: str
    data: str
    rows: tuple[Row, ...]
    versions: dict[str, str]
    identity: bool = False
    patches: dict | None = None
    fit: str | None = None

    @property
    def count(self) -> int:
        """Number of images, or of patches."""
        return len(self.rows)

    @property
    def groups(self) -> dict[str, dict[str, float]]:
        """Mean scores of each group, in order; empty where there are no groups."""
        members = {}
        for row in self.rows:
            if row.group is not None:
                members.setdefault(row.group, []).append(dataclasses.asdict(row))
        return {name: _means(rows) for name, rows in members.items()}

    @property
    def means(self) -> dict[str, float]:
        """Means of the four scores over the images, or over the means of the groups.

        Also `seconds` and `seconds_median` per image: the time of the first image of
        each size includes the runtime's compilation, which hardly moves the median.
        """
        rows = [dataclasses.asdict(row) for row in self.rows]
        times = [row.seconds for row in self.rows]
        return _means(list(self.groups.values()) or rows) | {
            "seconds": statistics.fmean(times),
            "seconds_median": statistics.median(times),
        }

    def as_dict(self) -> dict:
        """Returns the result, its means and groups as JSON-compatible values."""
        return {
            "model": self.model,
            "protocol": self.protocol,
            "identity": self.identity,
            "patches": self.patches,
            "fit": self.fit,
            "data": self.data,
            "count": self.count,
            "means": self.means,
            "groups": self.groups,
            "versions": self.versions,
            "rows": [dataclasses.asdict(row) for row in self.rows],
        }

    @classmethod
    def from_dict(cls, content: dict) -> "Result":
        """Restores a result from what `as_dict` returned."""
        rows = tuple(Row(**row) for row in content["rows"])
        names = ("model", "protocol", "data", "versions", "identity")
        known = {name: content[name] for name in names}
        more = {name: content.get(name) for name in ("patches", "fit")}
        return cls(rows=rows, **more, **known)

    @classmethod
    def from_json(cls, path: str | os.PathLike) -> "Result":
        """Reads what `to_json` wrote; a `ValueError` names a file of any other kind."""
        rule = "Scores must be a JSON file that `tfderain evaluate --json` wrote."
        return reports.read_json(path, cls.from_dict, rule)

    def table(self) -> str:
        """Returns a fixed-width table: a line per image, group means, overall means."""
        channel = metrics.channel(self.protocol)
        given = "clean" if self.identity else "rainy"
        titles = [f"{given} psnr_{channel}", "derained", "gain"]
        titles += [f"{given} ssim_{channel}", "derained", "gain", "seconds"]
        what = "patches" if self.patches else "images"
        over = f"{len(self.groups)} groups" if self.groups else f"{self.count} {what}"
        means = [(f"mean of {name}", group) for name, group in self.groups.items()]
        means.append((f"mean of {over}", self.means))
        about = f"{self.model}, {self.protocol}, {self.count} {what} of {self.data}"
        if self.patches:
            about += ", {selection} {side}x{side}".format(**self.patches)
        about += ", clean images given" if self.identity else ""
        about += f", {described_fit(self.fit)}" if self.fit else ""
        rows = [(row.name, *_cells(dataclasses.asdict(row))) for row in self.rows]
        feet = [(name, *_cells(scores)) for name, scores in means]
        return f"{about}\n\n{reports.text_table(['image', *titles], rows, feet)}"


def evaluate(
    model: Any,
    pairs: pipeline.Pairs,
    protocol: str = "matlab_y_float",
    save_images: str | os.PathLike | None = None,
    progress: reports.Progress | None = None,
    *,
    groups: Sequence[str] | None = None,
    identity: bool = False,
    name: str | None = None,
    overwrite: bool = False,
    patches: str | None = None,
    patch: int = 224,
    fit: str | None = None,
    watch: Callable[[Row, tuple[np.ndarray, ...]], object] | None = None,
) -> Result:
    """Derains each rainy image and scores it against its clean image.

    Args:
        model: a model as described above, or the path of a folder of derained images,
            see `subjects.find_derained`.
        pairs: `data.pipeline.Pairs`, in any of its three layouts.
        protocol: one of `metrics.PROTOCOLS`.
        save_images: folder for the derained images as PNG files, or `None`.
        progress: called with `(done, total)`, in images, or `None`.
        groups: sequence with the scene of each pair, to average by scene first.
        identity: derain the clean images instead, to see what the model does to them.
        name: name of the model in the result; by default its own `name` or class name.
        overwrite: allow `save_images` to replace existing files.
        patches: `None` for whole images, or one of `PATCHES`: each patch is derained
            and scored by itself. Derained images of a folder are cut afterwards.
        patch: height and width of the patches.
        fit: `None`, or `"gain_offset"`: of each channel of the derained image, and of
            the given one, the gain and the offset come first that bring it closest to
            the clean image, see `fitted`. For pairs of two shots, which differ in
            exposure, such as drops on the glass and GT-Rain.
        watch: called with each `Row` and its images, uint8 `(h, w, 3)`: the one that
            the model was given, the derained and the clean one; or `None`.

    Raises:
        ValueError: there are no pairs; files cannot be read, differ in size or are
            smaller than a patch (they are named; what their headers show, before the
            first image is derained); the model's output has another shape than its
            input; the protocol or selection is unknown; patches are to be saved.
        FileExistsError: an image to be saved exists.
    """
    metrics.channel(protocol)
    if fit is not None and fit not in FITS:
        raise ValueError(f"`fit` must be None or one of {FITS}. Received: {fit=}.")
    _check_identity(identity, model)
    _check_patches(patches, patch, save_images)
    scenes = _check_groups(pairs, groups)
    names = subjects.check(pairs, patch if patches else 1)
    score = _scorer(model, pairs, protocol, identity, patches, patch, fit)
    targets = _targets(names, save_images, overwrite)
    rows = []
    for index in reports.tracked(range(len(names)), progress):
        for suffix, scored, scores in score(index):
            rows.append(Row(names[index] + suffix, **scores, group=scenes[index]))
            if watch:
                watch(rows[-1], scored)
            if targets:
                _save(targets[index], scored[1])
    return Result(
        model=name or subjects.name_of(model),
        protocol=protocol,
        data=subjects.common_folder((*pairs.rainy, *pairs.clean)),
        rows=tuple(rows),
        versions=reports.versions(),
        identity=identity,
        patches=_described(patches, patch),
        fit=fit,
    )


def fitted(image: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """An image after the gain and the offset that bring it closest to the clean one.

    Least squares over all pixels, for each channel alone; a channel of one value gets
    the clean one's mean. What then leaves [0, 255] is clipped, and levels are rounded,
    as scores are of saved files.

    Args:
        image, clean: uint8 arrays `(height, width, 3)`.

    Returns:
        A uint8 array like `image`.
    """
    given, wanted = (x.reshape(-1, 3).astype(np.float64) for x in (image, clean))
    centred = given - given.mean(0)
    spread = np.square(centred).sum(0)
    gain = (centred * wanted).sum(0) / np.where(spread > 0, spread, 1)
    levels = wanted.mean(0) + gain * centred
    return np.rint(np.clip(levels, 0, 255)).astype(np.uint8).reshape(image.shape)


def described_fit(fit: str) -> str:
    """Returns what tables say of a `fit`."""
    return f"after {fit.replace('_', ' and ')} fitted for each channel"


def _scorer(model, pairs, protocol, identity, patches, side, fit):
    """A function that yields `(suffix, images, scores)` for each part of an image.

    The images are the given, the derained and the clean one. It takes a pair's index. A
    folder holds whole images, which are cut afterwards; a model is given the cut.
    """
    derain = subjects.derainer(model, pairs)
    whole = isinstance(model, (str, os.PathLike))

    def score(index):
        rainy, clean = subjects.read_pair(pairs, index)
        given = clean if identity else rainy
        for suffix, cut in _parts(given.shape, patches, side):
            derained, seconds = derain(index, given if whole else cut(given))
            derained = cut(derained) if whole else derained
            scored = (cut(given), derained, cut(clean))
            scores = _scores(*scored, protocol, fit)
            yield suffix, scored, scores | {"seconds": seconds}

    return score


def _parts(shape, patches, side):
    """`(suffix of the row's name, function that cuts)` for each part of an image."""
    if patches is None:
        return [("", lambda image: image)]

    def cutter(number):
        (top, left), mirrored = pipeline.five_crop(shape, side, number)

        def cut(image):
            part = image[top : top + side, left : left + side]
            return np.ascontiguousarray(part[:, ::-1] if mirrored else part)

        return cut

    count = pipeline.PATCHES_PER_IMAGE[patches]
    return [(f" patch {number}", cutter(number)) for number in range(count)]


def _described(patches, side):
    """What a `Result` says about its patches."""
    if patches is None:
        return None
    count = pipeline.PATCHES_PER_IMAGE[patches]
    return {"selection": patches, "side": side, "per_image": count}


def _check_patches(patches, side, save_images):
    if patches is not None and patches not in PATCHES:
        raise ValueError(f"`patches` must be one of {PATCHES}. Received: {patches=}.")
    if patches and side < 1:
        raise ValueError(f"`patch` must be at least 1. Received: patch={side}.")
    if patches and save_images is not None:
        raise ValueError(
            f"Patches are scored, not saved. Received: {patches=}, {save_images=}."
        )


def find_scenes(folder: str | os.PathLike):
    """Finds GT-Rain's `<scene>/<scene>-Webcam-R-<n>.png` and `...-C-000.png`.

    Returns:
        `(pairs, scenes)`: `Pairs` and, at the same index, the scene's folder name.

    Raises:
        ValueError: nothing is found, or files have no partner (they are named).
    """
    pairs = pipeline.find_pairs(folder, layout="scenes")
    return pairs, scenes_of(pairs)


def scenes_of(pairs: pipeline.Pairs):
    """Returns the scene of each pair, or `None` if these are not GT-Rain's scenes.

    GT-Rain names the one clean image of a scene folder `...-C-000.png`.
    """
    if not all("-C-" in Path(path).name for path in pairs.clean):
        return None
    return tuple(Path(path).parent.name for path in pairs.rainy)


def _check_identity(identity, model):
    if identity and isinstance(model, (str, os.PathLike)):
        raise ValueError(
            "`identity` needs a model, to which clean images can be given. "
            f"Received: the folder {str(model)!r}."
        )


def _check_groups(pairs, groups) -> Sequence[str | None]:
    if groups is not None and len(groups) != len(pairs):
        raise ValueError(
            "`groups` must name a group for each pair. "
            f"Received: groups={len(groups)}, pairs={len(pairs)}."
        )
    return groups or (None,) * len(pairs)


def _targets(names, folder, overwrite):
    """Returns the PNG file of each image; an empty list without a folder."""
    if folder is None:
        return []
    stems = distinct(map(stem, names), names)
    targets = [Path(folder, f"{name}.png") for name in stems]
    existing = [str(target) for target in targets if target.exists()]
    if existing and not overwrite:
        raise FileExistsError(
            "Images are overwritten only with `overwrite=True`. "
            f"Received: {len(existing)} existing files, the first is {existing[0]!r}."
        )
    return targets


def _save(target, derained):
    target.parent.mkdir(parents=True, exist_ok=True)
    images.write(target, images.Picture(derained))


def _scores(given, derained, clean, protocol, fit):
    if fit is not None:
        given, derained = fitted(given, clean), fitted(derained, clean)
    return {
        "psnr": metrics.psnr(derained, clean, protocol),
        "ssim": metrics.ssim(derained, clean, protocol),
        "input_psnr": metrics.psnr(given, clean, protocol),
        "input_ssim": metrics.ssim(given, clean, protocol),
    }


def _means(rows):
    return {score: statistics.fmean(row[score] for row in rows) for score in SCORES}


def _cells(scores):
    psnr, ssim, input_psnr, input_ssim = (scores[score] for score in SCORES)
    cells = [f"{input_psnr:.2f}", f"{psnr:.2f}", f"{psnr - input_psnr:+.2f}"]
    cells += [f"{input_ssim:.4f}", f"{ssim:.4f}", f"{ssim - input_ssim:+.4f}"]
    return [*cells, f"{scores['seconds']:.3f}" if "seconds" in scores else ""]
