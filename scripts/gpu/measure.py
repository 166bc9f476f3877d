"""Measurements on a GPU: the best batch and mode for training, and times per image.

    python scripts/gpu/measure.py measured.json --seconds 150 [--pack pack.zip]

The JSON file is written after each measurement, the most useful ones first, and nothing
new starts once the time is up. `train.py --settings` reads `batch` and `mode`.
"""

import argparse
import json
import os
import time
from pathlib import Path

START = time.monotonic()

import torch  # noqa: E402
from rain_torch import RainMaker  # noqa: E402
from resunet_torch import ResUNet  # noqa: E402
from step_torch import (  # noqa: E402
    Step,
    Trainer,
    images_per_second,
    loss_of,
    random_batch,
    wait,
)
from train import set_up  # noqa: E402
from unpack import unpack  # noqa: E402

ENOUGH = 0.9  # of the best speed: smaller batches learn more from the same images
SIZES = {"480x320": (320, 480), "1920x1080": (1080, 1920), "4000x3000": (3000, 4000)}
PRECISIONS = {  # autocast to bfloat16, products in TF32
    "bfloat16": (True, False),
    "tf32": (False, True),
    "float32": (False, False),
}


class Report:
    """Results of measurements, saved to a file after each entry; keeps to the time.

    Args:
        path: JSON file.
        seconds: time after which `measure` does nothing.
    """

    def __init__(self, path, seconds, start=START):
        self.path, self.values, self.end = path, {}, start + seconds
        self.start = start

    def put(self, **values):
        self.values |= values
        part = self.path.with_name(self.path.name + ".part")
        part.write_text(json.dumps(self.values, indent=1) + "\n")
        os.replace(part, self.path)
        passed = time.monotonic() - self.start
        print(f"{passed:.0f} s {json.dumps(values)}", flush=True)

    @property
    def over(self):
        return time.monotonic() > self.end

    def measure(self, name, function, *args):
        """Records what a function returns, or why it failed; returns it or `None`."""
        if self.over:
            return None
        try:
            value = function(*args)
        except Exception as error:  # the failure of a mode is a finding
            lines = str(error).strip().splitlines()
            self.put(**{name: f"{type(error).__name__}: {lines[0] if lines else ''}"})
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            return None
        self.put(**{name: value})
        return value


def main(arguments=None):
    args = parse(arguments)
    args.report.parent.mkdir(parents=True, exist_ok=True)
    report = Report(args.report, args.seconds)
    materials = unpack(args.pack, args.layers, args.layers // 2) if args.pack else None
    set_up(args.device)
    report.put(**facts(args.device))
    find_batch(report, args)
    if materials is not None:
        report.measure("rain_images_per_second", rain_speed, materials, args)
    find_mode(report, args)
    measure_precisions(report, args)
    measure_sizes(report, args)


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path, help="JSON file to write")
    parser.add_argument("--seconds", type=float, default=150)
    parser.add_argument("--pack", type=Path, help="also measure the making of rain")
    parser.add_argument("--device", default="cuda", choices=("cpu", "cuda"))
    parser.add_argument("--batches", type=int, nargs="+", default=(32, 64, 128))
    parser.add_argument("--crops", type=int, nargs="+", default=(128, 192))
    parser.add_argument("--sizes", nargs="*", default=list(SIZES), choices=SIZES)
    parser.add_argument("--layers", type=int, default=1200)
    parser.add_argument("--each", type=float, default=1.5, help="seconds for one speed")
    return parser.parse_args(arguments)


def facts(device):
    """The device and PyTorch's version."""
    found = {"torch": torch.__version__, "device": device}
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        found["device"] = properties.name
        found["memory_gib"] = round(properties.total_memory / 2**30, 1)
    return found


# Training


def speed(args, mode, batch, crop, precision=None):
    """Images per second in training steps.

    Raises:
        FloatingPointError: the steps do not train: the loss must fall.
    """
    trainer = Trainer(ResUNet().to(args.device))
    trainer.rate.fill_(5e-4)
    step = Step(trainer, mode, precision)
    rainy, clean = random_batch(batch, crop, args.device)
    before = exact_loss(trainer, rainy, clean)
    found = images_per_second(step, rainy, clean, args.each)
    after = exact_loss(trainer, rainy, clean)
    if not after < before:
        raise FloatingPointError(f"The loss must fall. Received: {before=}, {after=}.")
    return round(found, 1)


@torch.no_grad()
def exact_loss(trainer, rainy, clean):
    return float(loss_of(trainer.network, rainy, clean, torch.float32))


def find_batch(report, args):
    """The smallest batch that is nearly as fast as the fastest one."""
    mode = "graph" if args.device == "cuda" else "eager"
    speeds = {}
    for batch in args.batches:
        name = f"train_{mode}_{batch}x{args.crops[0]}"
        found = report.measure(name, speed, args, mode, batch, args.crops[0])
        if found is None and mode == "graph" and not report.over:
            mode = "eager"
            name = f"train_{mode}_{batch}x{args.crops[0]}"
            found = report.measure(name, speed, args, mode, batch, args.crops[0])
        if found is not None:
            speeds[batch] = found
    if speeds:
        best = max(speeds.values())
        batch = min(b for b, found in speeds.items() if found >= ENOUGH * best)
        report.put(batch=batch, mode=mode, images_per_second=speeds[batch])


def find_mode(report, args):
    """Whether compiling pays off; compiled kernels of all crops are then on disk."""
    if args.device != "cuda" or "batch" not in report.values:
        return
    batch, crop = report.values["batch"], args.crops[0]
    for mode in ("compile+graph", "compile"):
        name = f"train_{mode}_{batch}x{crop}"
        found = report.measure(name, speed, args, mode, batch, crop)
        if found is not None and found > report.values["images_per_second"]:
            report.put(mode=mode, images_per_second=found)
            for larger in args.crops[1:]:
                fewer = max(4, round(batch * (crop / larger) ** 2 / 4) * 4)
                name = f"train_{mode}_{fewer}x{larger}"
                report.measure(name, speed, args, mode, fewer, larger)
            return


def measure_precisions(report, args):
    """Training steps in float32 and TF32 besides bfloat16, without compiling."""
    batch = report.values.get("batch", args.batches[0])
    for name, (half, tf32) in PRECISIONS.items():
        allow_tf32(tf32)
        precision = torch.bfloat16 if half else torch.float32
        title = f"train_eager_{name}_{batch}x{args.crops[0]}"
        report.measure(title, speed, args, "eager", batch, args.crops[0], precision)
    allow_tf32(False)


def allow_tf32(allowed):
    torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cuda.matmul.allow_tf32 = allowed


def rain_speed(materials, args, size=128, seconds=2.0):
    """Pairs per second made by `RainMaker`."""
    maker = RainMaker(materials, args.device, seed=0)
    count = 512 if args.device == "cuda" else 32
    for _ in range(2):
        maker.chunk(count, size)
    wait(args.device)
    begin, made = time.monotonic(), 0
    while time.monotonic() - begin < seconds:
        maker.chunk(count, size)
        wait(args.device)
        made += count
    return round(made / (time.monotonic() - begin), 1)


# Whole images


def measure_sizes(report, args):
    """Time and memory for an image, by size and precision."""
    for size in args.sizes:
        for name in PRECISIONS:
            report.measure(f"image_{size}_{name}", time_image, args, size, name)
    allow_tf32(False)


@torch.no_grad()
def time_image(args, size, precision, repeats=10):
    """Median seconds for one image, padded to a multiple of 8, and peak memory."""
    half, tf32 = PRECISIONS[precision]
    allow_tf32(tf32)
    height, width = (-(-side // 8) * 8 for side in SIZES[size])
    network = ResUNet().to(args.device, memory_format=torch.channels_last).eval()
    rainy = torch.rand(1, 3, height, width, device=args.device)
    rainy = rainy.contiguous(memory_format=torch.channels_last)
    if args.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(repeats if args.device == "cuda" else 2):
        begin = time.monotonic()
        with torch.autocast(args.device, torch.bfloat16, enabled=half):
            network(rainy)
        wait(args.device)
        times.append(time.monotonic() - begin)
    found = {"seconds": round(sorted(times[1:])[len(times[1:]) // 2], 5)}
    if args.device == "cuda":
        found["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    return found


if __name__ == "__main__":
    main()
