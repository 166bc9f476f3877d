"""Killing: trainings and batch runs that are killed at random end as if they were not.

```console
python scripts/kill_test.py --training 50 --batch 50
```

A run is killed (SIGKILL) at random moments and started again until it has been killed
that many times; then it may finish. What was finished before a kill must still be
there, nothing may be half written, and the end must equal that of a run left alone.
"""

import argparse
import io
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
import zipfile

import numpy as np
from PIL import Image

# Prints a line where its work begins, so that kills hit the work and not the imports.
TRAIN = """
import sys
from tfderain import training
from tfderain.training import run_folder
config = training.resolve("smoke", overrides=sys.argv[3:])
data = training.Material([training.Source(sys.argv[1])])
print("begins", flush=True)
training.train(config, sys.argv[2], data, verbose=0)
"""
BATCH = """
import sys, time
from tfderain import batch
class Slow:
    def derain(self, pixels, progress=None, alpha=None):
        time.sleep(0.005)
        return pixels // 2
print("begins", flush=True)
summary = batch.derain_files(
    [sys.argv[1]], sys.argv[2], Slow(), skip_existing=True, compare=True)
assert summary.complete, summary.failed
"""
SETTINGS = (
    *("steps_per_epoch=2", "model_config.filters=8", "validation_crops=4"),
    *("deterministic=true", "batch_size=2", "pool_count=4", "pool_size=48"),
)


def write_pictures(folder, count, size):
    """Smooth pictures, each another one."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = rng.integers(0, 200, (5, 7, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
        image.save(folder / f"{number}.png")


def start(code, *arguments):
    """A process of its own; returns it once its work has begun."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begins\n"
    return process


def killed_often(code, arguments, kills, longest, rng, look):
    """Starts a program until it was killed `kills` times; returns how often it was.

    Args:
        longest: seconds; kills come at a moment drawn from these.
        look: called after each kill.
    """
    for kill in range(kills):
        process = start(code, *arguments)
        time.sleep(rng.uniform(0, longest))
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0:  # it was faster
            return kill
        look()
    process = start(code, *arguments)
    assert process.wait() == 0
    return kills


def stored(path):
    """All arrays in the weights of a `.keras` file, optimizer included, by name."""
    import h5py

    found = {}
    with zipfile.ZipFile(path) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]})
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
    return found


def check_training(kills, folder, rng):
    """A training, killed and going on, against one left alone."""
    data = folder / "data"
    write_pictures(data / "clean", 6, (56, 40))
    write_pictures(data / "rainy", 6, (56, 40))
    # Each start finishes an epoch or not: more epochs than kills, so that all hit.
    settings = (f"epochs={max(4, kills // 2)}", *SETTINGS)
    began = time.monotonic()
    assert start(TRAIN, data, folder / "whole", *settings).wait() == 0
    seconds = time.monotonic() - began
    run, epochs = folder / "killed", [0]

    def look():
        state = run / "state.json"
        if state.exists():
            found = json.loads(state.read_text())
            assert found["epoch"] >= epochs[-1], "a finished epoch is gone"
            epochs.append(found["epoch"])
            for name in (found["checkpoint"], found["best"]):
                with zipfile.ZipFile(run / "checkpoints" / name) as archive:
                    assert archive.testzip() is None

    arguments = (data, run, *settings)
    done = killed_often(TRAIN, arguments, kills, min(seconds, 6), rng, look)
    for name in ("history.csv", "state.json", "pool.npy", "data.json"):
        whole, killed = (folder / x / name for x in ("whole", "killed"))
        assert killed.read_bytes() == whole.read_bytes(), name
    names = [path.name for path in (folder / "whole" / "checkpoints").iterdir()]
    for name in ("best.keras", *(f"checkpoints/{name}" for name in names)):
        whole, killed = (stored(folder / x / name) for x in ("whole", "killed"))
        assert whole.keys() == killed.keys()
        for key, value in whole.items():  # bitwise: deterministic operations
            np.testing.assert_array_equal(killed[key], value, err_msg=f"{name} {key}")
    left = sorted(path.name for path in run.iterdir() if path.name.startswith("."))
    print(
        f"training: killed {done} times in {epochs[-1] or 'the first'} epochs; "
        f"equal to the run left alone; {len(left)} temporary files left",
        flush=True,
    )


def check_batch(kills, folder, rng):
    """A batch run with `skip_existing`, likewise."""
    write_pictures(folder / "in", 400, (64, 48))
    began = time.monotonic()
    assert start(BATCH, folder / "in", folder / "whole").wait() == 0
    seconds = time.monotonic() - began
    out, counts = folder / "killed", [0]

    def results(path):
        return {p.name: p for p in path.iterdir() if not p.name.startswith(".")}

    def look():
        found = results(out) if out.exists() else {}
        assert len(found) >= counts[-1], "a finished picture is gone"
        counts.append(len(found))
        for path in found.values():
            with Image.open(path) as image:
                image.load()  # whole

    arguments = (folder / "in", out)
    done = killed_often(BATCH, arguments, kills, 2 * seconds / max(kills, 1), rng, look)
    whole, killed = results(folder / "whole"), results(out)
    assert whole.keys() == killed.keys()
    for name, path in whole.items():
        assert killed[name].read_bytes() == path.read_bytes(), name
    left = len(list(out.iterdir())) - len(killed)
    print(
        f"batch: killed {done} times on the way to {len(whole)} files; equal to the "
        f"run left alone; {left} temporary files left",
        flush=True,
    )


def parse(arguments=None):
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--training", type=int, default=50, help="kills")
    parser.add_argument("--batch", type=int, default=50, help="kills")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def main(arguments=None):
    """Runs the command line."""
    args = parse(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    rng = random.Random(args.seed)
    for kills, check in ((args.batch, check_batch), (args.training, check_training)):
        if kills:
            with tempfile.TemporaryDirectory() as folder:
                check(kills, pathlib.Path(folder), rng)


if __name__ == "__main__":
    main()
