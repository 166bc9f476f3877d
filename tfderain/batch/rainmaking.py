"""Rainmaking: real rain, as JRGR learned it, added to clean images for training.

```python
maker = rainmaking.RainMaker("jrgr", photos="real/", streaks_only=True)
rainy = maker(clean, np.random.default_rng(0))
pairs = pairs.map(rainmaking.make_real(model))  # a tf.data.Dataset of (rainy, clean)
```
"""

import functools
import os
from typing import Any

import numpy as np

from tfderain import images
from tfderain.data import camera, rain
from tfderain.data import pairs as pairing
from tfderain.runtime import tiling

FINE = 12.0  # standard deviation, in pixels, of the blur that streaks stand out from
BRIGHTEST = 4.0
STRONGEST = 0.09  # largest standard deviation of streaks, white being 1: 21 dB


class RainMaker:
    """Rain as JRGR learned it from real photos.

    With photos, a random part of the rain that `derain_real` removes from one of them
    is added to the clean image. Without photos, `make_rain_real` translates synthetic
    rain.

    Args:
        model: name of a preset, path or `tfderain.models.JRGR` after joint training.
        photos: folder of real rainy photos, or `None`.
        kind, pool: of the synthetic rain, see `tfderain.data.rain.add_rain`.
        streaks_only: bool. Takes from the photos only what is finer than `FINE` pixels
            and brighter than its surroundings, in grey, and adds it 1 to 4 times as
            bright. JRGR also removes haze, and a network that learns from that darkens
            plain walls.

    Call: `(clean, rng)`, a float array `(height, width, 3)` in [0, 1] or greyscale
    `(height, width)` and a `numpy.random.Generator`, to a rainy image of the same
    shape.

    Raises:
        ValueError: for a model that makes no rain, a folder without photos, or
            `streaks_only` without a folder.
    """

    def __init__(
        self,
        model: Any = "jrgr",
        photos: str | os.PathLike | None = None,
        kind: str = "mixed",
        pool: np.ndarray | None = None,
        streaks_only: bool = False,
    ):
        if streaks_only and photos is None:
            raise ValueError(
                "`streaks_only` needs photos to take streaks from. Received: "
                f"{streaks_only=}, {photos=}."
            )
        from tfderain import models
        from tfderain.models import jrgr

        named = isinstance(model, (str, os.PathLike))
        self.model = models.load(model) if named else model
        jrgr.check_networks(self.model)
        self.kind = kind
        self.pool = pool
        self.streaks_only = streaks_only
        self.photos = None
        if photos is not None:
            self.photos = pairing.find_images(photos, recursive=True)
            if not self.photos:
                raise ValueError(
                    f"There must be photos in the folder. Received: photos={photos}."
                )
        # Photos are derained once; of more than 16 the least recently used is dropped.
        self.layer = functools.lru_cache(maxsize=16)(self._layer)

    def __call__(self, clean: np.ndarray, rng: np.random.Generator):
        clean = images.to_float(clean)
        colour = images.to_rgb(clean)
        if self.photos is None:
            rainy = self._translate(colour, rng)
        else:
            layer = self.layer(self.photos[int(rng.integers(len(self.photos)))])
            part = cut(layer, colour.shape[:2], rng)
            if self.streaks_only:
                part = part * streak_gain(part, rng)
            rainy = np.clip(colour + part, 0, 1)
        return rainy if clean.ndim == 3 else rainy.mean(axis=-1)

    def _translate(self, clean, rng):
        rainy, _ = rain.add_rain(clean, rng, self.kind, self.pool)
        made = self.model.make_real(clean[None], (rainy - clean)[None])
        return np.asarray(made)[0]

    def _layer(self, path):
        """The rain on a photo, float32 `(height, width, 3)`, signed; or its streaks."""
        pixels = images.to_rgb(images.to_float(images.read(path).pixels))
        layer = pixels - self.model.derain(pixels)
        if not self.streaks_only:
            return layer
        grey = layer.mean(axis=-1, keepdims=True)
        return np.maximum(grey - camera.blurred(grey, FINE), 0)


def streak_gain(layer: np.ndarray, rng: np.random.Generator) -> np.float32:
    """How much brighter streaks become: log-uniform, and less the more there are.

    Args:
        layer: non-negative float32 array.
        rng: `numpy.random.Generator`.
    """
    gain = np.exp(rng.uniform(0, np.log(BRIGHTEST)))
    return np.float32(min(gain, STRONGEST / max(float(layer.std()), 1e-6)))


def cut(layer: np.ndarray, shape: tuple[int, int], rng: np.random.Generator):
    """A random part of a layer, perhaps mirrored, and tiled where it is too small.

    Args:
        layer: array `(height, width, channels)`.
        shape: `(height, width)` of the part.
        rng: `numpy.random.Generator`.
    """
    places = []
    for have, want in zip(layer.shape, shape, strict=False):
        start = int(rng.integers(max(have - want, 0) + 1))
        places.append(start + tiling.reflect_index(min(have, want), want))
    part = layer[np.ix_(*places)]
    return part[:, ::-1] if rng.random() < 0.5 else part


def make_real(model: Any):
    """A function for `tf.data.Dataset.map`: real rain in place of synthetic rain.

    Args:
        model: `tfderain.models.JRGR` after joint training.

    Returns:
        Function from batches `(rainy, clean)` to `(rainy, clean)`, float32
        `(batch, height, width, 3)` in [0, 1].
    """
    from tfderain.models import jrgr

    jrgr.check_networks(model)
    return lambda rainy, clean: (model.make_real(clean, rainy - clean), clean)
