"""Catalogue of known data sets: layout on disk, numbers of pairs, terms, pitfalls.

```python
from tfderain.data import catalogue

catalogue.get("Rain100H").counts  # {"test": 100}
catalogue.resolve("Test2800")  # ("rain13k", "Test2800")
```

Nothing is downloaded: `source` names the page to get the files from, on its terms.
Counts are what the public loaders and their authors' issue threads say. `recognition`
finds the pairs of an entry in a folder, `verification` compares the two, `preparation`
makes such a folder of an archive.
"""

import re
from dataclasses import dataclass, field

from tfderain.data import layouts

ACADEMIC = "academic use"
UNKNOWN = "not known; ask the authors"
LOADERS = "several public loaders"


@dataclass(frozen=True)
class DataSet:
    """One data set as its public loaders read it.

    Args:
        title: the name in papers.
        origin: paper or project that published it.
        counts: pairs in each split; `None` where no source is certain.
        patterns: layouts met in the wild, relative to the folder of one split, see
            `pipeline.find_pairs`; `A | B` where one folder has names of both kinds.
            One-sided for side-by-side files.
        source: page to get it from; `""` where none is known.
        layout: `"files"`, `"left_clean"` or `"left_rainy"`, as in `pipeline.Pairs`.
        kind: `"synthetic"` or `"real"` rain.
        terms: terms of use, as far as known.
        folders: what the folder of a split is called in archives, besides the split's
            own name; `*` stands for any text.
        spoils: test sets, by name, whose scores are too good after training on it, and
            why: backgrounds in common.
        confirmed: where the names of the files were seen; `""` where nowhere for
            certain.
        notes: pitfalls.
    """

    title: str
    origin: str
    counts: dict[str, int | None] = field(hash=False)
    patterns: tuple[str, ...]
    source: str = ""
    layout: str = "files"
    kind: str = "synthetic"
    terms: str = UNKNOWN
    folders: dict[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    spoils: dict[str, str] = field(default_factory=dict, hash=False)
    confirmed: str = ""
    notes: str = ""


_RAIN100 = ("rain-*:norain-*", "rainy/rain-*:norain-*", "input/*:target/*")
_RAINTRAIN = ("rain-*:norain-*", "rainy/rain-*:gt/norain-*", "rainy/rain-*:norain-*")
_RAIN200 = (
    "rain/X2/norain-*x2:norain/norain-*",
    "rain/norain-*x2:norain/norain-*",
    "rain/norain-*:norain/norain-*",
    "input/rain-*:groundtruth/norain-*",
)
_YANG = "Yang et al., CVPR 2017"
_PKU = "https://www.icst.pku.edu.cn/struct/Projects/joint_rain_removal.html"
_BSDS = (
    "RainTrainH's clean images are BSDS500 train and val; 91 of Rain100's backgrounds "
    "are among them, and 546 of its 1800 pairs show one"
)
_RAINDS = "Quan et al., CVPR 2021"
_RAINDS_SOURCE = "https://github.com/Songforrr/RainDS_CCN"


def _rainds(title: str, folder: str, prefix: str) -> DataSet:
    """One of RainDS's three rainy images of each scene."""
    synthetic = f"{folder}/{prefix}-*:gt/norain-*"
    pie = f"{folder}/pie-{prefix}-*:gt/pie-norain-*"
    return DataSet(
        title,
        _RAINDS,
        {"syn/train": None, "syn/test": None, "real/train": 150, "real/test": 98},
        (f"{synthetic} | {pie}", f"{folder}/*:gt/*"),
        _RAINDS_SOURCE,
        kind="synthetic and real",
        folders={
            "syn/train": ("RainDS_syn/train", "RainDS_syn/train_set"),
            "syn/test": ("RainDS_syn/test", "RainDS_syn/test_set"),
            "real/train": ("RainDS_real/train", "RainDS_real/train_set"),
            "real/test": ("RainDS_real/test", "RainDS_real/test_set"),
        },
        confirmed="three public loaders; the counts in issue 5 of the authors",
        notes="Each scene has three rainy images: rainds (streaks and drops), "
        "rainds_rainstreak, rainds_raindrop. The test set of real rain is said to hold "
        "one file without partner, IMG_7435.png.",
    )


CATALOGUE = {
    "rain100l": DataSet(
        "Rain100L (old)",
        _YANG,
        {"test": 100},
        _RAIN100,
        _PKU,
        terms=ACADEMIC,
        confirmed=LOADERS,
        notes=f"Light rain. {_BSDS}. Rain200L is the later version; scores do not "
        "compare.",
    ),
    "rain100h": DataSet(
        "Rain100H (old)",
        _YANG,
        {"test": 100},
        _RAIN100,
        _PKU,
        terms=ACADEMIC,
        confirmed=LOADERS,
        notes=f"Heavy rain. {_BSDS}. One model differs by about 0.5 dB between this "
        "test set and the 200 images of Rain200H.",
    ),
    "raintrainl": DataSet(
        "RainTrainL (old)",
        _YANG,
        {"train": 200},
        _RAINTRAIN,
        _PKU,
        terms=ACADEMIC,
        confirmed=LOADERS,
    ),
    "raintrainh": DataSet(
        "RainTrainH (old)",
        _YANG,
        {"train": 1800},
        _RAINTRAIN,
        _PKU,
        terms=ACADEMIC,
        spoils={"rain100h": _BSDS, "rain100l": _BSDS},
        confirmed=LOADERS,
        notes="PReNet trains on the other 1254. `rainstreak-*`, `rainregion-*` and "
        "`screenrainy-*` (screen blending) are no part of the pairs.",
    ),
    "rain200l": DataSet(
        "Rain200L (new Rain100L)",
        _YANG,
        {"train": 1800, "test": 200},
        _RAIN200,
        _PKU,
        folders={
            "train": ("rain_data_train_Light",),
            "test": ("rain_data_test_Light", "rain_light_test"),
        },
        confirmed=LOADERS,
    ),
    "rain200h": DataSet(
        "Rain200H (new Rain100H)",
        _YANG,
        {"train": 1800, "test": 200},
        _RAIN200,
        _PKU,
        folders={
            "train": ("rain_data_train_Heavy",),
            "test": ("rain_data_test_Heavy", "rain_heavy_test"),
        },
        confirmed=LOADERS,
        notes="The x2 in rainy names says nothing about the size.",
    ),
    "rain12": DataSet(
        "Rain12",
        "Li et al., CVPR 2016",
        {"test": 12},
        (
            "input/*_in:groundtruth/*_GT",
            "rainy/*:groundtruth/*",
            *_RAIN100,
        ),
        "http://yu-li.github.io/paper/li_cvpr16_rain.zip",
        confirmed="folders of the archive (li_cvpr16_rain/input) and PReNet's repack "
        "(rainy, groundtruth); the file names of the archive, NNN_in and NNN_GT, were "
        "not",
        notes="Part of Rain13K's training split.",
    ),
    "rain800": DataSet(
        "Rain800",
        "ID-CGAN (Zhang et al., 2017)",
        {"train": 700, "test": 100},
        ("*.jpg",),
        "https://github.com/hezhangsprinter/ID-CGAN",
        "left_clean",
        terms=ACADEMIC,
        folders={
            "train": ("training", "rain800_train*"),
            "test": ("test_syn", "rain800_test*"),
        },
        confirmed="which half is clean, by two loaders; the archive's folder names "
        "were not",
        notes="The 700 pairs show 368 backgrounds: split with `split_by_background`.",
    ),
    "ddn": DataSet(
        "DDN-Data (Rain14000, Rain12600/Rain1400)",
        "DDN (Fu et al., CVPR 2017)",
        {"train": 12600, "test": 1400},
        (
            "rainy_image/*_*:ground_truth/*",
            "rain/*_*:norain/*",
            "input/*_*:groundtruth/*",
        ),
        "https://xueyangfu.github.io/projects/cvpr2017.html",
        folders={
            "train": ("training", "rain12600*", "*_train*"),
            "test": ("testing", "rain1400*", "*_test*"),
        },
        spoils={
            "Test2800": "its clean images are 801..1000 of DDN-Data, and the training "
            "split has 1..900: 1,400 of its 2,800 pairs"
        },
        confirmed=LOADERS,
        notes="14 rains over each clean image: 1..900 train, 901..1000 test.",
    ),
    "did": DataSet(
        "DID-Data (Rain12000/Rain1200)",
        "DID-MDN (Zhang and Patel, CVPR 2018)",
        {"train": 12000, "test": 1200},
        ("*/train2018new/*.jpg", "*.jpg"),
        "https://github.com/hezhangsprinter/DID-MDN",
        "left_rainy",
        folders={"train": ("DID-MDN-training",), "test": ("DID-MDN-test",)},
        confirmed=LOADERS,
        notes="4,000 pairs each in Rain_Heavy, Rain_Medium and Rain_Light.",
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
        "https://github.com/swz30/MPRNet",
        folders={"train": ("Rain13K",)},
        spoils={"rain12": "all of Rain12 is in Rain13K's training split"},
        confirmed=LOADERS,
        notes="Papers say 13,712; one image of a wrong size was removed. Made of "
        "Rain14000 (clean 1..800), Rain1800, Rain800 (700) and Rain12. If Rain1800 is "
        "RainTrainH, as it seems, Rain100's backgrounds are in it, too: `overlap`.",
    ),
    "spa": DataSet(
        "SPA-Data",
        "SPANet (Wang et al., CVPR 2019)",
        {"train": 638492, "test": 1000},
        (
            "real_world/*/*/*-*_*_*:real_world_gt/{1}/{3}_{5}_{6}",
            "rain/*:gt/*gt",
            "rain/rain-*:norain/norain-*",
        ),
        "https://stevewongv.github.io/derain-project.html",
        kind="real",
        terms="License.txt in the authors' repository",
        folders={"train": ("real_world*",), "test": ("real_test_1000", "val")},
        confirmed="the authors' README (rainy names of the training set); clean names "
        "and the test set by loaders",
        notes="256x256 patches of real rain, many rainy for one clean. Test pairs are "
        "listed in real_test_1000.txt. Too many to cache in memory. The training set "
        "comes in parts, real_world.zip.00 to .11: join them first (cat).",
    ),
    "raindrop": DataSet(
        "AGAN raindrop",
        "Qian et al., CVPR 2018",
        {"train": 861, "test_a": 58, "test_b": None},
        ("data/*_rain:gt/*_clean", "input/*_rain:groundtruth/*_clean"),
        "https://github.com/rui1996/DeRaindrop",
        kind="real",
        terms=ACADEMIC,
        confirmed=LOADERS,
        notes="Drops on glass, 480x720. Score on test_a: test_b is misaligned, and has "
        "239 pairs by its README, 249 by others.",
    ),
    "gtrain": DataSet(
        "GT-RAIN",
        "Ba et al., ECCV 2022",
        {"train": 26124, "val": None, "test": None},
        (layouts.SCENES,),
        "https://visual.ee.ucla.edu/gt_rain.htm/",
        kind="real",
        terms=ACADEMIC,
        folders={
            "train": ("GT-RAIN_train",),
            "val": ("GT-RAIN_val",),
            "test": ("GT-RAIN_test",),
        },
        confirmed="the authors' training script (folders, C-000 of each scene)",
        notes="Real rain, one clean image per scene: average within a scene first. One "
        "loader says that the scene Gurutto_1-2 of val has a clean image for each "
        "rainy one; those after C-000 stand alone here. 31,524 pairs in all.",
    ),
    "realrain1k": DataSet(
        "RealRain-1k",
        "Li et al., 2022, arXiv:2206.05514",
        {
            "H/train": 784,
            "H/val": None,
            "H/test": None,
            "L/train": 784,
            "L/val": None,
            "L/test": None,
        },
        ("input/*:target/*",),
        "https://github.com/hiker-lw/RealRain-1k",
        kind="real",
        folders={
            f"{density}/{split}": tuple(f"RealRain-1k-{density}/{n}" for n in names)
            for density in ("H", "L")
            for split, names in (
                ("train", ("train", "training")),
                ("val", ("val", "validation")),
                ("test", ("test",)),
            )
        },
        confirmed="four public loaders (RealRain-1k-H, -L; input, target); they differ "
        "in val or validation",
        notes="1,120 pairs each of heavy (H) and light (L) rain, frames of "
        "videos: 784 train, 336 val and test together.",
    ),
    "lhprain": DataSet(
        "LHP-Rain",
        "Guo et al., ICCV 2023, arXiv:2308.03867",
        {"full": 3000, "train": None, "val": None, "test": 1000},
        ("input/*:gt/*", "input/*:target/*"),
        "https://yunguo224.github.io/LHP-Rain.github.io/",
        kind="real",
        confirmed="folders input and gt by the authors' loader, counts in issue 4 of "
        "their repository; that both folders have the same file names was not",
        notes="full: 3,000 pairs of 1920x1080 (a few are smaller). train, val: 256x256 "
        "patches, a million, or a tenth of them as the simple version. test: 1,000 "
        "patches of 512x512.",
    ),
    "rainds": _rainds("RainDS (streaks and drops)", "rainstreak_raindrop", "rd-rain"),
    "rainds_rainstreak": _rainds("RainDS (streaks)", "rainstreak", "rain"),
    "rainds_raindrop": _rainds("RainDS (drops)", "raindrop", "rd"),
    "gtav_nightrain": DataSet(
        "GTAV-NightRain",
        "GTAV-NightRain (Zhang et al., 2022)",
        {
            "set1/Train": None,
            "set1/Test": None,
            "set2/Train": None,
            "set2/Test": None,
            "set3": None,
        },
        ("Rainy/*_*:GT/*",),
        notes="12,860 rainy and 1,286 clean images in all, 10 rains each.",
    ),
    "allweather": DataSet(
        "AllWeather",
        "TransWeather (Valanarasu et al., CVPR 2022)",
        {"train": 18069},
        ("input/*:gt/*",),
        "https://github.com/jeya-maria-jose/TransWeather",
        notes="Snow100K 9,001, Outdoor-Rain 8,250, raindrop's training split "
        "818 (papers print other numbers). Outdoor-Rain's test names "
        "im_0301..im_0350 occur in its original training set.",
    ),
    "raincityscapes": DataSet(
        "RainCityscapes",
        "DAF-Net (Hu et al., CVPR 2019)",
        {"train": 9432, "test": 1188},
        ("*_rain_alpha_*:*_leftImg8bit",),
        "https://www.cityscapes-dataset.com/downloads/",
        confirmed="the authors' lists of names; the folders were not",
        notes="36 rains over each clean image (262 train, 33 test), 1024x2048; the "
        "pattern expects rainy and clean files in one folder.",
    ),
    "sirr": DataSet(
        "SIRR",
        "Wei et al., CVPR 2019; layout of Syn2Real's DDN_SIRR",
        {"train": 9100, "val": 20},
        ("rain/*:norain/*", "input/*:target/*"),
        "https://github.com/rajeevyasarla/Syn2Real",
        terms="academic use; do not redistribute",
        confirmed="folder names in the authors' issues 1 and 5; the counts there",
        notes="Its synthetic pairs are DDN-Data's. Its real photos have no "
        "clean image (Syn2Real's `real_input` holds the rainy photo on both sides): "
        "`pipeline.find_images`.",
    ),
}

# Names under which papers know a part of a data set.
PARTS = {
    "rain12600": ("ddn", "train"),
    "rain1400": ("ddn", "test"),
    "rain14000": ("ddn", None),
    "ddndata": ("ddn", None),
    "rain12000": ("did", "train"),
    "rain1200": ("did", "test"),
    "diddata": ("did", None),
    "spadata": ("spa", None),
    "ddnsirr": ("sirr", None),
    "aganraindrop": ("raindrop", None),
    **{n.lower(): ("rain13k", n) for n in ("Test100", "Test1200", "Test2800")},
}


def resolve(name: str) -> tuple[str, str | None]:
    """The key in `CATALOGUE` of a name as papers write it, and the split it means.

    Case, `-`, `_` and spaces do not count: `"SPA-Data"` is `("spa", None)`,
    `"Test2800"` is `("rain13k", "Test2800")`.

    Raises:
        ValueError: that lists the known names.
    """
    keys = {plain(key): (key, None) for key in CATALOGUE}
    known = {**PARTS, **keys}
    if plain(name) in known:
        return known[plain(name)]
    raise ValueError(f"`name` must be one of {sorted(CATALOGUE)}. Received: {name=}.")


def plain(name: str) -> str:
    """A name without case, `-`, `_` and spaces."""
    return re.sub(r"[-_ ]", "", name).lower()


def get(name: str) -> DataSet:
    """The data set called `name`, see `resolve`.

    Raises:
        ValueError: that lists the known names.
    """
    return CATALOGUE[resolve(name)[0]]
