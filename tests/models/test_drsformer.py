"""DRSformer against the authors' code: golden data of cschenxiang/DRSformer."""

import keras
import numpy as np
import official
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from helpers import (
    check_config,
    check_gradients,
    check_layer,
    check_training,
    images,
)
from official import load, nhwc

from tfderain import export
from tfderain.convert import drsformer as official_drsformer
from tfderain.models import drsformer, layers, sparse

# Mixture of experts


def test_mixture_of_experts_parity():
    golden = load("drsformer_mefc")
    features = nhwc(golden["in/x"])
    mixture = layers.MixtureOfExperts()
    mixture.build(features.shape)
    official_drsformer.place_experts(mixture, official.weights(golden))
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


def test_kernels_in_few_taps_give_the_same_sums():
    features = images(1, 17, 14, 6)
    stage = layers.MixtureOfExperts(2)
    stage.build(features.shape)
    stage = stage.stages[0]
    for expert in (stage.firsts[-1], stage.dilated[-1]):
        # float32 sums in another order
        np.testing.assert_allclose(
            layers.in_few_taps(expert, features), expert(features), rtol=1e-4, atol=1e-5
        )


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


# Blocks


@pytest.mark.parametrize("case", ["drsformer_block", "drsformer_block_c20"])
def test_block_parity(case):
    golden = load(case)
    features = nhwc(golden["in/x"])
    block = sparse.SparseBlock(num_heads=2)
    block.build(features.shape)
    official_drsformer.place_block(block, official.weights(golden))
    # all stated with the golden data; float32 sums in another order
    tolerance = {"atol": 5e-5}
    actual = block.attention(block.attention_norm(features))
    np.testing.assert_allclose(actual, nhwc(golden["mid/attn_out"]), **tolerance)
    actual = block.feed(block.feed_norm(features + actual))
    np.testing.assert_allclose(actual, nhwc(golden["mid/ffn_out"]), **tolerance)
    np.testing.assert_allclose(block(features), nhwc(golden["out/y"]), **tolerance)


@pytest.mark.parametrize("case", ["drsformer_block", "drsformer_block_c20"])
def test_masks_keep_the_largest_scores(case):
    golden = load(case)
    expected = [golden[f"mid/attn_map{index}"] for index in range(1, 5)]
    # The logarithms of one map differ from the scores by a constant for each row.
    scores = np.log(np.maximum(expected[3], 1e-30))
    for index in range(4):
        actual = sparse.independent_attention(scores, np.eye(4)[index])
        # exponentials of logarithms: float32 rounding of values up to 1
        np.testing.assert_allclose(actual, expected[index], atol=1e-5)


def test_cumulative_masks_take_ties_of_lowest_index():
    scores = np.array([[[0.0, 1.0, 3.0, 2.0]]], "float32")  # keep 2, 2, 3, 3
    first = np.exp([3.0, 2.0]) / np.exp([3.0, 2.0]).sum()
    second = np.exp(first) / np.exp(first).sum()
    third = np.exp([0.0, *second]) / np.exp([0.0, *second]).sum()
    fourth = np.exp(third) / np.exp(third).sum()
    rows = [[0, 0, *first], [0, 0, *second]]
    rows += [[x[0], 0, *x[1:]] for x in (third, fourth)]
    for index, row in enumerate(rows):
        actual = sparse.cumulative_attention(scores, np.eye(4)[index])
        np.testing.assert_allclose(actual[0, 0], row, rtol=1e-6)  # float32


@pytest.mark.parametrize("cumulative", [False, True])
def test_blocks(cumulative):
    features = images(2, 9, 7, 8)
    attention = sparse.SparseChannelAttention(2, cumulative)
    check_layer(attention, features, features.shape)
    check_layer(sparse.MixedScaleFeedForward(), features, features.shape)
    block = sparse.SparseBlock(2, cumulative=cumulative)
    check_layer(block, features, features.shape)


@pytest.mark.parametrize("heads", [1, 2])
def test_images_of_a_batch_do_not_meet(heads):
    layer = sparse.SparseChannelAttention(heads)
    layer.build((None, None, None, 8))
    batch = np.stack([images(8, 8, 8, seed=n) for n in range(8)])
    alone = np.concatenate([layer(image[None]) for image in batch])
    # float32 sums in another order
    np.testing.assert_allclose(layer(batch), alone, rtol=1e-5, atol=1e-6)


def test_heads_must_divide_the_channels():
    with pytest.raises(ValueError, match="num_heads=3, channels=8"):
        sparse.SparseChannelAttention(3)(images(1, 4, 4, 8))


# Network


# One block each way: building graphs takes most of the time of these tests.
TINY = {"dim": 4, "num_blocks": (1, 0, 0, 0), "patch": 2, "num_stages": 1}


def test_network_parity():
    golden = load("drsformer_net")
    network = drsformer.DRSformerNetwork(dim=8, num_blocks=(1, 1, 1, 1))
    network.build((None, None, None, 3))
    official_drsformer.place(network, official.weights(golden))
    rainy = nhwc(golden["in/x"])
    features = network.shallow(rainy)
    # stated with the golden data; float32 sums in another order
    tolerance = {"atol": 2e-4}
    expected = nhwc(golden["mid/encoder_level0"])
    np.testing.assert_allclose(features, expected, **tolerance)
    np.testing.assert_allclose(network(rainy), nhwc(golden["out/y"]), **tolerance)


def test_paper_widths():
    network = drsformer.DRSformerNetwork()
    network.build((None, None, None, 3))
    assert network.count_params() == 33_655_424  # the paper: 33.7 million


def test_model_contract(tmp_path):
    """`check_model` without half precision, which the blocks and Rainmer are tested in:
    each graph to train takes seconds to build."""
    model = drsformer.DRSformer(**TINY)
    check_config(model)
    for height, width in ((1, 1), (7, 33)):
        assert model(images(2, height, width, 3)).shape == (2, height, width, 3)
    check_gradients(model, images(2, 16, 32, 3), training=True)
    check_training(model, tmp_path)


def test_a_converted_network_can_be_resized(tmp_path):
    """Top-k, layer normalisation and attention on LiteRT's builtin operations."""
    model = drsformer.DRSformer(**TINY)
    model.build((None, None, None, 3))
    for weight in model.network.weights:
        weight.assign_add(keras.random.normal(weight.shape, stddev=0.1, seed=1))
    # It compares the file with Keras, at this size and at others.
    written = export.to_litert(model, tmp_path / "network.tflite", (32, 48))
    assert len(written.sizes) == 3


def test_int8_keeps_attention_in_float32(tmp_path):
    model = drsformer.DRSformer(**TINY)
    model.build((None, None, None, 3))
    int8 = {"quantization": "int8", "representative": images(8, 32, 48, 3)}
    with pytest.raises(ValueError, match="BATCH_MATMUL.* in float32"):
        export.to_litert(
            model, tmp_path / "m.tflite", (32, 48), interface="uint8", **int8
        )
    made = export.to_litert(model, tmp_path / "m.tflite", (32, 48), **int8)
    interpreter = Interpreter(
        str(made.path),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    tensors = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    kinds = {"CONV_2D": set(), "BATCH_MATMUL": set()}
    for operation in interpreter._get_ops_details():
        if operation["op_name"] == "DEPTHWISE_CONV_2D":  # 7x7 comes in few taps
            kernel = tensors[operation["inputs"][1]]["shape"]
            assert kernel[1] * kernel[2] <= 25
        if operation["op_name"] in kinds:
            kinds[operation["op_name"]].add(tensors[operation["inputs"][0]]["dtype"])
    assert kinds == {"CONV_2D": {np.int8}, "BATCH_MATMUL": {np.float32}}
    # 8 bits of the convolutions; a layer in the wrong scale is at 0.1
    assert made.mean_difference < 0.02
