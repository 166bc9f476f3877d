"""Network sections of `benchmark.py`: matrix products, inference, training steps."""

import functools
import os
import shutil
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from PIL import Image
from timing import best_peer, take_turns, timer

from tfderain import export, models, runtime, training
from tfderain.losses import Reconstruction
from tfderain.models import winograd
from tfderain.runtime.tiling import round_up
from tfderain.training import recipes
from tfderain.training.compiling import compile_model

SIZES = ((320, 320), (320, 480), (1080, 1920))  # (height, width)
TRAINING = {"batch": 16, "crop": 128}
RECIPE_TRAINING = {"batch": 8, "crop": 128}
TARGETS = {"LiteRT float32": 0.9, "LiteRT int8": 0.4, "training step": 1.0}


def photo(size):
    """A random uint8 picture `(height, width, 3)`, smooth at most scales."""
    rng = np.random.default_rng(0)
    total = np.zeros((*size, 3), np.float32)
    for cell in (4, 16, 64):
        small = rng.integers(0, 256, (size[0] // cell + 2, size[1] // cell + 2, 3))
        image = Image.fromarray(small.astype("uint8"))
        total += np.asarray(image.resize(size[::-1], Image.Resampling.BICUBIC))
    return (total / 3).astype("uint8")


def convolution_gflop(network, size, batch=1):
    """Multiplications and additions of all convolutions, in 1e9."""
    rainy = tf.TensorSpec((batch, *size, 3), tf.float32)
    graph = tf.function(network).get_concrete_function(rainy).graph
    total = 0
    for operation in graph.get_operations():
        if operation.type == "Conv2D":
            height, width, channels, _ = operation.inputs[1].shape
            outputs = operation.outputs[0].shape.num_elements()
            total += 2 * outputs * height * width * channels
    return total / 1e9


def measure_products(bench):
    """Finds the machine's best float32 matrix product."""
    for size in (2048,) if bench.quick else (2048, 4096):
        a = np.random.default_rng(0).random((size, size), np.float32)
        tensor = tf.constant(a)
        product = tf.function(lambda x: tf.matmul(x, x))
        timers = {
            "NumPy": timer(lambda a=a: a @ a),
            "TensorFlow": timer(lambda f=product, x=tensor: f(x)),
        }
        if bench.peer:
            timers["PyTorch"] = bench.peer.timer("matmul", size=size)
        medians = take_turns(timers, 2, 2 if bench.quick else 4)
        gflop = 2 * size**3 / 1e9
        bench.best_product = max(bench.best_product, gflop / min(medians.values()))
        for name, seconds in medians.items():
            bench.add(f"float32 matrix product {size}, {name}", seconds, gflop=gflop)


def measure_inference(bench):
    """Every way to derain, at every size."""
    with tempfile.TemporaryDirectory(dir=bench.folder) as folder:
        int8 = quantise(bench.model, Path(folder) / "int8.tflite")
        for size in SIZES[:2] if bench.quick else SIZES:
            large = size[0] * size[1] > 1_000_000
            medians = take_turns(
                inference_timers(bench, size, int8),
                1 if bench.quick else 5,
                2 if large or bench.quick else 8,
            )
            gflop = convolution_gflop(bench.model.network, padded(bench, size))
            label = f"{size[1]}x{size[0]}"
            peer = best_peer(medians)
            for name, seconds in medians.items():
                own = not name.startswith("PyTorch")
                work = None if "Restorer" in name else gflop
                target = TARGETS.get(name)
                bench.add(
                    f"{name}, {label}", seconds, peer if own else None, target, work
                )


def inference_timers(bench, size, int8):
    rainy = np.random.default_rng(0).random((1, *padded(bench, size), 3), np.float32)
    picture = photo(size)
    network = bench.model.network
    restorer = runtime.Restorer(bench.preset)
    timers = {
        "LiteRT float32": timer(litert(bench.preset / "model.tflite", rainy)),
        "LiteRT float32, Restorer on uint8": timer(lambda: restorer.derain(picture)),
        "LiteRT int8": timer(litert(int8, rainy)),
    }
    for name, jit in (("tf.function", False), ("XLA", True)):
        function = tf.function(network, jit_compile=jit)
        tensor = tf.constant(rainy)
        timers[name] = timer(lambda f=function, x=tensor: f(x).numpy())
    if bench.peer:
        shape = [int(side) for side in rainy.shape[1:3]]
        for form in ("channels_last", "jit"):
            timers[f"PyTorch {form}"] = bench.peer.timer(
                "inference", form=form, size=shape
            )
    return timers


def padded(bench, size):
    return tuple(round_up(side, bench.model.stride) for side in size)


def litert(path, rainy):
    """Returns a function that derains `rainy` with a LiteRT file on all threads."""
    threads = len(os.sched_getaffinity(0))
    interpreter = Interpreter(str(path), num_threads=threads)
    interpreter.resize_tensor_input(0, rainy.shape)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    target = interpreter.get_output_details()[0]["index"]

    def run():
        interpreter.set_tensor(source, rainy)
        interpreter.invoke()
        return interpreter.get_tensor(target)

    return run


def quantise(model, path, size=(256, 256)):
    """Writes an int8 LiteRT file with float input and output, for timing only."""

    def samples():
        for _ in range(4):
            yield [export.random_image(size)]

    def derain(rainy):
        return {"derained": keras.ops.clip(model.network(rainy), 0.0, 1.0)}

    with tempfile.TemporaryDirectory() as scratch:
        export.write_saved_model(derain, (1, *size), scratch)
        converter = tf.lite.TFLiteConverter.from_saved_model(scratch)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = samples
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        path.write_bytes(converter.convert())
    return path


def measure_training(bench):
    """A training step as in `fit`, against PyTorch's: MENET's, or the recipe's."""
    if isinstance(bench.model, models.MENET):
        for normalization in (None, "batch"):
            make = functools.partial(new_menet, normalization)
            norm = "batch normalisation" if normalization else "no normalisation"
            measure_steps(bench, make, norm, **TRAINING)
    else:
        recipe = bench.model.name if bench.model.name in recipes.RECIPES else "resunet"
        make = functools.partial(new_model, recipe)
        measure_steps(bench, make, f"recipe {recipe}", **RECIPE_TRAINING)


def measure_steps(bench, make, what, batch, crop):
    """Rows for every form of a step; `make(mixed_precision)` makes compiled models."""
    timers = {
        name: timer(train_step(make, batch, crop, **options))
        for name, options in own_forms(make).items()
    }
    model = make()
    if bench.peer:
        bench.peer.load(model, bench.folder)
        # Without its own instructions, bfloat16 took five times as long as float32.
        for form in ("float32", "bfloat16")[: 1 + has_bfloat16()]:
            timers[f"PyTorch {form}"] = bench.peer.timer(
                "training", form=form, batch=batch, crop=crop
            )
    rounds, count = (1, 2) if bench.quick else (5, 4)
    medians = take_turns(timers, rounds, count)
    # The gradients of inputs and of kernels each cost as much as the outputs.
    gflop = 3 * convolution_gflop(model.network, (crop, crop), batch)
    peer = best_peer(medians)
    for name, seconds in medians.items():
        own = not name.startswith("PyTorch")
        bench.add(
            f"training step {batch}x{crop}x{crop}, {what}, {name}",
            seconds,
            peer if own else None,
            TARGETS["training step"],
            gflop,
        )


def new_menet(normalization, mixed_precision=None):
    loss = Reconstruction("l2", value_range=1.0)
    model = models.MENET(
        normalization=normalization,
        value_range=1.0,
        clip_training=False,
        tasks={"reconstruction": loss},
        dtype=mixed_precision or "float32",
    )
    model.build((None, None, None, 3))
    model.compile(optimizer=keras.optimizers.Adam(1e-4), jit_compile=False)
    return model


def new_model(recipe, mixed_precision=None):
    """An untrained model of a recipe, compiled as the recipe trains it."""
    config = recipes.resolve(recipe)
    model = training.build_model(config, mixed_precision)
    return compile_model(model, config, steps_per_epoch=1000)


def own_forms(make):
    forms = {"tf.function": {}, "XLA": {"jit": True}}
    if make.func is new_model:  # Muon's products in XLA take minutes to compile
        forms.pop("XLA")
    if has_bfloat16():
        forms["tf.function, oneDNN bfloat16"] = {"bfloat16": True}
        forms["tf.function, mixed_bfloat16"] = {"mixed_precision": "mixed_bfloat16"}
    if shutil.which("g++"):
        forms["tf.function, Winograd"] = {"fast": True}
    return forms


def train_step(
    make, batch, crop, jit=False, bfloat16=False, fast=False, mixed_precision=None
):
    """Returns a function that runs one compiled step of `model.fit`."""
    images = [export.random_image((crop, crop), batch) for _ in range(2)]
    batches = iter(tf.data.Dataset.from_tensors(tuple(images)).repeat())
    model = make(mixed_precision=mixed_precision)
    model.jit_compile = jit
    model.make_train_function()
    option = "auto_mixed_precision_onednn_bfloat16"
    tf.config.optimizer.set_experimental_options({option: bfloat16})
    winograd.use(fast)
    model.train_function(batches)  # both matter while the graph is traced and optimised
    winograd.use(False)
    tf.config.optimizer.set_experimental_options({option: False})
    return lambda: model.train_function(batches)


def has_bfloat16():
    """Whether the processor multiplies bfloat16 (according to Linux)."""
    info = Path("/proc/cpuinfo")
    return info.is_file() and "_bf16" in info.read_text()
