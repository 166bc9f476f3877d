"""AirNet's official weights: the authors' names, and where their tensors belong.

For the `.pth` files of github.com/XLearning-SCU/2022-CVPR-AirNet. The encoder with its
key encoder and queue is converted; the restoration network (`R`), which needs
deformable convolutions, is not part of this package and is left out.
"""

from typing import Any

import numpy as np

from tfderain.convert import pth
from tfderain.convert.weights import Unfit, Weights

ARGUMENTS: dict = {}
FIRST = "encoder_q.E_pre.backbone.0.weight"
BLOCKS = ("E_pre", "E.0", "E.1")


def load(path: Any, arguments: dict):
    """A built `AirNet` with the weights of a file; see `tfderain.convert.load`."""
    from tfderain import models

    weights = Weights.find(pth.read(path), FIRST)
    filters = [weights.size(f"encoder_q.{name}.backbone.0.weight") for name in BLOCKS]
    model = models.AirNet(filters, queue=weights.size("queue", 1), **arguments)
    model.build((None, None, None, 3))
    place_encoder(model.encoder, weights.below("encoder_q"))
    place_encoder(model.key_encoder, weights.below("encoder_k"))
    place_queue(model.queue, weights)
    weights.finish()
    return model


def place_encoder(encoder: Any, weights: Weights):
    """Gives a built `AirNetEncoder` its weights."""
    for block, name in zip(encoder.blocks, BLOCKS, strict=True):
        for part, place in (
            ("first", "backbone.{}"),
            ("second", "backbone.{}"),
            ("shortcut", "shortcut.{}"),
        ):
            index = 3 if part == "second" else 0
            own = weights.below(name)
            own.convolution(getattr(block, part), place.format(index))
            own.normalization(getattr(block, f"{part}_norm"), place.format(index + 1))
    weights.dense(encoder.first, "mlp.0")
    weights.dense(encoder.second, "mlp.2")


def place_queue(queue: Any, weights: Weights):
    """Gives the queue its rows, one per image, the newest first.

    In the file, images are columns, and a pointer marks the oldest, replaced next.
    """
    pointer = np.ravel(weights["queue_ptr"])
    count = weights.size("queue", 1)
    if len(pointer) != 1 or not 0 <= pointer[0] < count:
        raise Unfit(f"its queue_ptr is {pointer.tolist()}, for {count} images")
    order = (int(pointer[0]) - 1 - np.arange(count)) % count
    weights.give(queue, "queue", lambda array: array.T[order])
