"""Writes tiling.json for the tests: numbers of tiling, scales and hidden pixels.

```console
python web/tests/make_tiling.py
```
"""

import json
from pathlib import Path

import numpy as np

from tfderain import images
from tfderain.runtime import scales, tiling

# (height, width), tile, overlap, stride: whole, one axis cut, many, odd strides.
PLANS = (
    ((320, 480), 640, 128, 4),
    ((640, 640), 640, 128, 4),
    ((640, 644), 640, 128, 4),
    ((1080, 1920), 640, 128, 4),
    ((4, 5000), 640, 128, 4),
    ((3024, 4032), 640, 128, 4),
    ((700, 904), 256, 64, 4),
    ((640, 1200), 272, 100, 16),
    ((90, 97), 24, 0, 1),
)
REFLECTIONS = ((1, 4), (2, 8), (3, 12), (5, 8), (97, 100), (100, 100))


SIZES = ((1, 1), (320, 480), (640, 960), (959, 10), (3, 4032), (2560, 3840), (9, 40000))
COPIES = ((4, 6), (5, 3), (1, 2), (1, 1))


def copies(height, width):
    """An image with its half, and that half enlarged to the image's size."""
    rng = np.random.default_rng(0)
    image = rng.integers(256, size=(height, width, 3), dtype=np.uint8)
    half = scales.halved(images.to_float(image))
    doubled = scales.doubled(half, np.arange(height), np.arange(width)).clip(0, 1)
    return {
        "height": height,
        "width": width,
        "image": image.ravel().tolist(),
        "half": half.ravel().astype(float).round(6).tolist(),
        "doubled": doubled.ravel().astype(float).round(6).tolist(),
        "detail": round(scales.detail(images.to_float(image), half), 6),
    }


def scenes():
    """Pictures with bars, frames and cut-outs, and the scene that Python finds."""
    rng = np.random.default_rng(0)
    scene = rng.integers(60, 200, size=(20, 22, 3), dtype=np.uint8)
    opaque = np.full((20, 22, 1), 255, np.uint8)
    y, x = np.ogrid[:20, :22]
    disc = ((y - 10) ** 2 + (x - 10) ** 2 < 9.3**2)[..., None] * opaque
    holes = (rng.random((20, 22, 1)) < 0.1) * opaque
    noise = rng.integers(0, 6, size=(30, 26, 3), dtype=np.uint8)
    noise[6:26, 2:24] = scene
    noise[5, 2:24] = 30  # an edge as JPEG leaves it
    pictures = [
        np.dstack([scene, opaque]),
        np.pad(np.dstack([scene, opaque]), ((3, 1), (0, 7), (0, 0))),
        np.pad(np.dstack([scene, disc]), ((0, 2), (4, 0), (0, 0))),
        np.dstack([scene, holes]),
        np.dstack([noise, np.full(noise.shape[:2], 255, np.uint8)]),
        np.zeros((2, 3, 4), np.uint8),
    ]
    bars = np.pad(np.dstack([scene, opaque]), ((8, 0), (1, 1), (0, 0)))
    bars[..., 3] = 255
    return [_scene(picture) for picture in [*pictures, bars]]


def _scene(picture):
    found = images.find_scene(np.ascontiguousarray(picture[..., :3]), picture[..., 3])
    height, width = found.pixels.shape[:2]
    return {
        "height": picture.shape[0],
        "width": picture.shape[1],
        "data": picture.ravel().tolist(),
        "box": [found.rows.start, found.columns.start, height, width],
        "pixels": found.pixels.ravel().tolist(),
    }


def numbers() -> dict:
    """Returns arguments and results of the Python functions, ready for JSON."""
    plans = []
    for size, tile, overlap, stride in PLANS:
        tiles = tiling.plan_tiles(size, tile, overlap, stride)
        down, across = tiles.weights()
        plans.append(
            {
                "arguments": [size, tile, overlap, stride],
                "size": tiles.size,
                "tile": tiles.tile,
                "rows": tiles.rows,
                "columns": tiles.columns,
                "overlap": tiles.overlap,
                # Every 7th weight keeps the file small and meets every ramp.
                "down": [row[::7].round(6).tolist() for row in down[:3]],
                "across": [row[::7].round(6).tolist() for row in across[:3]],
            }
        )
    reflections = [
        [*arguments, tiling.reflect_index(*arguments).tolist()]
        for arguments in REFLECTIONS
    ]
    counts = [scales.count_scales(size) for size in SIZES]
    found = {
        "plans": plans,
        "reflections": reflections,
        "scales": [
            (size, count, scales.sizes(size, count))
            for size, count in zip(SIZES, counts, strict=True)
        ],
        "copies": [copies(*size) for size in COPIES],
        "scenes": scenes(),
    }
    return json.loads(json.dumps(found))


if __name__ == "__main__":
    path = Path(__file__).with_name("tiling.json")
    path.write_text(json.dumps(numbers()) + "\n", encoding="utf-8")
