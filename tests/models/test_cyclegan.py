"""CycleGAN: its losses against NumPy, its training without pairs, what it ships."""

import helpers
import keras
import numpy as np
import pytest
import tensorflow as tf

from tfderain import models, training
from tfderain.models import cyclegan

SMALL = {
    "filters": 2,
    "num_blocks": 1,
    "critic_filters": 2,
    "crop": (32, 48),
    "pool_size": 3,
}


def small(**options):
    keras.utils.set_random_seed(0)
    model = cyclegan.CycleGAN(**{**SMALL, **options})
    model.build((None, None, None, 3))
    return model


def batch(count=2):
    """`(synthetic, clean, real)`."""
    return tuple(helpers.images(count, 32, 48, 3, seed=seed) for seed in range(3))


def arrays(*tensors):
    return [np.asarray(tensor, np.float64) for tensor in tensors]


@pytest.mark.parametrize("identity", [0.0, 0.5])
def test_losses_are_those_of_the_paper(identity):
    """Eqs. (1)-(3) with squares for logarithms (section 4), and section 5.2."""
    model = small(identity=identity, pool_size=0)
    _, clean, real = batch()
    _, losses = model.joint_losses(*batch())
    assert set(losses) == {"loss", *model.loss_names()}
    derained, made_rainy = model.network(real), model.make_rain(clean)
    back_rainy, back_clean = model.make_rain(derained), model.network(made_rainy)

    def answers(critic, image):
        return np.asarray(critic(2 * image - 1), np.float64)

    def distance(left, right):  # of images in [-1, 1]
        return np.mean(np.abs(np.subtract(*arrays(2 * left - 1, 2 * right - 1))))

    expected = 10 * (distance(back_rainy, real) + distance(back_clean, clean))
    for critic, made in (
        (model.critic_clean, derained),
        (model.critic_rainy, made_rainy),
    ):
        expected += np.mean((answers(critic, made) - 1) ** 2)
    if identity:
        same = distance(model.network(clean), clean)
        expected += 5 * (same + distance(model.make_rain(real), real))
    # float32 sums
    assert float(losses["generators"]) == pytest.approx(expected, rel=1e-4)
    assert losses["loss"] is losses["generators"]
    total = 0.0
    for name, example, made in (
        ("critic_clean", clean, derained),
        ("critic_rainy", real, made_rainy),
    ):
        critic = getattr(model, name)
        right = np.mean((answers(critic, example) - 1) ** 2)
        wrong = np.mean(answers(critic, made) ** 2)
        assert float(losses[name]) == pytest.approx((right + wrong) / 2, rel=1e-4)
        total += (right + wrong) / 2
    assert float(losses["critics"]) == pytest.approx(total, rel=1e-4)


class Gradients(keras.optimizers.SGD):
    """Remembers gradients and changes nothing."""

    def apply(self, grads, trainable_variables=None):
        pairs = zip(trainable_variables, grads, strict=True)
        self.seen = {variable.path: gradient for variable, gradient in pairs}


def gradients(model, images):
    model.compile(optimizer=Gradients(), run_eagerly=True)
    model.optimizer.build(model.trainable_variables)
    model.train_step(tuple(map(tf.constant, images)))
    seen = model.optimizer.seen
    assert set(seen) == {v.path for v in model.trainable_variables}
    return {path.partition("/")[2]: np.asarray(g) for path, g in seen.items()}


def test_nothing_is_learnt_from_pairs():
    synthetic, clean, real = batch()
    first = gradients(small(), (synthetic, clean, real))
    others = gradients(small(), (0 * synthetic, clean, real))
    for path, gradient in first.items():
        np.testing.assert_array_equal(gradient, others[path])
        # Instance normalisation takes the bias of the critics' convolutions away.
        if not ("critic" in path and path.endswith("bias")):
            assert np.any(gradient), path


def fit(model, epochs):
    # Eagerly: a graph takes longer to build than a few small steps.
    model.run_eagerly = True
    data = tf.data.Dataset.from_tensors(batch())
    return model.fit(data, epochs=epochs, shuffle=False, verbose=0).history


def test_training_continues_from_a_file(tmp_path):
    model = small()
    model.compile(optimizer=keras.optimizers.Adam(1e-3, beta_1=0.5))
    history = fit(model, 4)
    assert history["cycle_rainy"][-1] < history["cycle_rainy"][0]
    assert np.all(np.isfinite(history["critics"]))
    assert int(model.pools["derained"].count) == 3
    model.save(tmp_path / "joint.keras")
    loaded = keras.saving.load_model(tmp_path / "joint.keras")
    for twin in (model, loaded):
        fit(twin, 1)
    for ours, theirs in zip(model.weights, loaded.weights, strict=True):
        # Two threads may sum in another order, which Adam's sign can turn into a
        # step of 1e-3. Lost moments or pools move all weights.
        np.testing.assert_allclose(ours, theirs, atol=2.1e-3, err_msg=ours.path)


def test_what_ships_are_the_generators(tmp_path):
    trained = small()
    helpers.check_config(trained)
    config = trained.shipped(SMALL)
    shipped = cyclegan.CycleGAN(**config)
    shipped.build((None, None, None, 3))
    shipped.adopt(trained)
    assert set(shipped.networks()) == {"derain_network", "make_rain"}
    shipped.save(tmp_path / "shipped.keras")
    loaded = models.load(tmp_path / "shipped.keras")
    for height, width in ((1, 1), (7, 33)):
        rainy = helpers.images(2, height, width, 3)
        derained = loaded(rainy)
        assert derained.shape == rainy.shape
        np.testing.assert_array_equal(derained, trained(rainy))
        np.testing.assert_array_equal(loaded.rain_on(rainy), trained.rain_on(rainy))
    assert loaded.global_operations  # instance normalisation
    with pytest.raises(ValueError, match="Received: stage='pretrain'"):
        cyclegan.CycleGAN(stage="pretrain")


def test_the_recipe_of_the_paper():
    config = training.resolve("cyclegan_paper")
    assert (config.batch_size, config.crop, config.epochs) == (1, 256, 200)
    rate = training.learning_rate(config, steps_per_epoch=1)
    for epoch, expected in ((0, 2e-4), (99, 2e-4), (150, 1e-4), (200, 0)):
        # float32
        assert float(rate(epoch)) == pytest.approx(expected, rel=1e-5, abs=1e-9)
    model = training.build_model(config)
    assert (model.cycle, model.identity, model.pool_size) == (10.0, 0.0, 50)
    count = sum(np.prod(v.shape) for v in model.network.trainable_variables)
    # The authors' code prints 11.378 million; 5,248 are biases in front of instance
    # normalisation, which takes them away.
    assert count + 5248 == 11_378_179
