"""MENET against the authors' code: golden data of SumiHui/MENET at 2896de966a80."""

import keras
import numpy as np
import official
import pytest
import tensorflow as tf
from helpers import check_layer, check_model, images

from tfderain import losses, weighting
from tfderain.convert import menet as official_menet
from tfderain.models import menet

CASES = ("menet_noca", "menet_ca")
PIXEL = 1e-3 / 255  # stated with the golden data, on images of 0..255
ORDER = ("Lp", "Lt", "Le")  # of the golden arrays
TASKS = {
    "Lp": losses.Reconstruction(),
    "Lt": losses.Texture("scalar"),
    "Le": losses.Edge(),
}


def load_case(case, tasks=None, scheme=None, **options):
    """The golden arrays and a MENET with the authors' weights."""
    golden = official.load(case)
    model = menet.MENET(
        channel_attention=case == "menet_ca",
        tasks=tasks,
        weighting=scheme,
        **options,
    )
    model.build((None, None, None, 3))
    official_menet.place(model.network, official.weights(golden))
    return golden, model


@pytest.mark.parametrize(
    ("num_blocks", "channel_attention", "count"),
    [
        (8, False, 671_680),
        (8, True, 815_680),
        (16, False, 1_263_552),
        (16, True, 1_407_552),
    ],
)
def test_parameter_counts(num_blocks, channel_attention, count):
    model = menet.MENET(num_blocks, channel_attention)
    model.build((None, None, None, 3))
    assert sum(w.numpy().size for w in model.trainable_weights) == count


@pytest.mark.parametrize("case", CASES)
def test_forward_parity(case):
    golden, model = load_case(case)
    size = 16 if case == "menet_ca" else 4
    for given, expected in (("in/inference", "out/inference"), ("in/rain", "out/eval")):
        rainy = golden[given] / 255
        if any(side % size for side in rainy.shape[1:3]):
            continue  # the authors resize such images, we mirror them
        actual = model(rainy, training=False)
        np.testing.assert_allclose(actual, golden[expected] / 255, atol=PIXEL)
    actual = model(golden["in/rain"] / 255, training=True)
    np.testing.assert_allclose(actual, golden["out/train"] / 255, atol=PIXEL)


@pytest.mark.parametrize("case", CASES)
def test_batch_statistics_parity(case):
    """The batch's own mean and variance, a hundredth of what the averages hold."""
    golden, model = load_case(case)
    model(golden["in/rain"] / 255, training=True)
    count = {"half": 2 * 24 * 32, "quarter": 2 * 12 * 16}

    def of_batch(after, norm, name):
        before = golden[f"w/{norm}/{name}"].astype(np.float64)
        return (np.asarray(after, np.float64) - 0.99 * before) / 0.01

    for layer, _, norm in official_menet.convolutions_of(model.network):
        if norm.startswith("derain/ca"):
            continue
        actual, expected = (
            of_batch(after, norm, "moving_mean")
            for after in (layer.norm.moving_mean, golden[f"after/{norm}/moving_mean"])
        )
        # float32 sums of 1,536 values; zero is not special among them
        largest = np.abs(expected).max()
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * largest)
        actual, expected = (
            of_batch(after, norm, "moving_variance")
            for after in (
                layer.norm.moving_variance,
                golden[f"after/{norm}/moving_variance"],
            )
        )
        # TensorFlow 1 keeps the unbiased variance, Keras 3 the biased one: 1/1536 or
        # 1/384 less. Two roundings of averages near 2, a hundred times as large in
        # the batch's part, are 1.7e-4 of the least variance (0.14).
        pixels = count["half" if layer.filters == 16 else "quarter"]
        expected *= (pixels - 1) / pixels
        np.testing.assert_allclose(actual, expected, rtol=2e-4)


@pytest.mark.parametrize("case", CASES)
def test_unbiased_moving_variance_parity(case):
    golden, model = load_case(case, normalization="batch_unbiased")
    model(golden["in/rain"] / 255, training=True)
    for layer, _, norm in official_menet.convolutions_of(model.network):
        before = golden[f"w/{norm}/moving_variance"].astype(np.float64)
        expected = golden[f"after/{norm}/moving_variance"]
        # The batch's own part, a hundredth of the averages, so that 1/1536 more in it
        # is seen (of the gate's smallest maps, 24 pixels, 1/23). Rounding as above.
        actual, expected = (
            (np.asarray(after, np.float64) - 0.99 * before) / 0.01
            for after in (layer.norm.moving_variance, expected)
        )
        np.testing.assert_allclose(actual, expected, rtol=3e-4, err_msg=norm)


def check_step(case, golden, model, prefix, tasks):
    """Losses, norms, weights, total and gradients of one training step."""
    rainy, clean = golden["in/rain"] / 255, golden["in/clean"] / 255
    with tf.GradientTape() as tape:
        _, report = model.compute_losses(rainy, clean, training=True)
    kernel = model.network.residual.kernel.value
    gradient = tape.gradient(report["loss"], kernel)
    for task in tasks:
        expected = float(golden[f"balance/{prefix}_{task}"])
        assert float(report[task]) == pytest.approx(expected, rel=1e-4)
    name = "_".join(tasks)
    weights = [float(report[f"weight_{task}"]) for task in tasks]
    np.testing.assert_allclose(
        weights, golden[f"balance/{prefix}_weights_{name}"], atol=1e-6
    )
    if prefix.startswith("gb"):
        norms = [float(report[f"gradient_norm_{task}"]) for task in tasks]
        expected = golden[f"balance/{prefix}_gradnorm_{name}"]
        np.testing.assert_allclose(norms, expected, rtol=1e-4)
    expected = golden[f"balance/{prefix}_grad_layer5"]
    # relative to the largest entry: sums of thousands of float32 products
    error = np.abs(gradient - expected).max() / np.abs(expected).max()
    assert error < 1e-4
    return report


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("prefix", ["gb", "lb"])
def test_balanced_step_parity(case, prefix):
    scheme = {"gb": weighting.GradientBalance, "lb": weighting.LossBalance}[prefix]()
    golden, model = load_case(case, TASKS, scheme)
    report = check_step(case, golden, model, prefix, ORDER)
    # On 0..255 images the authors' texture loss switches itself off.
    assert report["Lt"] > 1e8 * report["Lp"]
    assert report["weight_Lt"] < 1e-6 < 0.5 < report["weight_Lp"]


@pytest.mark.parametrize("prefix", ["gb2", "lb2"])
def test_two_task_step_parity(prefix):
    tasks = {task: TASKS[task] for task in ("Lp", "Le")}
    scheme = {"gb": weighting.GradientBalance, "lb": weighting.LossBalance}
    golden, model = load_case("menet_noca", tasks, scheme[prefix[:2]]())
    check_step("menet_noca", golden, model, prefix, ("Lp", "Le"))


@pytest.mark.parametrize("case", CASES)
def test_small_range_weights_parity(case):
    """Fed images of 0..4, all three weights are in play."""
    for prefix, scheme in (
        ("gb_small", weighting.GradientBalance()),
        ("lb_small", weighting.LossBalance()),
    ):
        golden, model = load_case(case, TASKS, scheme)
        small = {key: golden[f"in/{key}"] / 64 / 255 for key in ("rain", "clean")}
        _, report = model.compute_losses(small["rain"], small["clean"], training=True)
        weights = [float(report[f"weight_{task}"]) for task in ORDER]
        expected = golden[f"balance/{prefix}_weights_Lp_Lt_Le"]
        # The least, 4.8e-6, is what 1 leaves of a share: four float32 steps below 1.
        # A relative 1e-4 between the losses changes it by 5e-10.
        np.testing.assert_allclose(weights, expected, rtol=0, atol=2.4e-7)
        assert min(expected) > 10 * 2.4e-7


def tiny(**kwargs):
    """A MENET of some thousand weights."""
    unit = {"normalization": None, "value_range": 1.0}
    return menet.MENET(**{"num_blocks": 2, "filters": 8, **unit, **kwargs})


UNIT_TASKS = {
    "reconstruction": losses.Reconstruction("l1", 1.0),
    "edge": losses.Edge("l1", 0.125),
    "texture": losses.Texture("normalized", value_range=1.0),
}


@pytest.mark.parametrize(
    "options",
    [
        {"tasks": UNIT_TASKS, "weighting": weighting.LossBalance()},
        {"tasks": UNIT_TASKS, "weighting": weighting.GradientBalance()},
        {
            "normalization": "batch",
            "value_range": 255.0,
            "channel_attention": True,
            "clip_training": False,
        },
    ],
    ids=["lb", "gb", "attention"],
)
def test_model_contract(options, tmp_path):
    gradients = isinstance(options.get("weighting"), weighting.GradientBalance)
    check_model(tiny(**options), tmp_path, scaled_graph=gradients)


def test_blocks():
    features = images(2, 8, 12, 8)
    for normalization in ("batch", "batch_unbiased", None):
        block = menet.ResidualBlock(8, normalization, activate=False)
        check_layer(block, features, features.shape, training=True)
        gate = menet.MENETChannelAttention(8, normalization)
        check_layer(gate, features, features.shape, training=True)


def test_attention_adds_a_share():
    gate = menet.MENETChannelAttention(4, None)
    features = images(1, 8, 8, 4)
    ratio = gate(features).numpy() / features
    assert np.all((ratio > 1) & (ratio < 2))
    # one gate a channel; float32 division of the products
    np.testing.assert_allclose(
        ratio, np.broadcast_to(ratio[:, :1, :1], ratio.shape), rtol=1e-5
    )


def test_untrained_network_without_normalization_is_near_the_identity():
    rainy = 0.25 + 0.5 * images(1, 16, 16, 3)
    # the last kernel starts a hundredth as strong as fan-in scaling
    assert np.abs(tiny()(rainy) - rainy).max() < 0.25


@pytest.mark.parametrize(("trained", "deeper"), [(1, 2), (3, 5), (2, 2)])
def test_a_deeper_network_starts_with_the_output_of_another(trained, deeper):
    options = {"filters": 8, "normalization": None, "value_range": 1.0}
    networks = [menet.MENET(num_blocks=n, **options) for n in (trained, deeper)]
    for network in networks:
        network.build((None, None, None, 3))
        for weight in network.trainable_variables:
            weight.assign_add(keras.random.normal(weight.shape, stddev=0.1, seed=3))
    small, deep = networks
    rainy = keras.random.uniform((2, 20, 24, 3), seed=1)
    assert np.abs(deep(rainy) - small(rainy)).max() > 0.01
    deep.adopt(small)
    # the same convolutions, and additions of exact zeros
    np.testing.assert_array_equal(deep(rainy), small(rainy))


def test_batch_statistics_cannot_start_a_deeper_network():
    networks = [menet.MENET(num_blocks=n, filters=8) for n in (1, 2)]
    for network in networks:
        network.build((None, None, None, 3))
    with pytest.raises(ValueError, match="same shape"):
        networks[1].adopt(networks[0])


def test_bad_arguments():
    with pytest.raises(ValueError, match="Received: filters=10"):
        menet.MENET(filters=10)


def test_saved_without_optimizer_loads(tmp_path):
    model = tiny()
    rainy = images(1, 5, 9, 3)
    expected = model(rainy)
    model.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(
        keras.saving.load_model(tmp_path / "m.keras")(rainy), expected
    )
