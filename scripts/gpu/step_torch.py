"""Training steps in PyTorch: bfloat16, compiled and recorded if the device allows.

A `Trainer` holds everything that a checkpoint needs. A `Step` runs it on batches of one
shape in one of `MODES`: `"graph"` records the kernels of a whole step and replays them,
which spares the host their launches; `"compile"` lets `torch.compile` fuse what is
between the convolutions. Both are tried, and left out if they fail.
"""

import copy
import time

import numpy as np
import torch
from muon_torch import MuonAdam
from resunet_torch import is_inner

EMA = 0.999
CLIP_NORM = 1.0
FLOOR = 1e-5  # of the mean squared error, see tfderain.losses.LogError
MODES = ("compile+graph", "compile", "graph", "eager")
# Many CPUs only emulate bfloat16: a step took four times as long as in float32.
PRECISIONS = {"cuda": torch.bfloat16, "cpu": torch.float32}


def loss_of(network, rainy, clean, precision):
    """Half the mean absolute error plus 0.02 times the log of the squared error."""
    half = precision == torch.bfloat16
    with torch.autocast(rainy.device.type, torch.bfloat16, enabled=half):
        derained = network(rainy)
    error = derained.float() - clean
    squares = error.square().mean((1, 2, 3))
    return error.abs().mean() / 2 + 0.02 * torch.log(squares + FLOOR).mean()


class Trainer:
    """A network in training: its weights, their average, and the optimizer.

    Args:
        network: `resunet_torch.ResUNet`, on the device.
    """

    def __init__(self, network):
        self.network = network.to(memory_format=torch.channels_last)
        self.averaged = copy.deepcopy(self.network).requires_grad_(False)
        named = list(network.named_parameters())
        self.parameters = [p for _, p in named]
        self.optimizer = MuonAdam(
            [p for name, p in named if is_inner(name, p)],
            [p for name, p in named if not is_inner(name, p)],
        )
        self.device = self.parameters[0].device
        # on the device, so that a recorded step reads and writes them
        self.rate = torch.zeros((), device=self.device)
        self.loss = torch.zeros((), device=self.device)  # sum since it was last read
        self.steps = 0

    def update(self, rainy, clean, loss_of_batch):
        """One step at the rate in `self.rate`."""
        self.forget()
        loss = loss_of_batch(rainy, clean)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, CLIP_NORM, foreach=True)
        self.optimizer.step(self.rate)
        with torch.no_grad():
            self.loss.add_(loss.detach())
            # early on, the average follows closely: (1 + n) / (10 + n) at step n
            count = self.optimizer.count
            share = (1 - (1 + count) / (10 + count)).clamp(min=1 - EMA)
            averaged = list(self.averaged.parameters())
            changes = torch._foreach_sub(self.parameters, averaged)
            torch._foreach_mul_(changes, share)
            torch._foreach_add_(averaged, changes)

    def forget(self):
        """Drops the gradients, so that the next step makes new ones."""
        for parameter in self.parameters:
            parameter.grad = None

    def state(self):
        """The content of a checkpoint."""
        return {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state(),
            "steps": self.steps,
        }

    def load(self, state):
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load(state["optimizer"])
        self.steps = state["steps"]

    def finite(self):
        """Whether all weights are finite. Waits for the device."""
        sums = torch.stack([p.detach().sum() for p in self.parameters])
        return bool(torch.isfinite(sums).all())

    @torch.no_grad()
    def psnr(self, rainy, clean, batch=32):
        """Mean PSNR in dB of the averaged network on NHWC arrays in [0, 1]."""
        scores = []
        for start in range(0, len(rainy), batch):
            pair = (
                x[start : start + batch].transpose(0, 3, 1, 2) for x in (rainy, clean)
            )
            few, target = (torch.from_numpy(x).to(self.device) for x in pair)
            few = few.contiguous(memory_format=torch.channels_last)
            half = self.device.type == "cuda"
            with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
                derained = self.averaged(few)
            squares = (derained.float().clamp(0, 1) - target).square().mean((1, 2, 3))
            scores.append(-10 * torch.log10(squares.clamp(min=1e-10)))
        return float(torch.cat(scores).mean())


class Step:
    """Training steps on batches of one shape.

    Args:
        trainer: `Trainer`.
        mode: one of `MODES`.
        precision: `torch.bfloat16` or `torch.float32`; `None` for the one that
            `PRECISIONS` has for the device.

    Call: rainy and clean `(batch, 3, size, size)`, channels-last.
    """

    def __init__(self, trainer, mode, precision=None):
        self.trainer, self.mode = trainer, mode
        self.precision = precision or PRECISIONS[trainer.device.type]
        self.graph, self.calls = None, 0
        network = trainer.network
        if mode.startswith("compile"):
            network = torch.compile(network, dynamic=False)
        self.network = network

    def __call__(self, rainy, clean):
        if "graph" not in self.mode:
            self._update(rainy, clean)
        elif self.calls < 3:  # preparations in the first calls must not be recorded
            self._aside(rainy, clean)
        else:
            if self.graph is None:
                self._record(rainy, clean)
            self.rainy.copy_(rainy)
            self.clean.copy_(clean)
            self.graph.replay()
        self.calls += 1
        self.trainer.steps += 1

    def _update(self, rainy, clean):
        def loss_of_batch(rainy, clean):
            return loss_of(self.network, rainy, clean, self.precision)

        self.trainer.update(rainy, clean, loss_of_batch)

    def _aside(self, rainy, clean):
        """A step on another stream, as needed before recording."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self._update(rainy, clean)
        torch.cuda.current_stream().wait_stream(stream)

    def _record(self, rainy, clean):
        self.rainy, self.clean = torch.empty_like(rainy), torch.empty_like(clean)
        self.rainy.copy_(rainy)
        self.clean.copy_(clean)
        self.trainer.forget()  # the recorded step has its own gradients
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._update(self.rainy, self.clean)
        self.graph = graph


def out_of_memory(error):
    """Whether an exception means that the device is out of memory."""
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error)


def wait(device):
    """Waits until the device has finished its work."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def images_per_second(step, rainy, clean, seconds=2.0, warm_up=5):
    """Measured speed of a `Step` on the same batch again and again."""
    device = rainy.device
    for _ in range(warm_up):
        step(rainy, clean)
    wait(device)
    begin, done = time.monotonic(), 0
    while time.monotonic() - begin < seconds:
        step(rainy, clean)
        done += 1
        if done % 4 == 0:
            wait(device)
    wait(device)
    return done * len(rainy) / (time.monotonic() - begin)


def random_batch(batch, size, device, seed=0):
    """A batch of noise like those in training, for measurements; channels-last."""
    rng = np.random.default_rng(seed)
    clean = torch.from_numpy(rng.random((batch, 3, size, size), np.float32)).to(device)
    clean = clean.contiguous(memory_format=torch.channels_last)
    return (clean + 0.1 * torch.rand_like(clean)).clamp(0, 1), clean
