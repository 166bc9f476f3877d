"""Put load on a `tfderain serve` on this machine and print one Markdown table.

    python scripts/load_test.py                           # 5,000 pictures of 64x64
    python scripts/load_test.py --requests 300 --size 128 --concurrency 1 8

It starts its own server on 127.0.0.1 and stops it with SIGTERM. Each answer is compared
with the one that the same picture got from an idle server; a request counts as lost if
it is refused, cut off or answered with another picture. Memory is that of the server's
process at the end of each line. Run nothing else meanwhile.
"""

import argparse
import asyncio
import base64
import contextlib
import io
import json
import re
import statistics
import subprocess
import sys
import time

import httpx
import numpy as np
from PIL import Image

COMMAND = "import sys; from tfderain.cli import main; sys.exit(main())"
PICTURES = 16
COLUMNS = ("clients", "requests", "lost", "images/s", "p50 ms", "p99 ms", "server MB")


def main(arguments=None):
    """Runs the test; returns 1 if a request was lost or the server failed."""
    options = parse(arguments)
    serve = ["--port", "0", "--rest-only", "--queue", str(max(options.concurrency))]
    for name in ("workers", "threads"):
        if getattr(options, name):
            serve += [f"--{name}", str(getattr(options, name))]
    with server(options.model, serve) as (process, address):
        rows = asyncio.run(measure(address, options))
        process.terminate()
        stopped = process.wait(60)
    print(f"{options.model}, {options.size}x{options.size} pixels, PNG in and out")
    print(f"\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |")
    return int(stopped != 0 or any(row[2] for row in rows))


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="menet")
    parser.add_argument("--requests", type=int, default=5000, help="in all")
    parser.add_argument("--size", type=int, default=64, help="side of the pictures")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=600, help="most per line")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--threads", type=int)
    return parser.parse_args(arguments)


@contextlib.contextmanager
def server(model, options):
    """Starts `tfderain serve`; yields the process and the model's address."""
    command = [sys.executable, "-c", COMMAND, "serve", model, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            if not line:
                raise SystemExit("The server did not start.")
            yield process, line.removeprefix("REST: ").strip()
        finally:
            process.kill()  # of no effect after it has ended


async def measure(address, options):
    """Returns the rows of the table, one per number of clients."""
    bodies = [body(seed, options.size) for seed in range(PICTURES)]
    share = max(options.requests // len(options.concurrency), 2)  # for quantiles
    rows = []
    limits = httpx.Limits(max_connections=max(options.concurrency))
    async with httpx.AsyncClient(limits=limits, timeout=options.seconds) as client:
        predict = f"{address}:predict"
        expected = [
            (await client.post(predict, content=content)).raise_for_status().content
            for content in bodies
        ]
        if len(set(expected)) < PICTURES:
            raise SystemExit("Different pictures must get different answers.")
        for clients in options.concurrency:
            load = Load(client, predict, bodies, expected, share)
            await load.run(clients, options.seconds)
            memory = await server_megabytes(client, address)
            rows.append((clients, *load.summary(), memory))
    return rows


class Load:
    """Sends `count` requests, from as many clients as `run` is told."""

    def __init__(self, client, address, bodies, expected, count):
        self.client = client
        self.address = address
        self.pairs = list(zip(bodies, expected, strict=True))
        self.numbers = iter(range(count))
        self.times = []
        self.lost = 0

    async def run(self, clients, seconds):
        """Ends when all requests are sent, or after `seconds`."""
        started = time.perf_counter()
        self.until = started + seconds
        await asyncio.gather(*(self.ask() for _ in range(clients)))
        self.seconds = time.perf_counter() - started

    async def ask(self):
        """One client, which sends the next request when it has an answer."""
        for number in self.numbers:
            started = time.perf_counter()
            if started > self.until:
                return
            body, expected = self.pairs[number % PICTURES]
            try:
                answer = await self.client.post(self.address, content=body)
                self.lost += answer.content != expected
            except httpx.HTTPError:
                self.lost += 1
            self.times.append(time.perf_counter() - started)

    def summary(self):
        """Returns requests, lost, images per second, p50 and p99 in milliseconds."""
        cuts = statistics.quantiles(self.times, n=100, method="inclusive")
        rate = (len(self.times) - self.lost) / self.seconds
        milliseconds = [round(1000 * cuts[percent - 1]) for percent in (50, 99)]
        return len(self.times), self.lost, f"{rate:.1f}", *milliseconds


def body(seed, size):
    """Returns the JSON of a request with one smooth picture of random colours."""
    colors = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(colors).resize((size, size), Image.Resampling.BICUBIC).save(
        file, "PNG"
    )
    image = {"b64": base64.b64encode(file.getvalue()).decode()}
    return json.dumps({"instances": [image]}).encode()


async def server_megabytes(client, address):
    """Returns the memory of the server's process, or "?" if it cannot tell."""
    page = (await client.get(f"{address.split('/v1/')[0]}/metrics")).text
    found = re.search(r"^process_resident_memory_bytes (\S+)", page, re.MULTILINE)
    return round(float(found[1]) / 1e6) if found else "?"


if __name__ == "__main__":
    sys.exit(main())
