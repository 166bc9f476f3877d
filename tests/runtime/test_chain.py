"""Chain: several restorers give what each gives on the result of the one before."""

import numpy as np
import pytest
from export_model import make_drops_model, make_model

from tfderain.runtime import Chain, Restorer


@pytest.fixture(scope="module")
def both():
    models = (make_drops_model(), make_model())
    return [Restorer(model, "tensorflow") for model in models]


def scene():
    return np.random.default_rng(0).integers(0, 200, (33, 40, 3)).astype(np.uint8)


def test_one_after_the_other(both):
    rainy = scene()
    wanted = both[1].derain(both[0].derain(rainy))
    np.testing.assert_array_equal(Chain(both).derain(rainy), wanted)
    other = Chain(both[::-1]).derain(rainy)
    np.testing.assert_array_equal(other, both[0].derain(both[1].derain(rainy)))
    assert not np.array_equal(other, wanted)


def test_the_mask_is_that_of_the_network_for_drops(both):
    rainy = scene()
    derained, mask = Chain(both).derain_and_mask(rainy)
    np.testing.assert_array_equal(derained, Chain(both).derain(rainy))
    np.testing.assert_array_equal(mask, both[0].derain_and_mask(rainy)[1])
    assert Chain(both).makes_mask and not Chain(both[1:]).makes_mask
    with pytest.raises(ValueError, match="Only networks for drops"):
        Chain(both[1:]).derain_and_mask(rainy)


def test_progress_counts_all_of_them_to_the_end(both):
    calls = []
    Chain(both).derain(scene(), lambda *call: calls.append(call))
    assert calls == [(1, 2), (2, 2)]


def test_nothing_is_no_chain():
    with pytest.raises(ValueError, match="at least one"):
        Chain([])
