"""Print one Markdown table of what tfderain costs on this machine.

    python scripts/benchmark.py                        # about ten minutes
    python scripts/benchmark.py --quick --only inference
    python scripts/benchmark.py --model resunet --peers peers/bin/python
    python scripts/benchmark.py --model resunet --peers peers/bin/python \
        --only quality --data Rain100L --prenet PReNet6L.pth

`--peers` also runs the same network (`menet` or `resunet`) in plain PyTorch
(`torch_peer.py`), with an interpreter that has PyTorch, in turns with tfderain's;
ratios are tfderain's time divided by PyTorch's best. `quality` adds PReNet with its
authors' weights. All times are medians after a warm-up. Run nothing else meanwhile.
"""

import argparse
import functools
import os
import platform
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from benchmark_network import (
    TRAINING,
    measure_inference,
    measure_products,
    measure_training,
    photo,
)
from PIL import Image
from timing import Peer, milliseconds, run_process, table, take_turns, timer
from video_timing import measure_video

from tfderain import convert, evaluation, export, models, presets, runtime, training
from tfderain.benchmarks import timing
from tfderain.data import pipeline, rain
from tfderain.training import recipes

TILES = ("auto", 512)
COLUMNS = ("what", "tfderain", "PyTorch", "ratio", "target", "GFLOP/s")
QUALITY = ("set", "model", "PSNR", "SSIM", "s/image")
PROTOCOL = "matlab_y_float"
CLI = "import sys; from tfderain.cli import main; sys.exit(main())"


@dataclass
class Bench:
    """Settings, the model, the peer, and the results so far."""

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


# Sections


def measure_start(bench):
    """Import, help, and the command line on one photo."""
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


def measure_pipeline(bench):
    """Patches per second from the input pipeline, without training."""
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
    for tile, found in zip(TILES, tiling_differences(bench.preset), strict=True):
        name = f"tile={tile} against untiled, 1920x1080"
        bench.add(f"{name}, largest", f"{found[0]:.4f} /255")
        bench.add(f"{name}, mean", f"{found[1]:.6f} /255")


def tiling_differences(preset):
    """For each of `TILES` the largest and the mean difference, in grey levels."""
    picture = photo((1080, 1920)).astype("float32") / 255
    whole = runtime.Restorer(preset, tile=None).derain(picture)
    found = []
    for tile in TILES:
        tiled = runtime.Restorer(preset, tile=tile).derain(picture)
        difference = 255 * np.abs(tiled - whole)
        found.append((float(difference.max()), float(difference.mean())))
    return found


def measure_growth(bench):
    """Time per megapixel and memory of whole images, by size."""
    sides = (128, 256, 512) if bench.quick else (128, 256, 512, 1024)
    restorer = runtime.Restorer(bench.preset, tile=None)
    for side in sides:
        (found,) = timing.time_models({str(bench.preset): restorer}, (side, side))
        found = timing.add_memory(found)
        megapixels = side * side / 1e6
        name = f"LiteRT float32 {side}x{side}"
        bench.add(f"{name}, per megapixel", found.median / megapixels)
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
            # Keras's scores: PyTorch's are the same within 0.001 dB (shown by a test).
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
            notes.append("NOT IDLE at the start: times and ratios are unreliable")
        if peer:
            about, difference = peer.load(model, folder)
            notes.append(
                f"PyTorch {about['torch']}, {about['threads']} threads, largest "
                f"difference from Keras {difference:.1e}"
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
        print(f"\nProtocol {PROTOCOL}; seconds are for the first image of a set.")
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
