import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import GOLDEN, check_config

from tfderain import weighting

TASKS = ("Lp", "Lt", "Le")  # order of the golden arrays
EXACT = 1e-6  # stated with the golden data: one float32 division and subtraction


def test_configs():
    check_config(weighting.Fixed({"edge": 0.5}))
    check_config(weighting.LossBalance(1e-3))
    check_config(weighting.GradientBalance(1e-3))


def test_fixed():
    weights = weighting.Fixed({"edge": 0.25})({"pixel": 3.0, "edge": 5.0})
    assert {task: float(w) for task, w in weights.items()} == {"pixel": 1, "edge": 0.25}
    with pytest.raises(ValueError, match="Received: \\['texture'\\]"):
        weighting.Fixed({"texture": 1.0})({"pixel": 3.0})


def test_loss_balance_by_hand():
    weights = weighting.LossBalance()({"a": 1.0, "b": 3.0, "c": 4.0})
    assert [float(w) for w in weights.values()] == pytest.approx([7 / 8, 5 / 8, 0.5])


@pytest.mark.parametrize("scheme", [weighting.LossBalance, weighting.GradientBalance])
def test_zero_losses_give_finite_weights(scheme):
    zero = {"a": 0.0, "b": 0.0}
    assert [float(w) for w in scheme()(zero, zero).values()] == [1.0, 1.0]


def test_gradient_balance_wants_a_norm_for_each_task():
    with pytest.raises(ValueError, match="one norm for each task"):
        weighting.GradientBalance()({"a": 1.0})


def test_weights_carry_no_gradient():
    losses = {"a": tf.Variable(1.0), "b": tf.Variable(3.0)}
    with tf.GradientTape() as tape:
        weights = weighting.LossBalance()(losses)
        total = sum(weights[task] * losses[task] for task in losses)
    assert float(tape.gradient(total, losses["a"])) == 0.75  # the weight alone


@pytest.mark.parametrize("case", ["menet_noca", "menet_ca"])
@pytest.mark.parametrize("kind", ["", "_small"])
def test_weights_of_the_authors_code(case, kind):
    golden = np.load(GOLDEN / f"{case}.npz")
    for scheme, prefix in (("lb", "lb"), ("gb", "gb")):
        losses = {t: golden[f"balance/{prefix}{kind}_{t}"] for t in TASKS}
        norms = dict(
            zip(TASKS, golden[f"balance/gb{kind}_gradnorm_Lp_Lt_Le"], strict=True)
        )
        balance = {
            "lb": weighting.LossBalance(),
            "gb": weighting.GradientBalance(),
        }[scheme]
        expected = golden[f"balance/{prefix}{kind}_weights_Lp_Lt_Le"]
        actual = [float(w) for w in balance(losses, norms).values()]
        np.testing.assert_allclose(actual, expected, atol=EXACT)
        if not kind:  # 0..255 images: the texture loss of 1e13 is switched off
            assert actual == [1.0, 0.0, 1.0]


def test_usable_by_any_keras_model():
    class TwoTasks(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)
            self.weighting = weighting.LossBalance()

        def call(self, x):
            return self.dense(x)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **kw):
            losses = {
                "square": tf.reduce_mean(tf.square(y - y_pred)),
                "absolute": tf.reduce_mean(tf.abs(y - y_pred)),
            }
            weights = self.weighting(losses)
            return sum(weights[task] * losses[task] for task in losses)

    model = TwoTasks()
    model.compile(optimizer=keras.optimizers.SGD(0.1))
    x = np.ones((8, 2), "float32")
    history = model.fit(x, x.sum(1, keepdims=True), epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
