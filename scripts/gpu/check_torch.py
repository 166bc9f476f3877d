"""Largest difference between PyTorch's and Keras's output for the same ResUNet.

    python scripts/gpu/check_torch.py check.npz

`check.npz` is written by `to_keras.py --outputs`. Exits with 1 above `LARGEST`.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from resunet_torch import ResUNet, load_weights

LARGEST = 1e-4  # float32 sums of 1,728 products in a different order


def difference(path):
    """Largest difference of any output value, for images in [0, 1]."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    rainy, derained = arrays.pop("rainy"), arrays.pop("derained")
    network = ResUNet()
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "weights.npz", **arrays)
        load_weights(network, Path(folder) / "weights.npz")
    with torch.no_grad():
        made = network(torch.from_numpy(rainy.transpose(0, 3, 1, 2)))
    return float(np.abs(made.numpy().transpose(0, 2, 3, 1) - derained).max())


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("check", type=Path)
    found = difference(parser.parse_args(arguments).check)
    print(f"largest difference {found:.2e}")
    if not found <= LARGEST:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
