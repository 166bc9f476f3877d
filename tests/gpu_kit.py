"""What the tests of scripts/gpu share: its modules, a small data set."""

import functools

import numpy as np
import script_modules
from PIL import Image

SCRIPTS = script_modules.SCRIPTS / "gpu"
script = functools.partial(script_modules.script, folder=SCRIPTS)


def scene(height, width, seed):
    """A picture of smooth colours and a few edges, uint8."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(10, 245, (6, 8, 3), np.uint8)
    picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.array(picture)
    for _ in range(4):
        top, left = rng.integers(height - 40), rng.integers(width - 40)
        pixels[top : top + 40, left : left + 40] = rng.integers(0, 256, 3)
    return pixels


def write_data(folder, pairs=6, clean=11):
    """Folders `pairs` (side by side, clean left), `clean`, `streaks` and `layers`."""
    for name in ("pairs", "clean/a", "streaks", "layers/rainy", "layers/clean"):
        (folder / name).mkdir(parents=True)
    for i in range(pairs):
        dry = scene(280, 300, i)
        wet = np.clip(dry.astype(int) + 40, 0, 255).astype(np.uint8)
        both = Image.fromarray(np.hstack([dry, wet]))
        both.save(folder / "pairs" / f"{i}.png")
    for i in range(clean):
        Image.fromarray(scene(320, 264 + 8 * i, 50 + i)).save(
            folder / "clean" / "a" / f"{i}.png"
        )
    Image.fromarray(scene(150, 400, 99)).save(folder / "clean" / "a" / "small.png")
    rng = np.random.default_rng(7)
    for i in range(3):
        streaks = np.zeros((200, 240), np.uint8)
        for _ in range(40):
            top, left = rng.integers(170), rng.integers(238)
            streaks[top : top + 30, left : left + 2] = rng.integers(60, 255)
        Image.fromarray(streaks).save(folder / "streaks" / f"{i}.png")
        dry = scene(200, 220, 80 + i)
        layer = streaks[:, :220, None].astype(int)
        wet = np.clip(dry + layer, 0, 255).astype(np.uint8)
        for name, image in (("rainy/rain", wet), ("clean/norain", dry)):
            Image.fromarray(image).save(folder / "layers" / f"{name}-{i}.png")
    return folder
