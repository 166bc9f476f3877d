"""ResUNetDrops: its mask, what it takes over from a ResUNet, and its losses."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import check_model, images

from tfderain.models import resunet, resunet_drops
from tfderain.weighting import Fixed

LEVELS = {"filters": (8, 12), "down": (1, 2), "up": (1,)}
DEEPER = {"filters": (8, 12, 6), "down": (1, 2, 1), "up": (1, 1)}


def tiny(**kwargs):
    """A ResUNetDrops of some thousand weights."""
    return resunet_drops.ResUNetDrops(**{**DEEPER, **kwargs})


def built(model):
    model.build((None, None, None, 3))
    return model


def trained_resunet(seed=0):
    """A ResUNet whose output differs from its input."""
    keras.utils.set_random_seed(seed)
    model = built(resunet.ResUNet(**LEVELS))
    model.network.leave.bias.assign(np.linspace(-0.2, 0.1, 12))
    return model


def test_parameter_count():
    model = built(resunet_drops.ResUNetDrops())
    assert sum(w.numpy().size for w in model.trainable_weights) == 4_075_480
    assert model.stride == 16


def test_model_contract(tmp_path):
    check_model(tiny(), tmp_path)


def test_the_mask_blends_what_is_filled_in():
    model, rainy = built(tiny()), images(2, 21, 30, 3)
    model.network.leave.bias.assign(np.full(12, 0.25))
    for logit, share in ((-40.0, 0.0), (0.0, 0.5), (40.0, 1.0)):
        model.network.mask.kernel.assign(np.zeros(model.network.mask.kernel.shape))
        model.network.mask.bias.assign(np.full(4, logit))
        derained, mask = model.with_mask(rainy)
        assert mask.shape == (2, 21, 30, 1)
        np.testing.assert_allclose(mask, share, atol=1e-6)
        # the last kernel's start is a thousandth of the bias
        wanted = np.clip(rainy + share * 0.25, 0, 1)
        np.testing.assert_allclose(derained, wanted, atol=0.05 * share)
        np.testing.assert_array_equal(model(rainy), derained)


def test_a_resunet_is_taken_over_by_name():
    old, model, rainy = trained_resunet(), built(tiny()), images(1, 24, 40, 3)
    note = model.adopt(old)
    assert "3 are new" not in note and "ResUNet with 2 levels" in note
    assert "down_2_0" in note and "mask" in note
    mine = model.network.layers_by_name()
    for name, layer in old.network.layers_by_name().items():
        for weight, other in zip(layer.weights, mine[name].weights, strict=True):
            np.testing.assert_array_equal(weight, other)
    change, wanted = model(rainy) - rainy, old(rainy) - rainy
    assert np.abs(wanted).max() > 0.1
    # sigmoid(3) = 0.953 of it; the mask's kernel starts at a thousandth
    np.testing.assert_allclose(change, 0.953 * wanted, atol=0.01)


def test_one_of_its_own_kind_is_taken_over_whole():
    first, second, rainy = built(tiny()), built(tiny()), images(1, 16, 16, 3)
    assert second.adopt(first) is None
    np.testing.assert_array_equal(first(rainy), second(rainy))


@pytest.mark.parametrize(
    "levels",
    [
        {"filters": (8, 10), "down": (1, 2), "up": (1,)},
        {"filters": (8, 12), "down": (1, 3), "up": (1,)},
        {"filters": (8, 12, 6, 6), "down": (1, 2, 1, 1), "up": (1, 1, 1)},
    ],
)
def test_other_levels_are_refused(levels):
    with pytest.raises(ValueError, match="same and perhaps more"):
        built(tiny()).adopt(built(resunet.ResUNet(**levels)))


def test_new_levels_learn_after_a_start_without_effect():
    model = built(tiny())
    model.adopt(trained_resunet())
    rainy, clean = images(2, 32, 32, 3), images(2, 32, 32, 4, seed=1)
    model.compile(keras.optimizers.Adam(1e-3), run_eagerly=True)
    before = [np.array(w) for w in model.network.encoders[2][0].weights]
    model.fit(rainy, clean, batch_size=2, epochs=3, verbose=0)
    after = [np.array(w) for w in model.network.encoders[2][0].weights]
    assert any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_mask_loss_against_numpy():
    model = built(tiny())
    logits = np.random.default_rng(0).normal(0, 3, (2, 8, 8, 1)).astype(np.float32)
    clean = images(2, 6, 7, 4)
    clean[0, :3, :, 3] = -1  # nobody knows
    shown = 1 / (1 + np.exp(-np.float64(logits[:, :6, :7, 0])))
    mask = np.float64(clean[..., 3])
    errors = -(mask * np.log(shown) + (1 - mask) * np.log(1 - shown))
    wanted = errors[mask >= 0].mean()
    loss = model.mask_loss(tf.constant(clean), tf.constant(logits))
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)  # float32 exponentials
    clean[..., 3] = -1
    assert float(model.mask_loss(tf.constant(clean), tf.constant(logits))) == 0
    assert float(model.mask_loss(tf.constant(clean[..., :3]), logits)) == 0


def test_the_weighting_may_name_the_mask():
    model = built(tiny(weighting=Fixed({"mask": 0.5})))
    rainy, clean = images(1, 16, 16, 3), images(1, 16, 16, 4, seed=1)
    _, losses = model.compute_losses(rainy, tf.constant(clean), training=False)
    wanted = losses["reconstruction"] + 0.5 * losses["mask"]
    np.testing.assert_allclose(losses["loss"], wanted, rtol=1e-6)  # one sum


def test_masks_are_learned_from_examples():
    keras.utils.set_random_seed(0)
    model = built(tiny())
    rng = np.random.default_rng(0)
    clean = np.full((8, 32, 32, 3), 0.3, np.float32)
    wet = np.repeat(np.repeat(rng.random((8, 4, 4, 1)) < 0.4, 8, 1), 8, 2)
    rainy = np.where(wet, np.float32(0.9), clean)
    target = np.concatenate([clean, wet.astype(np.float32)], axis=-1)
    model.compile(keras.optimizers.Adam(5e-3))
    history = model.fit(rainy, target, batch_size=8, epochs=40, verbose=0).history
    assert history["mask"][-1] < 0.5 * history["mask"][0]
    mask = np.array(model.with_mask(rainy)[1])
    assert mask[wet].mean() > mask[~wet].mean() + 0.3
