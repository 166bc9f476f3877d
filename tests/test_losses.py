import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import GOLDEN, check_config, images
from scipy import ndimage

from tfderain import losses

PAIR = images(2, 8, 12, 3, seed=0), images(2, 8, 12, 3, seed=1)


def per_image(loss, clean, derained):
    """Values before Keras reduces the batch."""
    loss.reduction = None
    return loss(clean, derained).numpy()


@pytest.mark.parametrize(
    "loss",
    [
        losses.Reconstruction(norm="l1", value_range=1.0),
        losses.Edge(norm="l1", value_range=2.0),
        losses.Texture(mode="normalized", patch=2, value_range=1.0),
        losses.Texture(mode="gram"),
        losses.StructuralDissimilarity(value_range=255.0),
    ],
)
def test_config_and_one_value_per_image(loss):
    check_config(loss)
    assert per_image(loss, *PAIR).shape == (2,)
    assert np.all(per_image(loss, PAIR[0], PAIR[0]) == 0)


def test_reconstruction_by_hand():
    clean, derained = np.zeros((1, 2, 2, 3)), np.full((1, 2, 2, 3), 0.5)
    # float32 holds these products exactly
    assert per_image(losses.Reconstruction("l2"), clean, derained) == 127.5**2
    assert per_image(losses.Reconstruction("l1", 1.0), clean, derained) == 0.5


def test_sobel_edges_are_those_of_tensorflow():
    expected = tf.image.sobel_edges(
        tf.constant(PAIR[0])
    ).numpy()  # (..., channel, [dy, dx])
    actual = losses.sobel_edges(PAIR[0]).numpy()
    # sums of six numbers below 4 in float32, in another order
    np.testing.assert_allclose(actual[..., :3], expected[..., 0], atol=2e-6)
    np.testing.assert_allclose(actual[..., 3:], expected[..., 1], atol=2e-6)


def test_edge_compares_gradients_only():
    brighter = PAIR[0] + 0.25
    # float32 rounding of the shifted image: 6e-8, weighed by the Sobel sum of 8
    assert per_image(losses.Edge("l1", 1.0), PAIR[0], brighter) == pytest.approx(
        0, abs=1e-6
    )


def grams(image, patch=4):
    """Independent oracle: patches by reshaping, Gram matrix in float64."""
    height, width, channels = image.shape
    patches = image.astype("float64").reshape(
        height // patch, patch, width // patch, patch, channels
    )
    patches = patches.transpose(0, 2, 1, 3, 4).reshape(-1, patch * patch * channels)
    return patches.T @ patches, len(patches)


@pytest.mark.parametrize("mode", losses.Texture.modes)
def test_texture_against_numpy(mode):
    clean, derained = PAIR
    expected = []
    for a, b in zip(clean, derained, strict=True):
        (gram_a, count), (gram_b, _) = grams(a), grams(b)
        expected.append(
            {
                "scalar": (gram_a.mean() - gram_b.mean()) ** 2,
                "gram": np.square(gram_a - gram_b).sum(),
                "normalized": np.abs(gram_a - gram_b).mean() / count,
            }[mode]
        )
    actual = per_image(losses.Texture(mode, value_range=1.0), clean, derained)
    # float32 matrix products; "scalar" squares the difference of two near means
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


@pytest.mark.parametrize("case", ["menet_noca", "menet_ca"])
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_values_of_the_authors_code(case, mode):
    golden = np.load(GOLDEN / f"{case}.npz")
    clean, derained = golden["in/clean"] / 255, golden[f"out/{mode}"] / 255
    tasks = {
        "Lp": losses.Reconstruction(),
        "Le": losses.Edge(),
        "Lt": losses.Texture("scalar"),
    }
    for task, loss in tasks.items():
        expected = golden[f"out/{mode}_loss/{task}"]
        # the tolerance stated with the golden data, for float32 sums up to 1e13
        assert float(loss(clean, derained)) == pytest.approx(float(expected), rel=1e-4)


def test_losses_are_float32_under_half_precision():
    half = tf.cast(PAIR[1], "float16")
    value = losses.Texture("scalar")(PAIR[0], half)  # 1e9 and more: no float16
    assert value.dtype == tf.float32 and np.isfinite(value)


def test_bad_arguments():
    with pytest.raises(ValueError, match="Received: norm='l3'"):
        losses.Edge(norm="l3")
    with pytest.raises(ValueError, match="Received: mode='style'"):
        losses.Texture(mode="style")
    with pytest.raises(ValueError, match="Received: weights=None"):
        losses.Perceptual()
    with pytest.raises(ValueError, match="nowhere.h5"):
        losses.Perceptual(weights="nowhere.h5")


@pytest.fixture(scope="module")
def vgg_weights(tmp_path_factory):
    """A VGG19 with random weights: the wiring is tested, not the features."""
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("vgg") / "vgg19.weights.h5"
    keras.applications.VGG19(include_top=False, weights=None).save_weights(path)
    return path


def test_perceptual_against_keras_preprocessing(vgg_weights):
    loss = losses.Perceptual(weights=vgg_weights)
    check_config(loss)
    vgg = keras.applications.VGG19(include_top=False, weights=None)
    vgg.load_weights(vgg_weights)
    extractor = keras.Model(vgg.input, vgg.get_layer("block3_conv4").output)
    clean, derained = images(1, 16, 24, 3, seed=2), images(1, 16, 24, 3, seed=3)
    maps = [
        extractor(keras.applications.vgg19.preprocess_input(255 * x.copy())).numpy()
        for x in (clean, derained)
    ]
    assert maps[0].shape == (1, 4, 6, 256)
    expected = np.square(maps[0] - maps[1]).mean()
    # float32 convolutions of 12 layers, run twice on the same numbers
    assert float(loss(clean, derained)) == pytest.approx(expected, rel=1e-4)
    unit = losses.Perceptual(weights=vgg_weights, value_range=1.0)
    assert float(unit(clean, derained)) == pytest.approx(expected / 255**2, rel=1e-4)


def test_perceptual_trains_nothing_of_its_own(vgg_weights):
    loss = losses.Perceptual(weights=vgg_weights)
    derained = tf.Variable(PAIR[1])
    with tf.GradientTape() as tape:
        value = loss(PAIR[0], derained)
    assert np.any(tape.gradient(value, derained))
    assert not loss.extractor.trainable_variables


def test_charbonnier_by_hand():
    clean = np.zeros((1, 2, 2, 3), "float32")
    derained = clean + np.array([0.0, 0.3, 0.0, 0.0], "float32").reshape(1, 2, 2, 1)
    expected = (3 * 0.4 + 0.5) / 4
    loss = losses.Charbonnier(epsilon=0.4)
    assert per_image(loss, clean, derained)[0] == pytest.approx(expected, rel=1e-6)
    assert per_image(losses.Charbonnier(), clean, clean)[0] == pytest.approx(1e-3)
    check_config(loss)


def test_log_error_follows_psnr():
    clean = np.zeros((2, 2, 2, 3), "float32")
    derained = clean + np.array([0.1, 0.01], "float32").reshape(2, 1, 1, 1)
    loss = losses.LogError(floor=1e-5)
    expected = np.log([0.01 + 1e-5, 0.0001 + 1e-5])
    np.testing.assert_allclose(per_image(loss, clean, derained), expected, rtol=1e-5)
    # ten times the error, but for the floor: 20 dB
    decibels = 10 / np.log(10) * np.diff(per_image(losses.LogError(0), clean, derained))
    assert decibels[0] == pytest.approx(-20, rel=1e-4)
    assert per_image(loss, clean, clean)[0] == pytest.approx(np.log(1e-5), rel=1e-5)
    check_config(loss)


def test_structural_dissimilarity_against_scipy():
    clean, derained = images(2, 19, 14, 3), images(2, 19, 14, 3, seed=1)

    def blur(image):
        return ndimage.gaussian_filter(
            image.astype("float64"), (1.5, 1.5, 0), mode="constant", radius=5
        )

    for x, y, actual in zip(
        clean,
        derained,
        per_image(losses.StructuralDissimilarity(), clean, derained),
        strict=True,
    ):
        mean, other = blur(x), blur(y)
        covariance = blur(x * y) - mean * other
        variances = blur(x**2) - mean**2 + blur(y**2) - other**2
        ssim = (2 * mean * other + 1e-4) * (2 * covariance + 9e-4)
        ssim /= (mean**2 + other**2 + 1e-4) * (variances + 9e-4)
        # differences of float32 squares
        assert actual == pytest.approx(1 - ssim.mean(), abs=1e-5)
