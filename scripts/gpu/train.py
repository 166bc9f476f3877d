"""Training of ResUNet on a GPU in a given time, with rain made on the device.

    python scripts/gpu/train.py pack.zip --minutes 9 --out OUT --run RUN \
        [--start weights.npz] [--settings OUT/measured.json]

`--minutes` is the time from the start of the program to its end. The rate rises, stays
constant, and falls along a cosine to zero, by the clock; crops grow towards the end.
Every minute, a checkpoint goes to RUN, averaged weights and scores go to OUT: after a
kill, training continues with the same command and the remaining minutes. `to_keras.py`
turns the weights into a model.
"""

import argparse
import collections
import dataclasses
import json
import math
import os
import time
from pathlib import Path

START = time.monotonic()  # before PyTorch, whose import takes seconds

import torch  # noqa: E402
from rain_torch import RainMaker  # noqa: E402
from resunet_torch import ResUNet, load_weights, save_weights  # noqa: E402
from step_torch import MODES, Step, Trainer, out_of_memory, wait  # noqa: E402
from unpack import unpack  # noqa: E402

BATCHES = 16  # per chunk of rain, which takes thousands of small kernels,
PIXELS = 2**25  # but not more pixels than these
END = 4.0  # seconds for the last scores and files


@dataclasses.dataclass(frozen=True)
class Stage:
    """Batches of crops to train on from a given share of the time."""

    begin: float
    batch: int
    crop: int


class Clock:
    """Progress of training, by time.

    Args:
        minutes: time of this process, from its start.
        before: seconds of training in earlier processes.
        start: time when this process started, by `time.monotonic`.
    """

    def __init__(self, minutes, before=0.0, start=START):
        self.before, self.begin = before, time.monotonic()
        self.deadline = start + 60 * minutes - END
        self.start = start

    @property
    def trained(self):
        """Seconds of training so far, including earlier processes."""
        return self.before + time.monotonic() - self.begin

    @property
    def progress(self):
        """Share of the training that is done, at most 1."""
        total = self.before + max(self.deadline - self.begin, 1e-3)
        return min(self.trained / total, 1.0)

    @property
    def over(self):
        return time.monotonic() >= self.deadline

    @property
    def passed(self):
        """Seconds since the process started."""
        return time.monotonic() - self.start


def rate_at(progress, step, rate, rising=200, falling=0.3):
    """The learning rate: rises by step, stays constant, falls along a cosine by time.

    It does not rise by time, since compiling may take longer than the rise.
    """
    up = min(1.0, (step + 1) / max(rising, 1))
    done = max(0.0, (progress - (1 - falling)) / falling)
    return rate * up * (1 + math.cos(math.pi * min(done, 1.0))) / 2


class Training:
    """The loop: chunks of rain, steps, scores, checkpoints.

    Args:
        args: the result of `parse`.
        trainer: `step_torch.Trainer`.
        maker: `rain_torch.RainMaker`.
        validation: see `unpack.Materials`.
        clock: `Clock`.
    """

    def __init__(self, args, trainer, maker, validation, clock):
        self.args, self.trainer, self.maker = args, trainer, maker
        self.validation, self.clock = validation, clock
        self.stages = stages(args)
        self.modes = list(MODES[MODES.index(args.mode) :])
        self.rate, self.stage, self.step = args.rate, None, None
        self.images, self.told, self.saved = 0, time.monotonic(), time.monotonic()
        self.since = 0  # images since the last line
        self.steps_told, self.steps_saved = trainer.steps, -1
        self.record = {}
        self.pending = collections.deque()  # chunks that the device works on

    def run(self):
        """Trains until time is up."""
        while not self.clock.over:
            try:
                self._enter_stage()
                self._train_chunk()
            except Exception as error:
                self._give_way(error)
                continue
            if time.monotonic() - self.told > self.args.tell:
                self._tell()
            if time.monotonic() - self.saved > self.args.save:
                self._save()
        if self.trainer.steps > self.steps_saved:
            self._tell()
            self._save()

    def _enter_stage(self):
        """Enters the stage for the present time."""
        progress = self.clock.progress
        stage = [stage for stage in self.stages if stage.begin <= progress][-1]
        if stage != self.stage or self.step is None:
            self.stage = stage
            self.step = Step(self.trainer, self.modes[0])
            self._say(f"{stage}, {self.modes[0]}")

    def _train_chunk(self):
        stage = self.stage
        batches = min(BATCHES, PIXELS // (stage.batch * stage.crop**2)) or 1
        rainy, clean = self.maker.chunk(stage.batch * batches, stage.crop)
        batches = zip(rainy.split(stage.batch), clean.split(stage.batch), strict=True)
        for batch in batches:
            self._set_rate()
            self.step(*batch)
            self.images += stage.batch
            if self.clock.over:
                break
        self._keep_close()

    def _set_rate(self):
        schedule = self.rate, self.args.rising, self.args.falling
        rate = rate_at(self.clock.progress, self.trainer.steps, *schedule)
        self.trainer.rate.fill_(rate)

    def _keep_close(self):
        """Lets the host be at most one chunk ahead of the device."""
        if self.trainer.device.type != "cuda":
            return
        event = torch.cuda.Event()
        event.record()
        self.pending.append(event)
        if len(self.pending) > 1:
            self.pending.popleft().synchronize()

    def _give_way(self, error):
        """After a failure: smaller batches if out of memory, else a simpler mode."""
        message = str(error).strip().splitlines()
        self._say(f"failed: {type(error).__name__}: {message[0] if message else ''}")
        smaller = self.stage.batch // 2
        if out_of_memory(error) and smaller:
            self.stages = [
                dataclasses.replace(s, batch=min(s.batch, smaller))
                if s == self.stage
                else s
                for s in self.stages
            ]
        elif len(self.modes) > 1:
            self.modes.pop(0)
        else:
            raise error
        self.step = None
        self.pending.clear()
        if self.trainer.device.type == "cuda":
            torch.cuda.empty_cache()

    # Logs and files

    def _say(self, text):
        minutes, seconds = divmod(int(self.clock.passed), 60)
        print(f"{minutes:02}:{seconds:02} {text}", flush=True)

    def _tell(self):
        """A line with speed and loss since the last one."""
        steps = self.trainer.steps - self.steps_told
        if not steps:
            return
        loss = float(self.trainer.loss) / steps  # waits for the device
        self.trainer.loss.zero_()
        speed = (self.images - self.since) / (time.monotonic() - self.told)
        rate = float(self.trainer.rate)
        self._say(
            f"step {self.trainer.steps} ({self.clock.progress:.0%}), "
            f"{speed:.0f} images/s, loss {loss:.4f}, rate {rate:.1e}"
        )
        self.told, self.since = time.monotonic(), self.images
        self.steps_told = self.trainer.steps
        self.record = {"step": self.trainer.steps, "images_per_second": round(speed, 1)}
        self.record |= {"loss": round(loss, 5), "seconds": round(self.clock.trained, 1)}

    def _save(self):
        """Saves scores, checkpoint and weights; after NaN, returns to the last ones."""
        self.saved = time.monotonic()
        if not self.trainer.finite():
            self.rate /= 2
            self._say(f"not finite: back to the checkpoint, rate {self.rate:.1e}")
            self._restore()
            return
        scores = {
            kind: round(self.trainer.psnr(*pair), 3)
            for kind, pair in self.validation.items()
        }
        self._say("validation " + ", ".join(f"{k} {v:.2f}" for k, v in scores.items()))
        record = {**self.record, "psnr_rgb": scores}
        with open(self.args.out / "scores.jsonl", "a") as file:
            file.write(json.dumps(record) + "\n")
        state = self.trainer.state() | {"seconds": self.clock.trained}
        write_state(state, self.args.run / "state.pt")
        save_weights(state["averaged"], self.args.out / "weights.npz", self.args.dtype)
        self.steps_saved = self.trainer.steps

    def _restore(self):
        path = self.args.run / "state.pt"
        if not path.exists():
            raise FloatingPointError("The loss was not finite before any checkpoint.")
        self.trainer.load(torch.load(path, map_location=self.trainer.device))
        self.trainer.loss.zero_()
        self.steps_told = self.trainer.steps


def stages(args):
    """The `Stage`s of the training run."""
    return [Stage(*s) for s in zip(args.begins, args.batches, args.crops, strict=True)]


def write_state(state, path):
    """Writes a checkpoint, whole or not at all."""
    part = path.with_name(path.name + ".part")
    torch.save(state, part)
    os.replace(part, path)


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", type=Path, help="file of pack.py")
    parser.add_argument("--minutes", type=float, required=True, help="in all")
    parser.add_argument("--out", type=Path, required=True, help="weights and scores")
    parser.add_argument("--run", type=Path, required=True, help="checkpoints")
    parser.add_argument("--device", default="cuda", choices=("cpu", "cuda"))
    parser.add_argument("--start", type=Path, help=".npz of weights to start from")
    parser.add_argument("--settings", type=Path, help="JSON file of measure.py")
    parser.add_argument("--rate", type=float, default=8e-4)
    parser.add_argument("--rising", type=int, default=200, help="steps of the rate")
    parser.add_argument("--falling", type=float, default=0.3, help="share of the time")
    parser.add_argument("--begins", type=float, nargs="+", default=(0.0, 0.75))
    parser.add_argument("--crops", type=int, nargs="+", default=(128, 192))
    parser.add_argument("--batches", type=int, nargs="+", help="default: as measured")
    parser.add_argument("--mode", choices=MODES, help="default: as measured")
    parser.add_argument(
        "--layers", type=int, default=1200, help="of rain, of each kind"
    )
    parser.add_argument("--nights", type=int, default=960, help="pairs made beforehand")
    parser.add_argument("--validation", type=int, default=64, help="crops of a kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="of PyTorch on a CPU")
    parser.add_argument("--tell", type=float, default=10, help="seconds between lines")
    parser.add_argument("--save", type=float, default=60, help="between checkpoints")
    parser.add_argument("--dtype", default="float32", choices=("float16", "float32"))
    args = parser.parse_args(arguments)
    settle(args)
    return args


def settle(args):
    """Fills in the results of `measure.py`, or settings that are safe anywhere."""
    measured = json.loads(args.settings.read_text()) if args.settings else {}
    cuda = args.device == "cuda"
    batch = measured.get("batch", 64 if cuda else 4)
    args.mode = args.mode or measured.get("mode", MODES[0] if cuda else "eager")
    if args.batches is None:  # as many pixels in each stage, a multiple of 4
        args.batches = [
            max(1, round(batch * (args.crops[0] / crop) ** 2 / 4) * 4 or batch)
            for crop in args.crops
        ]
    if not len(args.begins) == len(args.crops) == len(args.batches):
        raise SystemExit(
            "Each stage needs a beginning, a crop and a batch. Received: begins="
            f"{list(args.begins)}, crops={list(args.crops)}, batches={args.batches}."
        )


def set_up(device, threads=None):
    """PyTorch's switches."""
    if threads:
        torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    # only the network uses bfloat16: Muon, loss and rain are exact
    torch.set_float32_matmul_precision("highest")
    if device == "cuda":
        torch.backends.cudnn.benchmark = True


def main(arguments=None):
    args = parse(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    args.run.mkdir(parents=True, exist_ok=True)
    counts = {"layers": args.layers, "nights": args.nights}
    materials = unpack(args.pack, **counts, seed=args.seed, validation=args.validation)
    set_up(args.device, args.threads)
    torch.manual_seed(args.seed)
    network = ResUNet().to(args.device)
    if args.start:
        load_weights(network, args.start)
    trainer, before = Trainer(network), 0.0
    if (args.run / "state.pt").exists():
        state = torch.load(args.run / "state.pt", map_location=args.device)
        trainer.load(state)
        before = state["seconds"]
    # a resumed run sees different rain from before
    maker = RainMaker(materials, args.device, args.seed + trainer.steps)
    wait(args.device)
    clock = Clock(args.minutes, before)
    training = Training(args, trainer, maker, materials.validation, clock)
    pictures = len(materials.table)
    training._say(
        f"{pictures} pictures, step {trainer.steps}, {clock.before:.0f} s before"
    )
    training.run()


if __name__ == "__main__":
    main()
