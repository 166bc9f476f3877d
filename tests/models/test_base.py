"""The train step: XLA, strategies, loss scaling, steps that are not finite."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import images

from tfderain import losses, weighting
from tfderain.models import JRGR, MENET, ERLNet

RAINY, CLEAN = images(4, 16, 24, 3), images(4, 16, 24, 3, seed=1)
RAINY[2:] = 0.2 * RAINY[2:] + 0.8 * CLEAN[2:]  # a second replica sees less rain


def build(**kwargs):
    """A seeded tiny MENET, ready to train."""
    keras.utils.set_random_seed(0)
    tasks = {
        "reconstruction": losses.Reconstruction("l1", 1.0),
        "edge": losses.Edge("l1", 0.125),
    }
    options = {"normalization": None, "value_range": 1.0, "clip_training": False}
    model = MENET(1, filters=8, tasks=tasks, **{**options, **kwargs})
    model.build((None, None, None, 3))
    return model


def build_entangled():
    """A seeded tiny ERL-Net with feature loss and teacher."""
    keras.utils.set_random_seed(0)
    options = {"stem": 4, "growth": 2, "num_layers": 1, "levels": 2}
    model = ERLNet(entanglement="mlgd", stage="direct", feature_weight=1.0, **options)
    teacher = ERLNet(**options)
    for network in (model, teacher):
        network.build((None, None, None, 3))
    model.learn_from(teacher)
    return model


def train(model, steps=3, **kwargs):
    """Some steps on one batch with plain SGD; returns the loss history."""
    if not model.compiled:
        model.compile(optimizer=keras.optimizers.SGD(0.01), **kwargs)
    data = tf.data.Dataset.from_tensors((RAINY, CLEAN)).unbatch().batch(4)
    return model.fit(data, epochs=steps, shuffle=False, verbose=0).history


def assert_same_weights(first, second, rtol):
    for a, b in zip(first.weights, second.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=rtol, atol=1e-6)


@pytest.mark.parametrize("scheme", ["LossBalance", "GradientBalance"])
def test_xla_gives_the_same_steps(scheme):
    plain = build(weighting=getattr(weighting, scheme)())
    compiled = build(weighting=getattr(weighting, scheme)())
    train(plain)
    train(compiled, jit_compile=True)
    assert_same_weights(plain, compiled, rtol=1e-4)  # other order of float32 sums


@pytest.mark.parametrize(
    ("scheme", "normalization"), [("LossBalance", None), ("GradientBalance", "batch")]
)
def test_two_replicas_equal_one(strategy, scheme, normalization):
    options = {"normalization": normalization}
    alone = build(weighting=getattr(weighting, scheme)(), **options)
    expected = train(alone)
    with strategy.scope():
        mirrored = build(weighting=getattr(weighting, scheme)(), **options)
        mirrored.compile(optimizer=keras.optimizers.SGD(0.01))
    assert strategy.num_replicas_in_sync == 2
    history = train(mirrored)
    for name in ("loss", "weight_edge", "weight_reconstruction"):
        # The same global batch in two halves: float32 sums in another order.
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-4)
    for a, b in zip(alone.weights, mirrored.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.value.numpy(), rtol=1e-3, atol=1e-5)


def test_entangled_networks_train_alike_compiled_and_on_two_replicas(strategy):
    alone, compiled = build_entangled(), build_entangled()
    expected = train(alone)
    train(compiled, jit_compile=True)
    assert_same_weights(alone, compiled, rtol=1e-4)  # other order of float32 sums
    with strategy.scope():
        mirrored = build_entangled()
        mirrored.compile(optimizer=keras.optimizers.SGD(0.01))
    history = train(mirrored)
    for name in ("loss", "feature"):  # two halves: float32 sums in another order
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-4)
    for a, b in zip(alone.weights, mirrored.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.value.numpy(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("jit", [False, True])
def test_steps_that_are_not_finite_change_nothing(jit):
    model = build()
    model.compile(optimizer=keras.optimizers.Adam(1e-3), jit_compile=jit)
    train(model, steps=1)
    before = [w.numpy() for w in (*model.network.weights, *model.optimizer.variables)]
    broken = RAINY.copy()
    broken[0, 0, 0, 0] = np.nan
    history = model.fit(broken, CLEAN, epochs=2, verbose=0).history
    assert history["bad_steps"] == [1, 2]
    after = [w.numpy() for w in (*model.network.weights, *model.optimizer.variables)]
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)
    assert int(model.bad_steps_in_a_row.numpy()) == 2
    history = train(model, steps=1)
    assert np.isfinite(history["loss"][0])
    assert int(model.bad_steps_in_a_row.numpy()) == 0
    assert int(model.bad_steps.numpy()) == 2


def test_loss_scaling_skips_and_lowers_its_scale():
    model = build(dtype="mixed_float16")
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    train(model, steps=1)
    scale = float(model.optimizer.dynamic_scale.numpy())
    weights = [w.numpy() for w in model.network.weights]
    model.fit(np.full_like(RAINY, np.nan), CLEAN, verbose=0)
    assert float(model.optimizer.dynamic_scale.numpy()) == scale / 2
    for weight, before in zip(model.network.weights, weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), before)


def test_gradient_norms_are_logged():
    history = train(build(weighting=weighting.GradientBalance()), steps=1)
    names = {"loss", "reconstruction", "edge", "bad_steps"}
    names |= {"weight_edge", "weight_reconstruction"}
    assert names < set(history)
    total = sum(history[f"gradient_norm_{t}"][0] for t in ("edge", "reconstruction"))
    share = history["gradient_norm_edge"][0] / total
    assert history["weight_edge"][0] == pytest.approx(1 - share, rel=1e-5)


def test_compiled_metrics_see_images(tmp_path):
    from tfderain import metrics

    model = build()
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        metrics=[metrics.PSNR("rgb_gaussian", name="psnr_rgb")],
    )
    history = model.fit(RAINY, CLEAN, validation_data=(RAINY, CLEAN), verbose=0).history
    derained = np.rint(model(RAINY).numpy() * 255) / 255
    expected = metrics.psnr(derained, CLEAN, "rgb_gaussian").mean()
    # the Keras metric does not round the derained image to 8 bits
    assert history["val_psnr_rgb"][0] == pytest.approx(expected, abs=0.05)


def test_layer_inside_another_model_passes_gradients():
    model = build()
    inputs = keras.Input((None, None, 3))
    outputs = keras.layers.GlobalAveragePooling2D()(model(inputs))
    classifier = keras.Model(inputs, keras.layers.Dense(2)(outputs))
    image = tf.Variable(images(1, 7, 9, 3))
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(classifier(image))
    assert np.any(tape.gradient(value, image))


def test_a_frozen_network_is_frozen_when_it_is_built_from_its_config():
    jrgr = {"filters": 2, "num_levels": 2, "num_blocks": 1, "variant": "code"}
    for model in (
        MENET(1, filters=8),
        ERLNet(stem=4, growth=2, num_layers=1, levels=2, entanglement="mlgd"),
        JRGR(**jrgr, stage="deploy"),
    ):
        model.build((None, None, None, 3))
        model.trainable = False
        copy = type(model).from_config(model.get_config())
        copy.build((None, None, None, 3))
        assert not [v.path for v in copy.variables if v.trainable]
        copy.trainable = True
        assert copy.trainable_variables
