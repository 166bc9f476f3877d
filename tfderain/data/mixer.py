"""Mixture of kinds of rain: crops of pairs and clean pictures become training pairs.

```python
pools = mixer.render_pools(seed=0, streaks="streaks", layers="RainTrainH")
degrade = mixer.KindMixer(pools)
rainy, clean = degrade(rainy, clean, seed=17)  # two or three milliseconds
```

The kinds are `"own"` (the data set's rainy image), `"clean"` (no rain at all),
`"heavy"` and `"light"` (line rain over soft streaks, see `lines`), `"editor"` (see
`editors`), `"varied"` (`rain.RainMixer`: many looks, veils) and `"night"` (see
`night`).
"""

import dataclasses
import math
import os

import numpy as np

from tfderain.data import camera, composition, editors, lines, rain
from tfderain.data.pairs import Pairs, find_pairs
from tfderain.data.pipeline import read_pair
from tfderain.data.streaks import folder_pool, layer_pool, render_streaks, streak_pool

KINDS = ("own", "clean", "heavy", "light", "editor", "varied", "night")
POOLS = ("lines", "sheet", "thin", "fine", "broad", "streaks", "soft")  # or "given"


@dataclasses.dataclass(frozen=True)
class Ranges:
    """Strengths and shares of the parts of the synthetic kinds (pairs: low, high).

    Attributes:
        heavy, light, editor: PSNR in dB between rainy and clean.
        thin: share of light rain that is a layer of a few thin lines.
        fine: share of editors' rain with the look `editors.FINE`; the rest is broad.
        given: share of line rain whose layer is one of `layers`, if there are any.
        sheet: share of layers of lines that are sheets of fading lines; the rest have
            hard edges.
        soft, soft_light: shares of heavy line rain, and of light rain that is not
            thin, that is soft streaks alone.
        second, over: share of layers of lines with a second one of another direction,
            and how bright that is.
        under, beside: how bright the soft streaks under lines, and beside sheets, are
            against these.
        most: gain of a layer at most.
        enlarge, enlarge_layer: shares of crops enlarged whole, and of those whose
            streaks alone are, by at most `largest`.
        jpeg, quality: share of rainy crops that pass through JPEG, and its quality.
        noise, deviation: share with noise, and its standard deviation.
        blur, sigma: share that is blurred, and by how many pixels.
        hide: share with bars, frames or cut-outs.
    """

    heavy: tuple = (8.0, 20.0)
    light: tuple = (20.0, 34.0)
    editor: tuple = (15.0, 30.0)
    thin: float = 0.55
    fine: float = 0.6
    given: float = 0.2
    sheet: float = 0.65
    soft: float = 0.1
    soft_light: float = 0.4
    second: float = 0.3
    over: tuple = (0.4, 1.4)
    under: tuple = (0.5, 5.0)
    beside: tuple = (0.0, 2.5)
    most: float = 1.2
    enlarge: float = 0.1
    enlarge_layer: float = 0.08
    largest: float = 4.0
    jpeg: float = 0.12
    quality: tuple = (60, 95)
    noise: float = 0.08
    deviation: tuple = (0.002, 0.012)
    blur: float = 0.05
    sigma: tuple = (0.3, 1.0)
    hide: float = 0.05


RANGES = Ranges()


def render_pools(
    seed: int,
    streaks: str | os.PathLike | None = None,
    layers: str | os.PathLike | None = None,
    layout: str = "auto",
    count: int = 600,
    size: int = 384,
):
    """Renders the layers of rain to put on crops, once for each training run.

    Args:
        seed: int. Equal arguments give equal layers.
        streaks: folder of pictures of streaks on black, or `None`.
        layers: folder of pairs whose rain is a single added grey layer, or `None`.
        layout: of these pairs, see `tfderain.data.pairs.find_pairs`.
        count, size: number of layers of each kind, and their side in pixels.

    Returns:
        dict of uint8 arrays `(count, size, size)`: `"lines"`, `"sheet"`, `"thin"`,
        `"fine"`, `"broad"`, `"streaks"`, `"soft"`; and with `layers` `"given"`, see
        `added_layers`. A minute for the defaults.
    """
    pools = {
        "lines": lines.line_pool(count, size, seed),
        "sheet": lines.line_pool(count, size, seed + 6, lines.SHEET),
        "thin": lines.line_pool(count, size, seed + 4, lines.LIGHT),
        "fine": editors.noise_pool(count, size, seed + 1, editors.FINE),
        "broad": editors.noise_pool(count // 2, size, seed + 5, editors.BROAD),
        "streaks": streak_pool(count, size, seed + 2, streaks),
    }
    if streaks is None:
        pools["soft"] = layer_pool(
            *(count // 2, size, (seed, 3)),
            lambda rng, _: 255 * render_streaks((size, size), rng, "soft"),
        )
    else:
        pools["soft"] = folder_pool(count // 2, size, seed + 3, streaks)
    if layers is not None:
        pools["given"] = added_layers(find_pairs(layers, layout), size)
    return pools


MOST_HIDDEN = 0.3  # of a layer's pixels; what fills more is no longer its rain


def added_layers(pairs: Pairs, size: int):
    """The grey layers that were added to the clean images of pairs.

    Where the rainy image is white the layer is hidden: these pixels are taken from
    elsewhere in the layer. Layers with too many of them are left out.

    Args:
        pairs: `Pairs`.
        size: side of the layers in pixels; smaller images repeat.

    Returns:
        uint8 array `(layers, size, size)`, a layer for each pair that shows enough.

    Raises:
        ValueError: if no pair does.
    """
    made = []
    for i in range(len(pairs)):
        rainy, clean = (image.astype(np.int16) for image in read_pair(pairs, i))
        layer = np.where(rainy < 255, rainy - clean, -1).max(axis=-1)
        hidden = (rainy == 255).all(axis=-1)
        if hidden.mean() <= MOST_HIDDEN:
            least = 255 - clean.min(axis=-1)  # what made them white
            layer = _revealed(layer, hidden, np.random.default_rng(i))
            layer = np.where(hidden, np.maximum(layer, least), layer)
            rows, columns = (np.arange(size) % side for side in layer.shape)
            made.append(np.clip(layer, 0, 255).astype(np.uint8)[rows][:, columns])
    if not made:
        raise ValueError(
            f"Layers need rainy images that are not white in more than "
            f"{MOST_HIDDEN:.0%} of their pixels. Received: {len(pairs)} pairs."
        )
    return np.stack(made)


def _revealed(layer, hidden, rng):
    """Fills hidden pixels by copies of the layer that are shifted at random."""
    layer, hidden = layer.copy(), hidden.copy()
    while hidden.any():
        shift = [rng.integers(side) for side in layer.shape]
        moved, unknown = (np.roll(x, shift, (0, 1)) for x in (layer, hidden))
        found = hidden & ~unknown
        layer[found] = moved[found]
        hidden &= ~found
    return layer


class KindMixer:
    """Turns crops into training pairs of several kinds of rain.

    Args:
        pools: dict of layers, see `render_pools`.
        own_share: probability of keeping the rainy image of a pair. It does not apply
            to pairs of an image with itself, which folders of clean pictures give.
        kinds: dict from the other kinds to their relative frequency.
        ranges: `Ranges` to draw from.

    Call: `(rainy, clean, seed)`, two float32 arrays `(height, width, 3)` in [0, 1] and
    an int, to `(rainy, clean)` of the same kind. It is a pure function of its arguments
    and leaves the inputs unchanged.

    Raises:
        ValueError: for an unknown kind, or shares out of range.
    """

    channels = 3  # of the target
    validated: tuple[str, ...] = ("heavy", "light", "editor")  # beside pairs' own rain

    def __init__(
        self,
        pools: dict[str, np.ndarray],
        own_share: float = 0.6,
        kinds: dict[str, float] | None = None,
        ranges: Ranges = RANGES,
    ):
        kinds = dict(SHARES if kinds is None else kinds)
        if not 0 <= own_share <= 1 or not set(kinds) < set(KINDS[1:]) | {""}:
            raise ValueError(
                f"`own_share` must lie in [0, 1], and `kinds` be among {KINDS[1:]}. "
                f"Received: own_share={own_share}, kinds={kinds}."
            )
        if not kinds or min(kinds.values()) < 0 or not sum(kinds.values()) > 0:
            raise ValueError(f"Shares must be positive. Received: kinds={kinds}.")
        self.pools, self.own_share, self.ranges = pools, own_share, ranges
        self.kinds, shares = list(kinds), np.array(list(kinds.values()), float)
        self.ends = np.cumsum(shares / shares.sum())
        self.varied = rain.RainMixer(
            pools["streaks"],
            real_share=0.0,
            clean_share=0.0,
            veil_share=0.12,
            heavy_share=0.4,
            light_share=0.3,
        )

    def __call__(self, rainy: np.ndarray, clean: np.ndarray, seed: int):
        rng = np.random.default_rng(int(seed) % 2**63)
        factor = 1.0
        if rng.random() < self.ranges.enlarge:
            factor = camera.draw_factor(rng, self.ranges.largest)
            shape, whole = clean.shape[:2], rainy is clean
            part = [math.ceil(side / factor) for side in shape]
            rainy, clean = (x[: part[0], : part[1]] for x in (rainy, clean))
            rainy = clean if whole else rainy
        rainy, clean = self._rain(rainy, clean, rng)
        if factor > 1:
            whole = rainy is clean  # stays so: only rainy images are compressed by JPEG
            clean = camera.resized(clean, shape)
            rainy = clean if whole else camera.resized(rainy, shape)
        return self._camera(rainy, clean, rng)

    def _rain(self, rainy, clean, rng):
        if rainy is not clean and rng.random() < self.own_share:
            return rainy, clean
        place = np.searchsorted(self.ends, rng.random(), side="right")
        return self.make(self.kinds[min(place, len(self.kinds) - 1)], clean, rng)

    def own(self, rainy: np.ndarray, clean: np.ndarray, seed: int = 0):
        """A pair as it is; `seed` changes nothing."""
        return rainy, clean

    def make(self, kind: str, clean: np.ndarray, rng: np.random.Generator):
        """`(rainy, clean)` of one of the synthetic kinds."""
        if kind == "clean":
            return clean, clean
        if kind in ("heavy", "light"):
            return self._lines(clean, rng, kind), clean
        if kind == "editor":
            return self._edited(clean, rng), clean
        if kind == "varied":
            return self.varied(clean, clean, int(rng.integers(2**62)))
        return self.varied.at_night(clean, rng)

    def _lines(self, clean, rng, kind):
        """Line rain, soft streaks or a layer from `layers`, of a random strength."""
        ranges = self.ranges
        psnr = rng.uniform(*getattr(ranges, kind))
        if kind == "light" and rng.random() < ranges.thin:
            layer = self._unit_lines("thin", clean.shape[:2], rng)
        else:
            soft = ranges.soft_light if kind == "light" else ranges.soft
            layer = self._dense(clean.shape[:2], rng, soft)
        return composition.at_strength(clean, layer, psnr, ranges.most)

    def _dense(self, shape, rng, alone):
        """A layer of many lines over soft streaks, of these alone, or a given one."""
        ranges, choice = self.ranges, rng.random()
        if choice < ranges.given and "given" in self.pools:
            return self._layer("given", shape, rng)
        soft = self._layer("soft", shape, rng)
        if choice > 1 - alone:
            return soft
        sheet = rng.random() < ranges.sheet
        layer = self._unit_lines("sheet" if sheet else "lines", shape, rng)
        if rng.random() < ranges.second:
            name, bright = rng.choice(("sheet", "lines")), rng.uniform(*ranges.over)
            layer = layer + np.float32(bright) * self._unit_lines(name, shape, rng)
        bright = rng.uniform(*(ranges.beside if sheet else ranges.under))
        return layer + np.float32(bright) * soft

    def _unit_lines(self, name, shape, rng):
        """A crop of a layer of lines, 1 under a single line."""
        return np.float32(255 / lines.LEVEL) * self._layer(name, shape, rng)

    def _edited(self, clean, rng):
        """Fine or broad rain of picture editors, of a random strength."""
        fine = rng.random() < self.ranges.fine
        layer = self._layer("fine" if fine else "broad", clean.shape[:2], rng)
        look = editors.FINE if fine else editors.BROAD
        return editors.blend(clean, layer, rng, rng.uniform(*self.ranges.editor), look)

    def _layer(self, name, shape, rng):
        """A random crop of a random layer, float32, 1 for 255; sometimes enlarged."""
        pool = self.pools[name]
        layer, factor = pool[rng.integers(len(pool))], 1.0
        if rng.random() < self.ranges.enlarge_layer:
            factor = camera.draw_factor(rng, self.ranges.largest)
        part = [math.ceil(side / factor) for side in shape]
        starts = [rng.integers(full) for full in layer.shape]
        rows, columns = (
            np.arange(start, start + side) % full
            for start, side, full in zip(starts, part, layer.shape, strict=True)
        )
        layer = layer[rows][:, columns[:: rng.choice((-1, 1))]]
        layer = layer.astype(np.float32) * np.float32(1 / 255)
        return camera.resized(layer, shape) if factor > 1 else layer

    def _camera(self, rainy, clean, rng, hide=True):
        ranges, whole = self.ranges, rainy is clean
        if rng.random() < ranges.blur:
            sigma = rng.uniform(*ranges.sigma)
            rainy, clean = (camera.blurred(x, sigma) for x in (rainy, clean))
        if rng.random() < ranges.noise:
            grain = rng.standard_normal(clean.shape, np.float32)
            grain *= np.float32(rng.uniform(*ranges.deviation))
            rainy, clean = (np.clip(x + grain, 0, 1) for x in (rainy, clean))
        if hide and rng.random() < ranges.hide:
            rainy, clean = camera.hide(rainy, clean, rng)
        if not whole and rng.random() < ranges.jpeg:
            low, high = ranges.quality
            rainy = camera.jpeg(rainy, rng.integers(low, high + 1))
        return rainy, clean


# Of pictures without rain of their own. Found by short runs, see the preset's card.
SHARES = {
    "clean": 0.06,
    "heavy": 0.36,
    "light": 0.28,
    "editor": 0.2,
    "varied": 0.08,
    "night": 0.02,
}
