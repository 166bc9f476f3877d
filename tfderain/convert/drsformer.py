"""DRSformer's official weights: the authors' names, and where their tensors belong.

For the `.pth` files of github.com/cschenxiang/DRSformer. Widths, heads and numbers of
blocks are read from the tensors; without mixtures of experts (Rain200L and SPA-Data)
`num_stages` is 0. The mapping also serves Rainmer, whose network is built on it.

PyTorch's pixel unshuffle orders its channels (channel, row, column), TensorFlow's
`space_to_depth` (row, column, channel): below the first size, all features of the
encoder are in a different order here.
"""

from typing import Any

import numpy as np

from tfderain.convert import pth
from tfderain.convert.weights import Weights

ARGUMENTS: dict = {}
FIRST = "patch_embed.proj.weight"
SIZES = ("encoder_level1", "encoder_level2", "encoder_level3", "latent")


def load(path: Any, arguments: dict):
    """A built `DRSformer` with the weights of a file; see `tfderain.convert.load`."""
    from tfderain import models

    weights = Weights.find(pth.read(path), FIRST)
    model = models.DRSformer(**shape_of(weights), **arguments)
    model.build((None, None, None, 3))
    place(model.network, weights)
    weights.finish()
    return model


def shape_of(weights: Weights):
    """Constructor arguments of the network that these weights belong to."""
    return {
        "dim": weights.size(FIRST),
        "num_blocks": [max(weights.count(name), 1) for name in SIZES],
        "num_heads": [weights.size(f"{name}.0.attn.temperature") for name in SIZES],
        "num_stages": weights.count("encoder_level0.layers.1._ops"),
    }


def place(network: Any, weights: Weights):
    """Gives a built `DRSformerNetwork` its weights, except those of prompts."""
    dim = network.dim
    weights.convolution(network.embed, "patch_embed.proj")
    if network.compensate is not None:
        place_experts(network.compensate, weights.below("encoder_level0"))
        place_experts(network.refine, weights.below("refinement"))
    weights.convolution(network.output_convolution, "output")
    orders = [np.arange(dim), *(shuffled(dim * 2**level) for level in (1, 2, 3))]
    blocks = iter(network.encoder_blocks)
    for level, name in enumerate(SIZES):
        for index in range(network.num_blocks[level]):
            place_block(next(blocks), weights.below(f"{name}.{index}"), orders[level])
    for name, block in decoder_blocks(network):
        place_block(block, weights.below(name))
    for level, down in enumerate(network.downs):
        order = orders[level]
        name = f"down{level + 1}_{level + 2}.body.0"
        weights.convolution(down, name, lambda kernel, o=order: kernel[:, :, o])
    for up, level in zip(network.ups, (3, 2, 1), strict=True):
        # Only the first one sees the encoder's features.
        seen = orders[3] if level == 3 else np.arange(dim * 2**level)
        made = shuffled(dim * 2 ** (level + 1))
        name = f"up{level + 1}_{level}.body.0"
        weights.convolution(
            up, name, lambda kernel, i=seen, o=made: kernel[:, :, i][..., o]
        )
    for reduction, level in zip(network.reductions, (3, 2), strict=True):
        half = dim * 2 ** (level - 1)
        order = np.concatenate([np.arange(half), half + orders[level - 1]])
        name = f"reduce_chan_level{level}"
        weights.convolution(reduction, name, lambda kernel, o=order: kernel[:, :, o])


def decoder_blocks(network: Any):
    """`(the authors' name, block)` for all blocks of the decoder."""
    blocks = iter(network.decoder_blocks)
    return [
        (f"decoder_level{level}.{index}", next(blocks))
        for level in (3, 2, 1)
        for index in range(network.num_blocks[level - 1])
    ]


def place_experts(mixture: Any, weights: Weights):
    """Gives a `MixtureOfExperts` its weights."""
    weights.dense(mixture.hidden, "layers.0.ca_fc.0")
    weights.dense(mixture.scores, "layers.0.ca_fc.2")
    weights.convolution(mixture.preprocess, "layers.1.preprocess.op.0")
    for index, stage in enumerate(mixture.stages):
        experts = weights.below(f"layers.1._ops.{index}")
        for i in range(4):
            names = [f"_ops.{i}.op.{part}" for part in (0, 1, 3, 4)]
            experts.separable(stage.firsts[i], *names[:2])
            experts.separable(stage.seconds[i], *names[2:])
        for i, dilated in enumerate(stage.dilated):
            experts.separable(dilated, f"_ops.{4 + i}.op.0", f"_ops.{4 + i}.op.1")
        experts.convolution(stage.mix, "_out.0")


def place_block(block: Any, weights: Weights, order: Any = slice(None)):
    """Gives a `SparseBlock` its weights.

    Args:
        block: a built block.
        weights: those below the block's name.
        order: order of the channels of its features, see `shuffled`.
    """
    for norm, name in ((block.attention_norm, "norm1"), (block.feed_norm, "norm2")):
        weights.give(norm.gamma, f"{name}.body.weight", lambda array: array[order])
        weights.give(norm.beta, f"{name}.body.bias", lambda array: array[order])
    attention, feed = block.attention, block.feed
    weights.give(attention.temperature, "attn.temperature")
    place_shares(attention.shares, weights)
    for layer, name in ((attention.mix, "attn.qkv"), (feed.expand, "ffn.project_in")):
        weights.convolution(layer, name, lambda kernel: kernel[:, :, order])
    for layer, name in (
        (attention.project, "attn.project_out"),
        (feed.project, "ffn.project_out"),
    ):
        weights.convolution(layer, name, lambda kernel: kernel[..., order])
    weights.depthwise(attention.spread, "attn.qkv_dwconv")
    for part, suffix in (("first", ""), ("second", "_1")):
        for size in (3, 5):
            convolution = getattr(feed, f"{part}_{size}")
            weights.depthwise(convolution, f"ffn.dwconv{size}x{size}{suffix}")


def place_shares(shares: Any, weights: Weights):
    """Weights of the four maps: four scalars in DRSformer, one vector in Rainmer."""
    if "attn.attns" in weights:
        weights.give(shares, "attn.attns")
        return
    weights.give_joined(shares, [f"attn.attn{i}" for i in range(1, 5)], np.copy)


def shuffled(channels: int):
    """Index of their channel for each of ours, after a pixel unshuffle by 2."""
    return np.arange(channels).reshape(channels // 4, 4).T.ravel()
