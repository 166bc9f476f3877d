"""Rainmer against the authors' code: golden data of Schizophreni/Rainmer."""

import keras
import numpy as np
import official
import pytest
import tensorflow as tf
from helpers import (
    check_config,
    check_gradients,
    images,
)
from keras import ops
from official import load, nhwc

from tfderain import export
from tfderain.convert import rainmer as official_rainmer
from tfderain.models import contrast, drsformer, rainmer

# One block each way: building graphs takes most of the time of these tests.
TINY = {
    "dim": 4,
    "num_blocks": (1, 0, 0, 0),
    "num_stages": 1,
    "patch": 2,
    "filters": 16,
    "gate_ratio": 2,
    "encoder_size": 16,
    "num_archived": 12,
    "num_negatives": 2,
}
ABLATIONS = {
    "wochr": {"chromatic": False},
    "wodetg": {"degradation": False},
    "wolocf": {"interaction": False},
    "sum": {"mixing": "sum"},
    "baseline": {"chromatic": False, "degradation": False, "interaction": False},
    "no_contrast": {"contrast_weight": 0.0},
}


def tiny(**options):
    keras.utils.set_random_seed(0)
    model = rainmer.Rainmer(**{**TINY, **options})
    model.build((None, None, None, 3))
    return model


def golden_network(golden, **options):
    network = rainmer.RainmerNetwork(
        dim=8, num_blocks=(1, 1, 1, 1), filters=32, **options
    )
    network.build((None, None, None, 3))
    official_rainmer.place(network, official.weights(golden))
    return network


# Layers


def test_blocks():
    features, vector = images(2, 8, 12, 16), images(2, 6, seed=1)
    prompt = rainmer.Prompt()
    assert prompt(features, vector).shape == features.shape
    fused = rainmer.SpatialChannelInteraction()(features, features + 1)
    assert fused.shape == features.shape
    for layer in (prompt, rainmer.PromptedBlock(views=("chromatic",))):
        check_config(layer)


# Network


@pytest.mark.parametrize("cumulative", [False, True])
def test_network_parity(cumulative):
    golden = load("rainmer_net")
    network = golden_network(golden, cumulative=cumulative)
    network.encoder.size = None  # the golden query is smaller than 128x128
    made = network.encoder(nhwc(golden["in/x_q"]))
    rainy = nhwc(golden["in/x"])
    # all stated with the golden data; float32 sums in another order
    tolerance = {"atol": 2e-4}
    expected = nhwc(golden["mid/cross_fuse"])
    np.testing.assert_allclose(network.shallow(rainy), expected, **tolerance)
    for block, level in zip(network.decoder_blocks, (3, 2, 1), strict=True):
        expected = golden[f"mid/decoder_level{level}_alpha"]
        np.testing.assert_allclose(block.share(made["chromatic"]), expected, atol=1e-6)
    case = "lowindex_ties" if cumulative else "independent_masks_NOT_official"
    derained = network.restore(rainy, network.vectors(made))
    np.testing.assert_allclose(derained, nhwc(golden[f"out/{case}"]), **tolerance)


def test_baseline_is_drsformer():
    options = {"dim": 4, "num_blocks": (1, 0, 0, 1), "num_stages": 1}
    baseline = rainmer.RainmerNetwork(**options, **ABLATIONS["baseline"])
    network = drsformer.DRSformerNetwork(**options)
    for part in (baseline, network):
        part.build((None, None, None, 3))
    for mine, theirs in zip(baseline.weights, network.weights, strict=True):
        mine.assign(theirs)
    rainy = images(1, 16, 24, 3)
    np.testing.assert_array_equal(baseline(rainy), network(rainy))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 33)])
def test_any_size(height, width):
    derained = tiny()(images(2, height, width, 3))
    assert derained.shape == (2, height, width, 3)
    assert np.min(derained) >= 0 and np.max(derained) <= 1


@pytest.mark.parametrize("name", ["complete", *ABLATIONS])
def test_ablations(name):
    model = tiny(**ABLATIONS.get(name, {}))
    check_config(model)
    check_gradients(model, images(2, 16, 32, 3), training=True)
    terms = {
        "wochr": {"contrast_detail"},
        "wodetg": {"contrast_chromatic"},
        "baseline": set(),
        "no_contrast": set(),
    }.get(name, {"contrast_chromatic", "contrast_detail"})
    rainy, clean = images(2, 15, 32, 3), images(2, 15, 32, 3, seed=1)
    derained, losses = model.compute_losses(rainy, clean, training=True)
    assert derained.shape == rainy.shape
    assert {n for n in losses if n.startswith("contrast")} == terms
    total = losses["charbonnier"] + 0.1 * losses["ssim"]
    total += 0.1 * sum(losses[name] for name in terms)
    assert float(losses["loss"]) == pytest.approx(float(total), rel=1e-5)  # float32
    assert (model.contrast is None) == (not terms)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="mixing='beta'"):
        rainmer.Rainmer(mixing="beta")
    with pytest.raises(ValueError, match="encoder_size=40, patch=2"):
        rainmer.Rainmer(patch=2, encoder_size=40)
    with pytest.raises(ValueError, match="num_archived=2"):
        rainmer.Rainmer(**{**TINY, "num_archived": 2, "num_negatives": 4})
    with pytest.raises(ValueError, match="contrast_weight=0"):
        tiny().compute_loss(y=images(1, 8, 8, 3), y_pred=images(1, 8, 8, 3))


# Training


def values(model):
    parts = (*model.network.weights, *model.contrast.weights)
    return [w.numpy() for w in (*parts, *model.optimizer.variables)]


def test_training_continues_from_a_file(tmp_path):
    """As `check_training`, with a step that is not finite.

    Building graphs takes nearly all of the time, so that one test does it all with one
    graph, and an optimizer of few operations; what was loaded goes on without one.
    """
    model = tiny()
    clean = 0.5 * images(8, 16, 32, 3, seed=1)
    rainy = np.clip(clean + 0.3, 0, 1)
    model.compile(optimizer=keras.optimizers.SGD(0.01, momentum=0.9))
    options = {"batch_size": 4, "shuffle": False, "verbose": 0}
    history = model.fit(rainy, clean, epochs=4, **options).history
    assert history["loss"][-1] < history["loss"][0]
    assert int(model.contrast.archive["known"]) == 12
    before = values(model)
    broken = rainy[:4].copy()
    broken[0, 0, 0, 0] = np.nan
    history = model.fit(broken, clean[:4], **options).history
    assert history["bad_steps"] == [1]
    for now, then in zip(values(model), before, strict=True):
        np.testing.assert_array_equal(now, then)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    loaded.run_eagerly = True
    first, second = (loaded.evaluate(rainy, clean, verbose=0) for _ in range(2))
    assert first == second  # the same random choices
    for twin in (model, loaded):
        twin.fit(rainy, clean, **options)
    for mine, theirs in zip(values(model), values(loaded), strict=True):
        # A graph may sum in another order. Lost momenta, random states or archives
        # would change the steps, which are of the order of 1e-3.
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_the_encoder_may_see_whole_images():
    """As the authors train: patches to derain, representations of the whole image."""
    model = tiny()
    rainy, clean = images(2, 16, 32, 3), images(2, 16, 32, 3, seed=1)
    wholes = [images(2, 16, 16, 3, seed=seed) for seed in (2, 3)]  # the encoder's size
    data = (rainy, wholes[0]), (clean, wholes[1])
    derained, losses = model.compute_losses(*data, training=True)
    vectors = model.network.vectors(model.network.encoder(wholes[0]))
    expected = model.network.restore(rainy, vectors)
    # the same operations
    np.testing.assert_allclose(derained, expected, atol=1e-6)
    _, of_patches = model.compute_losses(rainy, clean, training=True)
    assert losses["contrast_detail"] != of_patches["contrast_detail"]
    model.compile(optimizer=keras.optimizers.SGD(0.01), run_eagerly=True)
    found = model.train_step(data)
    assert np.isfinite(float(found["loss"]))
    # the archive holds the rain of whole images, in steps of 1/255
    rain = np.clip(wholes[0] - wholes[1], 0, 1)
    kept = model.contrast.archive["rain"].numpy()[:2] / 255
    np.testing.assert_allclose(kept, rain, atol=0.51 / 255)
    baseline = tiny(**ABLATIONS["baseline"])
    derained, _ = baseline.compute_losses(*data, training=True)
    np.testing.assert_allclose(derained, baseline.network(rainy), atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision(policy):
    model = tiny(dtype=policy)
    rainy, clean = images(2, 16, 32, 3), images(2, 16, 32, 3, seed=1)
    # Eagerly: a graph takes longer to build than to be of use in one step.
    model.compile(optimizer=keras.optimizers.SGD(1e-3), run_eagerly=True)
    history = model.fit(rainy, clean, verbose=0).history
    assert np.isfinite(history["loss"][0])
    assert model(rainy).dtype == "float32"
    assert model.network.compute_dtype == policy.removeprefix("mixed_")
    assert model.network.encoder(rainy)["chromatic"].dtype == "float32"


def test_contrastive_losses_of_a_step_parity():
    """The golden images of all views, through both encoders, after one average."""
    golden = load("rainmer_net")
    network = golden_network(golden)
    network.encoder.size = None
    part = contrast.Contrast(network.encoder)
    part.key_encoder.size = None
    part.build(48)
    names = official.weights(golden, "disentangle.encoder_k.")
    official_rainmer.place_encoder(part.key_encoder, names)
    part.follow(network.encoder, True)
    for layer, name in (
        (part.key_encoder.embed, "conv.proj"),
        (part.key_encoder.chromatic.enter, "Atom.chromatic_enc.0"),
        (part.key_encoder.degradation.second, "Atom.degra_enc.2.conv2"),
    ):
        expected = golden[f"after/encoder_k.{name}.weight"].transpose(2, 3, 1, 0)
        np.testing.assert_allclose(layer.kernel, expected, atol=1e-7)  # float32
    query = network.encoder(nhwc(golden["in/x_q"]))
    views = ("detail", "chromatic", "degradation")
    near = {view: nhwc(golden[f"in/{view}_pos"]) for view in views}
    far = {view: np.moveaxis(golden[f"in/{view}_neg"], 2, -1) for view in views}
    far = {view: far[view].astype("float32") for view in views}
    logits = {}
    for group in contrast.TERMS.values():
        logits |= part.similarities(query, near, far, group)
    for view in views:
        expected = golden[f"out/logits_{view}"]
        # cosines of encoder outputs that agree to 1e-5
        np.testing.assert_allclose(logits[view], expected, atol=1e-5)


@pytest.fixture
def no_chance(monkeypatch):
    """Random draws are their middle: XLA and replicas draw others from a seed."""

    def middle(shape, minval=0.0, maxval=1.0, dtype="float32", seed=None):
        return ops.full(shape, (minval + maxval) / 2, dtype)

    monkeypatch.setattr(keras.random, "uniform", middle)


def two_steps(model, **options):
    if not model.compiled:
        model.compile(optimizer=keras.optimizers.SGD(0.01), **options)
    rainy, clean = images(4, 16, 16, 3), images(4, 16, 16, 3, seed=1)
    return model.fit(rainy, clean, epochs=2, shuffle=False, verbose=0).history


def assert_same_steps(first, second):
    for name in ("loss", "contrast_chromatic", "contrast_detail"):
        # other order of float32 sums
        np.testing.assert_allclose(first[name], second[name], rtol=1e-4)


@pytest.mark.slow
def test_xla_gives_the_same_steps(no_chance):
    assert_same_steps(two_steps(tiny()), two_steps(tiny(), jit_compile=True))


def test_two_replicas_equal_one(no_chance, strategy):
    # Not as a graph, which takes a minute to build: test_base has those.
    alone = tiny()
    expected = two_steps(alone, run_eagerly=True)
    with strategy.scope():
        mirrored = tiny()
        mirrored.compile(optimizer=keras.optimizers.SGD(0.01), run_eagerly=True)
    assert_same_steps(two_steps(mirrored), expected)
    for a, b in zip(alone.weights, mirrored.weights, strict=True):  # and archives
        np.testing.assert_allclose(a.numpy(), b.value.numpy(), rtol=1e-3, atol=1e-5)


def test_only_the_network_is_deployed():
    trained = tiny()
    names = {weight.path for weight in trained.network.weights}
    assert not any("key_encoder" in name or "archive" in name for name in names)
    shipped = tiny(contrast_weight=0.0)
    shipped.adopt(trained)
    assert len(shipped.trainable_weights) == len(shipped.network.weights)
    rainy = images(1, 16, 24, 3)
    np.testing.assert_array_equal(shipped(rainy), trained(rainy))


@pytest.mark.slow
def test_onnx_is_compared_with_keras_at_several_sizes(tmp_path):
    made = export.to_onnx(tiny(contrast_weight=0.0), tmp_path / "network.onnx")
    assert len(made.sizes) > 1


def test_prompts_are_made_of_operations_that_onnx_has():
    prompt = rainmer.Prompt()
    prompt.build((1, 4, 6, 8), (1, 16))
    traced = tf.function(prompt).get_concrete_function(
        tf.TensorSpec((1, None, None, 8)), tf.TensorSpec((1, 16))
    )
    used = {operation.type for operation in traced.graph.get_operations()}
    assert "Erf" in used and "Erfc" not in used
