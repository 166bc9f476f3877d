"""Weights from the GPU training as a Keras model, and back.

    python scripts/gpu/to_keras.py weights.npz resunet.keras
    python scripts/gpu/to_keras.py resunet weights.npz
    python scripts/gpu/to_keras.py resunet.keras check.npz --outputs

The last one writes an input, the model's output and its weights; `check_torch.py`
measures how far PyTorch's output is from that. Needs TensorFlow, not PyTorch.
"""

import argparse
from pathlib import Path

import numpy as np

from tfderain import models
from tfderain.models.resunet import ResUNet


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help=".npz, .keras, or a preset")
    parser.add_argument("target", type=Path, help=".keras or .npz")
    parser.add_argument("--outputs", action="store_true", help="with input and output")
    parser.add_argument("--dtype", default="float32", choices=("float16", "float32"))
    args = parser.parse_args(arguments)
    if args.source.endswith(".npz"):
        to_model(args.source).save(args.target)
        return
    model = models.load(args.source)
    arrays = {name: array.astype(args.dtype) for name, array in weights(model).items()}
    if args.outputs:
        arrays |= outputs(model)
    np.savez(args.target, **arrays)


def variables(model):
    """The network's variables by path, without the model's own name."""
    found = {w.path.split("/", 1)[1]: w for w in model.trainable_weights}
    return {name: w for name, w in found.items() if name.startswith("network/")}


def weights(model):
    """Arrays by path."""
    return {name: np.asarray(w) for name, w in variables(model).items()}


def to_model(path):
    """A `ResUNet` with the weights of a file.

    Raises:
        ValueError: for names other than the model's.
    """
    model = ResUNet()
    model.build((None, None, None, 3))
    own = variables(model)
    with np.load(path) as arrays:
        if set(arrays.files) != set(own):
            differing = sorted(set(arrays.files) ^ set(own))[:4]
            raise ValueError(
                "The file must hold the network's weights and nothing else. Received: "
                f"path={str(path)!r}, differing: {differing}."
            )
        for name, variable in own.items():
            variable.assign(arrays[name].astype(np.float32))
    return model


def outputs(model, shape=(2, 64, 88, 3)):
    """A random input and the network's output for it."""
    rainy = np.random.default_rng(0).random(shape, np.float32)
    return {"rainy": rainy, "derained": np.asarray(model.network(rainy))}


if __name__ == "__main__":
    main()
