"""PSNR and SSIM against golden values, scikit-image, SciPy and hand arithmetic."""

import hashlib
import json
import math
import subprocess
import sys

import helpers
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy import ndimage
from skimage import metrics as skimage_metrics

from tfderain import metrics
from tfderain.metrics import functions

GOLDEN = json.loads((helpers.GOLDEN / "metrics.json").read_text())
GOLDEN_NAMES = {
    "matlab_y_uint8": "a_matlab_uint8Y",
    "matlab_y_float": "b_matlab_floatY_autodown",
    "rainmer_y_float": "f_rainmer_python",
    "opencv_y_uniform": "c_opencvY_skimage_uniform7",
    "rgb_gaussian": "d_rgb_gaussian",
}
both_protocols = pytest.mark.parametrize("protocol", metrics.PROTOCOLS)


def golden_pair(name):
    entry = GOLDEN["pairs"][name]
    pair = []
    for kind, file in zip(("degraded", "clean"), entry["files"], strict=True):
        pixels = np.asarray(Image.open(helpers.GOLDEN / file))
        digest = hashlib.sha256(pixels.tobytes()).hexdigest()
        assert digest == entry["sha256_rgb_pixels"][kind]
        pair.append(pixels)
    return pair


def noisy_pair(*shape, seed=0):
    """A smooth clean image with bright and dark parts, and a noisy copy; uint8."""
    rng = np.random.default_rng(seed)
    clean = ndimage.gaussian_filter(rng.random(shape), (0, 2, 2, 0)[-len(shape) :])
    clean = (clean - clean.min()) / (clean.max() - clean.min()) * 255
    noisy = np.clip(clean + rng.normal(0, 12, shape), 0, 255)
    return noisy.round().astype("uint8"), clean.round().astype("uint8")


def flat(*rgb, size=(12, 14)):
    return np.full((*size, 3), rgb, "uint8")


# The functions


def test_luma_is_whole_numbers():
    """Steps of 1/255000 of a grey level, or of one; `_planes` adds the offset 16."""
    colors = np.array([[[0, 0, 0], [255, 255, 255], [1, 2, 3]]], np.uint8)
    steps = metrics.luma(colors)
    assert steps.dtype == np.int32
    assert steps.tolist() == [[0, 219 * 255_000, 65481 + 2 * 128553 + 3 * 24966]]
    assert metrics.luma(colors, "matlab_y_uint8").tolist() == [[0, 219, 2]]  # 1.56
    opencv = metrics.luma(colors[None] / np.float32(255), "opencv_y_uniform")
    assert opencv.tolist() == [[[0, 255, 2]]]  # 0.299 + 1.174 + 0.342 = 1.815
    with pytest.raises(ValueError, match="luma.*protocol='rgb_gaussian'"):
        metrics.luma(colors, "rgb_gaussian")
    with pytest.raises(ValueError, match="RGB"):
        metrics.luma(colors[..., 0])


@both_protocols
@pytest.mark.parametrize("name", GOLDEN["pairs"])
def test_functions_equal_golden_values(name, protocol):
    expected = GOLDEN["pairs"][name][GOLDEN_NAMES[protocol]]
    derained, clean = golden_pair(name)
    # the golden values have six decimals; seen: 4.6e-7 dB and 4.5e-7 at most; those of
    # Rainmer are of float32
    atol = 1e-5 if protocol == "rainmer_y_float" else 1e-6
    psnr, ssim = (
        pytest.approx(expected[key], rel=0, abs=atol) for key in ("psnr", "ssim")
    )
    assert metrics.psnr(derained, clean, protocol) == psnr
    assert metrics.ssim(derained, clean, protocol) == ssim


@pytest.mark.parametrize(
    "protocol, range_of_luma",
    [("matlab_y_float", 219), ("opencv_y_uniform", 255), ("rgb_gaussian", 255)],
)
def test_psnr_of_white_against_black(protocol, range_of_luma):
    white, black = flat(255, 255, 255), flat(0, 0, 0)
    expected = 20 * math.log10(255 / range_of_luma)
    # float64 throughout
    assert metrics.psnr(white, black, protocol) == pytest.approx(expected, abs=1e-12)


def test_luma_is_rounded_in_uint8_protocols_only():
    # luma of (1, 0, 0) is 16.257 in MATLAB and 0.299 in OpenCV; black has 16 and 0
    red, black = flat(1, 0, 0), flat(0, 0, 0)
    assert metrics.psnr(red, black, "matlab_y_uint8") == metrics.PSNR_CAP
    assert metrics.psnr(red, black, "opencv_y_uniform") == metrics.PSNR_CAP
    expected = 20 * math.log10(255 / (65.481 / 255))
    found = metrics.psnr(red, black, "matlab_y_float")
    assert found == pytest.approx(expected, abs=1e-12)  # float64 throughout


def test_psnr_of_one_wrong_channel_value():
    clean = np.zeros((4, 5, 3), "uint8")
    derained = clean.copy()
    derained[2, 1, 0] = 30
    expected = 10 * math.log10(255**2 / (30**2 / 60))
    found = metrics.psnr(derained, clean, "rgb_gaussian")
    assert found == pytest.approx(expected, abs=1e-12)  # float64 throughout


def test_ssim_of_two_flat_images():
    # no variance: only the luminance term is left
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 120 + c1) / (100**2 + 120**2 + c1)
    found = metrics.ssim(flat(100, 100, 100), flat(120, 120, 120), "rgb_gaussian")
    assert found == pytest.approx(expected, abs=1e-12)  # float64 throughout


def test_rgb_gaussian_equals_scikit_image():
    derained, clean = noisy_pair(37, 52, 3)
    psnr = skimage_metrics.peak_signal_noise_ratio(clean, derained, data_range=255)
    ssim = skimage_metrics.structural_similarity(
        clean,
        derained,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
    )
    # float64 on both sides, sums in another order
    assert metrics.psnr(derained, clean, "rgb_gaussian") == pytest.approx(psnr, 1e-10)
    assert metrics.ssim(derained, clean, "rgb_gaussian") == pytest.approx(ssim, 1e-10)


def test_opencv_uniform_equals_scikit_image_on_fixed_point_luma():
    derained, clean = noisy_pair(37, 52, 3, seed=1)
    # OpenCV, color_yuv: 14 bits of fixed point, rounded half up
    weights = np.array([4899, 9617, 1868])
    luma = [((x @ weights + 8192) >> 14).astype("uint8") for x in (clean, derained)]
    psnr = skimage_metrics.peak_signal_noise_ratio(*luma, data_range=255)
    ssim = skimage_metrics.structural_similarity(*luma, data_range=255)
    found = metrics.psnr(derained, clean, "opencv_y_uniform")
    assert found == pytest.approx(psnr, 1e-10)  # float64, sums in another order
    found = metrics.ssim(derained, clean, "opencv_y_uniform")
    assert found == pytest.approx(ssim, 1e-10)


@pytest.mark.parametrize(
    "height, width, factor, origin",
    # MATLAB's even filters lean to the lower right, SciPy's to the upper left
    [(383, 400, 1, 0), (384, 401, 2, -1), (640, 650, 3, 0), (899, 896, 4, -1)],
)
def test_scaling_down_equals_a_strided_mean_filter(height, width, factor, origin):
    planes = helpers.images(1, height, width, 1)
    filtered = ndimage.uniform_filter(
        planes[0, :, :, 0].astype("float64"), factor, mode="reflect", origin=origin
    )
    found = functions._scale_down(np, planes.astype("float64"))[0, :, :, 0]
    # float64 running sums of SciPy against plain means
    np.testing.assert_allclose(found, filtered[::factor, ::factor], atol=1e-12)


def test_ssim_scales_down_under_one_protocol_only():
    derained, clean = noisy_pair(384, 390, 3)
    small = [
        np.repeat(np.repeat(x[::2, ::2], 2, axis=0), 2, axis=1)
        for x in (derained, clean)
    ]
    # 2x2 blocks of one colour average to that colour
    expected = metrics.ssim(small[0][::2, ::2], small[1][::2, ::2], "matlab_y_float")
    found = metrics.ssim(*small, "matlab_y_float")
    assert found == pytest.approx(expected, abs=1e-12)  # float64 throughout
    assert metrics.ssim(*small, "matlab_y_uint8") < expected - 0.01  # seen: 0.05


def test_float_images_are_clipped_and_rounded_half_up():
    black = np.zeros((12, 12, 3), "float32")
    for value in (-0.2, 0.49 / 255):
        assert metrics.psnr(black + value, black, "rgb_gaussian") == metrics.PSNR_CAP
    one_level = 20 * math.log10(255)
    for value in (0.5 / 255, 1.4 / 255):
        found = metrics.psnr(black + value, black, "rgb_gaussian")
        assert found == pytest.approx(one_level, abs=1e-12)  # float64 throughout
    assert metrics.psnr(black + 1.3, black + 1, "rgb_gaussian") == metrics.PSNR_CAP


@both_protocols
def test_a_batch_gives_one_value_per_image(protocol):
    derained, clean = noisy_pair(3, 20, 26, 3)
    for score in (metrics.psnr, metrics.ssim):
        values = score(derained, clean, protocol)
        assert values.shape == (3,) and values.dtype == np.float64
        single = [score(*pair, protocol) for pair in zip(derained, clean, strict=True)]
        assert values.tolist() == single
        assert all(type(value) is float for value in single)
        floats = score(derained / 255.0, clean.astype("float32") / 255, protocol)
        assert floats.tolist() == single


@both_protocols
def test_perfect_images(protocol):
    _, clean = noisy_pair(15, 18, 3)
    assert metrics.psnr(clean, clean, protocol) == 100
    # a ratio of equal numbers, up to the rounding of float64
    assert metrics.ssim(clean, clean, protocol) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    "derained, clean, protocol, message",
    [
        (flat(0, 0, 0), flat(0, 0, 0), "matlab", "protocol='matlab'"),
        (flat(0, 0, 0), flat(0, 0, 0)[:5], "rgb_gaussian", r"\(5, 14, 3\)"),
        (np.zeros((9, 9)), np.zeros((9, 9)), "rgb_gaussian", r"\(9, 9\)"),
        (np.zeros((0, 9, 3)), np.zeros((0, 9, 3)), "rgb_gaussian", "empty"),
        (np.ones((9, 9, 3)), np.full((9, 9, 3), 255.0), "rgb_gaussian", "to 255"),
        (np.full((9, 9, 3), np.nan), np.ones((9, 9, 3)), "rgb_gaussian", "nan"),
        (np.ones((9, 9, 3), int), np.ones((9, 9, 3)), "rgb_gaussian", "dtype=int"),
    ],
)
def test_bad_images_are_refused(derained, clean, protocol, message):
    with pytest.raises(ValueError, match=message):
        metrics.psnr(derained, clean, protocol)


def test_ssim_needs_a_whole_window():
    black = flat(0, 0, 0, size=(10, 20))
    with pytest.raises(ValueError, match=r"at least 11 .*size=\(10, 20\)"):
        metrics.ssim(black, black, "rgb_gaussian")
    assert metrics.ssim(black, black, "opencv_y_uniform") == 1


def test_functions_leave_keras_unloaded():
    code = (
        "import sys, numpy; from tfderain import metrics\n"
        "zeros = numpy.zeros((11, 11, 3)); metrics.ssim(zeros, zeros)\n"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# The Keras metrics

# float32 near 30 dB has steps of 1.9e-6, near 60 dB of 3.8e-6
PSNR_TOLERANCE = 2e-5
# float32 variances of centred luma; seen: 7e-7 on real images
SSIM_TOLERANCE = 5e-6


def scores(protocol, derained, clean, **options):
    """Updates both metrics in one graph, as `fit` would."""
    pair = metrics.PSNR(protocol), metrics.SSIM(protocol)

    @tf.function(**options)
    def update(clean, derained):
        for metric in pair:
            metric.update_state(clean, derained)

    update(tf.constant(clean), tf.constant(derained))
    return tuple(float(metric.result()) for metric in pair)


def check_equal(found, derained, clean, protocol):
    for value, function, tolerance in zip(
        found,
        (metrics.psnr, metrics.ssim),
        (PSNR_TOLERANCE, SSIM_TOLERANCE),
        strict=True,
    ):
        expected = np.mean(function(derained, clean, protocol))
        assert value == pytest.approx(expected, rel=0, abs=tolerance)


ANY_SIZE = [tf.TensorSpec((None, None, None, 3), tf.float32)] * 2


@both_protocols
@pytest.mark.parametrize(
    "options", [{"jit_compile": True}, {"input_signature": ANY_SIZE}]
)
def test_metrics_equal_functions(protocol, options):
    derained, clean = (x / np.float32(255) for x in noisy_pair(2, 29, 36, 3))
    found = scores(protocol, derained, clean, **options)
    check_equal(found, derained, clean, protocol)


@pytest.mark.parametrize(
    "options", [{"jit_compile": True}, {"input_signature": ANY_SIZE}]
)
def test_metrics_scale_large_images_down(options):
    derained, clean = (x[None] / np.float32(255) for x in golden_pair("synth_640x648"))
    found = scores("matlab_y_float", derained, clean, **options)
    check_equal(found, derained, clean, "matlab_y_float")


def test_metrics_take_uint8_and_half_precision():
    derained, clean = noisy_pair(2, 16, 18, 3)
    check_equal(
        scores("rgb_gaussian", derained, clean), derained, clean, "rgb_gaussian"
    )
    half = (derained / 255).astype("float16")
    found = scores("rgb_gaussian", half, (clean / 255).astype("float32"))
    check_equal(found, half.astype("float32"), clean / 255, "rgb_gaussian")


def test_metrics_average_over_images_and_reset():
    black = np.zeros((1, 12, 12, 3), "float32")
    metric = metrics.PSNR("rgb_gaussian")
    metric.update_state(black, black)
    metric.update_state(black, black + 1)
    assert float(metric.result()) == pytest.approx(50, abs=PSNR_TOLERANCE)  # 100, 0 dB
    metric.reset_state()
    metric.update_state(
        np.concatenate([black, black]), np.concatenate([black, black + 1]), [1, 3]
    )
    assert float(metric.result()) == pytest.approx(25, abs=PSNR_TOLERANCE)


def test_names_hold_the_channel_and_configs_survive():
    for kind in (metrics.PSNR, metrics.SSIM):
        name = kind.__name__.lower()
        assert kind().name == f"{name}_y" and kind().protocol == "matlab_y_float"
        assert kind("rgb_gaussian").name == f"{name}_rgb"
        helpers.check_config(kind("opencv_y_uniform", name="other"))
        copy = keras.saving.deserialize_keras_object(
            keras.saving.serialize_keras_object(kind("rgb_gaussian"))
        )
        assert type(copy) is kind and copy.protocol == "rgb_gaussian"
    with pytest.raises(ValueError, match="protocol='y'"):
        metrics.PSNR("y")
    with pytest.raises(AttributeError, match="LPIPS"):
        _ = metrics.LPIPS


def test_metrics_in_compile_fit_and_a_reloaded_model(tmp_path):
    rainy, clean = helpers.images(4, 14, 18, 3), helpers.images(4, 14, 18, 3, seed=1)
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    chosen = [metrics.PSNR("rgb_gaussian"), metrics.SSIM()]
    model.compile(loss="mse", metrics=chosen, jit_compile=True)
    history = model.fit(rainy, clean, batch_size=2, verbose=0).history
    assert set(history) == {"loss", "psnr_rgb", "ssim_y"}
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    found = reloaded.evaluate(rainy, clean, batch_size=4, verbose=0, return_dict=True)
    derained = reloaded.predict(rainy, verbose=0)
    expected = np.mean(metrics.psnr(derained, clean, "rgb_gaussian"))
    # two compilations of the network may differ in the last bit, so that a value near
    # half a grey level rounds the other way: 1 of 3024 values is 1e-3 dB and less
    assert found["psnr_rgb"] == pytest.approx(expected, abs=1e-3)
    expected = np.mean(metrics.ssim(derained, clean))
    assert found["ssim_y"] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    "protocol, words",
    [
        ("matlab_y_uint8", ("luma (Y) from 16 to 235, rounded", "11x11", "Restormer")),
        ("matlab_y_float", ("16 to 235, not rounded", "averaged down", "PReNet")),
        ("opencv_y_uniform", ("0 to 255, rounded", "7x7, uniform", "OpenCV")),
        ("rgb_gaussian", ("R, G and B", "Gaussian of sigma 1.5", "scikit-image")),
    ],
)
def test_protocols_are_described(protocol, words):
    text = metrics.describe(protocol)
    assert all(word in text for word in words)
    assert ("averaged down" in text) == (protocol == "matlab_y_float")
