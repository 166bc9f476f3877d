"""Mixture of kinds: shares, strengths and seeds, whatever ranges are tuned."""

import dataclasses

import numpy as np
import pytest
from pictures import photo
from PIL import Image
from short_runs import write_pairs

from tfderain.data import mixer
from tfderain.data.pairs import Pairs, find_pairs

# No effects of the camera, nothing enlarged: only what is named.
PLAIN = dict.fromkeys(("enlarge", "enlarge_layer", "jpeg", "noise", "blur", "hide"), 0)
RAINS = ("heavy", "light", "editor", "varied", "night")


@pytest.fixture(scope="module")
def pools():
    return mixer.render_pools(0, count=12, size=80)


def ranges(**changes):
    return dataclasses.replace(mixer.RANGES, **changes)


def psnr(rainy, clean):
    return -10 * np.log10(np.mean(np.square(np.float64(rainy) - clean)))


def test_pools_are_layers_that_the_seed_decides(pools):
    again = mixer.render_pools(0, count=12, size=80)
    other = mixer.render_pools(1, count=12, size=80)
    assert pools.keys() == again.keys() == other.keys()
    for name, pool in pools.items():
        assert pool.dtype == np.uint8 and pool.shape[1:] == (80, 80)
        assert len(pool) > 0 and pool.max() > 0
        np.testing.assert_array_equal(pool, again[name])
        assert not np.array_equal(pool, other[name])


def test_streak_pictures_and_given_layers_are_used(tmp_path):
    pairs = write_pairs(tmp_path / "pairs", count=2)
    (tmp_path / "streaks").mkdir()
    picture = np.zeros((90, 90), np.uint8)
    picture[:, np.arange(90) // 10 % 2 == 0] = 123  # survives half the size
    Image.fromarray(picture).save(tmp_path / "streaks" / "a.png")
    pools = mixer.render_pools(0, tmp_path / "streaks", pairs, count=4, size=48)
    assert pools["given"].shape == (2, 48, 48)
    assert 100 <= pools["soft"].max() <= 123


def write_pair(folder, name, rainy, clean):
    for kind, image in (("rainy", rainy), ("clean", clean)):
        (folder / kind).mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / kind / f"{name}.png")


def test_the_added_layer_is_taken_out_again(tmp_path):
    rng = np.random.default_rng(0)
    clean = rng.integers(0, 120, (20, 30, 3), np.uint8)
    layer = rng.integers(1, 100, (20, 30), np.uint8)
    rainy = clean + layer[..., None]
    rainy[3, 4] = 255  # white: what was added there is not known
    write_pair(tmp_path, "1", rainy, clean)
    (found,) = mixer.added_layers(find_pairs(tmp_path), 40)
    known = np.ones((20, 30), bool)
    known[3, 4] = False
    np.testing.assert_array_equal(found[:20, :30][known], layer[known])
    # from elsewhere, but not less than what makes this pixel white
    least = 255 - int(clean[3, 4].min())
    assert found[3, 4] == least
    np.testing.assert_array_equal(found[20:, :30], found[:20, :30])
    np.testing.assert_array_equal(found[:, 30:], found[:, :10])


def test_hidden_parts_of_a_layer_look_like_the_rest(tmp_path):
    layer = np.zeros((24, 40), np.uint8)
    layer[:, ::4] = 90
    clean = np.full((24, 40, 3), 60, np.uint8)
    clean[:6] = 255  # a white sky: a quarter
    rainy = np.clip(clean.astype(int) + layer[..., None], 0, 255).astype(np.uint8)
    write_pair(tmp_path, "1", rainy, clean)
    (found,) = mixer.added_layers(find_pairs(tmp_path), 24)
    np.testing.assert_array_equal(found[6:], layer[6:, :24])
    assert set(np.unique(found[:6])) == {0, 90}
    # a quarter of 144 pixels, give or take three deviations of a binomial draw
    assert abs((found[:6] == 90).mean() - 0.25) < 0.11

    clean[:12] = 255
    rainy = np.clip(clean.astype(int) + layer[..., None], 0, 255).astype(np.uint8)
    write_pair(tmp_path, "2", rainy, clean)
    assert len(mixer.added_layers(find_pairs(tmp_path), 24)) == 1
    (tmp_path / "rainy" / "1.png").unlink()
    (tmp_path / "clean" / "1.png").unlink()
    with pytest.raises(ValueError, match="white in more than 30%"):
        mixer.added_layers(find_pairs(tmp_path), 24)


@pytest.mark.parametrize("kind", RAINS)
def test_each_kind_gives_a_pair_in_range(kind, pools):
    clean = photo(64, 56)
    before = clean.copy()
    made = mixer.KindMixer(pools, kinds={kind: 1.0})
    for seed in range(6):
        rainy, target = made(clean, clean, seed)
        again, _ = made(clean, clean, seed)
        np.testing.assert_array_equal(rainy, again)
        for image in (rainy, target):
            assert image.shape == clean.shape and image.dtype == np.float32
            # resizing, blurring and noise clip or may round beyond by a bit
            assert image.min() >= -1e-6 and image.max() <= 1 + 1e-6
        assert not np.array_equal(rainy, target)
    np.testing.assert_array_equal(clean, before)
    first, other = (made(clean, clean, seed)[0] for seed in (0, 1))
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("kind", "strength"), [("heavy", 15.0), ("light", 27.0), ("editor", 24.0)]
)
def test_strengths_are_reached(kind, strength, pools):
    wanted = ranges(**PLAIN, **{kind: (strength, strength)}, most=5.0)
    made = mixer.KindMixer(pools, ranges=wanted)
    clean = 0.15 + 0.5 * photo(128, 128)
    reached = [
        psnr(made.make(kind, clean, np.random.default_rng(seed))[0], clean)
        for seed in range(12)
    ]
    # Gains are fitted on one pixel in eight or sixteen, whose share of thin streaks
    # scatters: some 10 % of the light, half a dB; sparse layers scatter more.
    errors = np.sort(np.abs(np.array(reached) - strength))
    assert errors[8] < 0.75 and errors[-1] < 5, reached


def test_own_rain_is_kept_by_its_share(pools):
    clean, rainy = photo(16, 16), photo(16, 16, seed=1)
    made = mixer.KindMixer(pools, 0.7, {"clean": 1.0}, ranges(**PLAIN))
    kept = 0
    for seed in range(300):
        first, second = made(rainy, clean, seed)
        np.testing.assert_array_equal(second, clean)
        kept += np.array_equal(first, rainy)
        assert np.array_equal(first, rainy) or first is second
    # standard deviation 0.026
    assert kept / 300 == pytest.approx(0.7, abs=0.1)


def test_pictures_without_rain_of_their_own_get_some(pools):
    clean = photo(72, 72)
    made = mixer.KindMixer(pools, 1.0, {"heavy": 1.0}, ranges(**PLAIN))
    rained = [not np.array_equal(*made(clean, clean, seed)) for seed in range(20)]
    assert sum(rained) > 16  # a crop may lie between the streaks of a sparse layer


def test_kinds_come_by_their_shares(pools, monkeypatch):
    made = mixer.KindMixer(
        pools, kinds={"heavy": 3, "editor": 1}, ranges=ranges(**PLAIN)
    )
    drawn = []
    monkeypatch.setattr(
        made, "make", lambda kind, clean, rng: (drawn.append(kind), (clean, clean))[1]
    )
    clean = photo(8, 8)
    for seed in range(400):
        made(clean, clean, seed)
    assert set(drawn) == {"heavy", "editor"} and len(drawn) == 400
    # standard deviation 0.022
    assert drawn.count("heavy") / 400 == pytest.approx(0.75, abs=0.09)


def test_camera_effects_leave_clean_pictures_their_own_target(pools):
    every = ranges(blur=1.0, noise=1.0, hide=1.0, jpeg=1.0, enlarge=1.0)
    made = mixer.KindMixer(pools, kinds={"clean": 1.0}, ranges=every)
    clean = photo(40, 48)
    for seed in range(10):
        rainy, target = made(clean, clean, seed)
        np.testing.assert_array_equal(rainy, target)
        assert not np.array_equal(target, clean)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"own_share": 1.5}, "own_share=1.5"),
        ({"kinds": {"hail": 1.0}}, "hail"),
        ({"kinds": {"heavy": 0.0}}, "must be positive"),
        ({"kinds": {}}, "must be positive"),
    ],
)
def test_impossible_shares_are_refused(arguments, message, pools):
    with pytest.raises(ValueError, match=message):
        mixer.KindMixer(pools, **arguments)


def test_clean_pictures_have_no_rain_of_their_own():
    alone = Pairs(("a.png", "b.png"), ("a.png", "c.png"))
    assert alone.with_rain() == alone.subset([1])
    wide = Pairs(("a.png",), ("a.png",), "left_clean")
    assert wide.with_rain() == wide
