"""Small trees of the known data sets, with the names that their files really have."""

import tarfile
import zipfile

import numpy as np
from PIL import Image

# Files of one pair or two in each split, in a folder or archive as one downloads it.
# A tuple (data set, split): (rainy, clean) ...; side by side: one file.
NAMES = {
    ("rain100h", "test"): [
        ("Rain100H/rain-001.png", "Rain100H/norain-001.png"),
        ("Rain100H/rain-100.png", "Rain100H/norain-100.png"),
    ],
    ("rain100l", "test"): [
        ("Rain100L/rainy/rain-001.png", "Rain100L/norain-001.png"),
    ],
    ("raintrainh", "train"): [
        ("RainTrainH/rain-1.png", "RainTrainH/norain-1.png"),
        ("RainTrainH/rain-1800.png", "RainTrainH/norain-1800.png"),
    ],
    ("raintrainl", "train"): [("RainTrainL/rain-9.png", "RainTrainL/norain-9.png")],
    ("rain200l", "train"): [
        (
            "rain_data_train_Light/rain/X2/norain-1x2.png",
            "rain_data_train_Light/norain/norain-1.png",
        )
    ],
    ("rain200l", "test"): [
        (
            "rain_data_test_Light/rain/X2/norain-1x2.png",
            "rain_data_test_Light/norain/norain-1.png",
        )
    ],
    ("rain200h", "train"): [
        (
            "rain_data_train_Heavy/rain/X2/norain-2x2.png",
            "rain_data_train_Heavy/norain/norain-2.png",
        )
    ],
    ("rain200h", "test"): [
        (
            "rain_heavy_test/rain/X2/norain-2x2.png",
            "rain_heavy_test/norain/norain-2.png",
        )
    ],
    ("rain12", "test"): [
        (
            "li_cvpr16_rain/input/001_in.png",
            "li_cvpr16_rain/groundtruth/001_GT.png",
        )
    ],
    ("rain800", "train"): [("rain/training/1.jpg",), ("rain/training/700.jpg",)],
    ("rain800", "test"): [("rain/test_syn/1.jpg",)],
    ("ddn", "train"): [
        ("training/rainy_image/1_1.jpg", "training/ground_truth/1.jpg"),
        ("training/rainy_image/1_14.jpg", "training/ground_truth/1.jpg"),
    ],
    ("ddn", "test"): [
        ("testing/rainy_image/901_1.jpg", "testing/ground_truth/901.jpg")
    ],
    ("did", "train"): [
        ("DID-MDN-datasets/DID-MDN-training/Rain_Heavy/train2018new/0.jpg",),
        ("DID-MDN-datasets/DID-MDN-training/Rain_Light/train2018new/0.jpg",),
    ],
    ("did", "test"): [("DID-MDN-datasets/DID-MDN-test/0.jpg",)],
    ("rain13k", "train"): [("train/Rain13K/input/1.jpg", "train/Rain13K/target/1.jpg")],
    ("rain13k", "Test100"): [
        ("test/Test100/input/98.png", "test/Test100/target/98.png")
    ],
    ("rain13k", "Rain100L"): [
        ("test/Rain100L/input/1.png", "test/Rain100L/target/1.png")
    ],
    ("rain13k", "Test2800"): [
        ("test/Test2800/input/801_1.jpg", "test/Test2800/target/801_1.jpg"),
        ("test/Test2800/input/801_2.jpg", "test/Test2800/target/801_2.jpg"),
    ],
    ("spa", "train"): [
        ("real_world/000/000-7/000-7_256_0.png", "real_world_gt/000/000_256_0.png"),
        ("real_world/000/000-9/000-9_256_0.png", "real_world_gt/000/000_256_0.png"),
    ],
    ("spa", "test"): [
        ("real_test_1000/rain/000.png", "real_test_1000/gt/000gt.png"),
    ],
    ("raindrop", "train"): [
        ("train/data/0_rain.png", "train/gt/0_clean.png"),
    ],
    ("raindrop", "test_a"): [("test_a/data/0_rain.png", "test_a/gt/0_clean.png")],
    ("raindrop", "test_b"): [("test_b/data/0_rain.jpg", "test_b/gt/0_clean.jpg")],
    ("gtrain", "train"): [
        (
            "GT-RAIN_train/Oinari_0-0/Oinari_0-0-Webcam-R-000.png",
            "GT-RAIN_train/Oinari_0-0/Oinari_0-0-Webcam-C-000.png",
        ),
        (
            "GT-RAIN_train/Oinari_0-0/Oinari_0-0-Webcam-R-001.png",
            "GT-RAIN_train/Oinari_0-0/Oinari_0-0-Webcam-C-000.png",
        ),
    ],
    ("realrain1k", "H/train"): [
        (
            "RealRain-1k/RealRain-1k-H/train/input/3.png",
            "RealRain-1k/RealRain-1k-H/train/target/3.png",
        )
    ],
    ("realrain1k", "H/val"): [
        (
            "RealRain-1k/RealRain-1k-H/validation/input/4.png",
            "RealRain-1k/RealRain-1k-H/validation/target/4.png",
        )
    ],
    ("realrain1k", "L/test"): [
        (
            "RealRain-1k/RealRain-1k-L/test/input/5.png",
            "RealRain-1k/RealRain-1k-L/test/target/5.png",
        )
    ],
    ("lhprain", "train"): [("train/input/1.png", "train/gt/1.png")],
    ("lhprain", "test"): [("test/input/2701.png", "test/gt/2701.png")],
    ("rainds", "syn/train"): [
        (
            "RainDS_syn/train/rainstreak_raindrop/rd-rain-1.png",
            "RainDS_syn/train/gt/norain-1.png",
        ),
        (
            "RainDS_syn/train/rainstreak_raindrop/pie-rd-rain-1.png",
            "RainDS_syn/train/gt/pie-norain-1.png",
        ),
    ],
    ("rainds", "real/test"): [
        (
            "RainDS_real/test_set/rainstreak_raindrop/2.png",
            "RainDS_real/test_set/gt/2.png",
        )
    ],
    ("rainds_raindrop", "syn/test"): [
        (
            "RainDS_syn/test/raindrop/pie-rd-7.png",
            "RainDS_syn/test/gt/pie-norain-7.png",
        )
    ],
    ("rainds_rainstreak", "real/train"): [
        (
            "RainDS_real/train_set/rainstreak/2.png",
            "RainDS_real/train_set/gt/2.png",
        )
    ],
    ("gtav_nightrain", "set1/Train"): [
        ("set1/Train/Rainy/0001_03.png", "set1/Train/GT/0001.png")
    ],
    ("gtav_nightrain", "set3"): [("set3/Rainy/0001_03.png", "set3/GT/0001.png")],
    ("allweather", "train"): [
        ("allweather/input/0_rain.png", "allweather/gt/0_rain.png"),
    ],
    ("raincityscapes", "train"): [
        (
            "train/aachen_000004_000019_rain_alpha_0.01_beta_0.005_dropsize_0.01_"
            "pattern_1.png",
            "train/aachen_000004_000019_leftImg8bit.png",
        )
    ],
    ("sirr", "train"): [
        ("derain/train/rain/1_1.jpg", "derain/train/norain/1_1.jpg"),
    ],
    ("sirr", "val"): [("derain/val/rain/1.png", "derain/val/norain/1.png")],
}


def picture(path, seed, size=(6, 8), side_by_side=False):
    """Writes a picture; side by side: dark left, bright right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype="uint8")
    if side_by_side:
        pixels = np.concatenate([pixels // 4, 192 + pixels // 4], axis=1)
    Image.fromarray(pixels).save(path)
    return path


def grow(folder, name, split=None):
    """Writes the files of a data set, or of one split of it; returns the folder.

    The first pixel of each rainy picture and of its clean one is not equal, and no two
    files are.
    """
    seed = 0
    for (data_set, label), pairs in NAMES.items():
        if data_set != name or split not in (None, label):
            continue
        for files in pairs:
            for file in files:
                seed += 1
                if not (folder / file).exists():
                    picture(folder / file, seed, side_by_side=len(files) == 1)
    assert seed, (name, split)
    return folder


def splits_of(name):
    return [split for data_set, split in NAMES if data_set == name]


def rain12(folder, count=12):
    """Writes Rain12, or as many pairs of its kind of names, into one folder."""
    for number in range(1, count + 1):
        for name in ("rain", "norain"):
            picture(folder / f"{name}-{number:03d}.png", number)


def packed(folder, path):
    """Packs a folder as ZIP or TAR, by the suffix."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    names = {file: file.relative_to(folder).as_posix() for file in files}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file, name in names.items():
                archive.write(file, name)
    else:
        opened = {".tar": tarfile.TarFile.taropen, ".xz": tarfile.TarFile.xzopen}
        with opened.get(path.suffix, tarfile.TarFile.gzopen)(path, "w") as archive:
            for file, name in names.items():
                archive.add(file, name)
    return path
