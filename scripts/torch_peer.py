"""Peer of the benchmark: MENET, ResUNet and PReNet in plain PyTorch.

`benchmark.py` starts this file with an interpreter that has PyTorch, sends one JSON
object per line and reads one back: `load`, `compare`, `inference`, `training`,
`matmul`. Weights come from Keras, so that both run the same network; `compare` shows
that they do. ResUNet and its training step are those of `gpu/`; PReNet's weights are
its authors'.
"""

import copy
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

sys.path.append(str(Path(__file__).with_name("gpu")))

from resunet_torch import ResUNet, load_weights
from step_torch import Trainer, loss_of


class ConvNorm(nn.Module):
    """A 3x3 convolution without bias and batch normalisation, or one with bias."""

    def __init__(self, channels, filters, batch_norm):
        super().__init__()
        self.convolution = nn.Conv2d(channels, filters, 3, 1, 1, bias=not batch_norm)
        self.norm = nn.Identity()
        if batch_norm:  # Keras's momentum weights the old value, PyTorch's the new one
            self.norm = nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01)

    def forward(self, features):
        return self.norm(self.convolution(features))


class ResidualBlock(nn.Module):
    def __init__(self, filters, batch_norm, activate):
        super().__init__()
        self.first = ConvNorm(filters, filters, batch_norm)
        self.second = ConvNorm(filters, filters, batch_norm)
        self.activate = activate

    def forward(self, features):
        change = self.second(F.relu(self.first(features), inplace=True))
        features = features + change
        return F.relu(features, inplace=True) if self.activate else features


class MENET(nn.Module):
    """`tfderain.models.MENET` without channel attention, with the same names.

    Call: `(batch, 3, height, width)` in [0, 1], sizes multiples of 4, to the same.
    """

    def __init__(self, num_blocks=8, filters=64, batch_norm=False, value_range=1.0):
        super().__init__()
        half, quarter = filters // 4, filters
        self.value_range = value_range
        self.encode_half = ConvNorm(12, half, batch_norm)
        self.encode_quarter = ConvNorm(4 * half, quarter, batch_norm)
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(quarter, batch_norm, index < num_blocks - 1)
                for index in range(num_blocks)
            )
        )
        self.decode_quarter = ConvNorm(quarter, quarter, batch_norm)
        self.decode_half = ConvNorm(half, half, batch_norm)
        self.residual = nn.Conv2d(half, 12, 3, 1, 1, bias=not batch_norm)

    def forward(self, rainy):
        rainy = rainy * self.value_range
        half = self.encode_half(F.pixel_unshuffle(rainy, 2))
        quarter = self.encode_quarter(F.pixel_unshuffle(F.relu(half), 2))
        features = self.blocks(F.relu(quarter))
        features = self.decode_quarter(features + quarter)
        features = self.decode_half(F.pixel_shuffle(features, 2) + half)
        rain = F.pixel_shuffle(self.residual(features), 2)
        return (rainy + rain) / self.value_range


# Keras orders channels of a 2x2 block as (row, column, channel), PyTorch as (channel,
# row, column): convolutions next to a shuffle get their channels in that order.
INPUTS_FROM_BLOCKS = ("encode_half", "encode_quarter")
OUTPUTS_TO_BLOCKS = ("decode_quarter", "residual")


def keras_order(channels):
    """Index of Keras's channel for each of PyTorch's."""
    return np.arange(channels).reshape(4, channels // 4).T.reshape(-1)


def load_keras(model, weights):
    """Copies weights that are named as in Keras, `encode_half/convolution/kernel`..."""
    names = {
        "kernel": "weight",
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    }
    state = {}
    for path, value in weights.items():
        *parents, name = path.split("/")
        layer = parents[0]
        if layer in OUTPUTS_TO_BLOCKS:
            value = value[..., keras_order(value.shape[-1])]
        if name == "kernel":
            if layer in INPUTS_FROM_BLOCKS:
                value = value[:, :, keras_order(value.shape[2])]
            value = value.transpose(3, 2, 0, 1)
        if layer.startswith("block_"):
            parents[0] = f"blocks.{layer.removeprefix('block_')}"
        key = ".".join([*parents, names.get(name, name)])
        state[key] = torch.from_numpy(np.ascontiguousarray(value))
    counts = {k: v for k, v in model.state_dict().items() if "num_batches" in k}
    model.load_state_dict({**state, **counts})
    return model


class PReNet(nn.Module):
    """PReNet with the names of the authors' weights (Ren et al., CVPR 2019, Fig. 4).

    Call: rainy `(batch, 3, height, width)` in [0, 1] to the same, after six stages.
    """

    def __init__(self, stages=6, filters=32):
        super().__init__()
        self.stages, self.filters = stages, filters
        self.conv0 = self._convolution(6, filters, nn.ReLU())
        for index in range(1, 6):
            two = [nn.Conv2d(filters, filters, 3, 1, 1) for _ in range(2)]
            block = nn.Sequential(two[0], nn.ReLU(), two[1], nn.ReLU())
            setattr(self, f"res_conv{index}", block)
        for gate in "ifgo":
            activation = nn.Tanh() if gate == "g" else nn.Sigmoid()
            setattr(
                self,
                f"conv_{gate}",
                self._convolution(2 * filters, filters, activation),
            )
        self.conv = nn.Sequential(nn.Conv2d(filters, 3, 3, 1, 1))

    @staticmethod
    def _convolution(channels, filters, activation):
        return nn.Sequential(nn.Conv2d(channels, filters, 3, 1, 1), activation)

    def forward(self, rainy):
        derained = rainy
        hidden = cell = rainy.new_zeros(
            len(rainy), self.filters, *rainy.shape[2:]
        ).contiguous(memory_format=torch.channels_last)
        for _ in range(self.stages):
            features = self.conv0(torch.cat((rainy, derained), 1))
            features = torch.cat((features, hidden), 1)
            gate_i, gate_f, gate_g, gate_o = (
                getattr(self, f"conv_{gate}")(features) for gate in "ifgo"
            )
            cell = gate_f * cell + gate_i * gate_g
            hidden = gate_o * torch.tanh(cell)
            features = hidden
            for index in range(1, 6):
                block = getattr(self, f"res_conv{index}")
                features = F.relu(block(features) + features)
            derained = self.conv(features) + rainy
        return derained


class Peer:
    """State of the process between commands."""

    def __init__(self):
        self.cached = {}

    def load(self, network, path, **options):
        """Makes a network from its Keras weights, or from the authors' (PReNet)."""
        if network == "prenet":
            self.model = PReNet()
            weights = torch.load(path, map_location="cpu", weights_only=True)
            self.model.load_state_dict(weights)
        elif network == "resunet":
            self.model = ResUNet(**options)
            load_weights(self.model, path)
        else:
            with np.load(path) as weights:
                self.model = load_keras(MENET(**options), dict(weights))
        self.model.eval()
        self.cached.clear()
        return {"torch": torch.__version__, "threads": torch.get_num_threads()}

    def compare(self, rainy, derained):
        """Largest difference between the given derained image and the peer's own."""
        rainy, derained = np.load(rainy), np.load(derained)
        with torch.inference_mode():
            own = self.model(nchw(rainy)).permute(0, 2, 3, 1).numpy()
        return {"largest_difference": float(np.abs(own - derained).max())}

    def inference(self, form, size, count):
        key = ("inference", form, *size)
        if key not in self.cached:
            self.cached[key] = prepare_inference(self.model, form, size)
        return timed(self.cached[key], count)

    def training(self, form, batch, crop, count):
        key = ("training", form, batch, crop)
        if key not in self.cached:
            self.cached[key] = prepare_training(self.model, form, batch, crop)
        return timed(self.cached[key], count)

    def matmul(self, size, count):
        a = torch.rand(size, size)
        return timed(lambda: torch.mm(a, a), count)


def nchw(images):
    """A channels_last tensor of images `(batch, height, width, channels)`."""
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def prepare_inference(model, form, size):
    rainy = torch.rand(1, 3, *size)
    if form != "nchw":
        model = model.to(memory_format=torch.channels_last)
        rainy = rainy.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        if form == "jit":
            model = torch.jit.freeze(torch.jit.trace(model, rainy))
            model = torch.jit.optimize_for_inference(model)
        elif form == "compile":
            model = torch.compile(model)

    def run():
        with torch.inference_mode():
            return model(rainy).clamp(0.0, 1.0)

    return run


def prepare_training(model, form, batch, crop):
    """One step of a copy: loss, gradients, optimizer.

    MENET: mean squared error and Adam. ResUNet: as in its recipe, with Muon.
    """
    twin = copy.deepcopy(model).to(memory_format=torch.channels_last).train()
    rainy, clean = (
        torch.rand(batch, 3, crop, crop).contiguous(memory_format=torch.channels_last)
        for _ in range(2)
    )
    if isinstance(model, ResUNet):
        trainer = Trainer(twin)
        trainer.rate.fill_(1e-4)
        precision = getattr(torch, form)
        return lambda: trainer.update(
            rainy, clean, lambda x, y: loss_of(twin, x, y, precision)
        )
    optimizer = torch.optim.Adam(twin.parameters(), 1e-4, fused=True)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=form == "bfloat16"):
            derained = twin(rainy)
        F.mse_loss(derained.float(), clean).backward()
        optimizer.step()

    return step


def timed(function, count):
    """Seconds of each of `count` calls, after one that is not counted."""
    function()
    seconds = []
    for _ in range(count):
        started = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - started)
    return {"seconds": seconds}


def main():
    torch.manual_seed(0)
    peer = Peer()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(peer, command.pop("do"))(**command)
        except Exception as error:  # the benchmark decides whether to continue
            answer = {"error": " ".join(str(error).split())[:300] or repr(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
