"""Mixture of drops: its targets, masks, shares, and what stays as it is."""

import numpy as np
import pytest
from short_runs import write_pairs

from tfderain.data import drop_mixer, mixer
from tfderain.data.pairs import Mixture, Pairs, find_pairs
from tfderain.data.pipeline import PatchSampler, train_dataset

PLAIN = mixer.Ranges(jpeg=0, noise=0, blur=0, hide=0)


@pytest.fixture(scope="module")
def pools():
    return mixer.render_pools(0, count=6, size=80)


def scene():
    return np.random.default_rng(0).random((72, 72, 3), dtype=np.float32) * 0.6


def test_real_pairs_keep_their_rain_and_have_no_mask(pools):
    clean, rainy = scene(), scene() + np.float32(0.2)
    made, target = drop_mixer.DropMixer(pools)(rainy, clean, seed=1)
    np.testing.assert_array_equal(made, rainy)
    np.testing.assert_array_equal(target[..., :3], clean)
    assert np.all(target[..., 3] == drop_mixer.UNKNOWN)


@pytest.mark.parametrize("kind", ["defocused", "lens"])
def test_what_is_not_under_a_drop_stays(pools, kind):
    clean, degrade = scene(), drop_mixer.DropMixer(pools, ranges=PLAIN)
    rainy, target = degrade.make(kind, clean, np.random.default_rng(2))
    mask = target[..., 3]
    np.testing.assert_array_equal(target[..., :3], clean)
    np.testing.assert_array_equal(rainy[mask == 0], clean[mask == 0])
    assert mask.max() > 0.3 and np.abs(rainy - clean)[mask > 0.3].mean() > 0.02


def test_rain_in_the_air_stays_between_the_drops(pools):
    clean, degrade = scene(), drop_mixer.DropMixer(pools, ranges=PLAIN)
    rained, solved = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        rainy, target = degrade.make("both", clean, rng)
        mask = target[..., 3]
        np.testing.assert_allclose(  # products of float32
            target[..., :3][mask == 0], rainy[mask == 0], atol=1e-6
        )
        rained.append(
            np.abs(rainy - clean)[mask == 0].mean() if (mask == 0).any() else 0
        )
        if (mask > 0.98).any():
            solved.append(np.abs(target[..., :3] - clean)[mask > 0.98].mean())
    assert max(rained) > 0.01
    assert solved and max(solved) < 0.02  # 2 % of the rain at most


def test_shares_and_seeds(pools):
    shares = {"clean": 1, "lens": 3}
    degrade, clean = drop_mixer.DropMixer(pools, drops=shares, ranges=PLAIN), scene()
    made = [degrade(clean, clean, seed)[1][..., 3].any() for seed in range(120)]
    # 90 of 120 on average, standard deviation 4.7
    assert 70 < sum(made) < 110
    first, again = (degrade(clean, clean, 5) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_unknown_kinds_are_refused(pools):
    with pytest.raises(ValueError, match="snow"):
        drop_mixer.DropMixer(pools, drops={"snow": 1.0})
    with pytest.raises(ValueError, match="Shares"):
        drop_mixer.DropMixer(pools, drops={"lens": 0.0})


def test_batches_have_the_mask_as_a_fourth_channel(pools, tmp_path):
    pairs = find_pairs(write_pairs(tmp_path / "pairs", count=3))
    photos = Pairs(pairs.clean, pairs.clean)
    both = Mixture((pairs, photos), (1.0, 1.0))
    degrade = drop_mixer.DropMixer(pools)
    batches = train_dataset(both, 24, 8, seed=0, degrade=degrade, align=True)
    rainy, target = next(iter(batches))
    assert rainy.shape == (8, 24, 24, 3) and target.shape == (8, 24, 24, 4)
    masks = target[..., 3].numpy()
    unknown = (masks == drop_mixer.UNKNOWN).all(axis=(1, 2))
    assert 0 < unknown.sum() < 8 and masks[~unknown].min() >= 0


def test_pairs_are_aligned_once_and_must_leave_room(tmp_path):
    pairs = find_pairs(write_pairs(tmp_path / "pairs", count=2))  # 40 x 56 pixels
    sampler = PatchSampler(pairs, 24, 2, seed=0, align=True)
    sampler.batch(0)
    kept = dict(sampler.sets[0].aligned)
    sampler.batch(3)
    assert len(kept) == 2 and all(sampler.sets[0].aligned[i] is kept[i] for i in kept)
    with pytest.raises(ValueError, match="crop=42"):
        PatchSampler(pairs, 38, 2, seed=0, align=True)
