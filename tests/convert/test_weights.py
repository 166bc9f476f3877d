"""Weights by the authors' names: what is missing, too much or of another shape."""

import keras
import numpy as np
import pytest
from helpers import images

from tfderain.convert.weights import Unfit, Weights


def test_names_may_stand_below_others():
    tensors = {"net.a": images(2), "net.b": images(3), "epoch": np.array(3)}
    tensors["net.n.num_batches_tracked"] = np.array(1)
    weights = Weights.find(tensors, "a")
    assert list(weights.tensors) == ["a", "b"]
    np.testing.assert_array_equal(weights["b"], tensors["net.b"])
    with pytest.raises(Unfit, match="^it has no c$"):
        Weights.find(tensors, "c")


def test_all_has_to_be_taken():
    weights = Weights({"part.a": images(2), "part.b": images(3), "key.a": images(1)})
    part = weights.below("part")
    assert "a" in part and "c" not in part
    part["a"]
    with pytest.raises(Unfit, match="^it also has key.a$"):
        weights.finish()
    rest = weights.without("key")
    with pytest.raises(Unfit, match="^it also has part.b$"):
        rest.finish()
    part["b"]
    rest.finish()
    with pytest.raises(Unfit, match="^it has no part.c$"):
        part["c"]


def test_sizes_are_read_from_the_tensors():
    weights = Weights({f"level.{i}.a": images(5, 2) for i in (0, 1, 2, 4)})
    assert weights.count("level") == 3  # those without a gap
    assert weights.count("other") == 0
    assert weights.below("level").size("1.a", 1) == 2
    with pytest.raises(Unfit, match=r"level.0.a has shape \(5, 2\)"):
        weights.size("level.0.a", 2)


def test_what_does_not_fit_a_layer():
    layer = keras.layers.Conv2D(4, (3, 5), use_bias=False)
    layer.build((None, None, None, 2))
    kernel = images(4, 2, 3, 5)
    Weights({"c.weight": kernel}).convolution(layer, "c")
    np.testing.assert_array_equal(layer.kernel, kernel.transpose(2, 3, 1, 0))
    for wrong in (images(4, 2, 5, 3), images(4, 3, 3, 5), images(4), images(4, 2)):
        with pytest.raises(Unfit, match=r"c.weight has shape \(4.*does not fit"):
            Weights({"c.weight": wrong}).convolution(layer, "c")
    kernel[0, 0, 0, 0] = np.nan
    with pytest.raises(Unfit, match="c.weight is not finite"):
        Weights({"c.weight": kernel}).convolution(layer, "c")


def test_several_tensors_for_one_variable():
    variable = keras.Variable(np.zeros(5, "f4"))
    weights = Weights({"a": images(2), "b": images(3, seed=1), "c": images(3, 1)})
    weights.give_joined(variable, ["a", "b"], np.copy)
    np.testing.assert_array_equal(variable, [*weights["a"], *weights["b"]])
    with pytest.raises(Unfit, match=r"a has shape \(2,\), which does not fit"):
        weights.give_joined(variable, ["a", "c"], np.copy)
