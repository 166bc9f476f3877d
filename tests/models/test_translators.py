import helpers
import jrgr_golden
import keras
import numpy as np
import pytest
import tensorflow as tf
from jrgr_golden import nhwc

from tfderain.models import translators

TOLERANCE = {"jrgr_unet": 5e-5, "jrgr_resnet9": 5e-4}  # golden/README.md


def made(case, **options):
    golden, config = jrgr_golden.load(case)
    if case == "jrgr_unet":
        network = translators.UNet(config["ngf"], config["num_downs"], **options)
    else:
        network = translators.ResNetGenerator(
            config["ngf"], config["n_blocks"], **options
        )
    network.build((None, None, None, 3))
    jrgr_golden.give_weights(network, golden)
    return network, golden


@pytest.mark.parametrize("case", TOLERANCE)
def test_outputs_of_the_authors(case):
    network, golden = made(case)
    derained = network(nhwc(golden["in/x_eval"]))
    expected = nhwc(golden["out/eval"])
    np.testing.assert_allclose(derained, expected, atol=TOLERANCE[case])
    derained = network(nhwc(golden["in/x_train"]), training=True)
    expected = nhwc(golden["out/train"])
    np.testing.assert_allclose(derained, expected, atol=TOLERANCE[case])


def test_moving_statistics_of_the_authors():
    network, golden = made("jrgr_unet")
    network(nhwc(golden["in/x_train"]), training=True)
    batch, _, height, width = golden["in/x_train"].shape
    variables = jrgr_golden.variables_of(network)
    names = [name for name in variables if "running" in name]
    assert len(names) == 22
    for level, layers in enumerate(
        zip(network.down_norms, network.up_norms, strict=True)
    ):
        # Levels of norms after going down, and one level larger after going up.
        for norm, side in zip(layers, (2 ** (level + 1), 2**level), strict=True):
            if norm is None:
                continue
            (name,) = (n for n in names if variables[n] is norm.moving_variance)
            before, after = golden[f"w/{name}"], golden[f"after_train/{name}"]
            # PyTorch takes N / (N - 1) times the variance of the N pixels.
            pixels = batch * height * width / side**2
            expected = (after - 0.9 * before) * (1 - 1 / pixels)
            # The batch's own part, a tenth of the averages. Relative to the values:
            # float32 through up to 12 layers; N / (N - 1) is 1.002 to 1.07 in the lower
            # half of the network.
            actual = np.asarray(norm.moving_variance) - 0.9 * before
            np.testing.assert_allclose(actual, expected, rtol=1e-3)
            name = name.replace("var", "mean")
            before, after = golden[f"w/{name}"], golden[f"after_train/{name}"]
            actual, expected = np.asarray(norm.moving_mean) - 0.9 * before, after
            expected = expected - 0.9 * before
            atol = 1e-3 * np.abs(expected).max()
            np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("case", TOLERANCE)
def test_unbiased_moving_variance_is_that_of_the_authors(case):
    network, golden = made(case, normalization="batch_unbiased")
    network(nhwc(golden["in/x_train"]), training=True)
    names = [n for n in golden if n.startswith("after_train/") and "running_var" in n]
    variables = jrgr_golden.variables_of(network)
    assert names
    for name in names:
        expected = golden[name]
        actual = variables[name.partition("/")[2]]
        # Float32 through up to 24 layers, 3e-4 here. The biased variance of the
        # smallest maps is 7 % less, a tenth of which is in the average.
        np.testing.assert_allclose(actual, expected, rtol=1e-3, err_msg=name)


def test_statistics_of_the_image():
    # In training one image is normalised by itself: so is it with "image" statistics.
    trained, golden = made("jrgr_unet")
    image, _ = made("jrgr_unet", statistics="image")
    rainy = nhwc(golden["in/x_eval"])
    derained = image(rainy)
    # Two formulas of the variance, in float32, through 11 normalisations.
    np.testing.assert_allclose(derained, trained(rainy, training=True), atol=1e-4)
    assert image.global_operations and not trained.global_operations


@pytest.mark.parametrize("normalization", translators.NORMALIZATIONS)
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("kind", ["UNet", "ResNetGenerator"])
def test_layers(kind, residual, normalization):
    options = {"normalization": normalization, "residual": residual}
    if kind == "UNet":
        network = translators.UNet(4, 2, **options)
    else:
        network = translators.ResNetGenerator(2, 1, **options)
    rainy = 2 * helpers.images(2, 16, 24, 3) - 1
    helpers.check_config(network)
    helpers.check_gradients(network, rainy, training=True)
    for policy in ("float32", "mixed_bfloat16"):
        twin = type(network).from_config({**network.get_config(), "dtype": policy})
        derained = twin(rainy)
        assert derained.dtype == tf.float32 and derained.shape == rainy.shape
    assert twin.downs[0].compute_dtype == "bfloat16"
    if residual and normalization is None:
        # weights of deviation 0.02 change little at first
        assert 0 < np.abs(network(rainy) - rainy).max() < 0.2
    assert network.global_operations == (normalization == "instance")


def test_saved_with_a_model(tmp_path):
    inputs = keras.Input((None, None, 3))
    network = translators.UNet(2, 2, statistics="image")
    model = keras.Model(inputs, network(inputs))
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    rainy = helpers.images(1, 8, 12, 3)
    np.testing.assert_array_equal(loaded(rainy), model(rainy))


def test_count_of_weights():
    network = translators.UNet()
    network.build((None, None, None, 3))
    count = sum(np.prod(v.shape) for v in network.trainable_variables)
    assert round(count / 1e6, 2) == 41.83  # of the authors' network


@pytest.mark.parametrize("option", ["normalization", "statistics"])
def test_unknown_options_are_refused(option):
    with pytest.raises(ValueError, match=f"Received: {option}='spectral'"):
        translators.UNet(4, 2, **{option: "spectral"})
