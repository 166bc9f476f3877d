"""scripts/gpu: rain made in batches by PyTorch is the rain of the NumPy mixer."""

import math

import numpy as np
import pytest
from gpu_kit import scene, script

from tfderain.data import camera, mixer

torch = pytest.importorskip("torch")
camera_torch, rain_torch = script("camera_torch"), script("rain_torch")
unpack = script("unpack")

COUNT, SIZE = 384, 64  # of samples that are compared, and their side
QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)


@pytest.fixture(scope="module")
def materials():
    """Twelve pictures as pairs and as clean pictures, rendered layers."""
    pictures = {f"{i}": scene(200, 240, i) for i in range(12)}
    pictures["dark"] = pictures["11"] // 2
    pools = mixer.render_pools(0, None, count=24, size=96)
    pools["given"] = pools["lines"][:3]
    training = {"own": [["11", "dark"]], "clean": list(pictures)[:11]}
    night = scene(200, 240, 30)
    flat = unpack.flatten(pictures, [np.stack([night, night // 2])], training)
    return unpack.Materials(*flat, pools, {})


@pytest.fixture(scope="module")
def maker(materials):
    torch.set_num_threads(1)
    return rain_torch.RainMaker(materials, "cpu", seed=0)


@pytest.fixture(scope="module")
def kinds(materials):
    return mixer.KindMixer(materials.pools)


@pytest.fixture(scope="module")
def clean(maker):
    return maker.crops("clean", COUNT, SIZE)


def nhwc(images):
    return images.permute(0, 2, 3, 1).numpy()


def psnr(rainy, clean):
    error = np.square(rainy - clean).mean((1, 2, 3))
    return -10 * np.log10(np.maximum(error, 1e-10))


def change_by_level(rainy, clean, bins=4):
    """Mean of rainy - clean where the clean image is as bright as each bin says."""
    place = np.minimum((clean * bins).astype(int), bins - 1)
    return np.array([(rainy - clean)[place == i].mean() for i in range(bins)])


@pytest.mark.parametrize("kind", ["heavy", "light", "editor", "varied"])
def test_kinds_are_those_of_the_numpy_mixer(maker, kinds, clean, kind):
    rainy, dry = map(nhwc, maker.make(kind, clean))
    pairs = [
        kinds.make(kind, image, np.random.default_rng(i))
        for i, image in enumerate(nhwc(clean))
    ]
    wanted, wanted_dry = (np.stack(images) for images in zip(*pairs, strict=True))
    assert rainy.min() >= 0 and rainy.max() <= 1
    found, expected = (
        np.quantile(psnr(*both), QUANTILES)
        for both in ((rainy, dry), (wanted, wanted_dry))
    )
    # 384 samples of 12 to 28 dB's width: a quantile varies by up to 0.7 dB
    np.testing.assert_allclose(found, expected, atol=2.0 if kind == "varied" else 1.3)
    found, expected = (
        change_by_level(*both) for both in ((rainy, dry), (wanted, wanted_dry))
    )
    # twice as much as two halves of the NumPy mixer's own samples differ
    np.testing.assert_allclose(found, expected, atol=0.03)


@pytest.mark.parametrize("kind", ["heavy", "editor"])
def test_psnr_is_the_one_wanted(maker, clean, kind):
    ranges = getattr(maker.ranges, kind)
    found = psnr(*map(nhwc, maker.make(kind, clean)))
    inside = (found > ranges[0] - 1) & (found < ranges[1] + 1)
    assert inside.mean() > 0.85  # layers with too little rain in a crop fall short


def test_chunks_have_each_kind_by_its_share(maker):
    rainy, clean = maker.chunk(COUNT, SIZE)
    assert rainy.shape == clean.shape == (COUNT, 3, SIZE, SIZE)
    assert rainy.is_contiguous(memory_format=torch.channels_last)
    same = (rainy == clean).flatten(1).all(1).float().mean()
    own = rain_torch.PAIR_SHARE * rain_torch.OWN_SHARE
    assert abs(same - 0.06 * (1 - own)) < 0.012  # "clean"; one or two at 40 dB more
    # chunks differ, and the same seed gives the same chunk
    assert (maker.chunk(16, 32)[0] != maker.chunk(16, 32)[0]).any()


def test_chunks_depend_on_the_seed_alone(materials):
    makers = [rain_torch.RainMaker(materials, "cpu", seed) for seed in (5, 5, 6)]
    first, again, other = (maker.chunk(24, 48) for maker in makers)
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_pairs_stay_pairs(maker, materials):
    rainy, clean = maker.crops("own", 32, 64)
    rainy, clean = (x * 255 for x in (rainy, clean))
    torch.testing.assert_close(clean, torch.floor(rainy / 2 + 1e-3), atol=1e-3, rtol=0)


def test_crops_of_every_place_are_cut(maker, materials):
    crops = nhwc(maker.crops("clean", 64, 48)) * 255
    offset, height, width = materials.table[materials.groups["clean"][3]]
    picture = materials.pixels[offset : offset + height * width]
    picture = picture.reshape(height, width, 3).astype(np.float32)
    views = np.lib.stride_tricks.sliding_window_view(picture, (48, 48, 3))[:, :, 0]
    found = 0
    for crop in crops:
        for turned in (crop, crop[:, ::-1]):
            corner = np.abs(views[:, :, 0, :4] - turned[0, :4]).max((-1, -2)) < 1e-3
            found += any(
                np.allclose(views[y, x], turned, atol=1e-3)
                for y, x in np.argwhere(corner)
            )
    assert 1 <= found <= 20  # a twelfth of 64


def test_crops_larger_than_all_pictures_are_refused(maker):
    with pytest.raises(ValueError, match=r"Received: size=512"):
        maker.crops("clean", 2, 512)


def test_shares_become_whole_numbers():
    rng = np.random.default_rng(0)
    made = np.array(
        [rain_torch.counts((0.5, 0.3, 0.17, 0.03), 10, rng) for _ in range(2000)]
    )
    assert (made.sum(axis=1) == 10).all()
    assert set(made[:, 0]) == {5} and set(made[:, 3]) == {0, 1}
    np.testing.assert_allclose(made.mean(axis=0), (5, 3, 1.7, 0.3), atol=0.05)


# Camera


@pytest.mark.parametrize("factor", [1.0, 1.7, 4.0])
def test_enlargement_is_pillows(factor):
    image = np.random.default_rng(1).random((48, 48, 3), np.float32)
    part = math.ceil(48 / factor)
    wanted = camera.resized(image[:part, :part], (48, 48))
    tensor = torch.from_numpy(image.transpose(2, 0, 1)[None])
    found = camera_torch.enlarged(tensor, torch.full((1, 1, 1, 1), factor))
    np.testing.assert_allclose(nhwc(found)[0], wanted, atol=1e-5)


@pytest.mark.parametrize("sigma", [0.3, 0.62, 1.0])
def test_blur_is_the_cameras(sigma):
    image = np.random.default_rng(2).random((32, 32, 3), np.float32)
    tensor = torch.from_numpy(image.transpose(2, 0, 1)[None])
    found = camera_torch.blurred(tensor, torch.full((1, 1, 1, 1), sigma))
    np.testing.assert_allclose(nhwc(found)[0], camera.blurred(image, sigma), atol=1e-6)


@pytest.mark.parametrize("quality", [60, 75, 95])
def test_jpeg_is_pillows(quality):
    image = scene(64, 64, 5).astype(np.float32) / 255
    image = np.clip(
        image + 0.05 * np.random.default_rng(0).standard_normal(image.shape), 0, 1
    )
    image = image.astype(np.float32)
    wanted = camera.jpeg(image, quality)
    tensor = torch.from_numpy(image.transpose(2, 0, 1)[None].copy())
    found = nhwc(camera_torch.Jpeg("cpu")(tensor, torch.tensor([quality])))[0]
    # libjpeg's transform is in whole numbers: a coefficient may round the other way
    assert np.abs(found - wanted).mean() < 0.25 * np.abs(wanted - image).mean()
    assert np.abs((found - wanted).mean()) < 0.2 / 255


def test_hidden_pixels_have_the_cameras_shares():
    draw = camera_torch.Draw("cpu", 0)
    found = camera_torch.hidden(600, 64, draw).float().mean((1, 2, 3)).numpy()
    rng = np.random.default_rng(0)
    wanted = np.array([camera.hidden((64, 64), rng).mean() for _ in range(600)])
    levels = (0.2, 0.5, 0.8)
    found, wanted = (np.quantile(x, levels) for x in (found, wanted))
    np.testing.assert_allclose(found, wanted, atol=0.06)
    rainy, clean = torch.rand(8, 3, 32, 32), torch.rand(8, 3, 32, 32)
    wet, dry = camera_torch.hide(rainy, clean, draw)
    same = (wet == dry).all(1)
    assert same.flatten(1).any(1).all()
    assert torch.equal(wet.mean(1)[~same], rainy.mean(1)[~same])
