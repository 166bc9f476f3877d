"""Muon for the inner kernels and Adam for the rest, without host synchronisation.

All counts and rates are tensors on the device, so that a step can be recorded once as a
graph of kernels and replayed. The update is that of `tfderain.optimizers.ConvMuon` and
Keras's Adam; kernels of equal shape are orthogonalised together.
"""

import math

import torch

MOMENTUM = 0.95
FACTORS = (3.4445, -4.7750, 2.0315)  # of the Newton-Schulz iteration
ITERATIONS = 5
RMS = 0.2  # of an update's elements, like Adam's
BETAS = (0.9, 0.999)
EPSILON = 1e-7


def orthogonal(matrices):
    """Replaces the singular values of matrices `(k, rows, columns)` by about 1.

    All factors of the Newton-Schulz iteration are polynomials of the Gram matrix, so
    that only matrices with the smaller side are iterated.
    """
    wide = matrices.shape[1] < matrices.shape[2]
    tall = matrices.transpose(1, 2) if wide else matrices
    tall = tall / (torch.linalg.vector_norm(tall, dim=(1, 2), keepdim=True) + 1e-7)
    gram = tall.transpose(1, 2) @ tall
    a, b, c = FACTORS
    unit = torch.eye(gram.shape[-1], device=gram.device)
    product = unit.expand_as(gram)
    for _ in range(ITERATIONS):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c) + a * unit
        product = product @ factor
        gram = gram @ (factor @ factor)
    made = tall @ product
    return made.transpose(1, 2) if wide else made


class MuonAdam:
    """One step for all parameters of a network.

    Args:
        inner: four-dimensional parameters for Muon, channels-last in memory.
        outer: parameters for Adam.
    """

    def __init__(self, inner, outer):
        self.groups = {}
        for parameter in inner:
            self.groups.setdefault(tuple(parameter.shape), []).append(parameter)
        self.momenta = {
            shape: torch.stack([_matrix(torch.zeros_like(p)) for p in group])
            for shape, group in self.groups.items()
        }
        self.outer = list(outer)
        flat = torch.cat([_rows(p.detach()).flatten() for p in self.outer])
        self.mean, self.square = torch.zeros_like(flat), torch.zeros_like(flat)
        self.count = torch.zeros((), device=flat.device)

    @torch.no_grad()
    def step(self, rate):
        """Applies the gradients with a learning rate, a scalar tensor."""
        for shape, group in self.groups.items():
            self._muon(group, self.momenta[shape], rate)
        self._adam(rate)

    def _muon(self, group, momentum, rate):
        gradient = torch.stack([_matrix(p.grad) for p in group])
        momentum.mul_(MOMENTUM).add_(gradient)
        update = orthogonal(torch.add(gradient, momentum, alpha=MOMENTUM))
        update = update * (rate * (RMS * math.sqrt(max(update.shape[1:]))))
        self._subtract(group, update.unbind())

    def _adam(self, rate):
        gradient = torch.cat([_rows(p.grad).flatten() for p in self.outer])
        self.count.add_(1)
        self.mean.lerp_(gradient, 1 - BETAS[0])
        self.square.lerp_(gradient * gradient, 1 - BETAS[1])
        alpha = (
            rate * (1 - BETAS[1] ** self.count).sqrt() / (1 - BETAS[0] ** self.count)
        )
        update = alpha * self.mean / (self.square.sqrt() + EPSILON)
        self._subtract(self.outer, update.split([p.numel() for p in self.outer]))

    def _subtract(self, parameters, updates):
        """Updates are in the order of `_rows`: one kernel handles the whole list."""
        parameters = [_rows(p) for p in parameters]
        pairs = zip(parameters, updates, strict=True)
        torch._foreach_sub_(parameters, [u.reshape(p.shape) for p, u in pairs])

    def state(self):
        """What a checkpoint needs, tensors by name."""
        own = {"mean": self.mean, "square": self.square, "count": self.count}
        momenta = {"x".join(map(str, s)): m for s, m in self.momenta.items()}
        return {**own, **momenta}

    def load(self, state):
        """Continues from `state()`, in place: recorded graphs keep their addresses."""
        for name, value in self.state().items():
            value.copy_(state[name])


def _rows(parameter):
    """A kernel as `(out, height, width, in)`, the order in memory; else unchanged."""
    return parameter.permute(0, 2, 3, 1) if parameter.dim() == 4 else parameter


def _matrix(kernel):
    """`(out, in, height, width)` as `(out, height * width * in)`."""
    return _rows(kernel).flatten(1)
