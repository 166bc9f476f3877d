"""JRGR's official weights: the authors' files and names, and where tensors belong.

For the files saved by github.com/guyii54/JRGR, a fork of pytorch-CycleGAN-and-pix2pix:
one for each network, `latest_net_G1.pth` to `latest_net_G4.pth` in a folder. The folder
becomes a JRGR with all four networks; a single file of a U-Net (`G3`, or the
pre-trained `G`) becomes one that only removes rain. Critics are left out.
"""

import pathlib
from typing import Any

from tfderain.convert import pth
from tfderain.convert.weights import Unfit, Weights

# "image": the authors by default test with the statistics of the image.
ARGUMENTS = {"statistics": "moving"}
NETWORKS = {
    "G1": "derain_synthetic",
    "G2": "make_rain_real",
    "G3": "derain_real",
    "G4": "make_rain_synthetic",
}
UNET, RESNET = "model.model.0.weight", "model.1.weight"
WORDS = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def load(path: Any, arguments: dict):
    """A built `JRGR` with the weights of its files; see `tfderain.convert.load`."""
    from tfderain import models

    path = pathlib.Path(path)
    files = files_of(path) if path.is_dir() else {"G3": path}
    found = {name: _weights(pth.read(file), name) for name, file in files.items()}
    stage = "deploy" if len(files) > 1 else "pretrain"
    model = models.JRGR(**shape_of(found), stage=stage, **arguments)
    model.build((None, None, None, 3))
    for name, weights in found.items():
        try:
            network = model.networks()[NETWORKS[name]]
            place(getattr(network, "translator", network), weights)
            weights.finish()
        except Unfit as error:
            raise Unfit(f"in {files[name].name}, {error}") from None
    return model


def files_of(folder: pathlib.Path):
    """The files of the four networks in a folder: the latest, or the only ones."""
    epochs = {path.name.rpartition("_net_")[0] for path in folder.glob("*_net_G?.pth")}
    if "latest" in epochs:
        epochs = {"latest"}
    if len(epochs) != 1:
        known = ", ".join(sorted(epochs)) or "none"
        raise Unfit(f"it needs <epoch>_net_G1.pth to G4 of one epoch, but has {known}")
    (epoch,) = epochs
    files = {name: folder / f"{epoch}_net_{name}.pth" for name in NETWORKS}
    for path in files.values():
        if not path.exists():
            raise Unfit(f"it has no {path.name}")
    return files


def _weights(tensors, name):
    """Weights of a U-Net or, for rain generation, of a ResNet generator."""
    rain = name in ("G2", "G4")
    is_unet = not rain or any(f".{key}".endswith(f".{UNET}") for key in tensors)
    return Weights.find(tensors, UNET if is_unet else RESNET)


def shape_of(found: dict):
    """Constructor arguments of the JRGR that these weights belong to."""
    removal, generation = found["G3"], found.get("G2", found["G3"])
    shape: dict = {"filters": removal.size(UNET), "variant": "paper"}
    name, levels = "model.model.1.model", 1
    while f"{name}.1.weight" in removal:  # each level lies inside the one above
        name, levels = f"{name}.3.model", levels + 1
    shape["num_levels"] = max(levels, 2)
    if UNET not in generation:
        ends = [name.endswith(".conv_block.1.weight") for name in generation.tensors]
        shape |= {"variant": "code", "num_blocks": max(sum(ends), 1)}
    return shape


def place(network: Any, weights: Weights):
    """Gives a built `UNet` or `ResNetGenerator` its weights."""
    for name, variable in variables_of(network).items():
        weights.give(variable, name, keras_layout)


def keras_layout(array: Any):
    """A kernel `(out, in, h, w)`, or transposed `(in, out, h, w)`, for Keras."""
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array


def variables_of(network: Any):
    """`{the authors' name: variable}` of a `UNet` or `ResNetGenerator`."""
    layers = unet_layers if hasattr(network, "num_levels") else resnet_layers
    return {
        f"{name}.{WORDS.get(variable.name, variable.name)}": variable
        for name, layer in layers(network)
        for variable in layer.weights
    }


def unet_layers(network: Any):
    """`[(the authors' name, layer)]`: each level lies inside the one above it."""
    found, prefix, last = [], "model.model.", network.num_levels - 1
    for level in range(network.num_levels):
        up = 3 if level in (0, last) else 5
        found.append((f"{prefix}{min(level, 1)}", network.downs[level]))
        found.append((f"{prefix}{up}", network.ups[level]))
        if level:
            found.append((f"{prefix}{up + 1}", network.up_norms[level]))
        if 0 < level < last:
            found.append((f"{prefix}2", network.down_norms[level]))
        prefix += ("3" if level else "1") + ".model."
    return found


def resnet_layers(network: Any):
    """`[(the authors' name, layer)]`."""
    blocks = len(network.blocks)
    found = [("model.1", network.stem), ("model.2", network.stem_norm)]
    for index, place in enumerate((4, 7)):
        found.append((f"model.{place}", network.downs[index]))
        found.append((f"model.{place + 1}", network.down_norms[index]))
    for index, parts in enumerate(network.blocks):
        for place, (convolution, norm) in zip((1, 5), parts, strict=True):
            found.append((f"model.{10 + index}.conv_block.{place}", convolution))
            found.append((f"model.{10 + index}.conv_block.{place + 1}", norm))
    for place, index in ((10 + blocks, 1), (13 + blocks, 0)):
        found.append((f"model.{place}", network.ups[index]))
        found.append((f"model.{place + 1}", network.up_norms[index]))
    return [*found, (f"model.{17 + blocks}", network.last)]
