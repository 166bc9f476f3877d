"""Regions and indicators: the authors' own maps, and metrics by hand arithmetic."""

import json

import numpy as np
import pytest
from helpers import GOLDEN
from PIL import Image

from tfderain.data.pairs import Pairs
from tfderain.evaluation import regions

BLACK = np.zeros((2, 4, 3), np.uint8)
EXACT = {"rel": 0, "abs": 1e-12}  # quotients of whole numbers, in float64


def grey(rows):
    """An RGB image of grey levels; its grey and its rounded lumas grow with them."""
    return np.repeat(np.array(rows, np.uint8)[..., None], 3, axis=-1)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)
    return str(path)


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


# Binary maps


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "rainmap.npz") as arrays:
        return dict(arrays)


def test_binary_maps_are_those_of_the_authors_code(golden):
    images = [golden[f"in/{name}"].astype("uint8") for name in ("rainy", "clean")]
    rain, background = regions.binary_maps(*images, variant="code")
    np.testing.assert_array_equal(rain, golden["out/rain_map_BMSK"])
    np.testing.assert_array_equal(background, golden["out/background_map_RMSK"])
    rain, background = regions.binary_maps(*images)
    np.testing.assert_array_equal(rain, golden["mid/plain_uint8_rain_map"])
    np.testing.assert_array_equal(background, ~rain)  # no pixel lies on this mean
    floats = [image.astype("float32") / 255 for image in images]
    np.testing.assert_array_equal(regions.binary_maps(*floats)[0], rain)


def test_the_authors_float_round_trip_lowers_63_levels():
    lowered = np.arange(256) - regions._ROUND_TRIP
    assert lowered.sum() == 63 and set(lowered) == {0, 1}


def test_pixels_on_the_mean_are_in_neither_map():
    rain, background = regions.binary_maps(
        grey([[0, 3, 6, 3]]),
        grey([[0, 0, 0, 0]]),  # mean 3
    )
    assert rain.tolist() == [[False, False, True, False]]
    assert background.tolist() == [[True, False, False, False]]


def test_darker_pixels_count_as_much_as_lighter_ones():
    rain, _ = regions.binary_maps(grey([[100, 100, 90, 110]]), grey([[100] * 4]))
    assert rain.tolist() == [[False, False, True, True]]


def test_equal_differences_leave_both_maps_empty():
    for rainy in (BLACK, BLACK + 7):
        rain, background = regions.binary_maps(rainy, BLACK)
        assert not rain.any() and not background.any()


@pytest.mark.parametrize("white", [255, 1])
def test_region_masks_of_0_and_255_or_of_0_and_1(white):
    mask = np.array([[0, white], [white, 0]], np.uint8)
    for one in (mask, np.stack([mask] * 3, axis=-1)):
        rain, background = regions.mask_maps(one)
        np.testing.assert_array_equal(rain, mask > 0)
        np.testing.assert_array_equal(background, mask == 0)


def test_grey_edges_of_masks_belong_to_one_region():
    rain, background = regions.mask_maps(np.array([[127, 128, 255]], np.uint8))
    assert rain.tolist() == [[False, True, True]]
    assert background.tolist() == [[True, False, False]]


# The indicator, and both together


def test_indicator_is_1_only_where_the_model_is_nearer():
    clean = grey([[100, 100, 100, 100]])
    reference = grey([[110, 110, 90, 100]])
    derained = grey([[105, 90, 110, 100]])  # nearer; as far, twice; both perfect
    found = regions.indicator_map(reference, derained, clean)
    assert found.dtype == bool and found.tolist() == [[True, False, False, False]]


def test_ties_are_exact_on_opposite_sides():
    """Luma in floats puts some of these pixels, all equally near, on the wrong side."""
    clean = grey([np.arange(16, 240)])
    for protocol in ("matlab_y_float", "opencv_y_uniform"):
        assert not regions.indicator_map(clean - 7, clean + 7, clean, protocol).any()


def test_a_rounded_luma_has_more_ties():
    clean, reference, derained = BLACK, BLACK + (1, 0, 0), BLACK + (0, 0, 1)
    pair = reference.astype("uint8"), derained.astype("uint8")
    assert regions.indicator_map(*pair, clean, "matlab_y_float").all()
    assert not regions.indicator_map(*pair, clean, "matlab_y_uint8").any()


def test_intersections_by_hand():
    rain = np.array([[1, 1, 1, 1], [0, 0, 0, 0]], bool)
    background = np.array([[0, 0, 0, 0], [1, 1, 0, 0]], bool)  # two in neither
    indicator = np.array([[1, 1, 1, 0], [0, 1, 1, 1]], bool)
    maps = regions.Maps(rain, background, indicator)
    assert (maps.ior, maps.iob) == (3 / 4, 1 / 2)
    empty = np.zeros_like(rain)
    maps = regions.Maps(empty, empty, indicator)
    assert (maps.ior, maps.iob) == (None, None)


def test_overview_colors_say_region_and_improvement():
    rain = np.array([[1, 1, 0, 0]], bool)
    background = np.array([[0, 0, 1, 0]], bool)
    indicator = np.array([[1, 0, 1, 1]], bool)
    image = grey([[1, 2, 3, 4]])
    upper, lower = regions.overview(
        image,
        image + 1,
        image + 2,
        image + 3,
        regions.Maps(rain, background, indicator),
    )
    assert [picture[0, 0, 0] for picture in upper] == [1, 2, 3, 4]
    for picture, map_ in zip(lower[:3], (rain, background, indicator), strict=True):
        np.testing.assert_array_equal(picture[..., 1], 255 * map_)
    orange, dark_orange, blue, neither = lower[3][0].tolist()
    assert orange[0] > 2 * dark_orange[0] > 2 * dark_orange[2] == 2 * orange[2] == 0
    assert blue[2] == 255 and neither == [0, 0, 0]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: regions.binary_maps(BLACK, BLACK[1:]), r"clean\.shape=\(1, 4, 3\)"),
        (lambda: regions.binary_maps(BLACK[..., 0], BLACK[..., 0]), "RGB"),
        (lambda: regions.binary_maps(BLACK, BLACK, "old"), "variant='old'"),
        (lambda: regions.binary_maps(BLACK + 9.0, BLACK), "rainy from 9 to 9"),
        (lambda: regions.indicator_map(BLACK, BLACK * np.nan, BLACK), "derained from"),
        (
            lambda: regions.indicator_map(BLACK, BLACK, BLACK, "rgb_gaussian"),
            "luma.*rgb_gaussian",
        ),
    ],
)
def test_wrong_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Data sets


@pytest.fixture
def pairs(tmp_path):
    """Three images: half and a quarter of them rain, and one without a difference."""
    clean = np.full((4, 4), 100)
    first, second = clean.copy(), clean.copy()
    first[:2] += 80
    second[0] += 80
    rainy = [
        save(tmp_path / f"data/input/rain-{n}.png", grey(pixels))
        for n, pixels in enumerate((first, second, clean), 1)
    ]
    clean = [
        save(tmp_path / f"data/target/norain-{n}.png", grey(clean)) for n in (1, 2, 3)
    ]
    return Pairs(tuple(rainy), tuple(clean))


def better_on_the_left(image):
    """A model for images of 4x4: brings the left half nearer to 100."""
    derained = image.astype(int)
    derained[:, :3] += np.sign(100 - derained[:, :3])  # three of four columns
    return derained.astype("uint8")


def test_means_over_images_leave_out_empty_regions(pairs):
    result = regions.evaluate(lambda image: image, better_on_the_left, pairs)
    assert [row.name for row in result.rows] == [
        "rain-1.png",
        "rain-2.png",
        "rain-3.png",
    ]
    assert [row.ior for row in result.rows] == [0.75, 0.75, None]
    assert [row.iob for row in result.rows] == [0, 0, None]  # both perfect: ties
    assert [row.rain for row in result.rows] == [0.5, 0.25, 0]
    assert [row.background for row in result.rows] == [0.5, 0.75, 0]
    assert result.mior == pytest.approx(0.75, **EXACT) and result.miob == 0
    assert result.without_rain == result.without_background == 1
    assert (result.model, result.protocol) == ("function", "matlab_y_float")
    lines = result.table().splitlines()
    assert lines[-3].split()[-2:] == ["0.7500", "0.0000"]
    assert lines[-2] == "left out of the mean: 1 images without rain"
    content = json.loads(result.to_json())
    assert (content["mior"], content["without_rain"], content["count"]) == (0.75, 1, 3)
    assert content["rows"][2]["ior"] is None


def test_without_any_region_there_is_no_mean(pairs):
    result = regions.evaluate(lambda x: x, lambda x: x, pairs.subset([2]))
    assert result.mior is None and result.miob is None
    assert result.table().splitlines()[-3].split()[-2:] == ["none", "none"]


def test_folders_of_derained_images_and_given_masks(pairs, tmp_path):
    """The names of all four folders differ in zeros and extensions."""
    mask = np.zeros((4, 4), np.uint8)
    mask[:, 0] = 255
    for number in (1, 2):
        save(tmp_path / f"masks/rainregion-00{number}.png", mask)
        rainy = read(pairs.rainy[number - 1])
        save(tmp_path / f"one/rain-{number}.bmp", rainy)
        save(tmp_path / f"two/norain-0{number}.png", better_on_the_left(rainy))
    result = regions.evaluate(
        str(tmp_path / "one"),
        tmp_path / "two",
        pairs.subset([0, 1]),
        masks=tmp_path / "masks",
        names=("before", "after"),
    )
    # the first column: the rain of the first image covers two pixels of it, and so on
    assert [row.ior for row in result.rows] == [2 / 4, 1 / 4]
    # twelve other pixels, of which two columns improved where there was rain
    assert [row.iob for row in result.rows] == pytest.approx([4 / 12, 2 / 12], **EXACT)
    assert result.mior == pytest.approx(3 / 8, **EXACT)
    assert result.miob == pytest.approx(1 / 4, **EXACT)
    assert (result.reference, result.model) == ("before", "after")
    assert str(tmp_path / "masks") in result.table()


def test_maps_are_written_as_pictures(pairs, tmp_path):
    folder = tmp_path / "maps"
    arguments = (lambda x: x, better_on_the_left, pairs)
    calls = []
    result = regions.evaluate(
        *arguments, maps_dir=folder, progress=lambda *call: calls.append(call)
    )
    assert calls == [(0, 3), (1, 3), (2, 3), (3, 3)]
    kinds = ("background", "indicator", "overview", "rain")
    assert sorted(path.name for path in folder.iterdir()) == list(kinds)
    rain, indicator = (read(folder / k / "rain-1.png") for k in ("rain", "indicator"))
    assert rain[:2].min() == 255 and rain[2:].max() == 0
    assert indicator.tolist() == [[255] * 3 + [0]] * 2 + [[0] * 4] * 2
    overview = read(folder / "overview" / "rain-1.png")
    assert overview.shape == (4 + 8 + 4, 4 * 4 + 3 * 8, 3)  # gaps of 8 pixels
    np.testing.assert_array_equal(overview[12:, :4, 0], rain)
    np.testing.assert_array_equal(overview[:4, :4], read(pairs.rainy[0]))
    np.testing.assert_array_equal(overview[:4, -4:], read(pairs.clean[0]))
    with pytest.raises(FileExistsError, match="12 existing"):
        regions.evaluate(*arguments, maps_dir=folder)
    again = regions.evaluate(
        *arguments, masks=folder / "rain", maps_dir=folder, overwrite=True
    )
    assert [row.ior for row in again.rows] == [row.ior for row in result.rows]


def test_masks_are_found_beside_or_by_their_own_name(tmp_path):
    names = ("rain-001.png", "rainregion-001.png", "norain-001.png")
    rainy, _, clean = (save(tmp_path / "flat" / name, BLACK) for name in names)
    flat = Pairs((rainy,), (clean,))
    (found,) = regions.find_masks(tmp_path / "flat", flat)
    assert found.endswith("rainregion-001.png"), "not the rainy image itself"
    (tmp_path / "flat" / "rainregion-001.png").unlink()
    with pytest.raises(ValueError, match=r"region mask.*1 file \(rainregion-001\)"):
        regions.find_masks(tmp_path / "flat", flat)
    save(tmp_path / "same" / "rain-1.png", BLACK)
    (found,) = regions.find_masks(tmp_path / "same", flat)
    assert found == str(tmp_path / "same" / "rain-1.png")


def test_bad_data_is_named_before_anything_is_derained(pairs, tmp_path):
    def model(image):
        raise AssertionError("derained")

    with pytest.raises(ValueError, match="luma.*rgb_gaussian"):
        regions.evaluate(model, model, pairs, "rgb_gaussian")
    with pytest.raises(ValueError, match=r"derained image.*rain-1\.png"):
        regions.evaluate(model, tmp_path, pairs.subset([0]))
    with pytest.raises(ValueError, match="pairs=0"):
        regions.evaluate(model, model, pairs.subset([]))
    save(tmp_path / "masks/rainregion-1.png", np.zeros((4, 5)))
    with pytest.raises(ValueError, match=r"size of its image.*\(4, 5\) for \(4, 4\)"):
        regions.evaluate(np.copy, np.copy, pairs.subset([0]), masks=tmp_path / "masks")
