"""Splits by background: sides apart, each drawn alone, and kept when data grow."""

import os

import numpy as np
import pytest
from PIL import Image

from tfderain.data import pipeline, splits


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, "uint8")).save(path)


VIEWS = (
    np.random.default_rng(0)
    .integers(0, 200, (40, 16, 16, 3))
    .repeat(2, axis=1)
    .repeat(3, axis=2)
)


def write(folder, numbers, views=12):
    """Pairs that show some scenes; equal scenes differ by a little noise."""
    for number in numbers:
        rng = np.random.default_rng(number)
        clean = VIEWS[number % views] + rng.integers(0, 9, VIEWS[0].shape)
        save(folder / f"clean/{number}.png", clean)
        save(folder / f"rainy/{number}.png", 255 - clean)
    return pipeline.find_pairs(folder)


@pytest.fixture
def scenes(tmp_path):
    return write(tmp_path / "scenes", range(30))


def names(pairs):
    return {os.path.basename(path) for path in pairs.rainy}


def test_backgrounds_are_grouped(scenes):
    groups = sorted(splits.backgrounds(scenes))
    assert groups == [list(range(i, 30, 12)) for i in range(12)]


def test_split_keeps_backgrounds_apart(scenes):
    shown = {path: number % 12 for number, path in enumerate(scenes.rainy)}
    found = [splits.split_by_background(scenes, 0.25, seed) for seed in (0, 0, 1)]
    for training, validation in found:
        assert sorted(training.rainy + validation.rainy) == sorted(scenes.rainy)
        sides = [
            {shown[path] for path in side.rainy} for side in (training, validation)
        ]
        assert sides[0] and sides[1] and sides[0].isdisjoint(sides[1])
    assert found[0] == found[1] != found[2]


def test_the_fraction_is_the_chance_of_a_background(scenes):
    held = [splits.held_out(scenes, 0.25, seed) for seed in range(40)]
    # 480 draws of 0.25: four standard deviations of their mean are 0.08
    assert np.mean([side[:12] for side in held]) == pytest.approx(0.25, abs=0.08)


@pytest.mark.parametrize("fraction", [1e-9, 1 - 1e-9])
def test_both_sides_have_a_background(scenes, fraction):
    training, validation = splits.split_by_background(scenes, fraction)
    fewer = min((training, validation), key=len)
    assert 2 <= len(fewer) <= 3  # one of the twelve, shown twice or thrice
    assert len(training) + len(validation) == 30


def test_added_pictures_move_no_other(tmp_path):
    few = write(tmp_path / "data", range(0, 30, 2), views=40)
    sides = [names(side) for side in splits.split_by_background(few, 0.3, seed=3)]
    many = write(tmp_path / "data", range(30), views=40)  # also between the others
    grown = [names(side) for side in splits.split_by_background(many, 0.3, seed=3)]
    assert len(sides[1]) > 1 and len(grown[1]) > len(sides[1])
    assert sides[0] < grown[0] and sides[1] < grown[1]


def test_known_pairs_keep_their_side_and_new_ones_follow(tmp_path):
    pairs = write(tmp_path, range(30))
    # Against their own draw: scenes 0 to 5 trained on, 6 to 8 validated, 9 to 11 new.
    known = [number % 12 >= 6 for number in range(30)]
    known = [side if number % 12 < 9 else None for number, side in enumerate(known)]
    known[24:] = [None] * 6  # a third view of the scenes 0 to 5
    drawn = splits.held_out(pairs, 0.5, 0)
    sides = splits.held_out_of_more(pairs, known, 0.5, 0)
    for number, side in enumerate(sides):
        if number % 12 < 6:
            assert side is False
        elif number % 12 < 9:
            assert side is True
        else:  # drawn for validation: not trained on, and not validated on either
            assert side is (None if drawn[number] else False)
    assert {None, False} <= set(sides[9:12])
    training, validation = splits.divide(pairs, sides)
    assert len(training) + len(validation) == 30 - sides.count(None)


def test_a_new_view_of_a_validated_background_is_left_out(tmp_path):
    pairs = write(tmp_path, range(24))
    known = [number % 12 >= 6 for number in range(12)] + [None] * 12
    sides = splits.held_out_of_more(pairs, known, 0.5, 0)
    assert sides[12:] == [False] * 6 + [None] * 6


def test_one_background_cannot_be_split(scenes):
    with pytest.raises(ValueError, match="two different backgrounds"):
        splits.split_by_background(scenes.subset([0, 12, 24]))
    with pytest.raises(ValueError, match=r"Received: fraction=1\.5"):
        splits.split_by_background(scenes, 1.5)


def test_a_background_of_two_sets_goes_to_one_side(tmp_path):
    for number in range(6):
        image = np.random.default_rng(number).integers(0, 256, (16, 16, 3))
        for folder in ("a", "b"):  # the same scenes in both sets
            for side in ("rainy", "clean"):
                save(tmp_path / folder / side / f"{number}.png", image)
    parts = tuple(pipeline.find_pairs(tmp_path / folder) for folder in ("a", "b"))
    mixed = pipeline.Mixture(parts, (1, 3))
    training, validation = splits.split_by_background(mixed, 0.34, seed=1)
    assert len(training) + len(validation) == 12
    for side in (training, validation):
        first, second = map(names, side.parts)
        assert first == second and first
    assert training.shares == validation.shares == (0.25, 0.75)


def test_the_split_of_older_runs_is_known(scenes):
    # what `split_by_background(scenes, 0.25, seed=0)` gave before 0.1.0
    held = splits.held_out_until_0_1(scenes, 0.25, 0)
    found = [i for i, side in enumerate(held) if side]
    assert found == [2, 7, 9, 14, 19, 21, 26]


def test_a_lower_threshold_takes_likeness_for_one_background(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(6):  # two scenes, each seen from three places side by side
        wide = np.kron(VIEWS[number % 2][::2, ::3], np.ones((4, 4, 1)))
        shifted = np.roll(wide, number // 2, axis=1)
        save(tmp_path / f"clean/{number}.png", shifted)
        noise = rng.integers(0, 255, shifted.shape)
        save(tmp_path / f"rainy/{number}.png", noise)
    pairs = pipeline.find_pairs(tmp_path)
    assert len(splits.backgrounds(pairs)) > 2
    assert sorted(map(sorted, splits.backgrounds(pairs, 0.7))) == [[0, 2, 4], [1, 3, 5]]
    for seed in range(10):
        sides = splits.held_out(pairs, 0.5, seed, 0.7)
        assert sides == [sides[0], sides[1]] * 3 and sides[0] != sides[1]
