"""Synthetic rain: what is drawn, what is asked for, and that seeds decide."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from pictures import photo
from PIL import Image

from tfderain.data import rain, streaks


def psnr(rainy, clean):
    return -10 * np.log10(np.mean(np.square(np.float64(rainy) - clean)))


@pytest.fixture(scope="module")
def pool():
    return rain.streak_pool(40, 96, seed=1)


def test_equal_seeds_give_equal_rain_and_others_do_not(pool):
    clean = photo(64, 64)
    mixer = rain.RainMixer(pool, real_share=0, clean_share=0)
    first, again, other = (mixer(clean, clean, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first[0] - other[0]).max() > 0.01
    np.testing.assert_array_equal(pool[:3], rain.streak_pool(3, 96, seed=1))
    assert not np.array_equal(pool[:3], rain.streak_pool(3, 96, seed=2))
    one, two = (rain.add_rain(clean, np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(one[0], two[0])


@pytest.mark.parametrize("style", streaks.STYLES)
def test_layers_stay_in_range_and_hold_light(style):
    layer = rain.render_streaks((90, 130), np.random.default_rng(3), style=style)
    assert layer.shape == (90, 130) and layer.dtype == np.float32
    assert layer.min() >= 0 and 0.05 < layer.max() <= 1
    assert 0.002 < layer.mean() < 0.6


def frequency_angle(layer):
    """Streak angle by an independent way: second moments of the power spectrum.

    A streak's power lies across it, so the axis of least power is the streak's.
    """
    power = np.abs(np.fft.fft2(layer - layer.mean())) ** 2
    down = np.fft.fftfreq(layer.shape[0])[:, None]
    right = np.fft.fftfreq(layer.shape[1])[None]
    power = power * (np.hypot(down, right) < 0.25)  # without the pixel grid
    moments = [[(power * a * b).sum() for a in (down, right)] for b in (down, right)]
    axis = np.linalg.eigh(np.array(moments))[1][:, 0]
    return np.degrees(np.arctan2(axis[1], axis[0])) % 180


@pytest.mark.parametrize("angle", [-40, -12, 0, 25])
@pytest.mark.parametrize("style", ["line", "soft", "noise"])
def test_streaks_fall_at_the_angle_asked_for(style, angle):
    rng = np.random.default_rng(angle + 50)
    layer = rain.render_streaks(
        (256, 256), rng, style=style, angle=angle, length=40, width=1.5, coverage=0.1
    )
    # pixels favour the axes a little, and streaks of one layer spread by 4 degrees
    assert abs((frequency_angle(layer) - angle + 90) % 180 - 90) < 4
    assert rain.streak_angle(layer) == pytest.approx(angle, abs=6)
    assert rain.streak_angle(layer[:, ::-1]) == pytest.approx(-angle, abs=6)


def test_longer_streaks_correlate_over_more_rows():
    def reach(length):
        layer = rain.render_streaks(
            (256, 256),
            np.random.default_rng(0),
            style="line",
            angle=0,
            length=length,
            width=1.5,
            coverage=0.1,
        )
        layer = layer - layer.mean()
        return np.mean(layer[12:] * layer[:-12]) / np.mean(layer**2)

    # lines of 10 pixels cannot reach 12 rows down; of those of 60, most of a line
    # overlaps its shifted copy
    assert reach(10) < 0.25 < 0.45 < reach(60)


def test_composite_by_hand():
    clean = np.full((1, 2, 3), 0.4, np.float32)
    layer = np.array([[0.5, 1.0]], np.float32)
    added = rain.composite(clean, layer)
    screen = rain.composite(clean, layer, opacity=1.0)
    grey = rain.composite(clean, layer, light=[0.8, 0.8, 0.2], opacity=1.0)
    # one rounding of float32 each
    np.testing.assert_allclose(added[0, :, 0], [0.9, 1.0], atol=1e-6)
    np.testing.assert_allclose(screen[0, :, 0], [0.7, 1.0], atol=1e-6)
    np.testing.assert_allclose(grey[0, 0], [0.6, 0.6, 0.3], atol=1e-6)
    assert clean.max() == np.float32(0.4)  # the input stays


def test_added_and_screened_rain_only_brightens():
    clean = photo()
    layer = rain.render_streaks(clean.shape[:2], np.random.default_rng(0))
    for opacity in (0.0, 1.0):
        rainy = rain.composite(clean, layer, opacity=opacity)
        # screen computes clean + s * (1 - clean): rounding may cost one ulp of 1
        assert (rainy - clean).min() >= -1.2e-7 and (rainy - clean).max() > 0.1


def test_overlaid_rain_brightens_and_darkens(pool):
    clean = photo()
    overlaid = dataclasses.replace(rain.RANGES, overlay_share=1.0)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        rainy, _ = rain.add_rain(clean, rng, "medium", pool, overlaid)
        assert np.quantile(rainy - clean, 0.01) < -0.01  # three grey levels
        assert np.quantile(rainy - clean, 0.99) > 0.03


def test_a_floor_lifts_what_lies_between_the_streaks(pool):
    black = np.zeros((96, 80, 3), np.float32)
    cut, lifted = (
        dataclasses.replace(rain.RANGES, floor=(0.2, 0.2), floor_share=share)
        for share in (0.0, 1.0)
    )
    for seed in range(5):
        draws = [
            rain.add_rain(black, np.random.default_rng(seed), "heavy", pool, ranges)[0]
            for ranges in (cut, lifted)
        ]
        assert draws[0].min() == 0 and 0.02 < draws[1].min() < 0.21


def test_kinds_reach_their_strength(pool):
    clean = photo()

    def strengths(kind):
        return [
            psnr(rain.add_rain(clean, np.random.default_rng(i), kind, pool)[0], clean)
            for i in range(30)
        ]

    # the strength is fitted on a subsample, which misses by a fraction of a dB;
    # single sparse layers and the bound on whitening may miss by more
    for kind, slack in (("light", 1.5), ("medium", 1.5), ("heavy", 2.5)):
        low, high = getattr(rain.RANGES, kind)
        low_seen, high_seen = np.percentile(strengths(kind), [5, 95])
        assert low - slack < low_seen and high_seen < high + slack
    light, medium, heavy = (np.mean(strengths(k)) for k in rain.KINDS[:3])
    assert light > medium + 4 > heavy + 8


def test_the_mixer_covers_inputs_from_12_to_34_db(pool):
    mixer = rain.RainMixer(pool, real_share=0, clean_share=0)
    pairs = [mixer(photo(64, 64), photo(64, 64), seed) for seed in range(300)]
    for rainy, clean in pairs:
        assert rainy.dtype == clean.dtype == np.float32
        assert rainy.shape == clean.shape == (64, 64, 3)
        assert min(rainy.min(), clean.min()) >= 0
        assert max(rainy.max(), clean.max()) <= 1
    strengths = [psnr(*pair) for pair in pairs]
    counts = np.histogram(strengths, [8, 12, 18, 26, 34, 60])[0]
    # uniform inside the kinds would put at least 6 % into every bin but the last
    assert counts[:4].min() > 0.02 * 300 and counts[4] < 0.2 * 300


def test_veil_lowers_contrast_under_faint_streaks(pool):
    clean = photo()
    ratios = []
    for seed in range(20):
        rainy, layer = rain.add_rain(clean, np.random.default_rng(seed), "veil", pool)
        dry = layer < 0.004  # where less than one grey level of streaks was added
        ratios.append(rainy[dry].std() / clean[dry].std())
    # t lies within 0.6 and 0.98: contrast is lost, never gained
    assert min(ratios) > 0.5 and max(ratios) < 1.02 and np.mean(ratios) < 0.95


def test_shares_choose_between_clean_real_and_synthetic(pool):
    clean, rainy = photo(64, 64), photo(64, 64, seed=1)
    always_clean = rain.RainMixer(pool, real_share=0, clean_share=1)
    for seed in range(5):
        for image in always_clean(rainy, clean, seed):
            np.testing.assert_array_equal(image, clean)
    always_real = rain.RainMixer(pool, real_share=1, clean_share=0)
    pairs = [always_real(rainy, clean, seed) for seed in range(70)]
    assert all(np.array_equal(target, clean) for _, target in pairs)
    kept = sum(np.array_equal(image, rainy) for image, _ in pairs)
    assert 45 < kept < 70  # six sevenths of 70 are 60, standard deviation 3


def test_weather_shares_take_their_part_and_leave_the_rest_alone(pool):
    clean, rainy = photo(48, 48), photo(48, 48, seed=1)
    plain = rain.RainMixer(pool, real_share=0.3, clean_share=0.1)
    shares = {"night_share": 0.2, "drops_share": 0.2, "snow_share": 0.1}
    mixed = rain.RainMixer(pool, real_share=0.3, clean_share=0.1, **shares)
    same = []
    for seed in range(100):
        one, two = plain(rainy, clean, seed), mixed(rainy, clean, seed)
        same.append(all(np.array_equal(a, b) for a, b in zip(one, two, strict=True)))
    assert 35 < sum(same) < 65  # half of 100, standard deviation 5
    for kind in ("night", "drops", "snow"):
        options = {"real_share": 0, "clean_share": 0, f"{kind}_share": 1.0}
        made, target = rain.RainMixer(pool, **options)(rainy, clean, 4)
        assert np.abs(made - target).max() > 0.02
        # jitter dims to 0.75 * 0.8 at most, the night far more
        assert bool(target.mean() < 0.5 * clean.mean()) == (kind == "night")


@pytest.mark.parametrize("kind", ["night", "drops", "snow"])
def test_weather_keeps_size_range_and_greyness(kind):
    for shape in ((1, 1), (1, 50), (37, 2), (30, 61)):
        pair = rain.add_weather(photo(*shape), np.random.default_rng(0), kind)
        again = rain.add_weather(photo(*shape), np.random.default_rng(0), kind)
        for image, twin in zip(pair, again, strict=True):
            assert image.shape == (*shape, 3) and image.dtype == np.float32
            assert image.min() >= 0 and image.max() <= 1
            np.testing.assert_array_equal(image, twin)
    grey = photo(24, 40, channels=1)
    rgb = np.repeat(grey, 3, axis=-1)
    for image in rain.add_weather(rgb, np.random.default_rng(1), kind):
        np.testing.assert_array_equal(image[..., 0], image[..., 1])
        np.testing.assert_array_equal(image[..., 0], image[..., 2])
    flat = rain.add_weather(grey[..., 0], np.random.default_rng(1), kind)
    assert flat[0].shape == flat[1].shape == (24, 40)


def test_several_rains_fall_on_one_night(pool):
    clean = photo(40, 40)
    (one, first), (two, second) = (
        rain.add_weather(
            clean, np.random.default_rng(i), "night", pool, np.random.default_rng(7)
        )
        for i in range(2)
    )
    np.testing.assert_array_equal(first, second)
    assert np.abs(one - two).max() > 0.02
    rainy, target = rain.add_weather(clean, np.random.default_rng(2), "heavy", pool)
    np.testing.assert_array_equal(target, clean)
    expected, _ = rain.add_rain(clean, np.random.default_rng(2), "heavy", pool)
    np.testing.assert_array_equal(rainy, expected)


def test_inputs_are_not_changed(pool):
    clean = photo(64, 64)
    before = clean.copy()
    shares = {"night_share": 0.2, "drops_share": 0.2, "snow_share": 0.2}
    mixer = rain.RainMixer(pool, real_share=0.2, clean_share=0, **shares)
    for seed in range(40):
        mixer(clean, clean, seed)
    np.testing.assert_array_equal(clean, before)


@pytest.mark.parametrize("kind", rain.KINDS)
def test_grey_stays_grey(kind, pool):
    grey = photo(channels=1)
    for seed in range(4):
        rgb = np.repeat(grey, 3, axis=-1)
        rainy, _ = rain.add_rain(rgb, np.random.default_rng(seed), kind, pool)
        np.testing.assert_array_equal(rainy[..., 0], rainy[..., 1])
        np.testing.assert_array_equal(rainy[..., 0], rainy[..., 2])
        single, _ = rain.add_rain(grey, np.random.default_rng(seed), kind, pool)
        assert single.shape == grey.shape
        flat, _ = rain.add_rain(grey[..., 0], np.random.default_rng(seed), kind, pool)
        np.testing.assert_array_equal(flat, single[..., 0])


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (37, 2), (65, 131)])
@pytest.mark.parametrize("kind", rain.KINDS)
def test_any_size(shape, kind, pool):
    clean = photo(*shape)
    for layers in (None, pool):  # 131 is wider than the layers of the pool
        rng = np.random.default_rng(0)
        rainy, layer = rain.add_rain(clean, rng, kind, layers)
        assert rainy.shape == clean.shape and layer.shape == shape
        assert rainy.dtype == layer.dtype == np.float32
        assert min(rainy.min(), layer.min()) >= 0
        assert max(rainy.max(), layer.max()) <= 1


def test_layers_of_a_folder_are_used(tmp_path):
    # level bars: no rendered layer leans by more than 45 degrees
    picture = np.zeros((80, 100), np.uint8)
    picture[::8] = picture[1::8] = 90
    Image.fromarray(picture).save(tmp_path / "1.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    mixed = rain.streak_pool(10, 64, seed=0, folder=str(tmp_path))
    own = rain.streak_pool(10, 64, seed=0)
    np.testing.assert_array_equal(mixed[::2], own[::2])
    # turned by up to 12 degrees; the rest is for the pixel grid
    assert np.abs(rain.streak_angle(mixed[1::2])).min() > 75
    assert np.abs(rain.streak_angle(own[1::2])).max() < 55
    # brightened from 90 of 255 to at least 0.4 of white, less what scaling blurs
    assert all(layer.max() > 0.3 * 255 for layer in mixed[1::2])
    scales = [np.mean(layer > 40) for layer in mixed[1::2]]
    assert max(scales) - min(scales) > 0.01  # each cut is another


def test_aligned_crops_share_a_direction():
    layers = [
        np.rint(255 * rain.render_streaks((96, 96), np.random.default_rng(i), "line"))
        for i in range(40)
    ]
    crops = streaks.Pool(np.array(layers, np.uint8))
    rng = np.random.default_rng(0)
    drawn = [crops.draw((96, 96), rng, angle=15) for _ in range(30)]
    # 40 layers within 45 degrees lie about a degree apart; one neighbour either way
    assert all(abs(angle - 15) < 6 for _, angle, _ in drawn)
    for layer, angle, _ in drawn[:5]:  # mirrored crops included
        assert rain.streak_angle(layer) == pytest.approx(angle, abs=1e-3)


def test_layers_that_look_alike_come_from_one_layer():
    own = np.random.default_rng(0).integers(0, 256, size=(30, 40, 40), dtype=np.uint8)
    own[..., 0] = np.arange(30)[:, None]  # says which layer a crop is from
    crops = streaks.Pool(own)
    rng = np.random.default_rng(1)
    _, angle, look = crops.draw((40, 40), rng)
    for _ in range(10):
        layer, again, same = crops.draw((40, 40), rng, angle, look)
        assert (again, same) == (angle, look)
        marks = np.rint(255 * layer[:, [0, -1]])
        assert np.any(np.all(marks == crops.order[look], axis=0))


def test_wrong_arguments_are_named(pool, tmp_path):
    rng, clean = np.random.default_rng(0), photo(16, 16)
    with pytest.raises(ValueError, match=r"Received: kind='drizzle'"):
        rain.add_rain(clean, rng, "drizzle")
    with pytest.raises(ValueError, match=r"night, drops, snow. Received: kind='hail'"):
        rain.add_weather(clean, rng, "hail")
    with pytest.raises(ValueError, match=r"dtype=uint8"):
        rain.add_rain(np.zeros((4, 4, 3), np.uint8), rng)
    with pytest.raises(ValueError, match=r"shape=\(4, 4, 2\)"):
        rain.add_rain(np.zeros((4, 4, 2)), rng)
    with pytest.raises(ValueError, match=r"Received: \(0, 5\)"):
        rain.render_streaks((0, 5), rng)
    with pytest.raises(ValueError, match=r"Received: style='dots'"):
        rain.render_streaks((5, 5), rng, style="dots")
    with pytest.raises(ValueError, match=r"Received: folder="):
        rain.streak_pool(1, 8, 0, folder=str(tmp_path))
    with pytest.raises(ValueError, match=r"shape=\(4, 4\)"):
        rain.RainMixer(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match=r"\(0.9, 0.2, "):
        rain.RainMixer(pool, real_share=0.9, clean_share=0.2)


def test_tensorflow_is_not_needed():
    code = "import sys, tfderain.data.rain; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
