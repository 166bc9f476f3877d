import helpers
import jrgr_golden
import keras
import numpy as np
import pytest
import tensorflow as tf

from tfderain.models.adversarial import (
    ImagePool,
    PatchCritic,
    adversarial_loss,
    generator_loss,
)

FORMS = {"least_squares": "lsgan", "log": "vanilla"}


@pytest.fixture(scope="module")
def critic():
    golden, config = jrgr_golden.load("jrgr_patchgan")
    critic = PatchCritic(config["ndf"])
    critic.build((None, None, None, 3))
    jrgr_golden.give_weights(critic, golden)
    return critic, golden


def test_answers_of_the_authors(critic):
    critic, golden = critic
    logits = critic(jrgr_golden.nhwc(golden["in/x"]))
    # The tolerance stated with the golden data.
    np.testing.assert_allclose(logits, jrgr_golden.nhwc(golden["out/y"]), atol=5e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("real", [True, False])
def test_losses_of_the_authors(critic, form, real):
    _, golden = critic
    loss = adversarial_loss(golden["out/y"], real, form)
    expected = golden[f"out/loss_{FORMS[form]}_{'real' if real else 'fake'}"]
    np.testing.assert_allclose(loss, expected, rtol=1e-5)  # float32


def test_what_generators_minimise():
    logits = np.array([[-3.0, 0.5], [2.0, 8.0]], "float32").reshape(2, 2, 1, 1)
    seen_as_real = 1 / (1 + np.exp(-np.float64(logits)))
    for form, expected in (
        ("least_squares", np.mean((logits - 1) ** 2)),
        ("log", np.mean(-np.log(seen_as_real))),
        ("log_saturating", np.mean(np.log(1 - seen_as_real))),  # Eqs. (2)-(4) of JRGR
    ):
        # float32
        np.testing.assert_allclose(generator_loss(logits, form), expected, rtol=1e-5)
    for real in (True, False):  # critics do not differ
        both = [adversarial_loss(logits, real, f) for f in ("log", "log_saturating")]
        np.testing.assert_array_equal(*both)


def test_critic_is_a_layer():
    critic, images = PatchCritic(4), helpers.images(2, 32, 48, 3)
    assert critic(images).shape == (2, 2, 4, 1)
    helpers.check_config(critic)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(critic(images)))
    norms = [float(tf.norm(g)) for g in tape.gradient(loss, critic.trainable_variables)]
    for variable, norm in zip(critic.trainable_variables, norms, strict=True):
        # Instance normalisation takes the bias of the convolution before it away.
        normed = variable.name == "bias" and variable.path.split("_")[-1][0] in "123"
        assert normed or norm > 1e-6, variable.path
    half = PatchCritic(4, dtype="mixed_bfloat16")
    assert half(images).dtype == tf.float32


def numbered(start, count):
    return np.arange(start, start + count, dtype="float32").reshape(-1, 1, 1, 1)


def test_a_pool_fills_first():
    pool = ImagePool(4, (1, 1, 1), seed=0)
    np.testing.assert_array_equal(pool(numbered(1, 3)), numbered(1, 3))
    assert int(pool.count) == 3
    drawn = {float(x) for _ in range(10) for x in np.ravel(pool.draw(5))}
    assert drawn == {1, 2, 3}


def test_a_full_pool_exchanges_half_of_the_images():
    pool, seen, returned_old = ImagePool(5, (1, 1, 1), seed=1), set(range(1, 6)), 0
    pool(numbered(1, 5))
    for start in range(6, 406, 2):
        stored = set(np.ravel(pool.images))
        returned = np.ravel(pool(numbered(start, 2)))
        for number, answer in zip((start, start + 1), returned, strict=True):
            assert answer == number or answer in stored | {start}
            returned_old += answer != number
        seen |= {start, start + 1}
        assert (
            set(np.ravel(pool.images)) <= seen and len(set(np.ravel(pool.images))) == 5
        )
    # 400 draws at 1/2: five standard deviations are 50.
    assert 150 < returned_old < 250 and int(pool.count) == 5


def test_images_that_are_not_finite_stay_outside():
    pool = ImagePool(2, (1, 1, 1), seed=0)
    images = numbered(1, 2)
    images[0] = np.nan
    pool(images)
    assert int(pool.count) == 1 and float(pool.images[0, 0, 0, 0]) == 2


@pytest.mark.parametrize("jit", [False, True])
def test_a_saved_pool_goes_on_alike(tmp_path, jit):
    def model():
        inputs = keras.Input((1, 1, 1), batch_size=2)
        return keras.Model(inputs, ImagePool(3, (1, 1, 1), seed=5)(inputs))

    first = model()
    run = tf.function(lambda m, x: m(x), jit_compile=jit)
    for start in range(1, 13, 2):
        run(first, tf.constant(numbered(start, 2)))
    first.save(tmp_path / "pool.keras")
    second = keras.saving.load_model(tmp_path / "pool.keras")
    for start in range(13, 33, 2):
        batch = tf.constant(numbered(start, 2))
        np.testing.assert_array_equal(run(first, batch), run(second, batch))


def test_a_pool_under_a_strategy_keeps_the_images_of_one_replica(strategy):
    with strategy.scope():
        pool = ImagePool(5, (1, 1, 1), seed=0)

    @tf.function
    def step():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return pool(tf.cast(replica + 1, tf.float32) * tf.ones((2, 1, 1, 1)))

    answers = strategy.experimental_local_results(strategy.run(step))
    assert [float(x[0, 0, 0, 0]) for x in answers] == [1, 2]
    np.testing.assert_array_equal(np.ravel(np.array(pool.images)), [1, 1, 0, 0, 0])
