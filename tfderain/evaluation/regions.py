"""Regions where a model improves on another: rain, and background (mIoR, mIoB).

```python
from tfderain import runtime
from tfderain.data import pipeline
from tfderain.evaluation import regions

pairs = pipeline.find_pairs("Rain100H")
models = runtime.Restorer("before.tflite"), runtime.Restorer("after.tflite")
result = regions.evaluate(*models, pairs, maps_dir="maps")
print(result.table())
```

For each image, the result indicator map (RIM) is 1 where the model is nearer to the
clean image than the reference model is, and the binary maps show where there is rain
and where background. IoR is the share of the rain's pixels whose indicator is 1, IoB
that of the background's; mIoR and mIoB are their means over images.

Reference: Wang, Sun and Sowmya, 2019, ERL-Net: Entangled Representation Learning for
Single Image De-Raining, section 4.3, eqs. 6-8. Eq. 7 as printed sums the quotients of
single pixels, which would divide by zero; the quotient of the sums is meant.

The paper does not say what to do with an image without a single pixel of rain (or of
background), e.g. if its rainy and clean image are equal. Here such an image has no IoR
(IoB), is left out of the mean, and is counted in `Result.without_rain`
(`without_background`).
"""

import dataclasses
import os
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfderain import images, metrics, reports
from tfderain.data.pairs import Pairs
from tfderain.evaluation import subjects
from tfderain.files import distinct, stem

VARIANTS = ("paper", "code")

# OpenCV's fixed-point grey of 8-bit images; compared with it for all 256^3 colours.
_GREY, _GREY_SHIFT = (9798, 19235, 3735), 15

# The grey levels after x / 127.5 - 1 and back in float32, truncated to uint8.
_LEVELS = np.arange(256, dtype=np.float32)
_ROUND_TRIP = ((_LEVELS / np.float32(127.5) - 1 + 1) * np.float32(127.5)).astype(
    "uint8"
)

# Colours of `overview`: the region, bright where the model improved on the reference.
_COLORS = {
    ("rain", True): (255, 160, 0),
    ("rain", False): (95, 60, 0),
    ("background", True): (60, 180, 255),
    ("background", False): (20, 50, 80),
}


@dataclass(frozen=True, eq=False)
class Maps:
    """The three maps of one image, bool `(height, width)`.

    Args:
        rain: where rain is (`BM_R`).
        background: where there is none (`BM_B`). A pixel may be in neither map.
        indicator: where the model is nearer to the clean image (`RIM`).
    """

    rain: np.ndarray
    background: np.ndarray
    indicator: np.ndarray

    @property
    def ior(self) -> float | None:
        """Share of the rain's pixels that improved (eq. 7); `None` without rain."""
        return intersection(self.rain, self.indicator)

    @property
    def iob(self) -> float | None:
        """Share of the background's pixels that improved; `None` without background."""
        return intersection(self.background, self.indicator)


@dataclass(frozen=True)
class Row:
    """Scores of one image.

    Args:
        name: the rainy file, relative to the folder that holds all rainy files.
        ior, iob: in [0, 1], or `None` where the region is empty.
        rain, background: shares of the image's pixels in the two maps.
    """

    name: str
    ior: float | None
    iob: float | None
    rain: float
    background: float


@dataclass(frozen=True)
class Result(reports.Report):
    """Scores of a model against a reference on one data set.

    Args:
        reference, model: names of the two models.
        protocol: one of `metrics.PROTOCOLS`, which defines luma.
        maps: origin of the binary maps: a variant, or the folder of the masks.
        data: the folder that holds all the files.
        rows: one `Row` per image.
        versions: see `reports.versions`.
    """

    reference: str
    model: str
    protocol: str
    maps: str
    data: str
    rows: tuple[Row, ...]
    versions: dict[str, str]

    @property
    def mior(self) -> float | None:
        """Mean IoR over the images that have rain (eq. 8); `None` if none has."""
        return _mean(row.ior for row in self.rows)

    @property
    def miob(self) -> float | None:
        """Mean IoB over the images that have background; `None` if none has."""
        return _mean(row.iob for row in self.rows)

    @property
    def without_rain(self) -> int:
        """Number of images without any rain, which `mior` leaves out."""
        return sum(row.ior is None for row in self.rows)

    @property
    def without_background(self) -> int:
        """Number of images without any background, which `miob` leaves out."""
        return sum(row.iob is None for row in self.rows)

    def as_dict(self) -> dict:
        """Returns the result and its means as JSON-compatible values."""
        names = ("mior", "miob", "without_rain", "without_background")
        means = {name: getattr(self, name) for name in names}
        return {**dataclasses.asdict(self), "count": len(self.rows), **means}

    def table(self) -> str:
        """Returns a fixed-width table: a line per image, means, what was left out."""
        rows = [
            (row.name, f"{row.rain:.1%}", f"{row.background:.1%}")
            + (_cell(row.ior), _cell(row.iob))
            for row in self.rows
        ]
        mean = f"mean of {len(self.rows)} images"
        shares = [
            f"{statistics.fmean(getattr(row, name) for row in self.rows):.1%}"
            for name in ("rain", "background")
        ]
        means = (mean, *shares, _cell(self.mior), _cell(self.miob))
        titles = ("image", "rain", "background", "IoR", "IoB")
        about = f"{self.model} against {self.reference}, {self.protocol}, maps: "
        about += f"{self.maps}, {len(self.rows)} images of {self.data}"
        text = f"{about}\n\n{reports.text_table(titles, rows, [means])}"
        for name in ("rain", "background"):
            if left_out := getattr(self, f"without_{name}"):
                text += f"\nleft out of the mean: {left_out} images without {name}"
        return text


# Maps of one image


def binary_maps(rainy: np.ndarray, clean: np.ndarray, variant: str = "paper"):
    """Where there is rain and where not: grey difference compared with its mean.

    Args:
        rainy, clean: arrays `(h, w, 3)`, uint8 or float in [0, 1] (rounded to uint8).
        variant: `"paper"`: the difference of the images as they are. `"code"`: the
            authors' AFR-Net at 9ba2089e80cd, which scales to [-1, 1] and back in
            float32 and truncates, so that 63 of the 256 grey levels come out one
            lower; it swaps the names of the two maps, which is put right here.

    Returns:
        `(rain, background)`, bool `(h, w)`: where the difference is above its mean over
        the image, and where it is below. Pixels equal to the mean are in neither map,
        so both are empty if all pixels differ equally.

    Raises:
        ValueError: shapes differ, an image is not RGB, float images go beyond [0, 1],
            or the variant is unknown.
    """
    if variant not in VARIANTS:
        raise ValueError(
            f"`variant` must be one of {', '.join(VARIANTS)}. Received: {variant=}."
        )
    greys = []
    for image in _pixels(rainy=rainy, clean=clean):
        image = _ROUND_TRIP[image] if variant == "code" else image
        grey = sum(image[..., i].astype(np.int32) * w for i, w in enumerate(_GREY))
        greys.append((grey + (1 << _GREY_SHIFT - 1)) >> _GREY_SHIFT)
    difference = np.abs(greys[0] - greys[1]).astype(np.int64)
    # compared with the sum in integers: rounding of a float mean would decide for
    # pixels that equal it
    total = difference.sum()
    return difference * difference.size > total, difference * difference.size < total


def mask_maps(mask: np.ndarray):
    """The binary maps of a region mask, as Rain100H ships them (`rainregion-*.png`).

    Args:
        mask: array `(h, w)` or `(h, w, 3)`, uint8; rain is white, or 1 against 0.

    Returns:
        `(rain, background)`, bool `(h, w)`: lighter than middle grey, and the rest.
    """
    grey = np.asarray(mask)
    grey = grey.mean(axis=-1) if grey.ndim == 3 else grey
    rain = grey > (127 if grey.max() > 1 else 0)
    return rain, ~rain


def indicator_map(
    reference: np.ndarray,
    derained: np.ndarray,
    clean: np.ndarray,
    protocol: str = "matlab_y_float",
):
    """Result indicator map (eq. 6): where `derained` is nearer than `reference`.

    Args:
        reference, derained: images of two models, `(h, w, 3)`, uint8 or float in [0, 1]
            (rounded to uint8).
        clean: the ground truth, of the same shape.
        protocol: one of `metrics.PROTOCOLS` that scores luma. If it rounds luma, more
            pixels are equally near, and those are 0.

    Returns:
        bool `(h, w)`: `|derained - clean| < |reference - clean|` on luma.

    Raises:
        ValueError: shapes differ, an image is not RGB, float images go beyond [0, 1],
            or the protocol is unknown or scores R, G and B.
    """
    pixels = _pixels(reference=reference, derained=derained, clean=clean)
    reference, derained, clean = (metrics.luma(image, protocol) for image in pixels)
    return np.abs(derained - clean) < np.abs(reference - clean)


def intersection(region: np.ndarray, indicator: np.ndarray):
    """Share of a region's pixels where the indicator is 1 (eq. 7).

    Args:
        region, indicator: bool `(h, w)`.

    Returns:
        A float in [0, 1], or `None` for an empty region.
    """
    count = int(np.count_nonzero(region))
    return int(np.count_nonzero(region & indicator)) / count if count else None


def overview(
    rainy: np.ndarray,
    reference: np.ndarray,
    derained: np.ndarray,
    clean: np.ndarray,
    maps: Maps,
):
    """Rows for `images.before_after`: four images above, four maps below.

    Args:
        rainy, reference, derained, clean: arrays `(h, w, 3)`.
        maps: the `Maps` of that image.

    Returns:
        `[(rainy, reference, derained, clean), (rain, background, indicator, regions)]`.
        Maps are white where they are 1. In the last picture rain is orange and
        background blue, bright where the model improved and dark where it did not;
        pixels in neither map are black.
    """
    colored = np.zeros((*maps.rain.shape, 3), np.uint8)
    for (region, improved), color in _COLORS.items():
        colored[getattr(maps, region) & (maps.indicator == improved)] = color
    binary = (maps.rain, maps.background, maps.indicator)
    white = [images.to_rgb(_white(map_)) for map_ in binary]
    return [(rainy, reference, derained, clean), (*white, colored)]


# All images of a data set


def evaluate(
    reference: Any,
    model: Any,
    pairs: Pairs,
    protocol: str = "matlab_y_float",
    masks: str | os.PathLike | None = None,
    maps_dir: str | os.PathLike | None = None,
    progress: reports.Progress | None = None,
    *,
    variant: str = "paper",
    names: tuple[str, str] | None = None,
    overwrite: bool = False,
) -> Result:
    """Scores a model against a reference: IoR and IoB per image, mIoR and mIoB.

    Args:
        reference, model: as in `scores.evaluate`: each a model, a callable, or the path
            of a folder of derained images.
        pairs: `data.pairs.Pairs`.
        protocol: one of `metrics.PROTOCOLS` that scores luma.
        masks: folder of region masks (see `mask_maps` and `find_masks`), or `None` to
            use `binary_maps`.
        maps_dir: folder for pictures, or `None`: `rain/`, `background/` and
            `indicator/` receive the maps (white is 1; those in `rain/` can be used as
            `masks`), `overview/` what `overview` returns.
        progress: called with `(done, total)`, in images, or `None`.
        variant: of `binary_maps`.
        names: `(reference, model)`, what the result calls them.
        overwrite: allow `maps_dir` to replace existing files.

    Raises:
        ValueError: as `scores.evaluate`; also if masks are missing or differ in
            size from their image, or the protocol scores R, G and B.
        FileExistsError: a picture to be saved exists.
    """
    _check_luma(protocol)
    files = subjects.check(pairs)
    derain = [subjects.derainer(each, pairs) for each in (reference, model)]
    mask_paths = find_masks(masks, pairs) if masks else None
    targets = _targets(files, maps_dir, overwrite)
    rows = []
    for index in reports.tracked(range(len(files)), progress):
        rainy, clean = subjects.read_pair(pairs, index)
        before, after = (function(index, rainy)[0] for function in derain)
        mask = _read_mask(mask_paths[index], clean) if mask_paths else None
        regions = mask or binary_maps(rainy, clean, variant)
        maps = Maps(*regions, indicator_map(before, after, clean, protocol))
        rows.append(_row(files[index], maps))
        if targets:
            _save(targets[index], maps, overview(rainy, before, after, clean, maps))
    return Result(
        *(names or map(subjects.name_of, (reference, model))),
        protocol=protocol,
        maps=os.fspath(masks) if masks else f"mean threshold ({variant})",
        data=subjects.common_folder((*pairs.rainy, *pairs.clean)),
        rows=tuple(rows),
        versions=reports.versions(),
    )


def _check_luma(protocol):
    if metrics.channel(protocol) != "y":
        raise ValueError(f"The protocol must score luma (Y). Received: {protocol!r}.")


def _row(name, maps):
    shares = (float(region.mean()) for region in (maps.rain, maps.background))
    return Row(name, maps.ior, maps.iob, *shares)


def find_masks(folder: str | os.PathLike, pairs: Pairs) -> tuple[str, ...]:
    """Finds the region mask of each rainy image in a folder.

    Args:
        folder: the folder of the masks. The mask of `rain-7.png` or `7.png` may be
            called `rainregion-7.png` as in Rain100H or, in a folder of its own, like
            the image. Extensions and leading zeros may differ.
        pairs: `data.pairs.Pairs`.

    Raises:
        ValueError: masks are missing (they are named), or there is no such folder.
    """
    # in a flat folder `rain-7` would be its own mask
    own = subjects.common_folder(pairs.rainy)
    alone = os.path.realpath(folder) != os.path.realpath(own)
    wanted = []
    for name in subjects.names_of(pairs):
        parent, _, file = stem(name).rpartition("/")
        number = file.removeprefix("rain-")
        candidates = [f"rainregion-{number}", file][: 1 + alone]
        wanted.append(["/".join(filter(None, (parent, c))) for c in candidates])
    return subjects.find_partners(folder, wanted, "region mask")


def _read_mask(path, clean):
    mask = images.read_rgb(path)
    if mask.shape != clean.shape:
        raise ValueError(
            "A region mask must have the size of its image. "
            f"Received: {path!r} {mask.shape[:2]} for {clean.shape[:2]}."
        )
    return mask_maps(mask)


def _pixels(**arrays):
    """Returns the images as uint8, after checking their shapes and range."""
    shapes = {name: np.shape(array) for name, array in arrays.items()}
    first = next(iter(shapes.values()))
    if set(shapes.values()) != {first} or len(first) != 3 or first[-1] != 3:
        raise ValueError(
            "Images must be RGB, (h, w, 3), and of the same shape. Received: "
            f"{', '.join(f'{name}.shape={shape}' for name, shape in shapes.items())}."
        )
    for name, array in arrays.items():
        pixels = np.asarray(array)
        if pixels.dtype.kind == "f" and not (pixels.min() >= 0 and pixels.max() <= 1):
            raise ValueError(  # NaN fails both
                "Float images must lie in [0, 1]. "
                f"Received: {name} from {pixels.min():g} to {pixels.max():g}."
            )
    return [images.to_uint8(array) for array in arrays.values()]


def _white(map_):
    return np.where(map_, np.uint8(255), np.uint8(0))


def _targets(names, folder, overwrite):
    """Returns the four files of each image by kind; an empty list without a folder."""
    if folder is None:
        return []
    kinds = ("rain", "background", "indicator", "overview")
    stems = distinct(map(stem, names), names)
    targets = [{kind: Path(folder, kind, f"{s}.png") for kind in kinds} for s in stems]
    existing = [str(p) for files in targets for p in files.values() if p.exists()]
    if existing and not overwrite:
        raise FileExistsError(
            "Pictures are overwritten only with `overwrite=True`. "
            f"Received: {len(existing)} existing files, the first is {existing[0]!r}."
        )
    return targets


def _save(files, maps, rows):
    for kind, path in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "overview":
            images.before_after(rows, path)
        else:
            images.write(path, images.Picture(_white(getattr(maps, kind))))


def _mean(values):
    values = [value for value in values if value is not None]
    return statistics.fmean(values) if values else None


def _cell(value):
    return "none" if value is None else f"{value:.4f}"
