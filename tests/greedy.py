"""A model of known size for the test of memory, which runs it in another process."""

from unittest import mock

import numpy as np

from tfderain import runtime
from tfderain.benchmarks import timing

WEIGHTS, WORK = 64_000_000, 128_000_000  # bytes


class Greedy:
    def __init__(self, model, runtime, threads):
        self.weights = np.ones(WEIGHTS, np.uint8)

    def derain(self, image):
        return image + np.ones(WORK, np.uint8)[0]


def memory():
    with mock.patch.object(runtime, "Restorer", Greedy):
        return timing._memory("greedy", "litert", 1, (32, 48))
