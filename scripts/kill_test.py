"""Killing: trainings and batch runs that are killed at random end as if they were not.

```console
python scripts/kill_test.py --training 50 --batch 50
```

A run is killed (SIGKILL) at random moments and started again until it has been killed
that many times; then it may finish. What was finished before a kill must still be
there, nothing may be half written, and the end must equal that of a run left alone,
weights bit for bit. Killed is who ended by the signal: a run that broke down, or that
was faster than its kill, ends the test with an error.

A training says which phase it is in, so that its kills can be spread over all of them:
first a phase is drawn, then a moment within the time that it took in the run left
alone. Counted is the phase that it had reached when it ended.
"""

import argparse
import collections
import io
import json
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile

import numpy as np
from PIL import Image

# Both print a line where a phase begins. What comes before the first is "imports".
TRAIN = """
import sys
from tfderain import training
from tfderain.training import run_folder
def marked(owner, name, phase, when=lambda *_: True):
    inner = getattr(owner, name)
    def call(*args, **kwargs):
        if when(*args):
            print(phase, flush=True)
        return inner(*args, **kwargs)
    setattr(owner, name, call)
marked(run_folder.RunState, "on_epoch_begin", "steps")
marked(run_folder.RunState, "on_test_begin", "validates")
marked(run_folder.RunState, "on_epoch_end", "saves")
marked(run_folder, "write_json", "names", lambda path, _: path.name == "state.json")
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
# Where a training is killed: those twice that write what it goes on from.
PHASES = (
    *("imports", "begins", "begins", "steps", "validates"),
    *("saves", "saves", "names", "names"),
)


def write_pictures(folder, count, size):
    """Smooth pictures, each another one."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = rng.integers(0, 200, (5, 7, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
        image.save(folder / f"{number}.png")


class Life:
    """A program from its start to its end or its kill.

    Args:
        code: Python; prints the name of each phase that begins.
        *arguments: for it.

    `phases` lists `(name, seconds since the start)` as far as they were read.
    """

    def __init__(self, code, *arguments):
        command = [sys.executable, "-c", code, *map(str, arguments)]
        self.began = time.monotonic()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.phases = [("imports", 0.0)]

    def reach(self, phase, times=1):
        """Waits for the beginning of a phase, or the end of the program."""
        seen = sum(name == phase for name, _ in self.phases)
        while seen < times and (line := self.process.stdout.readline()):
            self.phases.append((line.strip(), time.monotonic() - self.began))
            seen += line.strip() == phase

    def end(self):
        """Waits for the end; returns the exit status, negative after a signal."""
        self.reach("no phase of this name")
        self.phases.append(("ended", time.monotonic() - self.began))
        self.process.stdout.close()
        return self.process.wait()

    def kill(self):
        """Kills it; returns the phase that it was in, `None` if it was at its end.

        Raises:
            RuntimeError: if it had broken down by itself.
        """
        self.process.send_signal(signal.SIGKILL)
        status = self.end()
        if status not in (0, -signal.SIGKILL):
            raise RuntimeError(f"The program broke down. Received: status={status}.")
        return self.phases[-2][0] if status else None


def left_alone(code, *arguments):
    """Runs a program to its good end; returns its `Life`."""
    life = Life(code, *arguments)
    if status := life.end():
        raise RuntimeError(f"The program broke down. Received: status={status}.")
    return life


def killed_often(code, arguments, kills, wait, look):
    """Kills a program and starts it again, and lets it finish after the last kill.

    Args:
        code, arguments: see `Life`.
        kills: how often it is killed, truly.
        wait: called with each life; returns when it is time to kill it.
        look: called after each kill.

    Returns:
        A `Counter` of the phases in which it was killed.

    Raises:
        RuntimeError: if it broke down, or was done before it was killed `kills` times.
    """
    phases = collections.Counter()
    for kill in range(kills):
        life = Life(code, *arguments)
        wait(life)
        phase = life.kill()
        if phase is None:
            raise RuntimeError(
                "The program must take longer than all its lives together. "
                f"Received: kills={kills}, of which {kill} came before its end."
            )
        phases[phase] += 1
        look()
        print(f"{kill + 1}: killed in {phase}", file=sys.stderr, flush=True)
    left_alone(code, *arguments)
    return phases


def durations(life):
    """Seconds of each phase in a run left alone: `(first time, median of the others)`.

    The first epoch of a life traces the network, the others do not.
    """
    spans = collections.defaultdict(list)
    for (name, begins), (_, ends) in zip(life.phases, life.phases[1:], strict=False):
        spans[name].append(ends - begins)
    return {
        name: (seconds[0], statistics.median(seconds[1:] or seconds))
        for name, seconds in spans.items()
    }


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
    # A life ends in its first or second epoch, and may just finish that.
    settings = (f"epochs={2 * kills + 2}", *SETTINGS)
    seconds = durations(left_alone(TRAIN, data, folder / "whole", *settings))
    run, epochs = folder / "killed", [0]

    def look():
        state = run / "state.json"
        if state.exists():
            found = json.loads(state.read_text())
            assert found["epoch"] >= epochs[-1], "a finished epoch is gone"
            epochs.append(found["epoch"])
            named = [f"checkpoints/{found[name]}" for name in ("checkpoint", "best")]
            for name in (*named, *(path.name for path in run.glob("best.keras"))):
                with zipfile.ZipFile(run / name) as archive:
                    assert archive.testzip() is None, name

    def wait(life):
        phase = rng.choice(PHASES)
        epoch = 0 if phase in ("imports", "begins") else rng.randrange(2)
        life.reach(phase, epoch + 1)
        time.sleep(rng.uniform(0, seconds[phase][epoch]))

    phases = killed_often(TRAIN, (data, run, *settings), kills, wait, look)
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
        f"training: killed {phases.total()} times "
        f"({', '.join(f'{name}: {n}' for name, n in phases.most_common())}) before "
        f"epoch {epochs[-1] + 1} of {2 * kills + 2} was done; equal to the run left "
        f"alone, bit for bit; {len(left)} temporary files left",
        flush=True,
    )


def check_batch(kills, folder, rng, pictures=400):
    """A batch run with `skip_existing`, likewise."""
    write_pictures(folder / "in", pictures, (64, 48))
    seconds = durations(left_alone(BATCH, folder / "in", folder / "whole"))
    longest = seconds["begins"][0] / kills  # not even all lives together finish it
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

    def wait(life):
        life.reach("begins")
        time.sleep(rng.uniform(0, longest))

    done = killed_often(BATCH, (folder / "in", out), kills, wait, look).total()
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
