"""Rain drops on a lens or a pane: little lenses out of focus, with the sky in them.

```python
wet, mask = drops.add_drops(clean, np.random.default_rng(0))  # the target is `clean`
wet, mask = drops.add_drops(clean, np.random.default_rng(0), drops.LENS)
```

A drop is a cap of water on glass. It refracts by Snell's law (see `caps`), so that it
shows the scene upside down over an angle far wider than its own: the sky in its lower
half, whatever lies behind it, and nothing at all where light is reflected inside, which
is its dark rim. The camera looks at the scene, so that all drops are blurred by one
disc: a drop covers a part of the lens's opening, and the scene shines through the rest.
Light adds up in proportion to the square of grey levels, near the 2.2 of displays.

Two looks are named. `DEFOCUSED`: glass close to the camera, the drops smaller than the
disc: pale spots without rim (Qian et al., 2018, https://arxiv.org/abs/1711.10098, whose
eq. 1 this is: `wet = clean * (1 - mask) + drop * mask`). `LENS`: drops larger than the
disc, with bright hearts, broad rims, runs and merged outlines (Porav et al., 2019,
https://arxiv.org/abs/1901.00893). Needs only NumPy.
"""

import dataclasses
import functools
import math

import numpy as np

from tfderain.data.streaks import log_uniform

NOMINAL = 480  # pixels; on images whose shorter side is longer, drops are larger
WATER = 1.33  # refractive index
FOCAL = 650.0  # pixels at the nominal size: 40 degrees from bottom to top
PANES, SHAPES, SIDE = 6, 20, 64  # of a pool: glasses, drops on each, and its pixels
REACH = 1.7  # half the side of a drop's picture, in radii: room for runs


@dataclasses.dataclass(frozen=True)
class Ranges:
    """Ranges from which a wet pane is composed (pairs are low, high).

    Attributes:
        radius: pixels, log-uniform; each image draws its own interval.
        coverage: share of the pixels under drops, overlaps counted twice.
        disc: pixels, the radius of the disc that blurs drops, log-uniform.
        contact: degrees between glass and water at the edge of a drop.
        tilt: degrees by which the glass leans, either way.
        sag: how much thicker than at its middle a drop is at its lower end.
        run: share of drops that left a trail of beads above them.
        merged: share of drops that are two or three grown together.
        stretch: height of a drop against its width.
        sky: brightest light in a drop, 1 for white; the sun makes it more.
        ground: what is below the horizon, against the mean of the picture.
        spots: how much light differs from one side of the sky to another.
        field: degrees from where a drop shows what is around the glass, which is dark.
        horizon: degrees above the middle of the picture where the sky begins.
        haze: share of the sky's light that a film of water lays over everything.
    """

    radius: tuple = (1.5, 18.0)
    coverage: tuple = (0.06, 0.36)
    disc: tuple = (4.0, 10.0)
    contact: tuple = (20.0, 34.0)
    tilt: tuple = (0.0, 35.0)
    sag: tuple = (0.0, 0.3)
    run: float = 0.04
    merged: float = 0.12
    stretch: tuple = (0.9, 1.4)
    sky: tuple = (0.55, 1.25)
    ground: tuple = (0.5, 1.1)
    spots: tuple = (0.0, 0.5)
    field: tuple = (40.0, 60.0)
    horizon: tuple = (-12.0, 12.0)
    haze: tuple = (0.0, 0.03)


DEFOCUSED = Ranges()
LENS = Ranges(
    radius=(2.5, 75.0),
    coverage=(0.4, 1.1),
    disc=(3.5, 11.0),
    contact=(40.0, 65.0),
    tilt=(0.0, 25.0),
    sag=(0.1, 0.6),
    run=0.2,
    merged=0.35,
    stretch=(0.9, 1.6),
    sky=(0.5, 2.0),
    ground=(0.2, 0.8),
    spots=(0.3, 1.0),
    field=(11.0, 24.0),
    horizon=(-20.0, 6.0),
    haze=(0.0, 0.08),
)
KINDS = {"defocused": DEFOCUSED, "lens": LENS}


def add_drops(
    clean: np.ndarray, rng: np.random.Generator, ranges: Ranges | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Puts drops on the pane in front of a scene.

    Args:
        clean: float32 array `(height, width, channels)` in [0, 1].
        rng: `numpy.random.Generator`. All choices come from it.
        ranges: `Ranges` to draw from; `None` for one of `KINDS`, either as likely.

    Returns:
        `(wet, mask)`, both float32 in [0, 1]: the image, of the shape of `clean`, and
        how much of each pixel's light comes through drops, `(height, width)`.
    """
    if ranges is None:
        ranges = list(KINDS.values())[int(rng.integers(len(KINDS)))]
    shape = clean.shape[:2]
    scale = max(1.0, min(shape) / NOMINAL)
    disc = log_uniform(rng, ranges.disc) * scale
    # What a wide disc blurs is rendered small: a step of a third of its radius.
    step = max(1, int(disc / 3))
    size = tuple(-(-side // step) for side in shape)
    edge = math.ceil(disc / step) + 1
    layers = _stamp(size, edge, step, scale, rng, ranges)
    light = np.square(clean)
    shown = _shown(light, layers, edge, step, scale, rng, ranges)
    layers = np.concatenate((layers[:1], shown))
    layers = _blurred(layers, disc / step, edge)
    layers = _enlarged(layers, shape, step)
    mask, drop = np.clip(layers[0], 0, 1), np.moveaxis(layers[1:], 0, -1)
    haze = rng.uniform(*ranges.haze) * rng.uniform(*ranges.sky)
    drop = drop + np.float32(haze) * mask[..., None]
    wet = clean.copy()
    rows, columns = np.nonzero(mask)
    part = mask[rows, columns, None]
    mixed = light[rows, columns] * (1 - part) + drop[rows, columns]
    wet[rows, columns] = np.sqrt(np.clip(mixed, 0, 1))
    return wet, mask


# Shapes of drops, and where light comes from that leaves them


@functools.lru_cache(maxsize=8)
def caps(contact, tilt, sag, run, merged):
    """Drops of many shapes and what they refract, rendered once.

    The height of a drop over the glass is a spherical cap, or several in one smooth
    union, thicker below by `sag`. The ray that the camera sends to a point of the
    glass leaning by `tilt` goes on in water and leaves through the drop's surface, both
    by Snell's law. Fresnel's equations give the share of light that passes; beyond the
    critical angle of 48.8 degrees it is none.

    Args:
        contact, tilt, sag, run, merged: see `Ranges`.

    Returns:
        float32 array `(PANES, SHAPES, 4, SIDE, SIDE)`: whether there is water; the
        slopes, down and right, by which the ray is deflected; the share that passes.
    """
    rng = np.random.default_rng(0)
    axis = (np.arange(SIDE, dtype=np.float32) + 0.5) * (2 * REACH / SIDE) - REACH
    made = np.empty((PANES, SHAPES, 4, SIDE, SIDE), np.float32)
    for pane in made:
        lean = math.radians(rng.uniform(*tilt)) * rng.choice((-1, 1))
        for drop in pane:
            angle = math.radians(rng.uniform(*contact))
            circles = _circles(rng, run, merged)
            height = _height(axis, circles, angle, rng.uniform(*sag), rng)
            drop[:] = refracted(height, axis[1] - axis[0], lean)
    made.flags.writeable = False  # shared by all that ask
    return made


def _circles(rng, run, merged):
    """`(down, right, radius)` of the caps that a drop is made of, within `REACH`."""
    circles = [(0.0, 0.0, 1.0)]
    if rng.random() < merged:
        for _ in range(rng.integers(1, 3)):
            angle, radius = rng.uniform(0, 2 * math.pi), rng.uniform(0.35, 0.8)
            away = rng.uniform(0.7, 0.95)
            circles.append((away * math.sin(angle), away * math.cos(angle), radius))
    if rng.random() < run:
        down, right, radius = -0.9, 0.0, rng.uniform(0.3, 0.6)
        while down > -REACH and radius > 0.08:
            circles.append((down, right, radius))
            down -= radius * rng.uniform(0.5, 1.5)
            right += rng.uniform(-0.1, 0.1)
            radius *= rng.uniform(0.7, 0.95)
    far = max(max(abs(y), abs(x)) + radius for y, x, radius in circles)
    shrink = min(1.0, 0.95 * REACH / far)
    return [tuple(shrink * value for value in circle) for circle in circles]


def _height(axis, circles, angle, sag, rng):
    """Height of water over the glass, negative where there is none, in radii."""
    down, right = axis[:, None], axis[None, :]
    turns, bumps = rng.uniform(0, 2 * math.pi, 4), rng.uniform(-0.07, 0.07, 4)
    bent = down + bumps[0] * np.sin(2.5 * right + turns[0])
    bent = bent + bumps[1] * np.sin(4 * right + turns[1])
    across = right + bumps[2] * np.sin(2.5 * down + turns[2])
    across = across + bumps[3] * np.sin(4 * down + turns[3])
    total, sharp = np.zeros((SIDE, SIDE), np.float32), 12.0
    for y, x, radius in circles:
        ball = radius / math.sin(angle)  # whose cap the drop is
        away = np.hypot(bent - y, across - x)
        inside = np.sqrt(np.maximum(ball**2 - np.minimum(away, radius) ** 2, 0))
        cap = inside - ball * math.cos(angle)
        cap = np.where(away < radius, cap, (radius - away) * math.tan(angle))
        total += np.exp(sharp * np.maximum(cap, -5))
    height = np.log(total) / sharp
    return height * (1 + sag * np.clip(down, -1, 1.5))


def refracted(height: np.ndarray, pixel: float, tilt: float) -> np.ndarray:
    """What a drop does to the rays of a camera, see `caps`.

    Args:
        height: array `(height, width)` of water over the glass, as long as `pixel` is.
        pixel: distance between neighbours.
        tilt: of the glass in radians; positive where the camera's rays hit it from
            above, as those through a windscreen do.

    Returns:
        Array `(4, height, width)`, see `caps`. Deflections are tangents of angles
        against the ray without a drop, at most 2.
    """
    slope_down, slope_right = np.gradient(height, pixel)
    length = np.sqrt(1 + slope_down**2 + slope_right**2)
    normal = np.stack((-slope_down, -slope_right, np.ones_like(length))) / length
    inner = math.asin(math.sin(tilt) / WATER)
    ray = np.array((math.sin(inner), 0.0, math.cos(inner)))[:, None, None]
    cosine = (normal * ray).sum(0)
    squared = 1 - WATER**2 * (1 - cosine**2)
    leaving = np.sqrt(np.maximum(squared, 0))
    out = WATER * ray + (leaving - WATER * cosine) * normal
    down, right, ahead = out
    # Back from the frame of the glass to that of the camera, whose ray is (0, 0, 1).
    sine, cosine_tilt = math.sin(tilt), math.cos(tilt)
    down, ahead = cosine_tilt * down - sine * ahead, sine * down + cosine_tilt * ahead
    ahead = np.maximum(ahead, 0.1)
    parallel = (cosine - WATER * leaving) / (cosine + WATER * leaving)
    across = (WATER * cosine - leaving) / (WATER * cosine + leaving)
    passed = np.where(squared > 0, 1 - (parallel**2 + across**2) / 2, 0)
    found = (height > 0, np.clip(down / ahead, -2, 2), np.clip(right / ahead, -2, 2))
    return np.stack((*found, np.clip(passed, 0, 1)))


# A picture's drops


def _draw_drops(shape, rng, ranges):
    """`(y, x, radius)` of drops until they cover enough, small ones in front."""
    scale = max(1.0, min(shape) / NOMINAL)
    smallest, largest = ranges.radius
    middle = math.sqrt(smallest * largest)  # small and large drops lie side by side
    low = log_uniform(rng, (smallest, middle)) * scale
    high = log_uniform(rng, (middle, largest)) * scale
    # many small drops at once would be fog
    share = rng.uniform(*ranges.coverage) * min(1, high / (6 * scale))
    left = share * shape[0] * shape[1]
    places = []
    while left > 0:
        radius = log_uniform(rng, (low, high))
        y, x = (rng.uniform(-radius, side + radius) for side in shape)
        places.append((y, x, radius))
        left -= math.pi * radius**2
    return sorted(places, key=lambda place: -place[2])


def _stamp(size: tuple[int, int], edge, step, scale, rng, ranges):
    """Layers `(4, height, width)` as of `caps`, `edge` pixels larger on each side."""
    pool = caps(ranges.contact, ranges.tilt, ranges.sag, ranges.run, ranges.merged)
    pane = pool[rng.integers(len(pool))]
    tall, wide = (side + 2 * edge for side in size)
    layers = np.zeros((4, tall, wide), np.float32)
    whole = tuple(side * step for side in size)
    places = _draw_drops(whole, rng, ranges)
    shapes = rng.integers(len(pane), size=len(places))
    mirrored = rng.random(len(places)) < 0.5
    stretches = rng.uniform(*ranges.stretch, size=len(places))
    for place, shape, mirror, stretch in zip(
        places, shapes, mirrored, stretches, strict=True
    ):
        y, x, radius = (value / step for value in place)
        high, broad = radius * math.sqrt(stretch), radius / math.sqrt(stretch)
        rows, cells = _cells(y + edge, high, tall)
        columns, across = _cells(x + edge, broad, wide)
        if not len(cells) or not len(across):
            continue
        across = SIDE - 1 - across if mirror else across
        drop = pane[shape][:, cells[:, None], across]
        part = layers[:, rows, columns]
        # A drop smaller than a pixel of the layers covers a part of it.
        covered = drop[0] * np.float32(min(1.0, 4 * high * broad))
        inside = covered > 0
        if mirror:
            drop[2] = -drop[2]
        part[0][inside] = covered[inside]
        for layer in (1, 2, 3):
            part[layer][inside] = drop[layer][inside]
    return layers


def _cells(centre, radius, length):
    """A slice of the pixels under a drop, and the cells of its picture there."""
    reach = max(REACH * radius, 0.5)
    first, last = math.ceil(centre - reach - 0.5), math.floor(centre + reach - 0.5)
    first, last = max(first, 0), min(last, length - 1)
    place = (np.arange(first, last + 1) + 0.5 - centre) / reach
    cells = ((place + 1) * (SIDE / 2)).astype(np.intp)
    return slice(first, max(last + 1, first)), np.clip(cells, 0, SIDE - 1)


def _shown(light, layers, edge, step, scale, rng, ranges):
    """The light in drops, `(channels, height, width)`, times what they cover."""
    channels = light.shape[-1]
    rows, columns = np.nonzero(layers[0])
    found = layers[:, rows, columns]
    focal = np.float32(FOCAL * scale)
    # Drops show no more than some pixels of the scene, however large they are.
    coarse = max(step, round(6 * scale))
    small = _shrink(light, coarse)
    middle = [(np.float32(i) - edge + 0.5) * step for i in (rows, columns)]
    seen = [m + focal * found[1 + axis] for axis, m in enumerate(middle)]
    colour = _sample(small, [s / coarse - 0.5 for s in seen])
    # Above the picture is sky, below it ground: the picture alone, mirrored, would be
    # far too much alike.
    height = (light.shape[0] / 2 - middle[0]) / focal - found[1]
    start = math.tan(math.radians(rng.uniform(*ranges.horizon)))
    mean = small.reshape(-1, channels).mean(0)
    up = np.clip((height - np.float32(start)) / np.float32(0.3) + 0.5, 0, 1)[:, None]
    up = up * up * (3 - 2 * up)
    # Trees, houses and clouds beyond the picture: some large spots, in tangents of
    # angles from -1.5 to 1.5.
    world = np.square(rng.uniform(0.2, 1, (4, 6, 1))).astype(np.float32)
    seen = np.stack((-height, (middle[1] - light.shape[1] / 2) / focal + found[2]))
    seen = (seen + 1.5) * (np.array(world.shape[:2], np.float32)[:, None] / 3) - 0.5
    spots = np.float32(rng.uniform(*ranges.spots))
    sky = _sky(small, rng, ranges) * (1 - spots + spots * _sample(world, seen))
    ground = np.float32(rng.uniform(*ranges.ground)) * (0.5 * mean + 0.5 * colour)
    own = np.float32(rng.uniform(0.2, 0.8))
    above = own * np.maximum(colour, 0.3 * sky) + (1 - own) * sky
    colour = ground + up * (above - ground)
    far = np.hypot(found[1], found[2])
    limit = np.float32(math.tan(math.radians(rng.uniform(*ranges.field))))
    lit = np.clip((limit - far) / (0.8 * limit) + 0.5, 0.03, 1)
    colour = colour * lit[:, None]
    shown = np.zeros((channels, *layers.shape[1:]), np.float32)
    shown[:, rows, columns] = (colour * (found[3] * found[0])[:, None]).T
    return shown


def _sky(small, rng, ranges):
    """Colour of the sky: as bright as drawn, tinted like the brightest of the scene."""
    pixels = small.reshape(-1, small.shape[-1])
    bright = np.quantile(pixels, 0.95, axis=0).astype(np.float32)
    tint = bright / max(float(bright.max()), 1e-3)
    grey = np.float32(rng.uniform(0.5, 1))
    return np.float32(rng.uniform(*ranges.sky)) * (grey + (1 - grey) * tint)


def _blurred(layers, radius, edge):
    """Means over discs, without the `edge` around."""
    reach = math.floor(radius)
    total, count = np.zeros((), np.float32), 0
    sums = np.zeros((*layers.shape[:2], layers.shape[2] + 1), np.float32)
    np.cumsum(layers, axis=2, out=sums[..., 1:])
    height, width = (side - 2 * edge for side in layers.shape[1:])
    total = np.zeros((len(layers), height, width), np.float32)
    for down in range(-reach, reach + 1):
        half = math.floor(math.sqrt(max(radius**2 - down**2, 0)))
        rows = slice(edge + down, edge + down + height)
        right = sums[:, rows, edge + half + 1 : edge + half + 1 + width]
        total += right - sums[:, rows, edge - half : edge - half + width]
        count += 2 * half + 1
    total *= np.float32(1 / count)
    # Sums of float32 leave dust where there is no drop.
    total[:, total[0] < 1e-3] = 0
    return total


def _enlarged(layers, shape, step):
    """Layers of `shape`, each pixel made `step` pixels wide, bilinear in between."""
    if step == 1:
        return layers
    for axis, side in enumerate(shape, 1):
        place = np.maximum((np.arange(side) + 0.5) / step - 0.5, 0)
        low = np.minimum(place.astype(np.intp), max(layers.shape[axis] - 2, 0))
        share = (place - low).astype(np.float32)
        share = share[:, None] if axis == 1 else share
        high = np.minimum(low + 1, layers.shape[axis] - 1)
        first = layers.take(low, axis)
        layers = first + np.clip(share, 0, 1) * (layers.take(high, axis) - first)
    return layers


def _shrink(image, step):
    """Means over squares of `step` pixels, the last row and column repeated."""
    height, width = (-(-side // step) * step for side in image.shape[:2])
    border = ((0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0))
    image = np.pad(image, border, mode="edge")
    return image.reshape(height // step, step, width // step, step, -1).mean((1, 3))


def _sample(image, places):
    """Bilinear values `(count, channels)` at places `(2, count)`, mirrored outside."""
    found, weights = [], []
    for axis, side in enumerate(image.shape[:2]):
        period = max(2 * (side - 1), 1)
        place = np.abs((places[axis] + side - 1) % period - (side - 1))
        low = np.minimum(place.astype(np.intp), max(side - 2, 0))
        found.append((low, np.minimum(low + 1, side - 1)))
        weights.append((place - low)[:, None])
    (top, bottom), (left, right) = found
    upper = image[top, left] + weights[1] * (image[top, right] - image[top, left])
    lower = image[bottom, left]
    lower = lower + weights[1] * (image[bottom, right] - lower)
    return upper + weights[0] * (lower - upper)
