"""DRSformer against the authors' code: golden data of cschenxiang/DRSformer."""

import numpy as np
import pytest
from drsformer_golden import Weights, nhwc
from helpers import GOLDEN, check_layer, images

from tfderain import layers


def load(case):
    return np.load(GOLDEN / f"{case}.npz", allow_pickle=False)


# Mixture of experts


def test_mixture_of_experts_parity():
    golden = load("drsformer_mefc")
    features = nhwc(golden["in/x"])
    mixture = layers.MixtureOfExperts()
    mixture.build(features.shape)
    Weights(golden).experts(mixture)
    # stated with the golden data; float32 sums in another order
    np.testing.assert_allclose(mixture(features), nhwc(golden["out/y"]), atol=1e-5)
    # a softmax: weights in (0, 1)
    np.testing.assert_allclose(
        mixture.weigh(features), golden["mid/softmax"], atol=1e-6
    )
    first = np.maximum(mixture.preprocess(features), 0)
    for index in range(3):
        first = mixture.stages[index](first, golden["mid/softmax"][:, index])
        expected = nhwc(golden[f"mid/step{index}_out"])
        np.testing.assert_allclose(first, expected, atol=1e-5)


@pytest.mark.parametrize("variant", ["code", "supplement"])
def test_mixture_of_experts(variant):
    mixture = layers.MixtureOfExperts(2, variant)
    check_layer(mixture, images(2, 9, 7, 6), (2, 9, 7, 6))
    assert len(mixture.stages) == {"code": 2, "supplement": 1}[variant]


def test_the_supplement_adds_inside_and_weighs_without_softmax():
    features = images(1, 6, 8, 2)
    mixture = layers.MixtureOfExperts(2, "supplement")
    mixture.build(features.shape)
    for expert in (*mixture.stages[0].seconds, *mixture.stages[0].dilated):
        expert.pointwise_kernel.assign(0 * expert.pointwise_kernel)
    mixture.preprocess.kernel.assign([[np.eye(2)]])
    mixture.hidden.kernel.assign(0 * mixture.hidden.kernel)
    mixture.scores.bias.assign([0, 0, 0, 0, 0, 0, 0, 3])  # the average alone
    kernel = np.zeros((1, 1, 16, 2))
    kernel[0, 0, [0, 1], [0, 1]] = 1  # the first expert passes
    kernel[0, 0, [14, 15], [0, 1]] = 1  # and the average
    mixture.stages[0].mix.kernel.assign(kernel)
    padded = np.pad(features, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    average = np.nanmean(windows, axis=(-2, -1))
    # the input is added to each of the two experts; float32 rounding
    np.testing.assert_allclose(mixture(features), 3 * average + 2 * features, rtol=1e-5)


def test_wrong_mixtures_are_named():
    with pytest.raises(ValueError, match="Received: variant='paper'"):
        layers.MixtureOfExperts(variant="paper")
    with pytest.raises(ValueError, match="num_stages=1, variant='supplement'"):
        layers.MixtureOfExperts(1, "supplement")
