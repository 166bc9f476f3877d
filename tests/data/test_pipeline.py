import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tfderain.data import pipeline
from tfderain.data.pairs import thumbnails
from tfderain.images import ImageError

HEIGHT, WIDTH, CROP = 24, 31, 8


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, "uint8")).save(path)


def touch(folder, *names):
    """Writes tiny images; listing needs no more than names."""
    for name in names:
        save(folder / name, np.zeros((2, 2, 3)))


def names(paths, folder):
    return [os.path.relpath(path, folder).replace(os.sep, "/") for path in paths]


def coordinates(number, rainy):
    """Each pixel says where it comes from: (image, row, column); +100 if rainy."""
    image = np.zeros((HEIGHT, WIDTH, 3), "uint8")
    image[..., 0] = number + 100 * rainy
    image[..., 1] = np.arange(HEIGHT)[:, None]
    image[..., 2] = np.arange(WIDTH)
    return image


@pytest.fixture
def pairs(tmp_path):
    for number in range(5):
        save(tmp_path / f"rainy/{number}.png", coordinates(number, True))
        save(tmp_path / f"clean/{number}.png", coordinates(number, False))
    return pipeline.find_pairs(tmp_path)


def take(dataset, count):
    return [tuple(a.numpy() for a in batch) for batch in dataset.take(count)]


def train(pairs, count, **options):
    options = {"crop": CROP, "batch_size": 3, "seed": 7, **options}
    return take(pipeline.train_dataset(pairs, **options), count)


def equal(first, second):
    return len(first) == len(second) and all(
        np.array_equal(a, b)
        for one, two in zip(first, second, strict=True)
        for a, b in zip(one, two, strict=True)
    )


def origins(patches):
    """(image, top, left, mirrored) of each patch, read from its pixels."""
    pixels = np.rint(patches * 255).astype(int)
    mirrored = pixels[:, 0, 0, 2] > pixels[:, 0, -1, 2]
    left = pixels[..., 2].min(axis=(1, 2))
    rows = zip(pixels[:, 0, 0, 0], pixels[:, 0, 0, 1], left, mirrored, strict=True)
    return [tuple(int(value) for value in row) for row in rows]


# Finding pairs


@pytest.mark.parametrize(
    ("rainy", "clean"),
    [
        (["rainy/2.png", "rainy/10.png"], ["clean/2.jpg", "clean/10.jpg"]),
        (["input/a.png"], ["target/a.png"]),
        (["rain/rain-001.png"], ["norain/norain-001.png"]),
        (["rain/X2/norain-1x2.png"], ["norain/norain-1.png"]),
        (["data/0_rain.png"], ["gt/0_clean.png"]),
        (["Rainy/0001_00.png", "Rainy/0001_01.png"], ["GT/0001.png"] * 2),
        (["rainy_image/1_2.jpg", "rainy_image/1_14.jpg"], ["ground_truth/1.jpg"] * 2),
        (["rain-2.png", "rain-10.png"], ["norain-2.png", "norain-10.png"]),
        (["rainy/rain-001.png"], ["norain-001.png"]),
        (["S_0-0/S_0-0-Webcam-R-002.png"], ["S_0-0/S_0-0-Webcam-C-000.png"]),
        (
            ["input/001_in.png", "input/2_in.png"],
            ["groundtruth/001_GT.png", "groundtruth/2_GT.png"],
        ),
        (["rain/001.png"], ["gt/001gt.png"]),
        (["rainy/9.png", "rainy/a/b/0.png"], ["clean/9.png", "clean/a/b/0.jpg"]),
        (["rainy/a/0_1.png", "rainy/a/0_2.png"], ["clean/a/0.png"] * 2),
    ],
)
def test_layouts_are_recognised(tmp_path, rainy, clean):
    touch(tmp_path, *rainy, *clean)
    found = pipeline.find_pairs(tmp_path)
    assert names(found.rainy, tmp_path) == rainy
    assert names(found.clean, tmp_path) == clean
    assert found.layout == "files"


@pytest.mark.parametrize(
    ("pattern", "rainy", "clean"),
    [
        ("screenrainy-*.png:norain-*.png", "screenrainy-1.png", "norain-1.png"),
        ("*/*/*-*_*_*:gt/{1}/{3}_{5}_{6}", "7/7-2/7-2_40_5.png", "gt/7/7_40_5.png"),
        ("*_*:*", "a_1.jpg", "a.png"),
        ("in/**/*.png:gt/**/*.png", "in/a/b/c.png", "gt/a/b/c.png"),
        ("in/**/*:gt/{2}", "in/a/b/c.png", "gt/c.png"),
        ("**/*_in:**/*_gt", "c_in.png", "c_gt.png"),
    ],
)
def test_patterns(tmp_path, pattern, rainy, clean):
    touch(tmp_path, rainy, clean)
    found = pipeline.find_pairs(tmp_path, pattern=pattern)
    assert names(found.rainy + found.clean, tmp_path) == [rainy, clean]


@pytest.mark.parametrize("pattern", ["rain-*.png", "rain-1:*", "*:{0}", ":*"])
def test_bad_patterns_are_refused(tmp_path, pattern):
    touch(tmp_path, "rain-1.png", "norain-1.png")
    with pytest.raises(ValueError, match="`pattern` must be RAINY:CLEAN"):
        pipeline.find_pairs(tmp_path, pattern=pattern)


def test_unpaired_files_are_named(tmp_path):
    touch(tmp_path, *(f"rainy/{i}.png" for i in range(9)), "clean/0.png", "clean/x.png")
    with pytest.raises(
        ValueError, match=r"9 files \(clean/x.png, rainy/1.png, .*\.\.\."
    ):
        pipeline.find_pairs(tmp_path)


def test_allweather_holds_two_kinds_of_names(tmp_path):
    touch(tmp_path / "input", "snow_7.jpg", "im_1_s80_a04.png", "0_rain.png")
    touch(tmp_path / "gt", "snow_7.jpg", "im_1_s80_a04.png", "0_clean.png")
    found = pipeline.find_pairs(tmp_path)
    two = zip(names(found.rainy, tmp_path), names(found.clean, tmp_path), strict=True)
    assert sorted(two) == [
        ("input/0_rain.png", "gt/0_clean.png"),
        ("input/im_1_s80_a04.png", "gt/im_1_s80_a04.png"),
        ("input/snow_7.jpg", "gt/snow_7.jpg"),
    ]


def test_equal_names_in_other_folders_are_no_pair(tmp_path):
    touch(tmp_path, "rainy/a/0.png", "rainy/b/0.png", "clean/a/0.png", "clean/c/0.png")
    with pytest.raises(ValueError, match=r"2 files \(clean/c/0.png, rainy/b/0.png\)"):
        pipeline.find_pairs(tmp_path)


def test_linked_folders_are_searched(tmp_path):
    touch(tmp_path, "disk/x/0.png", "disk/y/0.png")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rainy").symlink_to(tmp_path / "disk" / "x")
    (tmp_path / "data" / "clean").symlink_to(tmp_path / "disk" / "y")
    found = pipeline.find_pairs(tmp_path / "data")
    assert names(found.rainy, tmp_path / "data") == ["rainy/0.png"]


def test_ambiguous_folders_are_refused(tmp_path):
    touch(tmp_path, "rainy/0.png", "clean/0.png", "input/0.png", "target/0.png")
    with pytest.raises(ValueError, match="one rainy and one clean folder"):
        pipeline.find_pairs(tmp_path)


def test_side_by_side_must_be_asked_for(tmp_path):
    left, right = np.full((4, 6, 3), 10), np.full((4, 6, 3), 20)
    save(tmp_path / "1.png", np.concatenate([left, right], axis=1))
    with pytest.raises(ValueError, match="need layout='left_clean'"):
        pipeline.find_pairs(tmp_path)
    for layout, rainy_value in (("left_clean", 20), ("left_rainy", 10)):
        found = pipeline.find_pairs(tmp_path, layout=layout)
        rainy, clean = pipeline.read_pair(found, 0)
        assert rainy.shape == clean.shape == (4, 6, 3)
        assert rainy.max() == rainy_value and clean.max() == 30 - rainy_value


def test_find_images(tmp_path):
    touch(tmp_path, "10.png", "9.jpg", ".hidden.png", "sub/1.png")
    (tmp_path / "note.txt").write_text("no image")
    assert names(pipeline.find_images(tmp_path), tmp_path) == ["9.jpg", "10.png"]
    deep = pipeline.find_images(tmp_path, recursive=True)
    assert names(deep, tmp_path) == ["9.jpg", "10.png", "sub/1.png"]
    with pytest.raises(ValueError, match="There must be a folder"):
        pipeline.find_images(tmp_path / "missing")


# Checking


def test_check_returns_sizes_and_names_bad_files(tmp_path, pairs):
    assert pipeline.check(pairs) == [(HEIGHT, WIDTH)] * 5
    with pytest.raises(ValueError, match=r"crop=25, 5 files \("):
        pipeline.check(pairs, crop=25)
    save(tmp_path / "clean/3.png", np.zeros((WIDTH, HEIGHT, 3)))
    with pytest.raises(ValueError, match=r"same size.*1 file \(.*3\.png\)"):
        pipeline.check(pairs)
    (tmp_path / "rainy/1.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"readable.*1 file \(.*1\.png\)"):
        pipeline.check(pairs)


def test_check_refuses_odd_side_by_side_files(tmp_path):
    save(tmp_path / "1.png", np.zeros((4, 7, 3)))
    with pytest.raises(ValueError, match=r"same size.*1 file \(.*1\.png\)"):
        pipeline.check(pipeline.find_pairs(tmp_path, layout="left_clean"))


def test_sizes_respect_exif_orientation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    for folder in ("rainy", "clean"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (6, 4)).save(tmp_path / folder / "1.jpg", exif=exif)
    found = pipeline.find_pairs(tmp_path)
    assert pipeline.check(found) == [(6, 4)]
    assert pipeline.read_pair(found, 0)[0].shape == (6, 4, 3)


def odd_exif():
    """EXIF of a quarter's turn, and of a tag that Pillow cannot write again."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[5] = b"\0"
    data = exif.tobytes()
    assert data.count(b"\0\5\0\1") == 1  # GPSAltitudeRef, BYTE
    return data.replace(b"\0\5\0\1", b"\0\5\0\2")  # ASCII


def test_pictures_with_a_damaged_tag_stand_upright_everywhere(tmp_path):
    pixels = np.zeros((40, 64, 3), np.uint8)
    pixels[:, :32] = 250  # white on the left: above, once turned
    for name, exif in (("1", odd_exif()), ("2", None)):
        stored = pixels if exif else np.ascontiguousarray(np.rot90(pixels, -1))
        for folder in ("rainy", "clean"):
            (tmp_path / folder).mkdir(exist_ok=True)
            options = {"exif": exif} if exif else {}
            path = tmp_path / folder / f"{name}.png"
            Image.fromarray(stored).save(path, **options)
    found = pipeline.find_pairs(tmp_path)
    assert pipeline.check(found) == [(64, 40)] * 2
    turned, upright = (pipeline.read_pair(found, index)[0] for index in (0, 1))
    np.testing.assert_array_equal(turned, upright)
    first, second = thumbnails(found)
    # one picture, so one row; both have norm one
    np.testing.assert_allclose(first, second, atol=1e-6)
    assert first.reshape(16, 16)[:8].min() > 0 > first.reshape(16, 16)[8:].max()


def test_metadata_that_pillow_refuses_costs_no_pair(tmp_path):
    for folder in ("rainy", "clean"):
        path = tmp_path / folder / "1.png"
        save(path, np.zeros((6, 8, 3)))
        data = path.read_bytes()
        wrong = b"\0\0\0\3tEXta\0b\0\0\0\0"  # its checksum
        path.write_bytes(data[:33] + wrong + data[33:])
    found = pipeline.find_pairs(tmp_path)
    assert pipeline.check(found) == [(6, 8)]
    assert thumbnails(found).shape == (1, 256)


@pytest.mark.parametrize("mode", ["I;16", "F", "P"])
def test_thumbnails_show_pictures_of_every_depth(tmp_path, mode):
    grey = np.arange(0, 256, 4, np.uint8)[None].repeat(48, axis=0)
    image = Image.fromarray(grey)
    if mode == "I;16":
        deep = Image.fromarray(grey.astype(np.uint16) * 257)
    elif mode == "F":
        deep = Image.fromarray(grey.astype(np.float32) / 255)
    else:
        deep = image.convert("P")
        deep.info["transparency"] = bytes(range(256))
    for name, stored in (("1.png", image), ("2.tif", deep)):
        for folder in ("rainy", "clean"):
            (tmp_path / folder).mkdir(exist_ok=True)
            if mode == "P":
                name = name.replace(".tif", ".png")
            stored.save(tmp_path / folder / name)
    first, second = thumbnails(pipeline.find_pairs(tmp_path))
    # one picture, so one row; both have norm one, or zero if nothing is seen
    np.testing.assert_allclose(first, second, atol=1e-6)
    assert first @ first == pytest.approx(1, abs=1e-5)  # float32


def test_backgrounds_that_cannot_be_seen_are_all_named(tmp_path, pairs):
    for name in ("clean/1.png", "clean/3.png"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"2 files .*1\.png.*3\.png"):
        thumbnails(pairs)


# Training batches


def test_batches_are_a_function_of_the_seed(pairs):
    first = train(pairs, 6)
    assert all(array.shape == (3, CROP, CROP, 3) for array in first[0])
    assert all(array.dtype == np.float32 for array in first[0])
    assert equal(first, train(pairs, 6))
    assert equal(first, train(pairs, 6, cache=False))
    assert not equal(first, train(pairs, 6, seed=8))


def test_start_skips_exactly(pairs):
    assert equal(train(pairs, 4, start=5), train(pairs, 9)[5:])


def test_element_spec_is_static_and_endless(pairs):
    dataset = pipeline.train_dataset(pairs, CROP, 3, seed=0)
    assert [spec.shape for spec in dataset.element_spec] == [(3, CROP, CROP, 3)] * 2
    assert dataset.cardinality() == -1  # infinite


def test_pairs_stay_aligned_and_unresampled(pairs):
    for rainy, clean in train(pairs, 8):
        np.testing.assert_array_equal(rainy[..., 1:], clean[..., 1:])
        # exact: k + 100 and k are whole numbers before the division by 255
        images = np.rint(255 * (rainy - clean)[..., 0])
        np.testing.assert_array_equal(images, 100)
        for patch, (image, top, left, mirrored) in zip(
            clean, origins(clean), strict=True
        ):
            expected = coordinates(image, False)[top : top + CROP, left : left + CROP]
            expected = expected[:, ::-1] if mirrored else expected
            np.testing.assert_array_equal(np.rint(patch * 255), expected)


def test_each_image_once_per_epoch_and_epochs_differ(pairs):
    batches = train(pairs, 20)  # 60 patches: twelve epochs, cut across batches
    found = list(itertools.chain.from_iterable(origins(clean) for _, clean in batches))
    epochs = [found[i : i + 5] for i in range(0, 60, 5)]
    assert all(sorted(o[0] for o in epoch) == [0, 1, 2, 3, 4] for epoch in epochs)
    assert len({tuple(o[0] for o in epoch) for epoch in epochs}) > 1
    assert {o[3] for o in found} == {0, 1}
    tops, lefts = {o[1] for o in found}, {o[2] for o in found}
    assert max(tops) <= HEIGHT - CROP and max(lefts) <= WIDTH - CROP
    # 60 draws from 17 offsets: all equal has a chance of 17**-59
    assert len(tops) > 1 and len(lefts) > 1


def test_no_flips(pairs):
    batches = train(pairs, 10, flips=False)
    assert not any(o[3] for _, clean in batches for o in origins(clean))


def test_five_crop_is_menets_recipe(pairs):
    assert pipeline.epoch_size(pairs, "five_crop") == 50
    batches = train(pairs, 10, batch_size=5, crops="five_crop")
    found = sorted(o for _, clean in batches for o in origins(clean))
    bottom, right = HEIGHT - CROP, WIDTH - CROP
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right)]
    places = [*corners, (bottom // 2, right // 2)]
    wanted = itertools.product(range(5), places, (0, 1))
    assert found == sorted((image, *place, flip) for image, place, flip in wanted)


def test_degrade_gets_reproducible_seeds_and_is_clipped(pairs):
    seen = []

    def degrade(rainy, clean, seed):
        assert rainy.shape == clean.shape == (CROP, CROP, 3)
        seen.append(seed)
        noise = np.random.default_rng(seed).normal(size=rainy.shape)
        return (rainy + noise).astype("float32"), clean * 2

    first = train(pairs, 4, degrade=degrade)
    seeds = list(seen)
    assert len(set(seeds)) == len(seeds) and all(type(s) is int for s in seeds)
    assert equal(first, train(pairs, 4, degrade=degrade))
    for rainy, clean in first:
        assert rainy.min() == 0 and rainy.max() == 1
        np.testing.assert_array_equal(clean, np.clip(clean, 0, 1))
    plain = train(pairs, 4)
    assert equal(
        [(clean,) for _, clean in first],
        [(np.minimum(clean * 2, 1),) for _, clean in plain],
    )


def test_bad_arguments_are_refused(pairs):
    with pytest.raises(ValueError, match="Received: crops='ten'"):
        pipeline.train_dataset(pairs, CROP, 3, 0, crops="ten")
    with pytest.raises(ValueError, match="Received: seed=-1"):
        pipeline.train_dataset(pairs, CROP, 3, -1)
    with pytest.raises(ValueError, match="Received: start=-1"):
        pipeline.train_dataset(pairs, CROP, 3, 0, start=-1)
    with pytest.raises(ValueError, match="Received: batch_size=0"):
        pipeline.train_dataset(pairs, CROP, 0, 0)
    with pytest.raises(ValueError, match=r"crop=25, 5 files \("):
        pipeline.train_dataset(pairs, 25, 3, 0)


def test_file_broken_behind_its_header_is_named(tmp_path, pairs):
    whole = (tmp_path / "rainy/2.png").read_bytes()
    (tmp_path / "rainy/2.png").write_bytes(whole[: len(whole) // 2])
    sampler = pipeline.PatchSampler(pairs, CROP, 5, seed=0)
    with pytest.raises(ValueError, match=r"Cannot read .*2\.png"):
        sampler.batch(0)


def test_tensorflow_hands_on_what_a_broken_file_raises(tmp_path, pairs):
    whole = (tmp_path / "rainy/2.png").read_bytes()
    (tmp_path / "rainy/2.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError) as caught, pipeline.plain_errors():
        train(pairs, 1, crop=CROP, batch_size=5, seed=0)
    path = tmp_path / "rainy/2.png"
    assert str(caught.value) == f"Cannot read {path}: image file is truncated."


def test_other_errors_of_tensorflow_stay_as_they_are(pairs):
    import tensorflow as tf  # the other tests may do without

    with pytest.raises(tf.errors.InvalidArgumentError), pipeline.plain_errors():
        tf.ensure_shape(tf.zeros(2), (3,))


# Evaluation and unpaired batches


def mixture(pairs, weights=None):
    """Images 0 and 1 as one set, 2 to 4 as another."""
    parts = pairs.subset([0, 1]), pairs.subset([2, 3, 4])
    return pipeline.Mixture(parts, weights)


def drawn(mixed, count=900):
    """How often each image was drawn in `count` samples, by the red of its pixels."""
    sampler = pipeline.PatchSampler(mixed, 2, 1, seed=3, flips=False)
    red = [round(float(sampler.sample(n)[1][0, 0, 0]) * 255) for n in range(count)]
    return np.bincount(red, minlength=5)


def test_sets_are_drawn_by_their_weights(pairs):
    # standard deviations of 900 draws: 15 of 450, 12 of 180
    counts = drawn(mixture(pairs, (3.0, 1.0)))
    assert 0.70 < counts[:2].sum() / 900 < 0.80
    assert counts[:2].min() > 270 and counts[2:].min() > 40
    # without weights every image counts alike
    assert drawn(mixture(pairs)).min() > 130


def test_mixed_batches_are_a_function_of_seed_and_number(pairs):
    mixed = mixture(pairs, (1, 2))
    batches = train(mixed, 6)
    assert equal(batches, train(mixed, 6)) and not equal(
        batches, train(mixed, 6, seed=8)
    )
    assert equal(batches[4:], train(mixed, 2, start=4))
    for rainy, clean in batches:  # pairs stay pairs
        np.testing.assert_allclose(rainy[..., 0] * 255, clean[..., 0] * 255 + 100)
        np.testing.assert_array_equal(rainy[..., 1:], clean[..., 1:])


def test_mixtures_that_do_not_fit_are_refused(pairs):
    for weights in ((1,), (1, 0), (1, float("inf"))):
        with pytest.raises(ValueError, match="2 sets, weights="):
            mixture(pairs, weights)
    with pytest.raises(ValueError, match="at least one set"):
        pipeline.Mixture(())


def test_evaluation_goes_through_the_pairs_in_order(tmp_path, pairs):
    save(tmp_path / "rainy/5.png", np.full((9, 40), 255))  # grey, another size
    save(tmp_path / "clean/5.png", np.zeros((9, 40, 3)))
    pairs = pipeline.find_pairs(tmp_path)
    dataset = pipeline.evaluation_dataset(pairs)
    assert dataset.cardinality() == 6
    whole = take(dataset, 9)
    assert [clean.shape for _, clean in whole] == [(1, HEIGHT, WIDTH, 3)] * 5 + [
        (1, 9, 40, 3)
    ]
    for number, (rainy, clean) in enumerate(whole[:5]):
        np.testing.assert_array_equal(rainy[0] * 255, coordinates(number, True))
        np.testing.assert_array_equal(clean[0] * 255, coordinates(number, False))
    assert whole[5][0].min() == 1 and whole[5][1].max() == 0
    centre = take(pipeline.evaluation_dataset(pairs.subset([3]), crop=CROP), 1)
    assert origins(centre[0][1]) == [(3, (HEIGHT - CROP) // 2, (WIDTH - CROP) // 2, 0)]


def test_unpaired_sources_are_independent(pairs):
    synthetic, real = pairs.subset([0, 1, 2]), pairs.rainy[1:]

    def run(count, **options):
        options = {"crop": CROP, "batch_size": 2, "seed": 3, **options}
        return take(pipeline.unpaired_dataset(synthetic, real, **options), count)

    batches = run(6)
    assert equal(batches, run(6)) and equal(batches[4:], run(2, start=4))
    rainy, clean, alone = (np.concatenate(part) for part in zip(*batches, strict=True))
    np.testing.assert_array_equal(rainy[..., 1:], clean[..., 1:])
    real_origins, synthetic_origins = origins(alone), origins(clean)
    # both go through epochs of their own length: 3 and 4
    for i in range(0, 12, 3):
        assert sorted(o[0] for o in synthetic_origins[i : i + 3]) == [0, 1, 2]
    for i in range(0, 12, 4):
        assert sorted(o[0] for o in real_origins[i : i + 4]) == [101, 102, 103, 104]
    assert [o[1:3] for o in real_origins] != [o[1:3] for o in synthetic_origins]


def test_finding_and_sampling_leave_tensorflow_unloaded(tmp_path, pairs):
    code = (
        "import sys; from tfderain.data import catalogue, pipeline, rain; "
        f"pairs = pipeline.find_pairs({str(tmp_path)!r}); "
        "rainy, clean = pipeline.PatchSampler(pairs, 8, 2, seed=0).batch(0); "
        "assert rainy.shape == (2, 8, 8, 3); "
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Sources


def test_sources_make_a_mixture(tmp_path, pairs):
    for number in range(2):
        save(tmp_path / "photos" / "more" / f"{number}.png", np.zeros((30, 40, 3)))
    folders = [tmp_path, tmp_path / "photos"]
    patterns = ["rainy/*:clean/*", None]
    sources = pipeline.Source.each(folders, ["auto", "clean"], patterns, [3, 1])
    assert sources[0] == pipeline.Source(str(tmp_path), "auto", patterns[0], 3.0)
    mixture = pipeline.find_mixture(sources)
    assert [len(part) for part in mixture.parts] == [5, 2]
    assert mixture.shares == (0.75, 0.25)
    photos = mixture.parts[1]
    assert photos.rainy == photos.clean and len(photos.with_rain()) == 0
    sampler = pipeline.PatchSampler(photos, CROP, 1, seed=0)
    rainy, clean = sampler.sample(0)
    assert rainy is clean  # what `degrade` knows them by
    (one,) = pipeline.find_mixture(sources[:1]).parts
    assert one == mixture.parts[0]


def test_a_mixture_of_one_set_gives_the_batches_of_the_set(pairs):
    mixture = pipeline.Mixture((pairs,))
    assert equal(train(mixture, 5), train(pairs, 5))
    # The very batches of earlier versions, so that their runs go on: image, top and
    # left (and mirrored) of two patches of this seed.
    alone = pipeline.PatchSampler(pairs, CROP, 4, seed=3)
    one, other = (alone.sample(number) for number in (0, 7))
    assert origins(np.stack([one[1], other[1]])) == [(4, 16, 6, 1), (4, 2, 0, 1)]


def test_sources_that_do_not_fit_are_refused(tmp_path, pairs):
    with pytest.raises(ValueError, match="one `layout` for all folders or one for"):
        pipeline.Source.each(["a", "b", "c"], ["auto", "flat"])
    sources = pipeline.Source.each([tmp_path, tmp_path], weights=[1, None])
    with pytest.raises(ValueError, match=r"weights=\(1.0, None\)"):
        pipeline.find_mixture(sources)


def test_patches_are_turned_all_eight_ways(tmp_path):
    picture = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    for folder, image in (("rainy", picture), ("clean", 255 - picture)):
        (tmp_path / folder).mkdir()
        Image.fromarray(image).save(tmp_path / folder / "1.png")
    pairs = pipeline.find_pairs(tmp_path)
    square = picture / np.float32(255)
    turns = [np.rot90(square, n) for n in range(4)]
    for kind, images, shares in (
        ("geometric", [*turns, *(t[:, ::-1] for t in turns)], [1 / 8] * 8),
        ("either", [square, square[:, ::-1], square[::-1]], [1 / 2, 1 / 4, 1 / 4]),
    ):
        counts = np.zeros(len(images))
        sampler = pipeline.PatchSampler(pairs, 8, 1, 0, turns=kind)
        for number in range(200):
            rainy, clean = sampler.sample(number)
            np.testing.assert_allclose(rainy + clean, 1, atol=1e-6)  # float32
            counts += [np.array_equal(rainy, image) for image in images]
        assert counts.sum() == 200
        # at most five standard deviations of 200 draws
        np.testing.assert_allclose(counts / 200, shares, atol=5 * (0.25 / 200) ** 0.5)
    with pytest.raises(ValueError, match="turns='all'"):
        pipeline.PatchSampler(pairs, 8, 1, 0, turns="all")


def test_whole_images_come_with_their_patches(pairs):
    batches = pipeline.train_dataset(pairs, 10, 2, seed=0, whole=16)
    (rainy, whole), (clean, whole_clean) = next(iter(batches))
    assert rainy.shape == clean.shape == (2, 10, 10, 3)
    assert whole.shape == whole_clean.shape == (2, 16, 16, 3)
    found = [pipeline.read_pair(pairs, index) for index in range(len(pairs))]
    for images, side in ((whole, 0), (whole_clean, 1)):
        import tensorflow as tf  # whose bilinear resize is the oracle; float32

        expected = [
            tf.image.resize(pair[side] / np.float32(255), (16, 16)) for pair in found
        ]
        for image in images:
            assert any(np.allclose(image, one, atol=1e-5) for one in expected)
    with pytest.raises(ValueError, match="not degraded"):
        pipeline.PatchSampler(pairs, 10, 2, 0, degrade=print, whole=16)
