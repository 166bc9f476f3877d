"""scripts/gpu: training pictures in one file, and what is made of it."""

import json
import zipfile

import numpy as np
import pytest
from gpu_kit import script, write_data

from tfderain.data import mixer
from tfderain.data.pairs import (
    Mixture,
    Pairs,
    find_images,
    find_pairs,
)
from tfderain.data.splits import split_by_background

pack, unpack = script("pack"), script("unpack")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def packed(data):
    path = data / "out" / "pack.zip"
    folders = [f"--{name}={data / name}" for name in ("pairs", "clean", "streaks")]
    layers = f"--layers={data / 'layers'}"
    pack.main([str(path), *folders, layers, "--limit=2", "--fraction=0.3"])
    return path


def test_split_is_that_of_a_training_on_the_folders(data, packed):
    index = unpack.read_index(packed)
    real = find_pairs(data / "pairs", "left_clean")
    clean = tuple(sorted(find_images(data / "clean", recursive=True)))
    clean = tuple(path for path in clean if "small" not in path)
    both = Mixture((real, Pairs(clean, clean)))
    parts = split_by_background(both, 0.3, 0)
    for name, part in zip(("training", "validation"), parts, strict=True):
        groups = index["groups"][name]
        counts = len(groups["own"]), len(groups["clean"])
        assert counts == tuple(len(pairs) for pairs in part.parts)
    # and the pictures are the same ones
    first = index["groups"]["validation"]["clean"][0]
    wanted = pack.read((parts[1].parts[1], 0, 1), 120_000).astype(int)
    assert np.abs(unpack.decode(packed, first) - wanted).mean() < 4  # WebP


def test_order_and_least_side_are_those_asked_for(data):
    def found(*options):
        folders = [f"--{name}={data / name}" for name in ("pairs", "clean", "streaks")]
        split = pack.find(pack.parse(["x.zip", *folders, "--fraction=0.01", *options]))
        return [path.rpartition("/")[2] for path in split["training"].parts[1].clean]

    assert "small.png" not in found() and "small.png" in found("--least=100")
    plain, natural = found(), found("--order=natural")
    assert plain.index("10.png") < plain.index("9.png")
    assert natural.index("10.png") > natural.index("9.png")


def test_pairs_are_cut_at_the_same_place(data, packed):
    rainy, clean = unpack.read_index(packed)["groups"]["training"]["own"][0]
    rainy, clean = (unpack.decode(packed, name).astype(int) for name in (rainy, clean))
    assert rainy.shape == clean.shape == (280, 300, 3)
    dark = clean < 200
    assert abs((rainy - clean)[dark].mean() - 40) < 2


def test_windows_keep_their_scale_and_at_least_256_pixels():
    top, left, height, width = pack.window((2000, 3000), 120_000, seed=3)
    assert 0.95 < height * width / 120_000 < 1.05
    assert 1.45 < width / height < 1.55
    assert 0 <= top <= 2000 - height and 0 <= left <= 3000 - width
    assert pack.window((2000, 3000), 120_000, seed=3) == (top, left, height, width)
    assert pack.window((2000, 3000), 120_000, seed=4)[:2] != (top, left)
    assert pack.window((100, 90), 120_000, seed=0) == (0, 0, 100, 90)
    assert pack.window((300, 3000), 120_000, seed=0)[2] == 256


def test_the_file_stays_below_its_limit(data, packed, tmp_path):
    assert packed.stat().st_size <= 2e6
    folders = [f"--{name}={data / name}" for name in ("pairs", "clean", "streaks")]
    small = tmp_path / "small.zip"
    pack.main([str(small), *folders, "--limit=0.09"])
    assert small.stat().st_size <= 0.09e6
    quality = [unpack.read_index(path)["quality"] for path in (packed, small)]
    assert quality[1] < quality[0]
    with pytest.raises(SystemExit, match=r"Received: limit=0.001 MB"):
        pack.main([str(tmp_path / "none.zip"), *folders, "--limit=0.001"])


def test_the_file_is_an_ordinary_zip(packed):
    with zipfile.ZipFile(packed) as file:
        index = json.loads(file.read("index.json"))
        named = [*index["streaks"], *index["given"]]
        for groups in index["groups"].values():
            named += [*groups["clean"], *(n for pair in groups["own"] for n in pair)]
        assert {*named, "index.json"} == set(file.namelist())
    assert len(index["streaks"]) == len(index["given"]) == 3


@pytest.fixture(scope="module")
def materials(packed):
    # one process: the test's has threads, which a fork would leave behind
    options = {"layers": 4, "nights": 4, "parts": 2, "side": 96, "validation": 3}
    return unpack.unpack(packed, workers=1, **options)


def test_materials_hold_every_picture(packed, materials):
    groups = unpack.read_index(packed)["groups"]["training"]
    assert len(materials.groups["own"]) == len(groups["own"])
    assert len(materials.groups["clean"]) == len(groups["clean"])
    ends = materials.table[:, 0] + materials.table[:, 1] * materials.table[:, 2]
    assert ends[-1] == len(materials.pixels) and materials.table[0, 0] == 0
    np.testing.assert_array_equal(ends[:-1], materials.table[1:, 0])
    for place, name in zip(materials.groups["clean"], groups["clean"], strict=True):
        offset, height, width = materials.table[place]
        flat = materials.pixels[offset : offset + height * width]
        wanted = unpack.decode(packed, name)
        np.testing.assert_array_equal(flat.reshape(height, width, 3), wanted)


def test_materials_hold_layers_nights_and_validation(materials):
    shapes = {name: pool.shape for name, pool in materials.pools.items()}
    assert shapes.pop("given") == (3, 384, 384)
    assert shapes == {
        **dict.fromkeys(("lines", "sheet", "thin", "fine", "streaks"), (4, 96, 96)),
        **dict.fromkeys(("broad", "soft"), (2, 96, 96)),
    }
    assert materials.groups["night"].shape == (4, 2)
    sizes = materials.table[materials.groups["night"].ravel(), 1:]
    assert (sizes == unpack.NIGHT_SIDE).all()
    assert set(materials.validation) == set(unpack.VALIDATION_KINDS)
    for kind, (rainy, clean) in materials.validation.items():
        assert rainy.shape == clean.shape == (3, 128, 128, 3), kind
        assert rainy.dtype == clean.dtype == np.float32
        assert np.square(rainy - clean).mean() > 1e-5


def test_materials_depend_on_the_seed_alone(packed, materials):
    options = {"layers": 4, "nights": 4, "parts": 2, "side": 96, "validation": 3}
    again = unpack.unpack(packed, workers=1, **options)
    np.testing.assert_array_equal(again.pixels, materials.pixels)
    other = unpack.unpack(packed, workers=1, seed=1, **options)
    for name in mixer.POOLS:
        np.testing.assert_array_equal(again.pools[name], materials.pools[name])
        assert (other.pools[name] != materials.pools[name]).any()


def test_parts_are_shared_out_to_processes():
    assert unpack.in_processes(abs, [-1, 2, -3], workers=1) == [1, 2, 3]
