import json

import keras
import numpy as np

from tfderain.optimizers import ConvMuon, GroupAdam, LinearDecay


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


def test_other_weights_are_adams():
    excluded = keras.Variable(np.ones((3, 3, 4, 4), "float32"), name="residual_kernel")
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
