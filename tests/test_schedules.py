"""Two groups of weights and cosine cycles, against NumPy."""

import keras
import numpy as np
import pytest
from helpers import images
from keras import ops

from tfderain import schedules
from tfderain.models import MENET


def test_two_cycles_by_hand():
    cycles = schedules.CosineCycles(3e-4, (92, 208), (1e-4, 1e-6))
    expected = {
        0: 3e-4,
        46: 2e-4,  # half of the first: the middle of 3e-4 and 1e-4
        91.999: 1e-4,
        92: 3e-4,  # starts anew
        196: (3e-4 + 1e-6) / 2,
        300: 1e-6,
        400: 1e-6,
    }
    for step, rate in expected.items():
        # float32 cosines of rates that differ by a factor of 300
        assert float(cycles(step)) == pytest.approx(rate, abs=1e-9)
    config = cycles.get_config()
    assert schedules.CosineCycles.from_config(config).get_config() == config


def test_a_later_cycle_can_start_lower():
    cycles = schedules.CosineCycles(1.0, (10, 10), (0.0, 0.0), weights=(1.0, 0.5))
    assert float(cycles(10)) == pytest.approx(0.5)


def test_each_cycle_needs_an_end():
    with pytest.raises(ValueError, match=r"steps=\(5, 5\), ends=\(0.1,\)"):
        schedules.CosineCycles(1.0, (5, 5), (0.1,))


def variables():
    layers = {}
    for name in ("encoder", "restore"):
        with keras.name_scope("model"):
            layer = keras.layers.Dense(1, use_bias=False, name=name)
        layer.build((None, 2))
        layer.kernel.assign([[1.0], [2.0]])
        layers[name] = layer
    weights = [layer.kernel for layer in layers.values()]
    assert [weight.path.split("/")[-2] for weight in weights] == list(layers)
    return weights


def reference(gradients, decay, clip, steps, rate=0.1):
    """AdamW by NumPy, from [1, 2]."""
    weight, mean, square = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    for step in range(1, steps + 1):
        gradient = np.array(gradients)
        if clip:
            gradient = gradient * min(1.0, clip / np.linalg.norm(gradient))
        weight = weight * (1 - rate * decay)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        # in Keras epsilon is added before the second moment is corrected for its start
        rated = rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        weight = weight - rated * mean / (np.sqrt(square) + 0.05)
    return weight


@pytest.mark.parametrize("accumulated", [None, 2])
def test_one_group_decays_and_the_other_is_clipped(accumulated):
    weights = variables()
    # A large epsilon, or Adam would hide the size of the gradients.
    optimizer = schedules.TwoGroupAdamW(
        0.1,
        weight_decay=0.5,
        clip=0.01,
        epsilon=0.05,
        gradient_accumulation_steps=accumulated,
    )
    optimizer.build(weights)
    gradients = [[3.0, 4.0], [0.3, 0.4]]
    for step in range(3 * (accumulated or 1)):
        share = 1.0
        if accumulated:
            share = (0.5, 1.5)[step % 2]  # of mean 1
        optimizer.apply(
            [
                ops.convert_to_tensor(share * np.array(g, "float32")[:, None])
                for g in gradients
            ],
            weights,
        )
    decays = reference(gradients[0], 0.5, None, 3)
    clipped = reference(gradients[1], 0.0, 0.01, 3)
    # float32 against float64
    np.testing.assert_allclose(np.ravel(weights[0]), decays, rtol=1e-4)
    np.testing.assert_allclose(np.ravel(weights[1]), clipped, rtol=1e-4)


def test_config():
    optimizer = schedules.TwoGroupAdamW(
        schedules.CosineCycles(1e-3, (5,), (1e-4,)), ["encoder"], clip=0.1
    )
    config = keras.saving.serialize_keras_object(optimizer)
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config() == optimizer.get_config()


def test_it_trains_a_network():
    """Under the condition that skips bad steps, and after averaging two gradients."""
    model = MENET(1, filters=8, normalization=None, value_range=1.0)
    optimizer = schedules.TwoGroupAdamW(
        schedules.CosineCycles(1e-3, (4, 4), (1e-4, 1e-5)),
        ["encode_half"],
        clip=1.0,
        gradient_accumulation_steps=2,
    )
    model.compile(optimizer=optimizer)
    clean = 0.5 * images(8, 16, 24, 3)
    rainy = clean + 0.3
    history = model.fit(rainy, clean, batch_size=2, epochs=4, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert int(model.optimizer.iterations) == 8
