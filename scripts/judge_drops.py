"""Judge rendered drops: their figures on clean pictures beside those of real pairs.

    python scripts/judge_drops.py --pairs RobotCarDrops --clean photos/ --strip made.jpg

What is counted as wet, of real and of rendered pairs alike: where the blurred image is
14 grey levels from the clean one. Pairs are aligned first, see `data.alignment`.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from tfderain import extras, images
from tfderain.data import alignment, drops
from tfderain.data.pairs import find_images, find_pairs
from tfderain.data.pipeline import read_pair

SIDE = 256  # of the crops
WET = 14  # grey levels
TITLES = {
    "area": "share of the pixels that is wet",
    "count": "drops on a crop",
    "diameter": "of them, median, in pixels",
    "large": "of them, 90 %",
    "lift": "grey levels by which wet pixels are brighter",
    "change": "grey levels by which they differ",
    "bright": "share of them that is brighter",
    "contrast": "of detail inside, against the clean image's",
    "psnr": "dB, of grey",
}


def figures(wet: np.ndarray, clean: np.ndarray) -> dict[str, float]:
    """The figures of `TITLES` of one pair, uint8 `(height, width, 3)`."""
    ndimage = extras.require("scipy.ndimage", extra="analysis")
    wet, clean = (image.mean(axis=-1) for image in (wet, clean))
    change = ndimage.gaussian_filter(wet - clean, 2.0)
    where = ndimage.binary_opening(np.abs(change) > WET)
    labels, count = ndimage.label(where)
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    diameters = 2 * np.sqrt(areas[areas > 12] / np.pi)
    error = np.square(wet - clean).mean()
    found = {
        "area": where.mean(),
        "count": len(diameters),
        "psnr": 10 * np.log10(255**2 / max(error, 1e-3)),
    }
    if len(diameters):
        details = [x - ndimage.gaussian_filter(x, 8.0) for x in (wet, clean)]
        inside = [detail[where].std() for detail in details]
        found |= {
            "diameter": np.median(diameters),
            "large": np.quantile(diameters, 0.9),
            "lift": (wet - clean)[where].mean(),
            "change": np.abs(change[where]).mean(),
            "bright": (change[where] > 0).mean(),
            "contrast": inside[0] / max(inside[1], 1e-3),
        }
    return {name: float(value) for name, value in found.items()}


def summary(rows):
    """Mean and 10 to 90 % of each figure, as text."""
    cells = []
    for name in TITLES:
        values = [row[name] for row in rows if name in row] or [float("nan")]
        low, high = np.quantile(values, (0.1, 0.9))
        cells.append(f"{np.mean(values):.3g} ({low:.3g} to {high:.3g})")
    return cells


def crops(folder, count):
    """Middles of `count` pictures of a folder, uint8 `(SIDE, SIDE, 3)`."""
    paths = find_images(folder, recursive=True)
    chosen = np.random.default_rng(1).permutation(len(paths))
    found = []
    for place in chosen:
        image = images.read_rgb(paths[place])
        top, left = ((side - SIDE) // 2 for side in image.shape[:2])
        if min(top, left) >= 0:
            found.append(image[top : top + SIDE, left : left + SIDE])
        if len(found) == count:
            break
    if not found:
        raise ValueError(
            f"Pictures must be {SIDE} pixels high and wide. Received: {folder}."
        )
    return found


def rendered(scenes, look):
    """Pairs `(wet, clean)` of drops on scenes, uint8."""
    for seed, scene in enumerate(scenes):
        rng = np.random.default_rng(seed)
        wet, _ = drops.add_drops(images.to_float(scene), rng, drops.KINDS[look])
        yield images.to_uint8(wet), scene


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, help="real pairs with drops")
    parser.add_argument("--clean", type=Path, required=True, help="clean pictures")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--strip", type=Path, help="picture of rendered ones to write")
    args = parser.parse_args(arguments)
    scenes, columns = crops(args.clean, args.count), {}
    if args.pairs:
        pairs = find_pairs(args.pairs)
        real = (alignment.aligned(*read_pair(pairs, i)) for i in range(len(pairs)))
        columns["real"] = summary([figures(*pair) for pair in real])
    rows = []
    for look in drops.KINDS:
        made = list(rendered(scenes, look))
        columns[look] = summary([figures(*pair) for pair in made])
        rows.append(np.concatenate([wet for wet, _ in made[:4]], axis=1))
    for row, (name, title) in enumerate(TITLES.items()):
        cells = (f"{column}: {cells[row]}" for column, cells in columns.items())
        print(f"{name} ({title}): {'; '.join(cells)}")
    if args.strip:
        Image.fromarray(np.concatenate(rows)).save(args.strip, quality=85)


if __name__ == "__main__":
    main()
