"""Pictures and a stand-in for `runtime.Restorer` that tests of commands share."""

import numpy as np
from PIL import Image


class Darkener:
    """Stands in for `runtime.Restorer`; keeps what it was made with."""

    made = ()
    makes_mask = False

    def __init__(self, model="menet", runtime="litert", **settings):
        Darkener.made = (model, runtime, settings)

    def derain(self, pixels, progress=None, alpha=None):
        return pixels // 2

    def sizes_used(self, scene):
        return (True,)

    def keep_sizes(self, count):
        pass

    def derain_scene(self, scene, used):
        return scene // 2


def picture(path, value=None, size=(16, 24)):
    """Writes a picture of `(height, width)`: noise, or one value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(np.full_like(pixels, value) if value else pixels).save(path)
    return path


def pairs(folder, count=2):
    for number in range(count):
        for side in ("rainy", "clean"):
            picture(folder / side / f"{number}.png")
    return folder
