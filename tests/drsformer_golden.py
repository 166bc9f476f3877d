"""Gives layers the weights of the authors' DRSformer and Rainmer (PyTorch)."""

import numpy as np


def nhwc(array):
    """`(n, c, h, w)` to `(n, h, w, c)`."""
    return np.moveaxis(array, 1, -1)


def hwio(kernel):
    """`(out, in, h, w)` to `(h, w, in, out)`."""
    return kernel.transpose(2, 3, 1, 0)


def depthwise(kernel):
    """`(channels, 1, h, w)` to `(h, w, channels, 1)`; 2 inputs an output: adjacent."""
    channels = kernel.shape[0] * kernel.shape[1]
    return kernel.reshape(channels, 1, *kernel.shape[2:]).transpose(2, 3, 0, 1)


class Weights:
    """The arrays of a golden file below a prefix.

    Args:
        golden: the loaded file.
        prefix: begin of the names, with its dot.
    """

    def __init__(self, golden, prefix=""):
        self.golden, self.prefix = golden, prefix

    def __getitem__(self, name):
        return self.golden[f"w/{self.prefix}{name}"]

    def below(self, name):
        return Weights(self.golden, f"{self.prefix}{name}.")

    def convolution(self, layer, name):
        layer.kernel.assign(hwio(self[f"{name}.weight"]))
        if layer.use_bias:
            layer.bias.assign(self[f"{name}.bias"])

    def dense(self, layer, name):
        kernel = self[f"{name}.weight"]  # (out, in) or (out, in, 1, 1)
        layer.kernel.assign(kernel.reshape(kernel.shape[:2]).T)
        if layer.use_bias:
            layer.bias.assign(self[f"{name}.bias"])

    def separable(self, layer, depth, point):
        layer.depthwise_kernel.assign(depthwise(self[f"{depth}.weight"]))
        layer.pointwise_kernel.assign(hwio(self[f"{point}.weight"]))

    def experts(self, layer):
        """Of a `MixtureOfExperts`."""
        self.dense(layer.hidden, "layers.0.ca_fc.0")
        self.dense(layer.scores, "layers.0.ca_fc.2")
        self.convolution(layer.preprocess, "layers.1.preprocess.op.0")
        for index, stage in enumerate(layer.stages):
            experts = self.below(f"layers.1._ops.{index}")
            for i in range(4):
                names = [f"_ops.{i}.op.{part}" for part in (0, 1, 3, 4)]
                experts.separable(stage.firsts[i], *names[:2])
                experts.separable(stage.seconds[i], *names[2:])
            for i, dilated in enumerate(stage.dilated):
                experts.separable(dilated, f"_ops.{4 + i}.op.0", f"_ops.{4 + i}.op.1")
            experts.convolution(stage.mix, "_out.0")

    def depthwise(self, layer, name):
        layer.kernel.assign(depthwise(self[f"{name}.weight"]))

    def block(self, layer, order=None):
        """Of a `SparseBlock`; `order` see `shuffled`."""
        order = slice(None) if order is None else order
        for norm, name in ((layer.attention_norm, "norm1"), (layer.feed_norm, "norm2")):
            norm.gamma.assign(self[f"{name}.body.weight"][order])
            norm.beta.assign(self[f"{name}.body.bias"][order])
        attention, feed = layer.attention, layer.feed
        attention.temperature.assign(self["attn.temperature"])
        attention.shares.assign(self.shares())
        attention.mix.kernel.assign(hwio(self["attn.qkv.weight"])[:, :, order])
        self.depthwise(attention.spread, "attn.qkv_dwconv")
        project = hwio(self["attn.project_out.weight"])
        attention.project.kernel.assign(project[..., order])
        feed.expand.kernel.assign(hwio(self["ffn.project_in.weight"])[:, :, order])
        for part, suffix in (("first", ""), ("second", "_1")):
            for size in (3, 5):
                convolution = getattr(feed, f"{part}_{size}")
                self.depthwise(convolution, f"ffn.dwconv{size}x{size}{suffix}")
        project = hwio(self["ffn.project_out.weight"])
        feed.project.kernel.assign(project[..., order])

    def shares(self):
        """DRSformer names four scalars, Rainmer one vector."""
        if f"w/{self.prefix}attn.attns" in self.golden:
            return self["attn.attns"]
        return np.concatenate([self[f"attn.attn{i}"] for i in range(1, 5)])

    def network(self, network):
        """Of a `DRSformerNetwork` with one block for each size and without prompts."""
        dim = network.dim
        self.convolution(network.embed, "patch_embed.proj")
        self.below("encoder_level0").experts(network.compensate)
        self.below("refinement").experts(network.refine)
        self.convolution(network.output_convolution, "output")
        names = ["encoder_level1", "encoder_level2", "encoder_level3", "latent"]
        orders = [None, *(shuffled(dim * 2**level) for level in (1, 2, 3))]
        for block, name, order in zip(
            network.encoder_blocks, names, orders, strict=True
        ):
            self.below(f"{name}.0").block(block, order)
        for level, down in enumerate(network.downs):
            kernel = hwio(self[f"down{level + 1}_{level + 2}.body.0.weight"])
            order = slice(None) if level == 0 else orders[level]
            down.kernel.assign(kernel[:, :, order])
        for step, level in enumerate((3, 2, 1)):
            kernel = hwio(self[f"up{level + 1}_{level}.body.0.weight"])
            if level == 3:
                kernel = kernel[:, :, orders[3]]
            network.ups[step].kernel.assign(kernel[..., shuffled(kernel.shape[-1])])
        for step, level in enumerate((3, 2)):
            kernel = hwio(self[f"reduce_chan_level{level}.weight"])
            half = kernel.shape[2] // 2
            order = np.concatenate([np.arange(half), half + orders[level - 1]])
            network.reductions[step].kernel.assign(kernel[:, :, order])
        for step, level in enumerate((3, 2, 1)):
            self.below(f"decoder_level{level}.0").block(network.decoder_blocks[step])

    def encoder(self, encoder):
        """Of a `RepresentationEncoder`."""
        self.convolution(encoder.embed, "conv.proj")
        self.below("MoEs").experts(encoder.experts)
        for projector, name in (
            (encoder.chromatic, "Atom.chromatic_enc"),
            (encoder.degradation, "Atom.degra_enc"),
        ):
            self.convolution(projector.enter, f"{name}.0")
            for part, index in (("first", 1), ("second", 2)):
                self.convolution(getattr(projector, part), f"{name}.2.conv{index}")
                gate = getattr(projector, f"{part}_gate")
                self.dense(gate.squeeze, f"{name}.2.se{index}.se.1")
                self.dense(gate.excite, f"{name}.2.se{index}.se.3")

    def prompts(self, block):
        """Of a `PromptedBlock`, beside those of a `SparseBlock`."""
        block.direction.assign(self["attn.chr_z"].ravel())
        for prompt, view in zip(block.prompts, ("chr", "detg"), strict=True):
            name = f"attn.{view}_promptAttn"
            self.convolution(prompt.gate_first, f"{name}.classifier.0")
            self.convolution(prompt.gate_second, f"{name}.classifier.2")
            self.dense(prompt.transform, f"{name}.trans.0")
            prompt.bias.assign(self[f"{name}.trans.0.bias"])

    def rainmer(self, network):
        """Of a `RainmerNetwork` with one block for each size."""
        self.network(network)
        self.below("disentangle.encoder_q").encoder(network.encoder)
        for layer, name in (("where", "location_map"), ("which", "channel_map")):
            for step, index in (("first", 0), ("second", 2)):
                convolution = getattr(network.interaction, f"{layer}_{step}")
                self.convolution(convolution, f"cross_fuse.{name}.{index}")
        for block, level in zip(network.decoder_blocks, (3, 2, 1), strict=True):
            self.below(f"decoder_level{level}.0").prompts(block)

    def airnet(self, encoder):
        """Of an `AirNetEncoder`."""
        for block, name in zip(encoder.blocks, ("E_pre", "E.0", "E.1"), strict=True):
            for part, place, index in (
                ("first", "backbone", 0),
                ("second", "backbone", 3),
                ("shortcut", "shortcut", 0),
            ):
                self.convolution(getattr(block, part), f"{name}.{place}.{index}")
                norm = getattr(block, f"{part}_norm")
                norm.set_weights(
                    [
                        self[f"{name}.{place}.{index + 1}.{weight}"]
                        for weight in ("weight", "bias", "running_mean", "running_var")
                    ]
                )
        self.dense(encoder.first, "mlp.0")
        self.dense(encoder.second, "mlp.2")


def shuffled(channels):
    """Their channel at each place of ours, after a pixel unshuffle of factor 2.

    PyTorch orders (channel, row, column), TensorFlow (row, column, channel).
    """
    return np.arange(channels).reshape(channels // 4, 4).T.ravel()
