"""Varied rain in batches on the device, as by `tfderain.data.rain.RainMixer`.

Many looks of streaks, veils and overlay: each crop has its own kind, number of layers,
blend and strength, drawn as in `tfderain.data.mixer.KindMixer` for `"varied"`.
"""

import numpy as np
import torch

from tfderain.data import rain, streaks

VEIL_SHARE, HEAVY_SHARE, LIGHT_SHARE = 0.12, 0.4, 0.3  # as in KindMixer
KINDS = ("veil", "heavy", "light", "medium")


class Varied:
    """Turns clean crops into pairs of varied rain.

    Args:
        pool: uint8 tensor `(count, full, full)` of streak layers.
        draw: `camera_torch.Draw`.
        laid, strength, jpeg: `rain_torch.laid` and `Strength`, a `camera_torch.Jpeg`.
        ranges: `tfderain.data.rain.Ranges`.

    Call: clean `(n, 3, size, size)` in [0, 1], and how many rows and columns of each
    count, `(n, 1, 1, 1)`, to `(rainy, clean)`.
    """

    def __init__(self, pool, draw, laid, strength, jpeg, ranges=rain.RANGES):
        sorted_pool = streaks.Pool(pool.cpu().numpy())
        order = torch.from_numpy(sorted_pool.order).to(pool.device)
        self.pool, self.draw, self.ranges = pool[order], draw, ranges
        angles = torch.from_numpy(sorted_pool.angles.astype(np.float32))
        self.angles = angles.to(pool.device)  # of layers from steep to flat
        self.laid, self.strength, self.jpeg = laid, strength, jpeg
        # bounds of each kind: PSNR, number of layers
        psnr = [getattr(ranges, kind) for kind in KINDS]
        layers = [ranges.layers[kind] for kind in KINDS]
        self.psnr = torch.tensor(psnr, device=pool.device)
        self.counts = torch.tensor(layers, device=pool.device)

    def __call__(self, clean, part):
        draw, count = self.draw, len(clean)
        jittered = draw.chance(count, self.ranges.jitter_share)
        clean = torch.where(jittered, self._jitter(clean), clean)
        kind = self._kinds(count)
        low, high = self.psnr[kind].view(-1, 2, 1, 1, 1).unbind(1)
        psnr = draw.uniform(count, low, high)
        layer = self._combined(kind, psnr, clean.shape[-1])
        kind = kind.view(-1, 1, 1, 1)
        rainy = self._composed(clean, layer, kind, psnr, part)
        overlaid = self._overlaid(clean, layer, psnr, part)
        overlay = (kind == 3) & draw.chance(count, self.ranges.overlay_share)
        return self._camera(torch.where(overlay, overlaid, rainy)), clean

    def _kinds(self, count):
        """Indices into `KINDS`, `(count,)`."""
        choice = self.draw.uniform(count).flatten()
        kind = torch.where(choice < HEAVY_SHARE, 1, 3)
        light = (choice >= HEAVY_SHARE) & (choice < HEAVY_SHARE + LIGHT_SHARE)
        kind = torch.where(light, 2, kind)
        veil = self.draw.chance(count, VEIL_SHARE).flatten()
        return torch.where(veil, 0, kind)

    def _jitter(self, clean):
        draw, count = self.draw, len(clean)
        saturation = draw.uniform(count, -0.25, 0.2)
        grey = clean.mean(1, keepdim=True)
        made = (1 + saturation) * clean - saturation * grey
        made = (made * draw.uniform(count, 0.75, 1.15)).clamp(0, 1)
        return made + draw.uniform(count, -0.35, 0.35) * made * (1 - made)

    # Layers

    def _combined(self, kind, psnr, size):
        """Enough layers to reach the PSNR without gains that whiten everything."""
        draw, ranges, count = self.draw, self.ranges, len(kind)
        alike = draw.chance(count, ranges.alike_share).flatten()
        aligned = alike | draw.chance(count, ranges.aligned_share).flatten()
        low, high = self.counts[kind].unbind(1)
        number = draw.integers(count, high + 1, low).view(-1, 1, 1, 1)
        need = torch.pow(10.0, psnr / -10)
        how = draw.integers(count, 3).view(-1, 1, 1, 1)
        total, energy, first = 0.0, 0.0, None
        for place in range(ranges.most_layers):
            rank, mirrored = self._rank(count, alike, aligned, first)
            layer = self._layer(rank, mirrored, size)
            first = (rank, mirrored) if first is None else first
            used = (place < number) | (energy * (ranges.most_gain / 2) ** 2 < need)
            layer = layer * used
            few = layer[..., ::4, ::2]
            energy = energy + few.square().mean((1, 2, 3), keepdim=True)
            total = _overlapped(total, layer, how) if place else layer
        return total

    def _rank(self, count, alike, aligned, first):
        """Which layer comes next, and whether it is mirrored, both `(count,)`."""
        draw, full = self.draw, len(self.pool)
        rank, mirrored = draw.integers(count, full), draw.chance(count, 0.5).flatten()
        if first is None:
            return rank, mirrored
        reach = full // 40
        near = first[0] + draw.integers(count, reach + 1, -reach)
        near = torch.where(alike, first[0], near.clamp(0, full - 1))
        rank = torch.where(aligned, near, rank)
        # falls like the first one: mirrored if that gives the angle the same sign
        sign = self.angles[first[0]] * torch.where(first[1], -1.0, 1.0)
        return rank, torch.where(aligned, self.angles[rank] * sign < 0, mirrored)

    def _layer(self, rank, mirrored, size):
        """Random crops `(count, 1, size, size)`, some of them turned upside down."""
        draw, count, full = self.draw, len(rank), self.pool.shape[-1]
        if size > full:
            raise ValueError(
                f"Crops must fit into the layers. Received: crop={size}, layer={full}."
            )
        place = torch.arange(size, device=rank.device)
        rows = draw.integers(count, full - size + 1).view(-1, 1) + place
        columns = draw.integers(count, full - size + 1).view(-1, 1) + place
        turned = draw.chance(count, 0.5).view(-1, 1)
        rows = torch.where(turned, rows.flip(1), rows)
        mirrored = mirrored.view(-1, 1) ^ turned
        columns = torch.where(mirrored, columns.flip(1), columns)
        made = self.pool[rank.view(-1, 1, 1), rows.unsqueeze(2), columns.unsqueeze(1)]
        return made.unsqueeze(1).float() / 255

    # Blends

    def _composed(self, clean, layer, kind, psnr, part):
        """Streaks, with a floor between them, on a clean or veiled image."""
        draw, ranges, count = self.draw, self.ranges, len(clean)
        coloured = (clean != clean[:, :1]).flatten(1).any(1).view(-1, 1, 1, 1)
        cast = torch.cat([draw.uniform(count, -1, 1) for _ in range(3)], dim=1)
        tint = 1 + coloured * ranges.tint * cast
        floored = ((kind == 3) | (kind == 1)) & draw.chance(count, ranges.floor_share)
        few = layer[..., ::4, ::2].flatten(1)
        bright = few.quantile(0.98, dim=1).view(-1, 1, 1, 1)
        floor = floored * draw.uniform(count, *ranges.floor) * bright
        layer = layer + floor
        base = torch.where(kind == 0, self._veiled(clean, tint), clean)
        light, opacity, densest = self._blend(tint)
        mean = layer.mean((1, 2, 3), keepdim=True)
        most = (ranges.most_mean / mean.clamp(min=1e-6)).clamp(max=ranges.most_gain)
        most = torch.minimum(most, ranges.most_floor / floor.clamp(min=1e-6))
        strength = self.strength(psnr, most, densest)
        return self.laid(base, layer, light - opacity * base, strength, part)

    def _blend(self, tint):
        """`(light, opacity, densest)`: additive, screen or half-transparent."""
        draw, count = self.draw, len(tint)
        mode = draw.uniform(count)
        grey = mode >= 0.85
        light = torch.where(grey, draw.uniform(count, 0.7, 1.0) * tint, 1.0)
        screen, half = draw.uniform(count, 0.7, 1.0), draw.uniform(count, 0.4, 0.95)
        densest = torch.where(mode < 0.55, 1.0, torch.where(grey, half, screen))
        return light, (mode >= 0.55).float(), densest

    def _veiled(self, clean, tint):
        draw, ranges, (count, _, size, _) = self.draw, self.ranges, clean.shape
        low, high = ranges.loss
        loss = low + (high - low) * draw.uniform(count).square()
        place = torch.linspace(0, 1, size, device=clean.device).view(1, 1, -1, 1)
        slope = 1 + (draw.uniform(count, 0.5, 1) - 1) * place
        loss = loss * torch.where(draw.chance(count, 0.5), slope.flip(2), slope)
        airlight = (draw.uniform(count, *ranges.airlight) * tint).clamp(max=1)
        return clean + (airlight - clean) * loss

    def _overlaid(self, clean, layer, psnr, part):
        """The overlay mode of picture editors; one round: faint rain does not clip."""
        mean = layer.mean((1, 2, 3), keepdim=True)
        signed = layer - self.draw.uniform(len(clean), 0.4, 1.2) * mean
        middle = 2 * torch.minimum(clean, 1 - clean)
        most = 2 * self.ranges.most_gain
        strength = self.strength(psnr, most, start=0.1, rounds=1)
        return self.laid(clean, signed, middle, strength, part)

    def _camera(self, rainy):
        """Sensor noise and JPEG, each in a share of the rainy images."""
        draw, ranges, count = self.draw, self.ranges, len(rainy)
        grain = draw.uniform(count, *ranges.noise) * draw.normal(rainy.shape)
        noise = draw.chance(count, ranges.noise_share)
        rainy = torch.where(noise, (rainy + grain).clamp(0, 1), rainy)
        low, high = ranges.jpeg_quality
        quality = draw.integers(count, high + 1, low)
        coded = draw.chance(count, ranges.jpeg_share)
        return torch.where(coded, self.jpeg(rainy, quality), rainy)


def _overlapped(total, layer, how):
    """Layers as their sum, their maximum, or screen."""
    screen = total + layer * (1 - total)
    larger = torch.maximum(total, layer)
    return torch.where(how == 0, total + layer, torch.where(how == 1, larger, screen))
