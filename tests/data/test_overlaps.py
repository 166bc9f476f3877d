import json
import os

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from tfderain.data import overlaps
from tfderain.images import ImageError

FLIPS = Image.Transpose


def scene(seed, size=(320, 480)):
    """A picture with structure at all scales, as photos have: 1/f noise."""
    rng = np.random.default_rng(seed)
    total = np.zeros(size)
    for scale in (2, 6, 20, 60):
        layer = ndimage.gaussian_filter(rng.standard_normal(size), scale)
        total += layer / layer.std() * scale**0.5
    low, high = total.min(), total.max()
    grey = (255 * (total - low) / (high - low)).astype("uint8")
    return Image.fromarray(np.stack([grey] * 3, axis=-1))


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    for seed in range(12):
        scene(seed).save(folder / f"{seed}.png")
    return [str(folder / f"{seed}.png") for seed in range(12)]


def found(train, folder, changed, parts=True, name="other.jpg"):
    """Pairs of names that match a changed picture 3, and how."""
    folder.mkdir(exist_ok=True)
    changed.save(folder / name, quality=50)
    result = overlaps.find(train, [str(folder / name)], parts=parts)
    return [(os.path.basename(m.first), m.view, m.how) for m in result.matches]


@pytest.mark.parametrize(
    ("change", "view"),
    [
        (lambda image: image, "as it is"),
        (lambda image: image.resize((240, 160)), "as it is"),
        (lambda image: image.point(lambda value: value // 2 + 60), "as it is"),
        (lambda image: image.crop((0, 0, 479, 319)), "as it is"),
        (lambda image: image.transpose(FLIPS.FLIP_LEFT_RIGHT), "mirrored left-right"),
        (lambda image: image.transpose(FLIPS.FLIP_TOP_BOTTOM), "mirrored upside down"),
        (lambda image: image.transpose(FLIPS.ROTATE_180), "turned by 180"),
    ],
)
def test_copies_are_found_by_their_hash(tmp_path, train, change, view):
    changed = change(scene(3))
    assert found(train, tmp_path, changed, parts=False) == [("3.png", view, "hash")]


@pytest.mark.parametrize(
    ("box", "flip", "view"),
    [
        ((100, 60, 400, 300), None, "as it is"),
        ((7, 11, 307, 251), FLIPS.FLIP_LEFT_RIGHT, "mirrored left-right"),
    ],
)
def test_parts_are_found_at_the_same_scale(tmp_path, train, box, flip, view):
    part = scene(3).crop(box)
    part = part.transpose(flip) if flip is not None else part
    assert found(train, tmp_path, part, parts=False) == []
    assert found(train, tmp_path, part) == [("3.png", view, "part")]
    # the whole in the part's set is found as well
    whole = [path for path in train if path.endswith("/3.png")]
    result = overlaps.find([str(tmp_path / "other.jpg")], whole)
    assert [match.how for match in result.matches] == ["part"]


def test_the_hash_counts_where_both_find_a_copy(train):
    # float32: some of these correlate with themselves by a little more than 1
    result = overlaps.find(train, train)
    assert [(m.first, m.how, m.correlation) for m in result.matches] == [
        (path, "hash", None) for path in train
    ]


def test_other_pictures_share_nothing(tmp_path, train):
    for seed in range(100, 106):
        assert found(train, tmp_path, scene(seed)) == []
    small = scene(3).crop((0, 0, 100, 100))  # too small to tell
    assert found(train, tmp_path, small) == []
    assert found(train, tmp_path, Image.new("RGB", (480, 320), "white")) == []


def test_the_clean_half_of_side_by_side_files_counts(tmp_path, train):
    both = Image.new("RGB", (960, 320))
    both.paste(scene(3), (0, 0))
    both.paste(scene(50), (480, 0))
    os.makedirs(tmp_path / "pairs")
    both.save(tmp_path / "pairs/1.jpg")

    def shared(layout):
        paths, half = overlaps.backgrounds(tmp_path / "pairs", layout)
        return overlaps.find(train, paths, ((0.0, 1.0), half)).shared_second

    assert shared("left_clean") == 1
    assert shared("left_rainy") == 0


def test_clean_images_of_pairs_or_all_pictures(tmp_path):
    for side in ("rainy", "clean"):
        os.makedirs(tmp_path / side)
        scene(1).save(tmp_path / side / "1.png")
    paths, _ = overlaps.backgrounds(tmp_path)
    assert paths == [str(tmp_path / "clean/1.png")]
    assert len(overlaps.backgrounds(tmp_path, "clean")[0]) == 2
    assert len(overlaps.backgrounds(tmp_path / "rainy")[0]) == 1
    with pytest.raises(ValueError, match="at least one pair"):
        overlaps.backgrounds(tmp_path / "rainy", "folders")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="There must be pictures"):
        overlaps.backgrounds(tmp_path / "empty")


def test_the_report_counts_pictures_not_matches(tmp_path, train):
    for number in range(3):
        scene(3).save(tmp_path / f"{number}.png")
    scene(99).save(tmp_path / "other.png")
    others = overlaps.backgrounds(tmp_path)[0]
    told = []
    result = overlaps.find(train, others, progress=lambda *counts: told.append(counts))
    assert (result.first, result.second) == (12, 4)
    assert (result.shared_first, result.shared_second) == (1, 3)
    assert len(result.matches) == 3
    assert "1 of 12 pictures show a background of the second set, 3 of 4" in (
        result.table()
    )
    assert "... and 2 more" in result.table(1)
    assert json.loads(result.to_json())["matches"][0]["view"] == "as it is"
    assert told[-1][0] == told[-1][1] and told == sorted(told)


def test_a_file_that_cannot_be_read(tmp_path, train):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"bad\.png"):
        overlaps.find(train, [str(tmp_path / "bad.png")])
