"""Checks that every layer, model and export has to pass, and inputs for them."""

import json
import pathlib

import keras
import numpy as np
import tensorflow as tf

from tfderain import models

GOLDEN = pathlib.Path(__file__).parent / "golden"
SMALL_JRGR = {"filters": 4, "num_levels": 2, "num_blocks": 1, "normalization": None}


def images(*shape, seed=0):
    """Random float32 values in [0, 1)."""
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def check_config(item):
    """The config survives JSON and rebuilds an item with the same config."""
    config = json.loads(json.dumps(item.get_config()))
    assert type(item).from_config(config).get_config() == item.get_config()


def check_gradients(layer, inputs, **kwargs):
    """A gradient that is not zero everywhere reaches every trainable weight."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(tf.cast(layer(inputs, **kwargs), tf.float32)))
    gradients = tape.gradient(loss, layer.trainable_variables)
    dead = [
        v.path
        for v, g in zip(layer.trainable_variables, gradients, strict=True)
        if g is None or not np.any(g)
    ]
    assert not dead, f"No gradient reaches {dead}."


def check_layer(layer, inputs, output_shape, **kwargs):
    """Shape, config, gradients, odd sizes' dtype, and half precision of a layer."""
    assert layer(inputs, **kwargs).shape == output_shape
    check_config(layer)
    check_gradients(layer, inputs, **kwargs)
    half = type(layer).from_config({**layer.get_config(), "dtype": "mixed_bfloat16"})
    assert half(inputs, **kwargs).dtype == tf.bfloat16


def check_model(
    model,
    tmp_path,
    sizes=((1, 1), (7, 33), (40, 24)),
    prepare=lambda model: None,
    scaled_graph=True,
):
    """Everything a `Derainer` promises, on small non-square images.

    Args:
        model: an unbuilt `Derainer`, to be compiled here.
        tmp_path: folder for the saved model.
        sizes: heights and widths that must come back unchanged.
        prepare: what a model built from a config still needs before training.
        scaled_graph: whether the float16 step, whose loss is scaled, is tried as a
            graph; one of several setups with the same step is enough.
    """
    check_config(model)
    prepare(model)
    for height, width in sizes:
        derained = model(images(2, height, width, 3)).numpy()
        assert derained.shape == (2, height, width, 3)
        assert derained.dtype == np.float32
        assert derained.min() >= 0 and derained.max() <= 1
    check_gradients(model, images(2, 16, 32, 3), training=True)
    check_training(model, tmp_path)
    for policy in ("mixed_bfloat16", "mixed_float16"):
        check_half_precision(model, policy, prepare, scaled_graph)


def check_training(model, tmp_path):
    """Fit lowers the loss; a saved, half-trained model continues just like it."""
    clean = 0.5 * images(8, 16, 32, 3, seed=1)
    rainy = np.clip(clean + 0.3, 0, 1)
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    history = model.fit(rainy, clean, batch_size=4, epochs=4, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert history["bad_steps"][-1] == 0
    evaluated = model.evaluate(rainy, clean, verbose=0, return_dict=True)
    assert evaluated["loss"] > 0  # a loss tracked in train_step only would print 0
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    assert type(loaded) is type(model)
    np.testing.assert_array_equal(loaded(rainy), model(rainy))
    loaded.run_eagerly = True  # its graph would take longer to build than all else
    for twin in (model, loaded):
        twin.fit(rainy, clean, batch_size=4, shuffle=False, verbose=0)
    assert int(loaded.optimizer.iterations) == int(model.optimizer.iterations) == 10
    for theirs, ours in zip(loaded.weights, model.weights, strict=True):
        # A graph may sum in another order: a step of Adam at 1e-3 moves a weight by
        # 1e-3, so a lost optimizer state would show far above 1e-5.
        np.testing.assert_allclose(theirs.numpy(), ours.numpy(), atol=1e-5)


def check_half_precision(model, policy, prepare, scaled_graph):
    """Half precision layers, float32 images, a finite step with a scaled loss."""
    half = type(model).from_config({**model.get_config(), "dtype": policy})
    prepare(half)
    rainy, clean = images(2, 16, 32, 3), images(2, 16, 32, 3, seed=1)
    # Op by op it is tried out faster.
    eager = policy == "mixed_bfloat16" or not scaled_graph
    half.compile(optimizer=keras.optimizers.Adam(1e-4), run_eagerly=eager)
    losses = half.fit(rainy, clean, epochs=2, verbose=0).history["loss"]
    assert np.all(np.isfinite(losses))
    derained = half(rainy)
    assert derained.dtype == tf.float32
    assert half.network.compute_dtype == policy.removeprefix("mixed_")


def jrgr_that_rains():
    """A small, untrained JRGR whose networks make rain."""
    keras.utils.set_random_seed(0)
    model = models.JRGR(**SMALL_JRGR, residual=True, stage="deploy")
    model.build((None, None, None, 3))
    for name in ("make_rain_real", "make_rain_synthetic"):
        layer = model.networks()[name].last
        layer.bias.assign([0.05, 0.05, 0.05])  # made rain differs from what it was
    return model
