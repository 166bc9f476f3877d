import contextlib
import json

import keras
import numpy as np
import pytest
from helpers import images
from keras import ops

from tfderain.models import MENET
from tfderain.optimizers import (
    ConvMuon,
    CosineCycles,
    GroupAdam,
    LinearDecay,
    StableDecay,
    TwoGroupAdamW,
)


def variable(name, *shape):
    value = np.random.default_rng(len(shape)).normal(size=shape).astype("float32")
    return keras.Variable(value, name=name)


def test_config():
    optimizer = ConvMuon(1e-3, exclude_layers=["residual"], use_ema=True)
    config = json.loads(json.dumps(optimizer.get_config()))
    assert ConvMuon.from_config(config).get_config() == optimizer.get_config()
    restored = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(restored) is ConvMuon


def test_the_step_of_a_kernel_is_orthogonal():
    kernel, gradient = variable("kernel", 3, 3, 8, 16), variable("g", 3, 3, 8, 16)
    before = kernel.numpy().copy()
    optimizer = ConvMuon(learning_rate=0.5)
    optimizer.build([kernel])
    optimizer.apply([gradient.value])
    step = (before - kernel.numpy()).reshape(72, 16) / 0.5
    values = np.linalg.svd(step / (0.2 * np.sqrt(72)), compute_uv=False)
    # five Newton-Schulz steps bring singular values near 1, not to 1: Jordan et al.
    # show 0.7 to 1.2
    assert values.min() > 0.6 and values.max() < 1.3
    # along the gradient: same singular vectors, so the product with it is symmetric
    product = gradient.numpy().reshape(72, 16).T @ step
    np.testing.assert_allclose(product, product.T, atol=1e-2 * np.abs(product).max())


def test_matrices_are_orthogonalised_as_keras_does():
    ours, theirs = ConvMuon(0.1), keras.optimizers.Muon(0.1)
    for rows, columns in ((40, 12), (12, 40), (9, 9)):
        matrix = variable("g", rows, columns).value
        expected = theirs.zeropower_via_newtonschulz5(matrix, 5)
        # the iteration, in another order, multiplies small values by up to 3.4^5
        np.testing.assert_allclose(
            ours.zeropower_via_newtonschulz5(matrix, 5), expected, atol=1e-4
        )


def test_other_weights_are_adams():
    excluded = keras.Variable(np.ones((3, 3, 4, 4), "float32"), name="residual")
    weights = [variable("bias", 5), variable("scalar"), excluded]
    twins = [keras.Variable(w.numpy(), name=f"twin_{i}") for i, w in enumerate(weights)]
    gradients = [0.1 * w.numpy() + 0.3 for w in weights]
    muon = ConvMuon(1e-2, exclude_layers=["residual"])
    adam = keras.optimizers.Adam(1e-2)
    for optimizer, variables in ((muon, weights), (adam, twins)):
        optimizer.build(variables)
        for _ in range(3):
            optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients])
    for ours, theirs in zip(weights, twins, strict=True):
        # the same formula in another order, in float32
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 6), (3, 3, 4, 6)])
def test_layers_are_left_out_by_their_whole_names(shape):
    def path(*names):
        with contextlib.ExitStack() as scopes:
            for name in names:
                scopes.enter_context(keras.name_scope(name))
            return keras.Variable(np.ones(shape, "float32"), name="kernel")

    weights = [path("residual"), path("residual_encoder"), path("net", "residual", "a")]
    optimizer = ConvMuon(exclude_layers=["residual"])
    optimizer.build(weights)
    adams = [velocity is not None for velocity in optimizer.adam_velocities]
    assert adams == [True, False, True]


def test_each_group_has_adams_steps_at_its_own_rate():
    def three_steps(rate, rates=None):
        layers = [keras.layers.Dense(2, name=name) for name in ("slow", "still", "a")]
        for seed, layer in enumerate(layers):
            layer.build((None, 3))
            layer.kernel.assign(np.full((3, 2), seed + 1, "float32"))
        kernels = [layer.kernel for layer in layers]
        kind = keras.optimizers.Adam(rate) if rates is None else GroupAdam(rate, rates)
        for step in range(1, 4):
            kind.apply([k * step - 2.5 for k in kernels], kernels)
        return [kernel.numpy() for kernel in kernels]

    found = three_steps(0.1, {"slow": 0.1, "still": 0.0})
    for index, rate in enumerate((0.01, 0.0, 0.1)):
        np.testing.assert_array_equal(found[index], three_steps(rate)[index])


def test_group_adam_keeps_its_rates():
    optimizer = GroupAdam(1e-3, {"derain_real": 0.1}, beta_1=0.5)
    restored = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(restored) is GroupAdam
    assert restored.get_config() == optimizer.get_config()


def test_linear_decay():
    schedule = LinearDecay(0.2, constant_steps=4, steps=4)
    rates = [float(schedule(step)) for step in range(10)]
    expected = [0.2, 0.2, 0.2, 0.2, 0.2, 0.15, 0.1, 0.05, 0, 0]
    np.testing.assert_allclose(rates, expected, atol=1e-7)  # float32
    again = LinearDecay.from_config(schedule.get_config())
    assert float(again(6)) == float(schedule(6))


def test_stable_decay_by_hand():
    schedule = StableDecay(0.4, rising=4, falling=8, steps=4)
    rates = [float(schedule(step)) for step in range(14)]
    # half a cosine: (1 + cos(pi / 4)) / 2 and so on
    falling = [0.4, 0.341421, 0.2, 0.058579, 0.0, 0.0]
    expected = [0.1, 0.2, 0.3, *[0.4] * 5, *falling]
    np.testing.assert_allclose(rates, expected, atol=1e-6)  # six digits
    config = schedule.get_config()
    assert StableDecay.from_config(config).get_config() == config


def test_two_cycles_by_hand():
    cycles = CosineCycles(3e-4, (92, 208), (1e-4, 1e-6))
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
    assert CosineCycles.from_config(config).get_config() == config


def test_a_later_cycle_can_start_lower():
    cycles = CosineCycles(1.0, (10, 10), (0.0, 0.0), weights=(1.0, 0.5))
    assert float(cycles(10)) == pytest.approx(0.5)


def test_each_cycle_needs_an_end():
    with pytest.raises(ValueError, match=r"steps=\(5, 5\), ends=\(0.1,\)"):
        CosineCycles(1.0, (5, 5), (0.1,))


def two_groups():
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


def reference_steps(gradients, decay, clip, steps, rate=0.1):
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
    weights = two_groups()
    # A large epsilon, or Adam would hide the size of the gradients.
    optimizer = TwoGroupAdamW(
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
    decays = reference_steps(gradients[0], 0.5, None, 3)
    clipped = reference_steps(gradients[1], 0.0, 0.01, 3)
    # float32 against float64
    np.testing.assert_allclose(np.ravel(weights[0]), decays, rtol=1e-4)
    np.testing.assert_allclose(np.ravel(weights[1]), clipped, rtol=1e-4)


def test_config_of_two_groups():
    optimizer = TwoGroupAdamW(CosineCycles(1e-3, (5,), (1e-4,)), ["encoder"], clip=0.1)
    config = keras.saving.serialize_keras_object(optimizer)
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config() == optimizer.get_config()


def test_it_trains_a_network():
    """Under the condition that skips bad steps, and after averaging two gradients."""
    model = MENET(1, filters=8, normalization=None, value_range=1.0)
    optimizer = TwoGroupAdamW(
        CosineCycles(1e-3, (4, 4), (1e-4, 1e-5)),
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
