"""Rainmer's encoder against the authors' code: golden data of Schizophreni/Rainmer."""

import numpy as np
import official
from helpers import check_config, check_layer, images
from official import nhwc

from tfderain.convert import rainmer
from tfderain.models import representation


def test_encoder_parity():
    golden = official.load("rainmer_encoder")
    encoder = representation.RepresentationEncoder(8, 32, size=None)
    encoder.build((None, None, None, 3))
    rainmer.place_encoder(encoder, official.weights(golden))
    rainy = nhwc(golden["in/x"])
    made = encoder(rainy)
    # all stated with the golden data; float32 sums in another order
    tolerance = {"atol": 1e-5}
    expected = nhwc(golden["out/location"])
    np.testing.assert_allclose(encoder.locate(rainy), expected, **tolerance)
    expected = nhwc(golden["out/detail_map"])
    np.testing.assert_allclose(made["detail"], expected, **tolerance)
    for view, name in (("chromatic", "z_chr"), ("degradation", "z_detg")):
        expected = golden[f"out/{name}"][..., 0, 0]
        np.testing.assert_allclose(made[view], expected, **tolerance)
        # unit length; float32
        np.testing.assert_allclose(np.linalg.norm(made[view], axis=1), 1, rtol=1e-5)


def test_encoder_sees_a_fixed_size():
    encoder = representation.RepresentationEncoder(4, 16, size=32, num_stages=1)
    large = encoder(images(1, 70, 90, 3))
    assert large["detail"].shape == (1, 4, 4, 16)
    small = images(1, 32, 32, 3)
    np.testing.assert_array_equal(encoder.resize(small), small)
    assert set(encoder(small, views=("chromatic",))) == {"chromatic"}
    check_config(encoder)


def test_projector():
    features = images(2, 8, 12, 16)
    check_layer(representation.Projector(16), features, features.shape)
