"""Print one Markdown table of what tfderain costs on this machine.

    python scripts/benchmark.py                        # about ten minutes
    python scripts/benchmark.py --quick --only inference
    python scripts/benchmark.py --model resunet --peers peers/bin/python
    python scripts/benchmark.py --model resunet --peers peers/bin/python \
        --only quality --data Rain100L --prenet PReNet6L.pth

`--peers` runs the same network (`menet` or `resunet`) in plain PyTorch
(`torch_peer.py`), by an interpreter that has PyTorch, turn by turn with tfderain's;
ratios are tfderain's time by PyTorch's best. `quality` puts PReNet beside it, with the
weights of its authors. All times are medians after a warm-up. Let nothing else run.
"""

import argparse
import functools
import os
import platform
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from PIL import Image
from timing import Peer, best_peer, milliseconds, run_process, table, take_turns, timer
from video_timing import measure_video

from tfderain import convert, evaluation, export, models, presets, runtime, training
from tfderain.benchmarks import timing
from tfderain.data import pipeline, rain
from tfderain.losses import Reconstruction
from tfderain.models import winograd
from tfderain.runtime.tiling import round_up
from tfderain.training import recipes
from tfderain.training.compiling import compile_model

SIZES = ((320, 320), (320, 480), (1080, 1920))  # (height, width)
TRAINING = {"batch": 16, "crop": 128}
RECIPE_TRAINING = {"batch": 8, "crop": 128}
TARGETS = {"LiteRT float32": 0.9, "LiteRT int8": 0.4, "training step": 1.0}
COLUMNS = ("what", "tfderain", "PyTorch", "ratio", "target", "GFLOP/s")
QUALITY = ("set", "model", "PSNR", "SSIM", "s/image")
PROTOCOL = "matlab_y_float"
CLI = "import sys; from tfderain.cli import main; sys.exit(main())"


@dataclass
class Bench:
    """Settings, the model, the peer, and what was found so far."""

    quick: bool
    peer: Peer | None
    folder: Path
    preset: Path
    model: models.Derainer
    data: list = field(default_factory=list)  # folders of pairs, for `quality`
    prenet: Path | None = None  # weights of PReNet's authors
    best_product: float = 0.0  # GFLOP/s of the best float32 matrix product
    rows: list = field(default_factory=list)
    scores: list = field(default_factory=list)

    def add(self, what, own, peer=None, target=None, gflop=None):
        """Adds a row; `own` and `peer` are seconds, or `own` any text."""
        cells = dict.fromkeys(COLUMNS, "") | {"what": what, "tfderain": own}
        if isinstance(own, float):
            cells["tfderain"] = milliseconds(own)
        if peer:
            cells |= {"PyTorch": milliseconds(peer), "ratio": f"{own / peer:.2f}"}
            cells["target"] = f"<= {target}" if target else ""
        if gflop:
            rate = gflop / own
            share = f" ({rate / self.best_product:.0%})" if self.best_product else ""
            cells["GFLOP/s"] = f"{rate:.0f}{share}"
        self.rows.append(cells)
        print(" | ".join(str(cells[name]) for name in COLUMNS), file=sys.stderr)


def photo(size):
    """A uint8 picture `(height, width, 3)`: random, smooth at most scales."""
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


# Sections


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


def measure_start(bench):
    """Import, help, and the command line for one photo."""
    env = os.environ | {"TFDERAIN_PRESETS": str(bench.preset.parent)}
    source, target = bench.folder / "photo.png", bench.folder / "derained.png"
    Image.fromarray(photo((320, 480))).save(source)
    derain = ["derain", source, "--out", target, "--overwrite"]
    derain += ["--model", bench.preset.name]
    commands = {
        "`python -c pass`": ["-c", "pass"],
        "`import tfderain`": ["-c", "import tfderain"],
        "`tfderain --help`": ["-c", CLI, "--help"],
        "`tfderain derain`, photo 480x320, whole process": ["-c", CLI, *derain],
    }
    timers = {
        name: timer(functools.partial(run_process, [sys.executable, *command], env))
        for name, command in commands.items()
    }
    for name, seconds in take_turns(timers, 2, 2 if bench.quick else 5).items():
        bench.add(name, seconds)


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
    """Returns a function that derains `rainy` by a LiteRT file with all threads."""
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
    """A step as `fit` runs it, against PyTorch's: MENET's, or that of the recipe."""
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
    """Rows for every form of a step; `make(mixed_precision)` gives compiled models."""
    timers = {
        name: timer(train_step(make, batch, crop, **options))
        for name, options in own_forms(make).items()
    }
    model = make()
    if bench.peer:
        bench.peer.load(model, bench.folder)
        # Without such instructions bfloat16 took five times as long as float32.
        for form in ("float32", "bfloat16")[: 1 + has_bfloat16()]:
            timers[f"PyTorch {form}"] = bench.peer.timer(
                "training", form=form, batch=batch, crop=crop
            )
    rounds, count = (1, 2) if bench.quick else (5, 4)
    medians = take_turns(timers, rounds, count)
    # Gradients of inputs and of kernels cost as much as the outputs, each.
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
    model.train_function(batches)  # both count when the graph is traced and optimised
    winograd.use(False)
    tf.config.optimizer.set_experimental_options({option: False})
    return lambda: model.train_function(batches)


def has_bfloat16():
    """Whether the processor multiplies bfloat16 (as Linux tells)."""
    info = Path("/proc/cpuinfo")
    return info.is_file() and "_bf16" in info.read_text()


def measure_pipeline(bench):
    """Patches a second that the input pipeline delivers, alone on the machine."""
    folder = bench.folder / "pairs"
    for index in range(8):
        for kind in ("rainy", "clean"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(photo((320, 480))).save(folder / kind / f"{index}.png")
    pairs = pipeline.find_pairs(folder)
    pool = rain.streak_pool(16, 384, seed=0)
    batch, crop = TRAINING["batch"], TRAINING["crop"]
    mixers = {"": None, " with RainMixer": rain.RainMixer(pool)}
    for name, mixer in mixers.items():
        data = pipeline.train_dataset(pairs, crop, batch, seed=0, degrade=mixer)
        batches = iter(data)
        count = 20 if bench.quick else 100
        for _ in range(10):
            next(batches)
        started = time.perf_counter()
        for _ in range(count):
            next(batches)
        rate = count * batch / (time.perf_counter() - started)
        bench.add(f"pipeline, {crop}x{crop} patches{name}", f"{rate:,.0f} /s")


def measure_memory(bench):
    """Largest resident size of `tfderain derain` on an 8K picture."""
    size = (2160, 3840) if bench.quick else (4320, 7680)
    source, target = bench.folder / "large.png", bench.folder / "large_derained.png"
    Image.fromarray(photo(size)).save(source)
    env = os.environ | {"TFDERAIN_PRESETS": str(bench.preset.parent)}
    derain = ["derain", source, "--out", target, "--overwrite"]
    derain += ["--model", bench.preset.name]
    command = [sys.executable, "-c", CLI, *derain]
    seconds, resident = run_process(command, env)
    name = f"`tfderain derain`, {size[1]}x{size[0]} in tiles"
    bench.add(f"{name}, whole process", seconds)
    bench.add(f"{name}, peak resident memory", f"{resident / 1e9:.2f} GB")


def measure_tiling(bench):
    """Largest difference between tiles and the whole image."""
    picture = photo((1080, 1920)).astype("float32") / 255
    whole = runtime.Restorer(bench.preset, tile=None).derain(picture)
    for tile in ("auto", 512):
        tiled = runtime.Restorer(bench.preset, tile=tile).derain(picture)
        difference = np.abs(tiled - whole)
        name = f"tile={tile} against untiled, 1920x1080"
        bench.add(f"{name}, largest", f"{255 * difference.max():.4f} /255")
        bench.add(f"{name}, mean", f"{255 * difference.mean():.6f} /255")


def measure_growth(bench):
    """Time and memory of whole images, by size: what is linear stays level."""
    sides = (128, 256, 512) if bench.quick else (128, 256, 512, 1024)
    restorer = runtime.Restorer(bench.preset, tile=None)
    for side in sides:
        (found,) = timing.time_models({str(bench.preset): restorer}, (side, side))
        found = timing.add_memory(found)
        megapixels = side * side / 1e6
        name = f"LiteRT float32 {side}x{side}"
        bench.add(f"{name}, a megapixel", found.median / megapixels)
        if found.memory:
            peak = found.memory.peak / 1e6
            bench.add(f"{name}, peak memory of the model", f"{peak:.0f} MB")


def measure_quality(bench):
    """Scores and seconds per image of the preset's forms, and of PReNet in PyTorch."""
    files = {
        "LiteRT float32": bench.preset / "model.tflite",
        "LiteRT int8": bench.preset / "model_int8.tflite",
    }
    for folder in bench.data:
        pairs = pipeline.find_pairs(folder)
        first = pipeline.read_pair(pairs, 0)[0]
        name = Path(folder).name
        timers = {}
        for form, path in files.items():
            restorer = runtime.Restorer(path, scales=1)
            label = f"{bench.preset.name}, {form}"
            add_scores(bench, name, label, pairs, restorer)
            timers[label] = timer(functools.partial(restorer.derain, first))
        if bench.prenet:
            label = "PReNet, PyTorch float32"
            network = convert.load("prenet", bench.prenet)
            # Keras's numbers: PyTorch's are the same within 0.001 dB (a test).
            add_scores(bench, name, label, pairs, network)
            if bench.peer:
                bench.peer.ask("load", network="prenet", path=str(bench.prenet))
                timers[label] = bench.peer.timer(
                    "inference", form="channels_last", size=list(first.shape[:2])
                )
        medians = take_turns(timers, 1 if bench.quick else 3, 2)
        for row in bench.scores:
            if row["set"] == name and row["model"] in medians:
                row["s/image"] = f"{medians[row['model']]:.3f}"


def add_scores(bench, name, label, pairs, restorer):
    means = evaluation.evaluate(restorer, pairs, PROTOCOL).means
    values = {"PSNR": f"{means['psnr']:.2f} dB", "SSIM": f"{means['ssim']:.4f}"}
    bench.scores.append({"set": name, "model": label, **values, "s/image": ""})


SECTIONS = {
    "products": measure_products,
    "start": measure_start,
    "inference": measure_inference,
    "training": measure_training,
    "pipeline": measure_pipeline,
    "memory": measure_memory,
    "tiling": measure_tiling,
    "growth": measure_growth,
    "video": measure_video,
    "quality": measure_quality,
}


# Putting it together


def main(arguments=None):
    args = parse(arguments)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        preset, model = find_model(args.model, folder)
        peer = Peer(args.peers) if args.peers else None
        bench = Bench(args.quick, peer, folder, preset, model, args.data, args.prenet)
        notes = [describe_machine(load), f"model: {preset.name}"]
        if load > 0.5:
            notes.append("NOT IDLE at the start: times and ratios are worth little")
        if peer:
            about, difference = peer.load(model, folder)
            notes.append(
                f"PyTorch {about['torch']}, {about['threads']} threads, largest "
                f"difference to Keras {difference:.1e}"
            )
        for name, section in SECTIONS.items():
            if not args.only or name in args.only:
                section(bench)
        if peer:
            peer.process.stdin.close()
            peer.process.wait()
    for columns, rows in ((COLUMNS, bench.rows), (QUALITY, bench.scores)):
        if rows:
            print(table(columns, rows))
    if bench.scores:
        print(f"\nProtocol {PROTOCOL}; seconds for the first image of a set.")
    print(f"\n{'; '.join(notes)}.")


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="menet", help="preset name or folder")
    parser.add_argument("--quick", action="store_true", help="fewer, smaller, rougher")
    parser.add_argument(
        "--only", action="append", choices=SECTIONS, help="a section; repeatable"
    )
    parser.add_argument(
        "--peers",
        nargs="?",
        const=sys.executable,
        metavar="PYTHON",
        help="interpreter with PyTorch; this one by default",
    )
    parser.add_argument("--data", nargs="*", default=[], help="sets for `quality`")
    parser.add_argument("--prenet", type=Path, help="weights of PReNet, for `quality`")
    return parser.parse_args(arguments)


def find_model(name, folder):
    """Returns a preset's folder and its model; without weights, an untrained one."""
    try:
        preset = presets.find(name)
        return preset, keras.saving.load_model(preset / "model.keras", compile=False)
    except ValueError as error:
        if name not in models.PRESETS:
            raise
        print(f"{error} Times of untrained weights follow.", file=sys.stderr)
    model = training.build_model(recipes.resolve(name))
    return export.export_preset(model, f"{name}_untrained", folder), model


def describe_machine(load):
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        processor = lines[0].partition(":")[2].strip() if lines else processor
    cores = len(os.sched_getaffinity(0))
    return (
        f"{processor}, {cores} cores, load {load:.1f} before the start; Python "
        f"{platform.python_version()}, TensorFlow {tf.__version__}, Keras "
        f"{keras.__version__}; medians"
    )


if __name__ == "__main__":
    main()
