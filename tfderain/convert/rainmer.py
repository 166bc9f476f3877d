"""Rainmer's official weights: the authors' names, and where their tensors belong.

For the `.pth` files of github.com/Schizophreni/Rainmer (`Rainmer_SA_chralpha`, and
`Rainmer_SA`, which mixes prompts by a sum). The key encoder is left out, as in all
shipped models. The authors' sparse attention applies each mask to the previous map
(`cumulative`); which of its ties return is undefined there, while here it is those with
the lowest index.
"""

from typing import Any

from tfderain.convert import drsformer, pth
from tfderain.convert.weights import Weights

ARGUMENTS = {"cumulative": True, "encoder_size": 128}
ENCODER = "disentangle.encoder_q"
VIEWS = {"chromatic": "chromatic_enc", "degradation": "degra_enc"}


def load(path: Any, arguments: dict):
    """A built `Rainmer` with the weights of a file; see `tfderain.convert.load`."""
    from tfderain import models

    weights = Weights.find(pth.read(path), drsformer.FIRST)
    weights = weights.without("disentangle.encoder_k")
    model = models.Rainmer(**shape_of(weights), **arguments, contrast_weight=0.0)
    model.build((None, None, None, 3))
    place(model.network, weights)
    weights.finish()
    return model


def shape_of(weights: Weights):
    """Constructor arguments of the network that these weights belong to."""
    encoder = weights.below(f"{ENCODER}.Atom")
    views = {v: f"{name}.0.weight" in encoder for v, name in VIEWS.items()}
    options: dict = {
        **views,
        "interaction": "cross_fuse.location_map.0.weight" in weights,
        "mixing": "alpha" if "decoder_level1.0.attn.chr_z" in weights else "sum",
    }
    # One view is read in any case, so that another network's file is recognised.
    name = VIEWS["degradation" if views["degradation"] else "chromatic"]
    filters = encoder.size(f"{name}.0.weight")
    options["filters"] = filters
    options["gate_ratio"] = filters // encoder.size(f"{name}.2.se1.se.1.weight")
    weights.size("encoder_level0.layers.0.ca_fc.0.weight")  # always there
    return {**drsformer.shape_of(weights), **options}


def place(network: Any, weights: Weights):
    """Gives a built `RainmerNetwork` its weights."""
    drsformer.place(network, weights)
    place_encoder(network.encoder, weights.below(ENCODER))
    if network.interaction is not None:
        for layer, name in (("where", "location_map"), ("which", "channel_map")):
            for step, index in (("first", 0), ("second", 2)):
                convolution = getattr(network.interaction, f"{layer}_{step}")
                weights.convolution(convolution, f"cross_fuse.{name}.{index}")
    for name, block in drsformer.decoder_blocks(network):
        place_prompts(block, weights.below(name))


def place_encoder(encoder: Any, weights: Weights):
    """Gives a built `RepresentationEncoder` its weights."""
    weights.convolution(encoder.embed, "conv.proj")
    drsformer.place_experts(encoder.experts, weights.below("MoEs"))
    for view, name in VIEWS.items():
        projector = getattr(encoder, view)
        if projector is None:
            continue
        own = weights.below(f"Atom.{name}")
        own.convolution(projector.enter, "0")
        for part, index in (("first", 1), ("second", 2)):
            own.convolution(getattr(projector, part), f"2.conv{index}")
            gate = getattr(projector, f"{part}_gate")
            own.dense(gate.squeeze, f"2.se{index}.se.1")
            own.dense(gate.excite, f"2.se{index}.se.3")


def place_prompts(block: Any, weights: Weights):
    """Gives a `PromptedBlock` the weights that it has besides a `SparseBlock`'s."""
    if block.direction is not None:
        weights.give(block.direction, "attn.chr_z", lambda array: array.ravel())
    names = {"chromatic": "chr", "degradation": "detg"}
    for view, prompt in zip(block.views, block.prompts, strict=True):
        own = weights.below(f"attn.{names[view]}_promptAttn")
        own.convolution(prompt.gate_first, "classifier.0")
        own.convolution(prompt.gate_second, "classifier.2")
        own.dense(prompt.transform, "trans.0")
        own.give(prompt.bias, "trans.0.bias")
