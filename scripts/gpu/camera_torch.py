"""Camera effects in batches on the device, as in `tfderain.data.camera`.

Images are float32 `(n, channels, size, size)` in [0, 1]; each has its own parameters.
Nothing here waits for the device or has a shape that depends on random numbers.
"""

import math

import torch


class Draw:
    """Random numbers on a device, one stream for each seed.

    Args:
        device: where they are generated.
        seed: int.
    """

    def __init__(self, device, seed):
        self.device = torch.device(device)
        self.generator = torch.Generator(self.device).manual_seed(seed)

    def uniform(self, count, low=0.0, high=1.0):
        """`(count, 1, 1, 1)` numbers; the bounds may be tensors of that shape."""
        drawn = torch.rand(count, generator=self.generator, device=self.device)
        return low + (high - low) * drawn.view(-1, 1, 1, 1)

    def log_uniform(self, count, low, high):
        """`(count, 1, 1, 1)` numbers whose logarithm is uniform."""
        return self.uniform(count, math.log(low), math.log(high)).exp()

    def chance(self, count, share):
        """`(count, 1, 1, 1)` bools that are true with this probability."""
        return self.uniform(count) < share

    def integers(self, count, high, low=0):
        """`(count,)` int64 in `[low, high)`; bounds may be tensors of that shape."""
        drawn = torch.rand(
            count, generator=self.generator, device=self.device, dtype=torch.float64
        )
        return (low + drawn * (high - low)).floor().long()

    def normal(self, shape):
        return torch.randn(shape, generator=self.generator, device=self.device)

    def some(self, count, of):
        """Indices of `count` different ones out of `of`, in random order."""
        drawn = torch.rand(of, generator=self.generator, device=self.device)
        return drawn.argsort()[:count]


def enlarged(images, factor):
    """The top left parts of images, enlarged bicubically by `factor`, at least 1.

    Args:
        images: `(n, channels, size, size)`.
        factor: `(n, 1, 1, 1)`. A part has `ceil(size / factor)` rows and columns.
    """
    size, device = images.shape[-1], images.device
    part = torch.ceil(size / factor).view(-1, 1, 1)
    place = torch.arange(size, device=device) + 0.5
    distance = (place - place.view(-1, 1) * (part / size)).abs()  # (n, to, from)
    near = (1.5 * distance - 2.5) * distance.square() + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    weights = torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))
    weights = weights * (place < part)
    weights = (weights / weights.sum(-1, keepdim=True)).unsqueeze(1)
    return (weights @ images @ weights.transpose(2, 3)).clamp(0, 1)


def blurred(images, sigma):
    """Images after a Gaussian blur of `sigma` pixels, `(n, 1, 1, 1)`, at most 1."""
    size, radius = images.shape[-1], 3
    steps = torch.arange(-radius, radius + 1, device=images.device).view(1, 1, 1, -1)
    taps = torch.exp(-0.5 * (steps / sigma).square())
    taps = taps * (steps.abs() <= torch.ceil(3 * sigma))
    taps = taps / taps.sum(-1, keepdim=True)
    # "symmetric" borders: the edge pixel is repeated
    around = torch.arange(-radius, size + radius, device=images.device)
    around = torch.where(around < 0, -1 - around, around)
    around = torch.where(around >= size, 2 * size - 1 - around, around)
    for axis in (2, 3):
        padded = images.index_select(axis, around)
        parts = (padded.narrow(axis, k, size) for k in range(2 * radius + 1))
        images = sum(taps[..., k : k + 1] * part for k, part in enumerate(parts))
    return images


def noisy(images, grain):
    """Images with noise added, clipped."""
    return (images + grain).clamp(0, 1)


def hidden(count, size, draw):
    """Where pixels do not show the scene, bool `(count, 1, size, size)`."""
    place = torch.arange(size, device=draw.device)
    rows, columns = place.view(1, 1, -1, 1), place.view(1, 1, 1, -1)
    thick = draw.integers(count, max(2, size // 2), 1).view(-1, 1, 1, 1)
    sideways = draw.chance(count, 0.5)
    bars = torch.where(sideways, columns, rows) < thick
    thin = draw.integers(count, max(2, size // 6), 1).view(-1, 1, 1, 1)
    both = draw.chance(count, 0.3)
    frame = (rows < thin) | (columns < thin)
    frame = frame | (both & ((rows >= size - thin) | (columns >= size - thin)))
    edge = 0.5 - draw.uniform(count, 0, 0.4)
    for k in (1, 2, 3):
        phase = 2 * math.pi * (k * columns / size + draw.uniform(count))
        edge = edge + draw.uniform(count, 0.02, 0.2) * torch.sin(phase)
    cut = rows / size < edge
    form = draw.integers(count, 4).view(-1, 1, 1, 1)
    mask = torch.where(form == 0, bars, torch.where(form == 1, frame, cut))
    mask = torch.where(draw.chance(count, 0.5), mask.flip(2), mask)
    return torch.where(draw.chance(count, 0.5), mask.flip(3), mask)


def hide(rainy, clean, draw):
    """Both images with the same hidden pixels, mostly black, sometimes coloured."""
    count = len(rainy)
    mask = hidden(count, rainy.shape[-1], draw)
    choice = draw.uniform(count)
    shape = (count, 3, 1, 1)
    colour = torch.rand(shape, generator=draw.generator, device=draw.device)
    colour = torch.where(choice < 0.8, (choice >= 0.6).float(), colour)
    return torch.where(mask, colour, rainy), torch.where(mask, colour, clean)


# JPEG

# The standard's tables (ITU-T T.81, annex K), which libjpeg scales by quality.
LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *[(99,) * 8] * 4,
)


class Jpeg:
    """Images after JPEG with colour at half the size, as written by Pillow.

    The tables are on the device, so that no call has to send them there.

    Call: images `(n, 3, size, size)`, `size` a multiple of 16, and qualities `(n,)` of
    at least 50, to images of 8-bit levels in [0, 1].
    """

    def __init__(self, device):
        self.luma = torch.tensor(LUMA, device=device, dtype=torch.float32)
        self.chroma = torch.tensor(CHROMA, device=device, dtype=torch.float32)
        k = torch.arange(8, device=device, dtype=torch.float32)
        wave = torch.cos(math.pi / 16 * (2 * k + 1) * k.view(-1, 1)) / 2
        self.wave = torch.cat([wave[:1] / math.sqrt(2), wave[1:]])

    def __call__(self, images, quality):
        red, green, blue = torch.round(images * 255).split(1, dim=1)
        y = torch.round(0.299 * red + 0.587 * green + 0.114 * blue)
        cb = torch.round(128 - 0.168735892 * red - 0.331264108 * green + 0.5 * blue)
        cr = torch.round(128 + 0.5 * red - 0.418687589 * green - 0.081312411 * blue)
        y = self._coded(y, quality, self.luma)
        cb, cr = (
            _double(self._coded(_half(c), quality, self.chroma)) - 128 for c in (cb, cr)
        )
        rgb = (y + 1.402 * cr, y - 0.344136286 * cb - 0.714136286 * cr, y + 1.772 * cb)
        return torch.round(torch.cat(rgb, dim=1)).clamp(0, 255) / 255

    def _coded(self, plane, quality, table):
        """A plane `(n, 1, size, size)` after the quantisation of its 8x8 blocks."""
        n, _, size, _ = plane.shape
        scale = (200 - 2 * quality).view(-1, 1, 1).float()
        steps = (
            torch.floor((table * scale + 50) / 100).clamp(1, 255).view(-1, 1, 1, 8, 8)
        )
        blocks = (plane - 128).reshape(n, size // 8, 8, size // 8, 8).transpose(2, 3)
        waves = self.wave @ blocks @ self.wave.T
        waves = torch.round(waves / steps) * steps
        blocks = self.wave.T @ waves @ self.wave
        made = blocks.transpose(2, 3).reshape(n, 1, size, size)
        return torch.round(made + 128).clamp(0, 255)


def _half(plane):
    """A plane at half the size: means of four, rounded as in libjpeg."""
    total = plane[..., ::2, :] + plane[..., 1::2, :]
    total = total[..., ::2] + total[..., 1::2]
    bias = 1 + torch.arange(total.shape[-1], device=plane.device) % 2
    return torch.floor((total + bias) / 4)


def _double(plane):
    """A plane at twice the size: three parts of the nearest pixel, one of the next."""
    for axis in (2, 3):
        size = plane.shape[axis]
        first, last = plane.narrow(axis, 0, 1), plane.narrow(axis, size - 1, 1)
        before = torch.cat([first, plane.narrow(axis, 0, size - 1)], dim=axis)
        after = torch.cat([plane.narrow(axis, 1, size - 1), last], dim=axis)
        both = torch.stack([3 * plane + before, 3 * plane + after], dim=axis + 1)
        plane = both.flatten(axis, axis + 1)
    bias = 8 - torch.arange(plane.shape[-1], device=plane.device) % 2
    return torch.floor((plane + bias) / 16)
