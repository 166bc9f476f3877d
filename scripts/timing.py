"""Timing for `benchmark.py`: functions and a peer process, measured in turns."""

import json
import os
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from tfderain import export

SHAPE_OF_RESUNET = ("filters", "down", "up", "stem")


class Peer:
    """The peer process, which is asked with one JSON object per line."""

    def __init__(self, python):
        script = Path(__file__).with_name("torch_peer.py")
        self.process = subprocess.Popen(
            [python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, do, **arguments):
        print(json.dumps({"do": do, **arguments}), file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline() or '{"error": "it ended"}')
        if "error" in answer:
            raise RuntimeError(f"The PyTorch peer failed at {do}: {answer['error']}")
        return answer

    def timer(self, do, **arguments):
        """Returns a function from a count to a list of that many times in seconds."""
        return lambda count: self.ask(do, **arguments, count=count)["seconds"]

    def load(self, model, folder):
        """Gives the peer the weights of `model`, and checks that the results agree."""
        network = model.network
        prefix = f"{network.path}/"
        name = type(model).__name__.lower()
        if name == "resunet":  # with the paths of `gpu/to_keras.py`
            prefix = prefix.removesuffix("network/")
            options = {key: getattr(network, key) for key in SHAPE_OF_RESUNET}
        else:
            options = {
                "num_blocks": network.num_blocks,
                "filters": network.filters,
                "batch_norm": network.normalization == "batch",
                "value_range": network.value_range,
            }
        weights = {w.path.removeprefix(prefix): w.numpy() for w in network.weights}
        path = folder / "weights.npz"
        np.savez(path, **weights)
        about = self.ask("load", network=name, path=str(path), **options)
        rainy = export.random_image((64, 96))
        files = {"rainy": rainy, "derained": network(rainy).numpy()}
        for name, array in files.items():
            np.save(folder / f"{name}.npy", array)
        paths = {name: str(folder / f"{name}.npy") for name in files}
        difference = self.ask("compare", **paths)["largest_difference"]
        rain = float(np.abs(files["derained"] - rainy).max())
        # Float32 sums in a different order change 1e-5 of the rain; channels in the
        # wrong order change most of it.
        if not difference < 1e-3 * rain:
            raise RuntimeError(
                f"PyTorch's {name} must be the same network. Received: largest "
                f"difference {difference:.1e}, largest rain {rain:.1e}."
            )
        return about, difference


def timer(function):
    """Returns a function from a count to the times of that many calls, after one more.

    It has the form of `Peer.timer`, so that both can take turns.
    """

    def measure(count):
        function()
        seconds = []
        for _ in range(count):
            started = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - started)
        return seconds

    return measure


def take_turns(timers, rounds, count):
    """Returns the median seconds of each timer, measured in turns."""
    seconds = {name: [] for name in timers}
    for measure in timers.values():  # compiles, allocates, fills caches
        measure(1)
    for _ in range(rounds):
        for name, measure in timers.items():
            seconds[name] += measure(count)
            time.sleep(0.05)  # idle threads of one must stop spinning before the next
    return {name: statistics.median(values) for name, values in seconds.items()}


def milliseconds(seconds):
    return f"{1000 * seconds:,.1f} ms" if seconds < 0.1 else f"{1000 * seconds:,.0f} ms"


def run_process(command, env=None):
    """Runs a process; returns its wall time in seconds and its peak resident bytes.

    On Linux, the `ru_maxrss` of a child starts at the size of its parent, and this
    process is large: there, the child's own high-water mark is read.
    """
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, env=env, stdout=output, stderr=subprocess.STDOUT
        )
        resident = 0
        while True:
            resident = _high_water(process.pid) or resident
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            time.sleep(0.002)
        seconds = time.perf_counter() - started
        output.seek(0)
        if status:
            raise RuntimeError(f"{command} failed: {output.read().decode()}")
    return seconds, resident or usage.ru_maxrss  # the latter in bytes on macOS


def _high_water(pid):
    """Largest resident bytes of a running process, or `None` without `/proc`."""
    try:
        found = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def best_peer(medians):
    """Returns PyTorch's shortest median, or `None` if it did not run."""
    times = [t for name, t in medians.items() if name.startswith("PyTorch")]
    return min(times, default=None)


def table(columns, rows):
    """Returns dicts as a Markdown table."""
    lines = [columns, ["---"] * len(columns)]
    lines += [[str(row[name]) for name in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
