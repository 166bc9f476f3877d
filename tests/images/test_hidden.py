"""Hidden pixels: bars, frames and transparency found, filled, and put back."""

import io
from pathlib import Path

import numpy as np
import pytest
from pictures import photo
from PIL import Image

from tfderain import images
from tfderain.images import hidden

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BARS = [(36, 30, 0, 0), (0, 0, 21, 40), (5, 5, 5, 5), (8, 8, 8, 8), (20, 7, 0, 33)]


def example(name="cat", folder="rainy"):
    with Image.open(EXAMPLES / folder / f"{name}.jpg") as image:
        return np.asarray(image.convert("RGB"))


def framed(pixels, bars, colour=0):
    """The picture with bars of `(top, bottom, left, right)` lines around it."""
    top, bottom, left, right = bars
    height, width = pixels.shape[:2]
    size = (height + top + bottom, width + left + right, *pixels.shape[2:])
    canvas = np.empty(size, pixels.dtype)
    canvas[:] = colour
    canvas[top : top + height, left : left + width] = pixels
    return canvas


def jpeg(pixels, quality):
    memory = io.BytesIO()
    Image.fromarray(pixels).save(memory, "JPEG", quality=quality)  # half the colours
    with Image.open(memory) as image:
        return np.asarray(image)


def found(pixels, alpha=None):
    """Lines left out at `(top, bottom, left, right)`."""
    scene = images.find_scene(pixels, alpha)
    height, width = pixels.shape[:2]
    return (
        scene.rows.start,
        height - scene.rows.stop,
        scene.columns.start,
        width - scene.columns.stop,
    )


NONE = (0, 0, 0, 0)


@pytest.mark.parametrize("bars", [*BARS, (1, 1, 1, 1), (3, 0, 0, 0)])
@pytest.mark.parametrize("colour", [0, 16, 255, (40, 200, 90)])
def test_bars_and_frames_of_any_colour_are_found(bars, colour):
    assert found(framed(example(), bars, colour)) == bars


@pytest.mark.parametrize("quality", [50, 75, 95])
@pytest.mark.parametrize("bars", BARS)
@pytest.mark.parametrize("name", ["cat", "coffee"])
def test_the_noise_of_jpeg_is_no_scene(name, bars, quality):
    assert found(jpeg(framed(example(name), bars), quality)) == bars


def test_noise_of_video_is_no_scene():
    pixels = framed(example(), (30, 30, 0, 0), 16).astype(float)
    noisy = pixels + np.random.default_rng(0).normal(0, 2, pixels.shape)
    assert found(np.clip(noisy, 0, 255).astype(np.uint8)) == (30, 30, 0, 0)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32", "grey"])
def test_images_of_every_kind_are_searched(kind):
    pixels = example()
    if kind == "grey":
        pixels = pixels[..., 1]
    elif kind == "uint16":
        pixels = pixels[..., 1].astype(np.uint16) * 257
    elif kind == "float32":
        pixels = pixels / np.float32(255)
    assert found(pixels) == NONE
    assert found(framed(pixels, (12, 9, 7, 4))) == (12, 9, 7, 4)


def test_frames_in_frames_of_another_colour_are_found():
    inner = framed(example(), (10, 10, 0, 0), 0)
    assert found(framed(inner, (6, 6, 6, 6), 255)) == (16, 16, 6, 6)
    sides = framed(framed(example(), (9, 9, 0, 0), 255), (0, 0, 20, 20), 0)
    assert found(sides) == (9, 9, 20, 20)


def sky(kind, height=60, width=200):
    rng = np.random.default_rng(0)
    if kind == "white":  # blown out
        return np.full((height, width, 3), 255, np.uint8)
    if kind == "gradient":  # a blue one, a level every three lines
        levels = 120 + np.arange(height) // 3
        blue = levels[:, None, None] * np.array([0.7, 0.9, 1.2])
        return np.broadcast_to(blue, (height, width, 3)).astype(np.uint8)
    flat = np.full((height, width, 3), 180.0)
    if kind == "rain":
        for _ in range(150):
            y, x = rng.integers(height - 12), rng.integers(width - 6)
            for k in range(12):
                flat[y + k, x + k // 3] += 30
    return (flat + rng.normal(0, 1, flat.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", ["white", "gradient", "noise", "rain"])
@pytest.mark.parametrize("ground", ["skyline", "spires", "haze", "none"])
@pytest.mark.parametrize("quality", [None, 75])
@pytest.mark.parametrize("turned", [False, True])
def test_a_flat_sky_is_no_bar(kind, ground, quality, turned):
    picture = sky(kind, 150)
    below = (photo(90, 200) * 255).astype(np.uint8)
    columns = np.arange(200)
    if ground == "skyline":  # houses of different heights
        tops = 60 + np.random.default_rng(1).integers(0, 40, 10).repeat(20)
    elif ground == "spires":  # a straight roof that is not as wide as the picture
        tops = np.where((columns > 40) & (columns < 90), 60, 110)
    else:
        tops = np.full(200, 60 if ground == "haze" else 150)
    shown = np.arange(150)[:, None] >= tops
    if ground == "haze":  # a straight horizon, dissolved in 24 lines of haze
        weight = np.clip((np.arange(150) - 60) / 24, 0, 1)[:, None, None]
        mixed = picture[60:] * (1 - weight[60:]) + below * weight[60:]
        picture[60:] = mixed.astype(np.uint8)
    else:
        picture[60:][shown[60:]] = below[shown[60:]]
    picture = jpeg(picture, quality) if quality else picture
    assert found(picture.swapaxes(0, 1) if turned else picture) == NONE


@pytest.mark.parametrize("name", ["astronaut", "cat", "coffee", "rocket"])
@pytest.mark.parametrize("folder", ["rainy", "clean"])
def test_photos_have_no_bars(name, folder):
    assert found(example(name, folder)) == NONE


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((40, 60, 3), np.uint8),
        np.full((40, 60), 65535, np.uint16),
        np.zeros((1, 1, 3), np.uint8),
        np.arange(200, dtype=np.uint8)[:, None, None].repeat(3, 2),  # one column
        np.repeat([[0, 200]], 10, axis=0).astype(np.uint8),  # lines of ten pixels
        framed(np.full((15, 60, 3), 200, np.uint8), (30, 0, 0, 0)),  # too small a scene
    ],
    ids=lambda pixels: f"{pixels.shape}",
)
def test_what_has_no_scene_is_taken_whole(pixels):
    assert found(pixels) == NONE
    assert images.find_scene(pixels).pixels is pixels


def test_a_straight_horizon_below_rain_is_no_bar():
    pixels = np.concatenate([sky("rain"), (photo(90, 200) * 255).astype(np.uint8)])
    assert found(pixels) == NONE


# Transparency


def disc(height, width):
    y, x = np.ogrid[:height, :width]
    return ((y - 40) ** 2 + (x - 50) ** 2 < 30**2).astype(np.uint8) * 255


def test_a_cut_out_is_its_box_with_the_rest_filled_from_it():
    pixels, alpha = example()[:100, :120], disc(100, 120)
    assert found(pixels, alpha) == (11, 30, 21, 40)
    scene = images.find_scene(pixels, alpha)
    box = scene.rows, scene.columns
    np.testing.assert_array_equal(scene.shown, alpha[box] != 0)
    seen = scene.pixels[scene.shown]
    np.testing.assert_array_equal(seen, pixels[box][scene.shown])
    # what is stored under the hidden pixels is nowhere to be seen
    for value in (0, 255, 77):
        other = np.where(alpha[..., None] == 0, value, pixels).astype(np.uint8)
        again = images.find_scene(other, alpha)
        np.testing.assert_array_equal(again.pixels, scene.pixels)


def test_hidden_pixels_stay_where_the_rest_is_of_one_colour():
    pixels, alpha = example()[:100, :120].copy(), disc(100, 120)
    pixels[alpha != 0] = 200
    scene = images.find_scene(pixels, alpha)
    assert (scene.pixels == 200).all()  # no edge that a network could see
    result = 255 - pixels
    scene.put_hidden(pixels, result)
    np.testing.assert_array_equal(result[alpha == 0], pixels[alpha == 0])
    np.testing.assert_array_equal(result[alpha != 0], 255 - pixels[alpha != 0])


def test_hidden_pixels_mirror_the_scene_at_its_nearest_pixel():
    rng = np.random.default_rng(0)
    for share in (0.002, 0.02, 0.3):
        shown = rng.random((40, 50)) < share
        shown[17, 31] = True
        pixels = rng.integers(0, 256, (40, 50, 3), np.uint8)
        filled = hidden.filled(pixels, shown)
        np.testing.assert_array_equal(filled[shown], pixels[shown])
        places = np.argwhere(shown)
        for place in np.argwhere(~shown):
            squares = ((places - place) ** 2).sum(axis=1)
            allowed = []
            # several may be equally near
            for near in places[squares == squares.min()]:
                y, x = np.clip(2 * near - place, 0, (39, 49))
                allowed.append(tuple(pixels[y, x] if shown[y, x] else pixels[*near]))
            assert tuple(filled[tuple(place)]) in allowed


def test_a_straight_edge_is_mirrored():
    pixels = example()[:40, :60]
    shown = np.zeros((40, 60), bool)
    shown[:, :35] = True
    filled = hidden.filled(pixels, shown)
    np.testing.assert_array_equal(filled[:, 35:], pixels[:, 33:8:-1])


@pytest.mark.parametrize("alpha", [0, 1, 255])
def test_all_or_nothing_transparent_hides_nothing(alpha):
    pixels = example()[:30, :40]
    scene = images.find_scene(pixels, np.full((30, 40), alpha, np.uint8))
    assert scene.pixels.shape == pixels.shape and scene.shown is None


def test_bars_inside_transparent_margins_are_found():
    inner = framed(example()[:100, :120], (20, 20, 0, 0))
    alpha = framed(np.full(inner.shape[:2], 255, np.uint8), (10, 5, 7, 8))
    assert found(framed(inner, (10, 5, 7, 8), 90), alpha) == (30, 25, 7, 8)


def test_hidden_pixels_are_put_back():
    pixels, alpha = example()[:100, :120], disc(100, 120)
    cases = ((pixels, alpha, alpha != 0),)
    bars = np.zeros((100, 120), bool)
    bars[20:70, 9:] = True
    cases += ((np.where(bars[..., None], pixels, 0), None, bars),)
    for image, given, shown in cases:
        scene = images.find_scene(image, given)
        result = np.full_like(image, 123)
        scene.put_hidden(image, result)
        assert (result[shown] == 123).all()
        np.testing.assert_array_equal(result[~shown], image[~shown])
