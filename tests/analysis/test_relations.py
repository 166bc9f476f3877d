"""Relationship scores by hand, embeddings of files, and the maps of the sphere."""

import json
import sys
import types

import keras
import numpy as np
import pytest
from helpers import images
from PIL import Image
from short_runs import SMALLEST, write_pairs

from tfderain import cli, models
from tfderain.analysis import relations
from tfderain.cli import console
from tfderain.data import pairs as pairing


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    model = models.Rainmer(**SMALLEST, contrast_weight=0.0)
    model.build((None, None, None, 3))
    return model


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Pairs, and a folder of their rainy images alone in other sizes."""
    folder = tmp_path_factory.mktemp("sets")
    write_pairs(folder / "day", count=3)
    (folder / "photos").mkdir()
    for number in range(2):
        pixels = (images(20 + 9 * number, 33, 3, seed=number) * 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{number}.png")
    return folder


def test_scores_by_hand():
    a = np.array([[1.0, 0.0], [0.0, 1.0]])
    b = np.array([[-1.0, 0.0], [0.6, 0.8], [0.6, 0.8]])
    scores = relations.score({"a": a, "b": b})
    within_b = (3 * 1 + 2 * 1 + 4 * -0.6) / 9  # itself, its twin, the opposite one
    across = (-1 + 0.6 + 0.6 + 0 + 0.8 + 0.8) / 6
    expected = [[0.5, across], [across, within_b]]
    np.testing.assert_allclose(scores, expected, atol=1e-12)  # float64


def test_rainy_images_of_pairs_or_all_of_a_folder(folders):
    day = relations.rainy_pairs(folders / "day")
    assert [path.split("day")[1][1:6] for path in day.rainy] == ["rainy"] * 3
    photos = relations.rainy_pairs(folders / "photos")
    assert len(photos) == 2 and photos.rainy == photos.clean
    side = relations.rainy_pairs(folders / "day" / "rainy", "left_clean")
    assert side.layout == "left_clean"
    (folders / "empty").mkdir()
    with pytest.raises(ValueError, match="There must be images"):
        relations.rainy_pairs(folders / "empty")


def test_embeddings_are_those_of_the_encoder(model, folders):
    sets = {n: relations.rainy_pairs(folders / n) for n in ("day", "photos")}
    found = relations.embed(model, sets, count=5, seed=1)
    assert list(found) == ["chromatic", "degradation"]
    for vectors in found.values():
        assert {rows.shape for rows in vectors.values()} == {(5, 8)}
        for rows in vectors.values():  # float32
            np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    # drawn again by the same generator, resized by Pillow, through the whole network
    rng = np.random.default_rng(1)
    rng.integers(3, size=5)
    first = sets["photos"].rainy[rng.integers(2, size=5)[0]]
    with Image.open(first) as picture:
        pixels = np.asarray(picture, np.float32) / 255
    resized = keras.ops.image.resize(pixels[None], (16, 16))
    vectors = model.network.represent(resized)
    for space, rows in found.items():
        np.testing.assert_allclose(rows["photos"][0], vectors[space][0], atol=1e-5)


def test_airnet_has_one_space_and_others_none(folders):
    sets = {"photos": relations.rainy_pairs(folders / "photos")}
    airnet = models.AirNet((4, 4, 6), queue=4)
    found = relations.embed(airnet, sets, count=3)
    assert found["degradation"]["photos"].shape == (3, 6)
    with pytest.raises(ValueError, match="Received: MENET"):
        relations.embed(models.MENET(1, filters=8), sets)
    bare = models.Rainmer(**SMALLEST, chromatic=False, degradation=False)
    with pytest.raises(ValueError, match=r"Received: Rainmer, views=\[\]"):
        relations.embed(bare, sets)


class NorthAndEast:
    """Stands in for `umap.UMAP`: half of the images at the pole, half on the equator.

    The real one compiles for many seconds; `test_umap_keeps_clusters_apart` runs it.
    """

    def __init__(self, **options):
        assert options["metric"] == "precomputed"
        assert options["output_metric"] == "haversine"
        assert options["min_dist"] == 0 and options["n_neighbors"] == 5

    def fit_transform(self, distances):
        half = len(distances) // 2
        # one quarter turn between the axes, none to itself
        assert distances[0, -1] == pytest.approx(np.pi / 2) and distances[0, 0] == 0
        return np.array([[0.0, 0.3]] * half + [[np.pi / 2, np.pi / 2]] * half)


def test_places_on_the_sphere(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "umap", types.SimpleNamespace(UMAP=NorthAndEast))
    vectors = {"a": np.tile([1.0, 0.0], (3, 1)), "b": np.tile([0.0, 1.0], (3, 1))}
    places = relations.sphere(vectors)
    # the pole has latitude 0; e1 = 90 degrees is the y axis, whose longitude is 0
    np.testing.assert_allclose(places["a"][:, 1], 0, atol=1e-12)
    np.testing.assert_allclose(places["b"], [[0, np.pi / 2]] * 3, atol=1e-12)
    figure = relations.draw_sphere(places, tmp_path / "sphere.png")
    assert figure.axes[0].get_xlim() == (-np.pi, np.pi)
    with pytest.raises(ValueError, match="five images. Received: 4"):
        relations.sphere({"a": np.eye(4)})


def test_without_umap_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ImportError, match=r"needs umap; .*tfderain\[analysis\]"):
        relations.sphere({"a": np.eye(6)})


@pytest.mark.slow  # numba compiles for half a minute
def test_umap_keeps_clusters_apart():
    rng = np.random.default_rng(0)
    vectors = {}
    for name, centre in (("a", [1, 0, 0]), ("b", [0, 1, 0]), ("c", [-1, 0, 0])):
        rows = centre + 0.05 * rng.standard_normal((12, 3))
        vectors[name] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    places = relations.sphere(vectors)
    points = {
        name: np.stack(
            [
                np.sin(latitude) * np.sin(longitude),
                np.sin(latitude) * np.cos(longitude),
                np.cos(latitude),
            ],
            axis=1,
        )
        for name, (longitude, latitude) in ((n, p.T) for n, p in places.items())
    }
    scores = relations.score(points)
    assert np.diag(scores).min() > scores[~np.eye(3, dtype=bool)].max()


def run(*arguments):
    return console.run(cli.app, [str(argument) for argument in arguments])


def test_command(model, folders, tmp_path, capsys):
    model.save(tmp_path / "model.keras")
    command = ("analyze", "relations", tmp_path / "model.keras", "--images", 4)
    command += ("--data", folders / "day", "--data", folders / "photos", "--no-umap")
    out, report = tmp_path / "out", tmp_path / "relations.json"
    assert run(*command, "--out", out, "--json", report) == 0
    assert "chromatic" in capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == {"chromatic.png", "degradation.png"}
    about = json.loads(report.read_text())
    assert about["names"] == ["day", "photos"] and about["count"] == 4
    sets = {n: relations.rainy_pairs(folders / n) for n in about["names"]}
    expected = relations.embed(model, sets, 4)["chromatic"]
    # a loaded model and another batch of float32 sums
    np.testing.assert_allclose(
        about["spaces"]["chromatic"]["scores"], relations.score(expected), atol=1e-5
    )
    assert run(*command, "--out", out) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run("analyze", "relations", "rainmer", "--out", tmp_path / "no") == 2
    assert isinstance(sets["day"], pairing.Pairs)
