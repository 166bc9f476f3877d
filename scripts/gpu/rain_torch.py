"""Training pairs made in batches on the device: the kinds of `tfderain.data.mixer`.

```python
maker = RainMaker(materials, "cuda", seed=0)
rainy, clean = maker.chunk(512, 128)  # float32 (512, 3, 128, 128), channels-last
```

A chunk has exactly the share of each kind, in random order: no shape depends on random
numbers on the device, and nothing is sent to it or waited for. Ranges and shares are
those of the NumPy mixer, and a test compares the results. Differences: rain at night is
made beforehand, and for crops that are enlarged as a whole, the strength is measured on
the enlarged part, but means and quantiles on the entire crop.
"""

import dataclasses
import math

import numpy as np
import torch
from camera_torch import Draw, Jpeg, blurred, enlarged, hide, noisy
from varied_torch import Varied

from tfderain.data import editors, lines, mixer

PAIR_SHARE = (
    0.45  # of the crops: from the data set of pairs, the rest of clean pictures
)
OWN_SHARE = 0.66  # of the crops of pairs that keep their own rain
UNIT = 255 / lines.LEVEL  # of a layer of lines: 1 under a single one


@dataclasses.dataclass
class Strength:
    """Settings for the strength of rain.

    Attributes:
        psnr: target in dB, `(n, 1, 1, 1)`.
        most: largest gain, a number or `(n, 1, 1, 1)`.
        densest: largest opacity, likewise.
        start: gain to start with.
        rounds: number of rounds of the search.
        step: only every `step`-th row and column is used.
    """

    psnr: torch.Tensor
    most: float | torch.Tensor
    densest: float | torch.Tensor = math.inf
    start: float = 1.0
    rounds: int = 4
    step: tuple = (4, 2)


def laid(clean, streaks, toward, strength, part):
    """`clean + toward * streaks`, clipped, with gains that give each image its PSNR.

    Args:
        clean: `(n, 3, size, size)` in [0, 1].
        streaks: `(n, 1, size, size)`.
        toward: what streaks of 1 add, `(n, 3, size, size)` or broadcastable to it.
        strength: `Strength`.
        part: `(n, 1, 1, 1)`. Rows and columns that count.
    """
    down, right = strength.step
    few, some = clean[..., ::down, ::right], streaks[..., ::down, ::right]
    change = toward.expand_as(clean)[..., ::down, ::right]
    rows = torch.arange(0, clean.shape[-2], down, device=clean.device).view(-1, 1)
    columns = torch.arange(0, clean.shape[-1], right, device=clean.device)
    inside = (rows < part) & (columns < part)
    values = inside.sum((1, 2, 3), keepdim=True) * clean.shape[1]
    target = torch.pow(10.0, strength.psnr / -10)
    gain = torch.full_like(target, strength.start)
    most = torch.as_tensor(strength.most, device=gain.device)
    for _ in range(strength.rounds):
        rain = change * (some * gain).clamp(max=strength.densest)
        rain = ((few + rain).clamp(0, 1) - few).square() * inside
        error = rain.sum((1, 2, 3), keepdim=True) / values
        gain = torch.minimum(gain * (target / error.clamp(min=1e-8)).sqrt(), most)
    streaks = (streaks * gain).clamp(max=strength.densest)
    return (clean + toward * streaks).clamp(0, 1)


def counts(shares, total, rng):
    """`total` split by shares: random integers with exact means, drawn on the host."""
    exact = np.asarray(shares, float) * (total / sum(shares))
    made = np.floor(exact).astype(int)
    rest = exact - made
    missing = total - int(made.sum())
    if missing:
        # systematic sampling: each is rounded up with the probability of its fraction
        ends = np.cumsum(rest) * (missing / rest.sum())
        marks = rng.random() + np.arange(missing)
        np.add.at(made, np.minimum(np.searchsorted(ends, marks), len(made) - 1), 1)
    return made.tolist()


class RainMaker:
    """Makes chunks of training pairs.

    Args:
        materials: `unpack.Materials`.
        device: where they are stored and pairs are made.
        seed: int. Equal seeds give equal chunks on one kind of device.
        kinds: dict from the synthetic kinds to their relative frequency.
        ranges: `tfderain.data.mixer.Ranges`.
    """

    def __init__(
        self, materials, device, seed, kinds=mixer.SHARES, ranges=mixer.RANGES
    ):
        self.draw, self.rng = Draw(device, seed), np.random.default_rng(seed)
        self.pixels = torch.from_numpy(materials.pixels).to(device)
        self.table = torch.from_numpy(materials.table).to(device)
        self.heights_widths, self.groups = materials.table[:, 1:], materials.groups
        self.pools = {
            name: torch.from_numpy(pool).to(device)
            for name, pool in materials.pools.items()
        }
        self.device, self.ranges, self.jpeg = torch.device(device), ranges, Jpeg(device)
        self.varied = Varied(
            self.pools["streaks"], self.draw, laid, Strength, self.jpeg
        )
        looks = [_numbers(look) for look in (editors.BROAD, editors.FINE)]
        self.looks = torch.tensor(looks, device=device, dtype=torch.float32)
        self.names, self.shares = _plan(kinds, materials.groups)
        self.members = {}

    # Crops

    def fitting(self, group, size):
        """Members of a group whose images are at least `size` high and wide."""
        key = group, size
        if key not in self.members:
            members = self.groups[group]
            sides = self.heights_widths[members].min(axis=-1)
            sides = sides.min(axis=-1) if members.ndim == 2 else sides
            kept = members[sides >= size]
            if not len(kept):
                raise ValueError(
                    f"Some pictures must be at least as large as the crop. Received: "
                    f"{size=}."
                )
            self.members[key] = torch.from_numpy(kept).to(self.device)
        return self.members[key]

    def crops(self, group, count, size):
        """Random crops `(count, 3, size, size)` of a group; two of them for pairs."""
        members = self.fitting(group, size)
        chosen = members[self.draw.integers(count, len(members))]
        first = chosen if chosen.ndim == 1 else chosen[:, 0]
        _, height, width = self.table[first].unbind(1)
        top = self.draw.integers(count, height - size + 1)
        left = self.draw.integers(count, width - size + 1)
        mirrored = self.draw.chance(count, 0.5).view(-1, 1)
        columns = torch.arange(size, device=self.device)
        columns = left.view(-1, 1) + torch.where(mirrored, size - 1 - columns, columns)
        rows = top.view(-1, 1) + torch.arange(size, device=self.device)
        places = rows.unsqueeze(2) * width.view(-1, 1, 1) + columns.unsqueeze(1)
        if chosen.ndim == 1:
            return self._taken(chosen, places)
        return tuple(self._taken(image, places) for image in chosen.unbind(1))

    def _taken(self, images, places):
        pixels = self.pixels[self.table[images, 0].view(-1, 1, 1) + places]
        return pixels.permute(0, 3, 1, 2).float() / 255

    def layers(self, name, count, size):
        """Random crops of random layers, `(count, 1, size, size)`, 1 for 255."""
        pool, draw = self.pools[name], self.draw
        full = pool.shape[-1]
        place = torch.arange(size, device=self.device)
        rows = (draw.integers(count, full).view(-1, 1) + place) % full
        columns = (draw.integers(count, full).view(-1, 1) + place) % full
        mirrored = draw.chance(count, 0.5).view(-1, 1)
        columns = torch.where(mirrored, columns.flip(1), columns)
        chosen = draw.integers(count, len(pool)).view(-1, 1, 1)
        made = pool[chosen, rows.unsqueeze(2), columns.unsqueeze(1)]
        made = made.unsqueeze(1).float() / 255
        some = self._some(self.ranges.enlarge_layer, count)
        factor = draw.log_uniform(len(some), 1, self.ranges.largest)
        return made.index_copy_(0, some, enlarged(made[some], factor))

    def _some(self, share, of):
        """Indices of a share of `of` samples."""
        return self.draw.some(counts((share, 1 - share), of, self.rng)[0], of)

    # Kinds

    def make(self, kind, clean, part=None):
        """`(rainy, clean)` of one of the synthetic kinds except night."""
        if part is None:
            part = torch.full((len(clean), 1, 1, 1), clean.shape[-1]).to(clean)
        if kind == "clean":
            return clean, clean
        if kind == "editor":
            return self._editor(clean, part), clean
        if kind == "varied":
            return self.varied(clean, part)
        psnr = self.draw.uniform(len(clean), *getattr(self.ranges, kind))
        soft = self.ranges.soft_light if kind == "light" else self.ranges.soft
        layer = self._dense(len(clean), clean.shape[-1], soft)
        if kind == "light":
            thin = self.layers("thin", len(clean), clean.shape[-1]) * UNIT
            layer = torch.where(
                self.draw.chance(len(clean), self.ranges.thin), thin, layer
            )
        strength = Strength(psnr, self.ranges.most)
        return laid(clean, layer, torch.ones_like(clean), strength, part), clean

    def _dense(self, count, size, alone):
        """Layers of many lines over soft streaks, of these alone, or given ones."""
        draw, ranges = self.draw, self.ranges
        choice = draw.uniform(count)
        sheet = draw.chance(count, ranges.sheet)
        layer = self._lines(sheet, count, size)
        second = draw.chance(count, ranges.second) * draw.uniform(count, *ranges.over)
        layer = layer + second * self._lines(draw.chance(count, 0.5), count, size)
        soft = self.layers("soft", count, size)
        under, beside = (
            draw.uniform(count, *bounds) for bounds in (ranges.under, ranges.beside)
        )
        layer = layer + torch.where(sheet, beside, under) * soft
        layer = torch.where(choice > 1 - alone, soft, layer)
        if "given" in self.pools:
            given = self.layers("given", count, size)
            layer = torch.where(choice < ranges.given, given, layer)
        return layer

    def _lines(self, sheet, count, size):
        """Layers of lines, 1 under a single line: sheets where `sheet` says so."""
        sheets = self.layers("sheet", count, size)
        return UNIT * torch.where(sheet, sheets, self.layers("lines", count, size))

    def _editor(self, clean, part):
        """Noise of either look, blended in with one of the modes of picture editors."""
        draw, (count, _, _, size) = self.draw, clean.shape
        fine = draw.chance(count, self.ranges.fine)
        layer = self.layers("broad", count, size)
        layer = torch.where(fine, self.layers("fine", count, size), layer)
        look = self.looks[fine.flatten().long()].view(-1, 7, 1, 1, 1).unbind(1)
        psnr = draw.uniform(count, *self.ranges.editor)
        choice = draw.uniform(count)  # grey, screen, add, overlay
        grey, adds = choice < look[0], (choice >= look[1]) & (choice < look[2])
        floor = draw.uniform(count, *look[5:]) * grey
        cover = floor + (1 - floor) * layer
        light = torch.where(grey, draw.uniform(count, *look[3:5]), 1.0)
        toward = light - clean * ~adds
        overlay = choice >= look[2]
        mean = layer.mean((1, 2, 3), keepdim=True)
        signed = layer - draw.uniform(count, 0.4, 1.2) * mean
        cover = torch.where(overlay, signed, cover)
        middle = 2 * torch.minimum(clean, 1 - clean)
        toward = torch.where(overlay, middle, toward)
        most = 2.0 - grey.float()
        strength = Strength(psnr, most, start=0.5, rounds=3, step=(4, 4))
        return laid(clean, cover, toward, strength, part)

    # Chunks

    def chunk(self, count, size):
        """`count` pairs of crops of `size` pixels, a multiple of 16, in random order.

        Returns:
            `(rainy, clean)`, float32 `(count, 3, size, size)` in [0, 1], channels-last.
        """
        many = counts(self.shares, count, self.rng)
        share = self.ranges.enlarge
        some = self._some(share, count)
        factor = torch.ones(count, 1, 1, 1, device=self.device)
        drawn = self.draw.log_uniform(len(some), 1, self.ranges.largest)
        factor = factor.index_copy_(0, some, drawn)
        parts = torch.ceil(size / factor).split(many)
        made = [
            self._kind(name, number, size, part)
            for name, number, part in zip(self.names, many, parts, strict=True)
            if number
        ]
        rainy, clean = (torch.cat(images) for images in zip(*made, strict=True))
        both = (
            x.index_copy_(0, some, enlarged(x[some], drawn)) for x in (rainy, clean)
        )
        dry = many[-1] if self.names[-1] == "clean" else 0
        rainy, clean = self._camera(*both, count - dry)
        order = self.draw.some(count, count)
        return tuple(
            x[order].contiguous(memory_format=torch.channels_last)
            for x in (rainy, clean)
        )

    def _kind(self, name, count, size, part):
        if name in ("own", "night"):
            return self.crops(name, count, size)
        paired = counts((self._from_pairs(), 1 - self._from_pairs()), count, self.rng)
        clean = [
            self.crops(group, number, size)
            for group, number in zip(("own", "clean"), paired, strict=True)
            if number
        ]
        clean = torch.cat([x[1] if isinstance(x, tuple) else x for x in clean])
        return self.make(name, clean, part)

    def _from_pairs(self):
        """Share of the crops without own rain whose picture comes from a pair."""
        if not len(self.groups["own"]):
            return 0.0
        rained = PAIR_SHARE * (1 - OWN_SHARE)
        return rained / (rained + 1 - PAIR_SHARE)

    def _camera(self, rainy, clean, rained):
        """Blur, noise, hidden pixels and JPEG; the first `rained` images have rain."""
        ranges, draw, count = self.ranges, self.draw, len(rainy)
        some = self._some(ranges.blur, count)
        sigma = draw.uniform(len(some), *ranges.sigma)
        rainy, clean = (
            x.index_copy_(0, some, blurred(x[some], sigma)) for x in (rainy, clean)
        )
        some = self._some(ranges.noise, count)
        grain = draw.uniform(len(some), *ranges.deviation)
        grain = grain * draw.normal((len(some), *rainy.shape[1:]))
        rainy, clean = (
            x.index_copy_(0, some, noisy(x[some], grain)) for x in (rainy, clean)
        )
        some = self._some(ranges.hide, count)
        both = hide(rainy[some], clean[some], draw)
        rainy, clean = (
            x.index_copy_(0, some, y) for x, y in zip((rainy, clean), both, strict=True)
        )
        some = self._some(ranges.jpeg, rained)
        low, high = ranges.quality
        quality = draw.integers(len(some), high + 1, low)
        return rainy.index_copy_(0, some, self.jpeg(rainy[some], quality)), clean


def _numbers(look):
    """Three cumulative shares of the modes, the ranges of `grey` and of `floor`."""
    ends = np.cumsum(look.modes) / sum(look.modes)
    return [*ends[:3], *look.grey, *look.floor]


def _plan(kinds, groups):
    """Names of the kinds in the order of a chunk (without rain last), and shares."""
    own = PAIR_SHARE * OWN_SHARE if len(groups["own"]) else 0.0
    total = sum(kinds.values())
    shares = {"own": own, **{k: (1 - own) * v / total for k, v in kinds.items()}}
    if not len(groups["night"]):
        shares.pop("night", None)
    names = sorted(shares, key=lambda name: name == "clean")
    return names, [shares[name] for name in names]
