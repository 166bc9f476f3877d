"""DRSformer: sparse transformer for de-raining (Chen et al., CVPR 2023).

Paper: https://arxiv.org/abs/2303.11950. Rewritten from the description of
github.com/cschenxiang/DRSformer at e77bbb4ecc59 (PyTorch); tests/models/
test_drsformer.py proves equal outputs. The blocks are in `sparse`.

Differences: `patch` can merge pixels before the network (ours, for CPUs); the last
convolution starts near zero, so that training starts from the rainy image.
"""

import itertools
from collections.abc import Iterable
from typing import Any

import keras
from keras import ops

from tfderain import losses
from tfderain.models.base import Derainer
from tfderain.models.layers import ExpertStage, MixtureOfExperts, built
from tfderain.models.sparse import SparseBlock, convolution, pointwise


def grouped(blocks: Iterable[Any], counts: Iterable[int]):
    """Divides blocks into lists of the given lengths, in order."""
    blocks = iter(blocks)
    return [list(itertools.islice(blocks, count)) for count in counts]


@keras.saving.register_keras_serializable("tfderain")
class DRSformerNetwork(keras.layers.Layer):
    """A U-Net of four sizes with sparse blocks, between two mixtures of experts.

    Args:
        dim: int. Channels of the first size; doubled with each halving.
        num_blocks: four ints, blocks per size, the smallest size last.
        num_heads: four ints.
        expansion: see `MixedScaleFeedForward`.
        num_stages, variant: see `MixtureOfExperts`. With `num_stages=0` there are no
            mixtures, as in the authors' models for Rain200L and SPA-Data.
        cumulative: see `SparseChannelAttention`.
        patch: int. Squares of `patch**2` pixels become channels before the first
            convolution and pixels again after the last (ours), so that the whole
            network works on fewer pixels. Defaults to `1`, as in the authors' code.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, 3)` in [0, 1] to the same shape, float32, not
    clipped; height and width must be multiples of `8 * patch`.
    """

    def __init__(
        self,
        dim=48,
        num_blocks=(4, 6, 6, 8),
        num_heads=(1, 2, 4, 8),
        expansion=2.66,
        num_stages=4,
        variant="code",
        cumulative=False,
        patch=1,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)  # the layers inside cast
        self.options = {
            "dim": dim,
            "num_blocks": list(num_blocks),
            "num_heads": list(num_heads),
            "expansion": expansion,
            "num_stages": num_stages,
            "variant": variant,
            "cumulative": cumulative,
            "patch": patch,
        }
        self.dim = dim
        self.num_blocks = tuple(num_blocks)
        self.num_heads = tuple(num_heads)
        self.patch = patch
        self.experts = {"num_stages": num_stages, "variant": variant}
        self.block = {"expansion": expansion, "cumulative": cumulative}

    def build(self, input_shape):
        dim, dtype = self.dim, self.dtype_policy
        colors = 3 * self.patch**2
        self.embed = built(convolution(dim, "embed", dtype), colors)
        self.compensate = self.mixture("compensate", dim)
        # Flat lists, because files of trained weights name blocks by their number.
        self.encoder_blocks = [
            block
            for level in range(4)
            for block in self.blocks("encoder", level, dim * 2**level)
        ]
        self.decoder_blocks = [
            block
            for level in (2, 1, 0)
            for block in self.blocks("decoder", level, dim * 2 ** max(level, 1))
        ]
        self.downs = [
            built(convolution(dim * 2**i // 2, f"down_{i}", dtype), dim * 2**i)
            for i in range(3)
        ]
        self.ups = [
            built(convolution(dim * 2**i * 4, f"up_{i}", dtype), dim * 2 ** (i + 1))
            for i in (2, 1, 0)
        ]
        # At the first size, nothing reduces the concatenation.
        self.reductions = [
            built(pointwise(dim * 2**i, f"reduce_{i}", dtype), dim * 2 ** (i + 1))
            for i in (2, 1)
        ]
        self.refine = self.mixture("refine", 2 * dim)
        self.output_convolution = built(
            convolution(colors, "output", dtype, gain=1e-2), 2 * dim
        )

    def mixture(self, name, channels) -> Any:
        """A mixture of experts, or `None` if there are none."""
        if not self.experts["num_stages"]:
            return None
        experts = MixtureOfExperts(**self.experts, dtype=self.dtype_policy, name=name)
        return built(experts, channels)

    def blocks(self, part, level, channels):
        """The blocks of one size; `part` is `"encoder"` or `"decoder"`."""
        make = self.make_decoder_block if part == "decoder" else self.make_block
        return [
            built(make(self.num_heads[level], name=f"{part}_{level}_{index}"), channels)
            for index in range(self.num_blocks[level])
        ]

    def make_block(self, num_heads, name):
        """A new transformer block of the encoder or the bottleneck."""
        return SparseBlock(num_heads, **self.block, dtype=self.dtype_policy, name=name)

    make_decoder_block = make_block

    def call(self, rainy):
        return self.restore(rainy)

    def restore(self, rainy, prompts=()):
        """Derains; any prompts are passed to each block of the decoder."""
        rainy = ops.cast(rainy, "float32")
        features = self.shallow(rainy)
        skips = []
        for level, blocks in enumerate(grouped(self.encoder_blocks, self.num_blocks)):
            for block in blocks:
                features = block(features)
            if level < 3:
                skips.append(features)
                features = ops.space_to_depth(self.downs[level](features), 2)
        counts = self.num_blocks[2::-1]
        for step, blocks in enumerate(grouped(self.decoder_blocks, counts)):
            features = ops.depth_to_space(self.ups[step](features), 2)
            features = ops.concatenate([features, skips.pop()], axis=-1)
            if step < len(self.reductions):
                features = self.reductions[step](features)
            for block in blocks:
                features = block(features, prompts) if prompts else block(features)
        if self.refine is not None:
            features = self.refine(features)
        rain = self.output_convolution(features)
        return rainy + ops.cast(self.to_pixels(rain), "float32")

    def shallow(self, rainy):
        """Features of the full size before the first block."""
        features = self.embed(self.to_patches(rainy))
        return features if self.compensate is None else self.compensate(features)

    def to_patches(self, images):
        """`(n, h, w, c)` to `(n, h / patch, w / patch, c * patch**2)`."""
        return images if self.patch == 1 else ops.space_to_depth(images, self.patch)

    def to_pixels(self, features):
        """The inverse of `to_patches`."""
        return features if self.patch == 1 else ops.depth_to_space(features, self.patch)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), **self.options}


class SparseTransformer(Derainer):
    """What DRSformer and Rainmer have in common besides their blocks.

    Args:
        patch: int, see `DRSformerNetwork`.
        **kwargs: see `Derainer`.
    """

    outer_layers = ("embed", "output")
    global_operations = True  # spatial means and norms
    # All but convolutions and copies: lengths, variances and exponentials span more
    # than 256 steps, and int8 turned some divisors into zero.
    float_operations = (
        *("ADD", "SUB", "MUL", "DIV", "SUM", "MEAN", "MAXIMUM", "SQUARE", "SQRT"),
        *("SQUARED_DIFFERENCE", "RSQRT", "EXP", "NEG", "SOFTMAX", "BATCH_MATMUL"),
        *("TOPK_V2", "GREATER_EQUAL", "SELECT_V2", "LOGISTIC"),
    )

    def __init__(self, patch=1, **kwargs):
        super().__init__(stride=8 * patch, **kwargs)

    @property
    def shared_kernel(self):
        """Kernel of the last convolution, through which all tasks pass."""
        return self.network.output_convolution.kernel

    def prepare_for_litert(self):
        for layer in self.network._flatten_layers():
            if isinstance(layer, ExpertStage):
                layer.few_taps = True

    def get_config(self):
        return {**super().get_config(), **self.network.options}


@keras.saving.register_keras_serializable("tfderain")
class DRSformer(SparseTransformer):
    """DRSformer, the baseline of Rainmer without representations.

    33,655,424 weights with the authors' widths, the defaults.

    Args:
        dim, num_blocks, num_heads, expansion, num_stages, variant, cumulative, patch:
            see `DRSformerNetwork`.
        tasks: dict from task name to loss. Defaults to the l1 distance.
        weighting: `tfderain.weighting.Weighting`. Defaults to a plain sum.
        clip_training: bool. See `Derainer`. Defaults to `False`, like the authors.
        **kwargs: `name`, `dtype` and the other `keras.Model` options.

    Reference: Chen et al., 2023, https://arxiv.org/abs/2303.11950
    """

    def __init__(
        self,
        dim=48,
        num_blocks=(4, 6, 6, 8),
        num_heads=(1, 2, 4, 8),
        expansion=2.66,
        num_stages=4,
        variant="code",
        cumulative=False,
        patch=1,
        tasks=None,
        weighting=None,
        clip_training=False,
        **kwargs,
    ):
        super().__init__(
            patch,
            tasks=tasks or {"reconstruction": losses.Reconstruction("l1", 1.0)},
            weighting=weighting,
            clip_training=clip_training,
            **kwargs,
        )
        self.network = DRSformerNetwork(
            dim,
            num_blocks,
            num_heads,
            expansion,
            num_stages,
            variant,
            cumulative,
            patch,
            dtype=self.dtype_policy,
            name="network",
        )
