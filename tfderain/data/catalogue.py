"""Catalogue of known data sets: layout on disk, numbers of pairs, pitfalls.

```python
from tfderain.data import catalogue, pipeline

catalogue.identify("Rain100H")  # [("rain100l", "test"), ("rain100h", "test")]
catalogue.verify("rain100h", "Rain100H", split="test")  # [] or a list of problems
pairs = catalogue.find("rain100h", "Rain100H")
```

Nothing is downloaded: `origin` names the paper or project to get the files from, on
its terms. Counts are what the public loaders and their authors' issue threads say.
"""

import os
from dataclasses import dataclass, field

from tfderain.data import layouts
from tfderain.data.pairs import (
    SAME_BACKGROUND,
    SIDE_BY_SIDE,
    Pairs,
    check,
    find_pairs,
    from_matches,
    name_files,
    relative_images,
    similar,
    thumbnails,
)

ACADEMIC = "academic use"
UNKNOWN = "not known; ask the authors"


@dataclass(frozen=True)
class DataSet:
    """One data set as its public loaders read it.

    Args:
        title: the name in papers.
        origin: paper or project that published it.
        counts: pairs in each split; `None` where no source is certain.
        patterns: layouts met in the wild, relative to the folder of one split, see
            `pipeline.find_pairs`. One-sided for side-by-side files.
        layout: `"files"`, `"left_clean"` or `"left_rainy"`, as in `pipeline.Pairs`.
        terms: terms of use, as far as known.
        notes: pitfalls.
    """

    title: str
    origin: str
    counts: dict[str, int | None] = field(hash=False)
    patterns: tuple[str, ...]
    layout: str = "files"
    terms: str = UNKNOWN
    notes: str = ""


_RAIN100 = ("rain-*:norain-*", "rainy/rain-*:norain-*", "input/*:target/*")
_RAINTRAIN = ("rain-*:norain-*", "rainy/rain-*:gt/norain-*", "rainy/rain-*:norain-*")
_RAIN200 = (
    "rain/X2/norain-*x2:norain/norain-*",
    "rain/norain-*x2:norain/norain-*",
    "rain/norain-*:norain/norain-*",
)
_YANG = "Yang et al., CVPR 2017"

CATALOGUE = {
    "rain100l": DataSet(
        "Rain100L (old)",
        _YANG,
        {"test": 100},
        _RAIN100,
        terms=ACADEMIC,
        notes="Light rain. Rain200L is the later version; scores do not compare.",
    ),
    "rain100h": DataSet(
        "Rain100H (old)",
        _YANG,
        {"test": 100},
        _RAIN100,
        terms=ACADEMIC,
        notes="Heavy rain. One model differs by about 0.5 dB between this test set and "
        "the 200 images of Rain200H.",
    ),
    "raintrainl": DataSet(
        "RainTrainL (old)", _YANG, {"train": 200}, _RAINTRAIN, terms=ACADEMIC
    ),
    "raintrainh": DataSet(
        "RainTrainH (old)",
        _YANG,
        {"train": 1800},
        _RAINTRAIN,
        terms=ACADEMIC,
        notes="546 of the 1800 share their background with Rain100H's test images; "
        "PReNet trains on the other 1254. `screenrainy-*` holds screen blending.",
    ),
    "rain200l": DataSet(
        "Rain200L (new Rain100L)", _YANG, {"train": 1800, "test": 200}, _RAIN200
    ),
    "rain200h": DataSet(
        "Rain200H (new Rain100H)",
        _YANG,
        {"train": 1800, "test": 200},
        _RAIN200,
        notes="The x2 in rainy names says nothing about the size.",
    ),
    "rain12": DataSet(
        "Rain12", "not known", {"test": 12}, (*_RAIN100, "input/*_in:groundtruth/*_GT")
    ),
    "rain800": DataSet(
        "Rain800",
        "ID-CGAN",
        {"train": 700, "test": 100},
        ("*.jpg",),
        "left_clean",
        ACADEMIC,
        "The 700 pairs show 368 backgrounds: split with `split_by_background`.",
    ),
    "ddn": DataSet(
        "DDN-Data (Rain14000, Rain12600/Rain1400)",
        "DDN",
        {"train": 12600, "test": 1400},
        ("rainy_image/*_*:ground_truth/*", "rain/*_*:norain/*"),
        notes="14 rains over each clean image: 1..900 train, 901..1000 test. Rain13K's "
        "Test2800 (clean 801..1000) overlaps this training split.",
    ),
    "did": DataSet(
        "DID-Data (Rain12000/Rain1200)",
        "DID-MDN",
        {"train": 12000, "test": 1200},
        ("DID-MDN-training/*/train2018new/*.jpg", "*/train2018new/*.jpg", "*.jpg"),
        "left_rainy",
    ),
    "rain13k": DataSet(
        "Rain13K",
        "MSPFN, MPRNet, Restormer",
        {
            "train": 13711,
            "Test100": 98,
            "Rain100H": 100,
            "Rain100L": 100,
            "Test1200": 1200,
            "Test2800": 2800,
        },
        ("input/*:target/*",),
        notes="Papers say 13,712; one image of a wrong size was removed. Made of "
        "Rain14000 (11,200), Rain1800, Rain800 (700) and Rain12, so Rain12 is no test "
        "set for it. Test100 has 98 images.",
    ),
    "spa": DataSet(
        "SPA-Data",
        "SPANet",
        {"train": 638492, "test": 1000},
        ("real_world/*/*/*-*_*_*:real_world_gt/{1}/{3}_{5}_{6}", "rain/*:gt/*gt"),
        notes="256x256 patches of real rain, many rainy for one clean. Test pairs are "
        "listed in real_test_1000.txt. Too many to cache in memory.",
    ),
    "raindrop": DataSet(
        "AGAN raindrop",
        "Qian et al., CVPR 2018",
        {"train": 861, "test_a": 58, "test_b": 239},
        ("data/*_rain:gt/*_clean",),
        terms=ACADEMIC,
        notes="Drops on glass, 480x720. Score on test_a: test_b is misaligned.",
    ),
    "gtrain": DataSet(
        "GT-RAIN",
        "Ba et al., ECCV 2022",
        {"train": 26124, "val": None, "test": None},
        (layouts.SCENES,),
        terms=ACADEMIC,
        notes="Real rain, one clean image per scene: average within a scene first.",
    ),
    "gtav_nightrain": DataSet(
        "GTAV-NightRain",
        "GTAV-NightRain",
        {"set1": None, "set2": None, "set3": None},
        ("Rainy/*_*:GT/*",),
        notes="12,860 rainy and 1,286 clean images in all, 10 rains each.",
    ),
    "allweather": DataSet(
        "AllWeather",
        "TransWeather",
        {"train": 18069},
        ("input/*:gt/*",),
        notes="Snow100K 9,001, Outdoor-Rain 8,250, raindrop 818 (papers print other "
        "numbers). Outdoor-Rain's test names im_0301..im_0350 occur in its original "
        "training set.",
    ),
    "raincityscapes": DataSet(
        "RainCityscapes",
        "DAF-Net",
        {"train": 9432, "test": 1188},
        ("*_rain_alpha_*:*_leftImg8bit",),
        notes="36 rains over each clean image (262 train, 33 test), 1024x2048; the "
        "pattern expects rainy and clean files in one folder.",
    ),
    "sirr": DataSet(
        "SIRR",
        "Wei et al., CVPR 2019; layout of Syn2Real's DDN_SIRR",
        {"train": None, "val": None},
        ("rain/*:norain/*", "input/*:target/*"),
        terms="academic use; do not redistribute",
        notes="Its real photos have no clean image: `pipeline.find_images`.",
    ),
}


def get(name: str) -> DataSet:
    """The data set called `name`.

    Raises:
        ValueError: that lists the known names.
    """
    if name not in CATALOGUE:
        raise ValueError(
            f"`name` must be one of {sorted(CATALOGUE)}. Received: {name=}."
        )
    return CATALOGUE[name]


def find(name: str, folder: str | os.PathLike) -> Pairs:
    """The pairs of one split of a data set, by the layout found in `folder`.

    Raises:
        ValueError: for an unknown name, or if no pairs or files without partner are
            found (they are named).
    """
    data_set = get(name)
    pattern, _ = _best_match(data_set, relative_images(folder))
    layout = data_set.layout if data_set.layout in SIDE_BY_SIDE else "auto"
    return find_pairs(folder, layout, pattern)


def identify(folder: str | os.PathLike) -> list[tuple[str, str]]:
    """Names and splits of the data sets that a folder can be.

    Names of files and the count of pairs decide, so data sets that differ in pixels
    only (Rain100L and Rain100H) both come back. A split whose count is not known, or
    of which files are missing, is not found.

    Args:
        folder: the folder of one split.
    """
    files = relative_images(folder)
    found = []
    for name, data_set in CATALOGUE.items():
        _, pairs = _best_match(data_set, files)
        if pairs.rainy and not pairs.alone:
            counts = data_set.counts.items()
            found += [(name, split) for split, n in counts if n == len(pairs.rainy)]
    return found


def verify(name: str, folder: str | os.PathLike, split: str | None = None) -> list[str]:
    """Compares a folder with what the catalogue says of a data set.

    Args:
        name: one of `CATALOGUE`.
        folder: the folder of one split.
        split: the split it has to be; `None` for any.

    Returns:
        One line for each problem: nothing found, files without partner, a wrong count,
        unreadable files, sizes that differ. Empty if all is well.

    Raises:
        ValueError: for an unknown name or split, or if there is no such folder.
    """
    data_set = get(name)
    if split is not None and split not in data_set.counts:
        raise ValueError(
            f"`split` must be one of {tuple(data_set.counts)}. Received: {split=}."
        )
    _, found = _best_match(data_set, relative_images(folder))
    if not found.rainy:
        return [f"No pairs by any of the patterns {', '.join(data_set.patterns)}."]
    problems = []
    if found.alone:
        problems.append(f"Without partner: {name_files(found.alone)}.")
    wanted = data_set.counts if split is None else {split: data_set.counts[split]}
    if None not in wanted.values() and len(found.rainy) not in wanted.values():
        counts = ", ".join(f"{key} {count}" for key, count in wanted.items())
        problems.append(f"{len(found.rainy)} pairs; there must be: {counts}.")
    try:
        check(from_matches(folder, found, data_set.layout))
    except ValueError as error:
        problems.append(str(error))
    return problems


def overlap(
    first: Pairs, second: Pairs, threshold: float = SAME_BACKGROUND
) -> list[tuple[str, str]]:
    """Clean images of two sets that show the same background, such as train and test.

    Args:
        first, second: the two sets.
        threshold: correlation of 16x16 grey copies above which two images are the
            same. Crops and mirror images are not recognised.

    Returns:
        `(path in first, path in second)`, each combination of files once.
    """
    matches = similar(thumbnails(first), thumbnails(second), threshold)
    return list(dict.fromkeys((first.clean[i], second.clean[j]) for i, j in matches))


def _best_match(data_set: DataSet, files: list[str]):
    """The pattern of a data set that pairs most files, and its matches."""
    one_sided = data_set.layout in SIDE_BY_SIDE
    find_matches = layouts.side_by_side if one_sided else layouts.match
    matches = {p: find_matches(files, p) for p in data_set.patterns}
    return max(matches.items(), key=lambda item: len(item[1].rainy))
