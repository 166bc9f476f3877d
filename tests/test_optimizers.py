import json

import keras
import numpy as np

from tfderain.optimizers import ConvMuon


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
