"""AirNet's encoder against the authors' code: golden data."""

import keras
import numpy as np
import official
import pytest
from helpers import check_config, check_gradients, check_layer, images
from official import nhwc

from tfderain.convert import airnet as official_airnet
from tfderain.models import airnet, contrast

TINY = {"filters": (4, 6, 8), "queue": 12}


def golden_model():
    golden = official.load("airnet_encoder")
    model = airnet.AirNet(filters=(8, 16, 32), queue=16)
    model.build((None, None, None, 3))
    for encoder, prefix in ((model.encoder, "q"), (model.key_encoder, "k")):
        official_airnet.place_encoder(encoder, official.weights(golden, f"{prefix}/"))
    model.queue.assign(golden["w/queue"].T)
    return golden, model


def test_encoder_parity():
    golden, model = golden_model()
    made = model.encoder(nhwc(golden["in/x_q"]))
    # all stated with the golden data; float32 sums in another order
    tolerance = {"atol": 1e-5}
    np.testing.assert_allclose(made["features"], golden["out/eval_fea"], **tolerance)
    np.testing.assert_allclose(made["embedding"], golden["out/eval_out"], **tolerance)
    np.testing.assert_allclose(
        made["inter"], nhwc(golden["out/eval_inter"]), **tolerance
    )


def test_training_step_parity():
    golden, model = golden_model()
    logits = model.contrast(nhwc(golden["in/x_q"]), nhwc(golden["in/x_k"]))
    # the authors divide by the temperature already; cosines that agree to 1e-5
    expected = 0.07 * golden["out/train_logits"]
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    loss = contrast.cross_entropy(logits, temperature=0.07)
    # cosines are divided by 0.07
    assert float(loss) == pytest.approx(float(golden["out/train_loss_ce"]), abs=2e-4)
    kernel = golden["after/k/mlp.0.weight"].T
    np.testing.assert_allclose(model.key_encoder.first.kernel, kernel, atol=1e-7)
    for encoder, prefix in ((model.encoder, "q"), (model.key_encoder, "k")):
        norm = encoder.blocks[0].first_norm
        expected = golden[f"after/{prefix}/E_pre.backbone.1.running_mean"]
        # float32 means over 9,000 pixels
        np.testing.assert_allclose(norm.moving_mean, expected, atol=1e-5)
        expected = golden[f"after/{prefix}/E_pre.backbone.1.running_var"]
        # as above; of 9,000 pixels the unbiased variance
        np.testing.assert_allclose(norm.moving_variance, expected, rtol=1e-5)
    # The newest keys stand first here, at the place of a pointer there.
    new = np.any(golden["after/queue"] != golden["w/queue"], axis=0)
    expected = golden["after/queue"].T[new]
    np.testing.assert_allclose(model.queue[:4], expected, atol=1e-5)


def test_layers():
    features = images(2, 9, 7, 4)
    block = airnet.NormalizedResidualBlock(6, 2)
    check_layer(block, features, (2, 5, 4, 6), training=True)
    assert block.compute_output_shape((2, 9, 7, 4)) == (2, 5, 4, 6)
    check_config(airnet.AirNetEncoder((4, 6, 8)))


def test_fit_moves_the_query_encoder_and_saves(tmp_path):
    keras.utils.set_random_seed(0)
    model = airnet.AirNet(**TINY)
    check_config(model)
    rainy = images(8, 24, 16, 3)
    model.build((None, None, None, 3))
    check_gradients(model, rainy, training=True)
    assert len(model.trainable_weights) == len(model.encoder.trainable_weights)
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    before = model.encoder.first.kernel.numpy()
    losses = model.fit(rainy, batch_size=4, epochs=3, verbose=0).history["loss"]
    assert np.all(np.isfinite(losses))
    assert np.any(model.encoder.first.kernel.numpy() != before)
    placed = model(rainy).numpy()
    # unit length; float32
    np.testing.assert_allclose(np.linalg.norm(placed, axis=1), 1, rtol=1e-5)
    model.save(tmp_path / "airnet.keras")
    loaded = keras.saving.load_model(tmp_path / "airnet.keras")
    np.testing.assert_array_equal(loaded(rainy), placed)
    np.testing.assert_array_equal(loaded.queue, model.queue)
