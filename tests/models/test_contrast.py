"""Contrastive views and losses, against golden data and NumPy."""

import keras
import numpy as np
import pytest
from helpers import GOLDEN, check_config, images
from official import nhwc
from scipy import ndimage

from tfderain.models import contrast, rainmer, representation


@pytest.fixture
def part():
    encoder = representation.RepresentationEncoder(
        4, 16, size=16, num_stages=1, patch=2
    )
    part = contrast.Contrast(encoder, num_negatives=2, num_archived=5)
    part.build(16)
    return part


def test_losses_parity():
    golden = np.load(GOLDEN / "rainmer_contrast.npz", allow_pickle=False)
    logits = {}
    for view in ("detail", "chromatic", "degradation"):
        query, positive = (nhwc(golden[f"in/{view}_{x}"]) for x in ("q", "pos"))
        negatives = np.moveaxis(golden[f"in/{view}_neg"], 2, -1)
        logits[view] = contrast.similarities(query, positive, negatives)
        # stated with the golden data
        expected = golden[f"mid/logits_{view}"]
        np.testing.assert_allclose(logits[view], expected, atol=1e-6)
    loss = contrast.cross_entropy(logits["chromatic"])
    assert float(loss) == pytest.approx(float(golden["out/loss_chr"]), abs=1e-6)
    loss = contrast.cross_entropy(logits["detail"], logits["degradation"])
    assert float(loss) == pytest.approx(float(golden["out/loss_detg"]), abs=1e-6)


def test_temperature_divides():
    logits = np.array([[0.5, 0.1, -0.3]], "float32")
    loss = contrast.cross_entropy(logits, temperature=0.1)
    expected = np.log(np.exp(10 * logits).sum()) - 5
    assert float(loss) == pytest.approx(expected, rel=1e-5)  # float32


def test_blur_against_scipy():
    pictures = images(2, 14, 18, 3)
    sigma = np.array([0.6, 1.9], "float32")
    blurred = contrast.blur(pictures, sigma)
    for picture, width, actual in zip(pictures, sigma, blurred, strict=True):
        expected = ndimage.gaussian_filter(
            picture, (width, width, 0), mode="mirror", radius=5
        )
        np.testing.assert_allclose(actual, expected, atol=1e-6)  # float32 sums


def test_flips_mirror_whole_images():
    picture = images(1, 4, 6, 3)
    flipped = contrast.flip(
        np.repeat(picture, 40, axis=0), keras.random.SeedGenerator(0)
    )
    kinds = [picture[0], picture[0, ::-1], picture[0, :, ::-1], picture[0, ::-1, ::-1]]
    found = [[np.array_equal(image, kind) for kind in kinds] for image in flipped]
    assert np.all(np.sum(found, axis=1) == 1)
    assert np.all(np.sum(found, axis=0) > 0)  # each kind; missing one: 4 * 0.75**40


def test_singular_values_against_numpy():
    rain = images(2, 32, 32, 3)
    expected = np.linalg.svd(rain.transpose(0, 3, 1, 2), compute_uv=False)
    # float32 values up to 16
    np.testing.assert_allclose(contrast.singular_values(rain), expected, atol=1e-4)


def test_recoloured_images_have_the_mean_of_others():
    rainy = 0.4 + 0.2 * images(1, 8, 8, 3)
    means = np.array([[[0.3, 0.5, 0.2], [0.4, 0.4, 0.4]]], "float32")
    coloured = contrast.recolour(rainy, means)
    assert coloured.shape == (1, 2, 8, 8, 3)
    # nothing is clipped; the authors' 1e-5 on both sides
    np.testing.assert_allclose(np.mean(coloured, axis=(2, 3)), means, atol=1e-5)


def test_farthest_entries():
    archive = np.array([[0.0], [3.0], [1.0], [9.0]], "float32")
    entries = np.array([[0.5], [2.9]], "float32")
    chosen = contrast.farthest(entries, archive, 3, 2)  # the fourth is not real
    assert chosen.numpy().tolist() == [[1, 0], [0, 2]]
    assert contrast.farthest(entries, archive, 1, 2).numpy()[:, 0].tolist() == [0, 0]


def test_the_archive_keeps_the_most_recent_samples(part):
    rainy, clean = images(7, 16, 16, 3), images(7, 16, 16, 3, seed=1)
    for start, end in ((0, 3), (3, 5), (5, 7)):
        entries = part.entries(rainy[start:end], clean[start:end])
        part.remember(entries, True)
        part.remember({name: value + 1 for name, value in entries.items()}, False)
    assert int(part.archive["known"]) == 5
    newest = [5, 6, 3, 4, 0]
    rain = np.clip(rainy - clean, 0, 1)[newest]
    # kept in steps of 1/255
    kept = part.archive["rain"].numpy() / 255
    np.testing.assert_allclose(kept, rain, atol=0.5 / 255 + 1e-6)
    means = rainy[newest].mean(axis=(1, 2))
    np.testing.assert_allclose(part.archive["colours"], means, atol=1e-6)  # float32


def test_views_are_made_as_described(part, monkeypatch):
    monkeypatch.setattr(contrast, "flip", lambda pictures, seed: pictures)
    others, clean = images(5, 16, 16, 3, seed=2), images(5, 16, 16, 3, seed=1)
    part.remember(part.entries(others, clean), True)
    rainy = np.clip(clean + 0.3 * images(5, 16, 16, 3), 0, 1)[:1]
    clean = clean[:1]
    positives = part.positives(rainy, clean, 0)
    np.testing.assert_array_equal(positives["chromatic"], clean)
    np.testing.assert_array_equal(positives["degradation"], rainy)
    np.testing.assert_array_equal(positives["detail"], rainy)
    negatives = part.negatives(rainy, clean, 0)
    archive = part.merged(part.entries(rainy, clean))
    archive = {name: np.asarray(value) for name, value in archive.items()}

    def farthest(name):
        own = archive[name][0]
        distance = np.abs(archive[name] - own).reshape(5, -1).sum(axis=1)
        return np.argsort(-distance)[:2]

    rain = archive["rain"][farthest("singular_values")] / 255
    expected = np.clip(clean + rain, 0, 1)
    np.testing.assert_allclose(negatives["degradation"][0], expected, atol=1e-6)
    means = archive["colours"][farthest("colours")]
    gain = (1e-5 + means) / (1e-5 + rainy[0].mean(axis=(0, 1)))
    expected = np.clip(rainy * gain[:, None, None], 0, 1)
    np.testing.assert_allclose(negatives["chromatic"][0], expected, atol=1e-5)
    for blurred in negatives["detail"][0]:
        assert np.var(blurred) < np.var(clean)


def test_config_and_weights(part):
    assert not part.trainable_weights
    encoder = representation.RepresentationEncoder(4, 16, size=16)
    check_config(contrast.Contrast(encoder, momentum=0.9, seed=3))


def test_seeds_are_kept_in_the_file(part, tmp_path):
    model = rainmer.Rainmer(
        dim=4, num_blocks=(1, 0, 0, 0), num_stages=1, filters=16, encoder_size=16
    )
    model.build((None, None, None, 3))
    keras.random.uniform((2,), seed=model.contrast.random)
    state = model.contrast.random.state.numpy()
    model.save_weights(tmp_path / "model.weights.h5")
    keras.random.uniform((2,), seed=model.contrast.random)
    model.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(model.contrast.random.state, state)
