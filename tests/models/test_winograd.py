"""Winograd's convolutions against TensorFlow's own."""

import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest
import tensorflow as tf
from helpers import images

from tfderain import models, training
from tfderain.models import layers, winograd
from tfderain.training.config import TrainConfig

compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")


@pytest.fixture
def wanted():
    winograd.use(True)
    yield
    winograd.use(False)


def direct(inputs, kernel):
    return tf.nn.conv2d(inputs, kernel, 1, "SAME")


def with_gradients(convolve, inputs, kernel, gradient):
    with tf.GradientTape() as tape:
        tape.watch([inputs, kernel])
        output = convolve(inputs, kernel)
        loss = tf.reduce_sum(output * gradient)
    return output, *tape.gradient(loss, [inputs, kernel])


@compiler
@pytest.mark.parametrize(
    ("shape", "filters"),
    [
        ((1, 1, 1, 8), 8),
        ((2, 13, 18, 16), 24),  # tiles of 4x4 leave rests on both sides
        ((3, 4, 44, 8), 16),
        ((2, 28, 28, 64), 64),
        ((1, 37, 41, 24), 8),  # more tiles than are worked on at once
    ],
)
def test_outputs_and_gradients_are_tensorflows(shape, filters):
    rng = np.random.default_rng(0)
    draw = lambda *shape: tf.constant(rng.standard_normal(shape, "float32"))  # noqa: E731
    arguments = draw(*shape), draw(3, 3, shape[-1], filters), draw(*shape[:3], filters)
    ours = with_gradients(winograd.convolve, *arguments)
    theirs = with_gradients(direct, *arguments)
    for one, other in zip(ours, theirs, strict=True):
        # F(4x4, 3x3) multiplies by up to 8 and divides by up to 24 on the way: ten to
        # a hundred times the rounding of float32, which is 6e-8
        bound = 3e-5 * np.abs(other).max()
        np.testing.assert_allclose(one, other, atol=bound, rtol=0)


@compiler
def test_only_what_suits_is_taken_over(wanted):
    image = tf.constant(images(1, 9, 7, 16))
    kernel = tf.constant(images(3, 3, 16, 8))
    assert winograd.suits(image, kernel)
    assert not winograd.suits(tf.cast(image, "bfloat16"), tf.cast(kernel, "bfloat16"))
    assert not winograd.suits(image[..., :12], kernel[:, :, :12])
    assert not winograd.suits(image, kernel[:1, :1])
    winograd.use(False)
    assert not winograd.suits(image, kernel)


@compiler
def test_a_network_trains_alike(wanted):
    rainy, clean = tf.constant(images(2, 20, 24, 3)), tf.constant(images(2, 20, 24, 3))
    model = models.MENET(2, normalization=None, value_range=1.0, clip_training=False)
    model.build((None, None, None, 3))

    def gradients():
        @tf.function
        def step():
            with tf.GradientTape() as tape:
                _, losses = model.compute_losses(rainy, clean, training=True)
            return tape.gradient(losses["loss"], model.trainable_variables)

        operations = {
            op.type for op in step.get_concrete_function().graph.get_operations()
        }
        return step(), "TfderainWinogradConvGrad" in operations

    ours, fast = gradients()
    winograd.use(False)
    theirs, slow = gradients()
    assert fast and not slow
    for one, other in zip(ours, theirs, strict=True):
        # the rounding above, through eight convolutions
        np.testing.assert_allclose(one, other, atol=1e-4 * np.abs(other).max(), rtol=0)


@compiler
def test_the_setting_of_a_run_decides():
    convolution = layers.ConvNorm(8, normalization=None)
    for winner in (True, False):
        with training.switches(TrainConfig(winograd=winner)):
            forward = tf.function(lambda x: convolution(x))  # noqa: B023
            graph = forward.get_concrete_function(tf.zeros((1, 4, 4, 8))).graph
        kinds = {operation.type for operation in graph.get_operations()}
        assert ("TfderainWinogradConv" in kinds) == winner


@compiler
def test_subnormal_numbers_survive():
    code = (
        "import numpy as np; from tfderain.models import winograd; winograd.use(True); "
        "tiny = np.full(3, 1e-40, 'float32') * np.float32(0.5); assert tiny.all()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@compiler
def test_the_source_compiles_without_a_warning(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = winograd.compiled()
    assert path.is_file() and path == winograd.compiled()


@pytest.mark.parametrize("changed", ["source", "flags", "compiler"])
def test_the_library_is_found_by_what_it_is_made_from(changed, monkeypatch, tmp_path):
    def version(number):
        script = tmp_path / "compiler"
        script.write_text(f"#!/bin/sh\necho {number}\n")
        script.chmod(0o755)
        return str(script)

    before = winograd._content(version(12), ["-O3"])
    assert winograd._content(version(12), ["-O3"]) == before
    if changed == "source":
        monkeypatch.setattr(winograd, "SOURCE", tmp_path / "other.cc")
        winograd.SOURCE.write_text("// other")
    flags = ["-O2"] if changed == "flags" else ["-O3"]
    number = 13 if changed == "compiler" else 12
    assert winograd._content(version(number), flags) != before


def test_xla_is_refused():
    with pytest.raises(ValueError, match="XLA cannot compile.*jit=True"):
        TrainConfig(jit=True, winograd=True)


def test_a_missing_or_failing_compiler_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(RuntimeError, match="install g.. or set CXX.*no-such-compiler"):
        winograd.compiled()
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(RuntimeError, match="could not be compiled"):
        winograd.compiled()
    assert not list(tmp_path.rglob("*.so"))


@compiler
def test_wrong_shapes_are_errors(wanted):
    kernel = tf.zeros((3, 3, 16, 8))
    with pytest.raises(tf.errors.InvalidArgumentError, match="channels, filters"):
        winograd.convolve(tf.zeros((1, 4, 4, 8)), kernel)
    with pytest.raises(tf.errors.InvalidArgumentError, match="multiples of 8"):
        winograd.convolve(tf.zeros((1, 4, 4, 16)), tf.zeros((3, 3, 16, 4)))


def test_switches_are_set_for_one_training_and_set_back():
    from tensorflow.python.framework import config as tensorflow_config

    def state():
        options = tf.config.optimizer.get_experimental_options()
        return (
            winograd.use(winograd.use(False)),
            tensorflow_config.is_op_determinism_enabled(),
            options.get("auto_mixed_precision_onednn_bfloat16", False),
        )

    before = state()
    assert before == (False, False, False)
    config = TrainConfig(deterministic=True, mixed_precision="cpu_bfloat16")
    with training.switches(config):
        assert state() == (False, True, True)
        assert training.policy(config) is None
        with training.switches(TrainConfig(deterministic=True)):
            pass
        assert state() == (False, True, True)
    assert state() == before
    with pytest.raises(RuntimeError), training.switches(config):
        raise RuntimeError
    assert state() == before
