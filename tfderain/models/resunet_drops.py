"""ResUNetDrops: a ResUNet that also says where drops are, and changes nothing else.

Our own design. Drops on the glass hide the scene, so that it has to be filled in from
around them: one level more than the default preset's network has, where a pixel is 16
pixels wide. A second output, the mask, blends as Qian et al., 2018,
https://arxiv.org/abs/1711.10098, eq. 1 has it, solved for the clean image:
`derained = rainy + mask * (filled - rainy)`. What is not under a drop stays as it was.
"""

import keras
from keras import ops

from tfderain.models.base import Derainer
from tfderain.models.layers import pad_to_multiple
from tfderain.models.resunet import ResUNet, ResUNetNetwork, convolution

# Of the mask before its sigmoid, at the start: 0.95 of what is filled in counts, so
# that the first pictures are the old network's, and both outputs learn at once.
MASK_START = 3.0


@keras.saving.register_keras_serializable("tfderain")
class ResUNetDropsNetwork(ResUNetNetwork):
    """The network of `ResUNetDrops`, on images whose sizes fit its stride.

    Args: as `ResUNetDrops`.

    Call: as `ResUNetNetwork`.
    """

    def build(self, input_shape):
        super().build(input_shape)
        self.mask = convolution(self.stem**2, 3, "mask", 1e-4, self.dtype_policy)
        self.mask.build((None, None, None, self.filters[0]))
        self.mask.bias.assign(ops.full(self.mask.bias.shape, MASK_START))

    def layers_by_name(self):
        return {**super().layers_by_name(), "mask": self.mask}

    def call(self, rainy, training=False):
        return self.with_mask(rainy)[0]

    def with_mask(self, rainy):
        """`(derained, mask)` of rainy images whose sizes fit the stride.

        Returns:
            float32 `(batch, height, width, 3)`, not clipped, and
            `(batch, height, width, 1)` in [0, 1].
        """
        derained, logits = self.with_logits(rainy)
        return derained, ops.sigmoid(logits)

    def with_logits(self, rainy):
        """As `with_mask`, the mask as it is before its sigmoid."""
        rainy = ops.cast(rainy, "float32")
        features = self.features(rainy)
        change, logits = self.leave(features), self.mask(features)
        if self.stem > 1:
            change = ops.depth_to_space(change, self.stem)
            logits = ops.depth_to_space(logits, self.stem)
        logits = ops.cast(logits, "float32")
        return rainy + ops.sigmoid(logits) * ops.cast(change, "float32"), logits


@keras.saving.register_keras_serializable("tfderain")
class ResUNetDrops(ResUNet):
    """A ResUNet that takes drops off the glass, and says where they are.

    4,075,480 weights with the defaults: the levels of `ResUNet` and one more, narrow,
    so that all files of a preset stay small.

    It learns from targets `(batch, height, width, 4)`, a clean image and the mask of
    its drops in [0, 1], below 0 where nobody knows it; from clean images alone it
    learns the picture only.

    Args:
        filters, down, up, stem: see `ResUNet`. Default to `(48, 96, 192, 72)`,
            `(2, 2, 4, 3)`, `(2, 2, 0)` and `2`.
        tasks, weighting: see `ResUNet`; the weighting may name `mask`, the binary
            cross-entropy of the mask, and has to be lower for it than for the picture.
        **kwargs: see `ResUNet`.
    """

    outer_layers = ("enter", "leave", "mask")
    makes_mask = True
    network_class = ResUNetDropsNetwork

    def __init__(
        self,
        filters=(48, 96, 192, 72),
        down=(2, 2, 4, 3),
        up=(2, 2, 0),
        stem=2,
        tasks=None,
        weighting=None,
        **kwargs,
    ):
        super().__init__(
            filters, down, up, stem, tasks, weighting, more_losses=("mask",), **kwargs
        )

    def with_mask(self, rainy):
        """Derained images as of a call, and the mask of their drops.

        Args:
            rainy: see `Derainer`.

        Returns:
            `(derained, mask)`: float32 `(batch, height, width, 3)` and
            `(batch, height, width, 1)`, both in [0, 1].
        """
        rainy = ops.cast(rainy, "float32")
        padded = pad_to_multiple(rainy, self.stride)
        outputs = self.network.with_mask(padded)
        return tuple(self.finish(output, rainy, False) for output in outputs)

    def forward_losses(self, rainy, clean, training):
        rainy = ops.cast(rainy, "float32")
        padded = pad_to_multiple(rainy, self.stride)
        derained, logits = self.network.with_logits(padded)
        derained = self.finish(derained, rainy, training)
        losses = self.task_losses(clean[..., :3], derained)
        return derained, losses | {"mask": self.mask_loss(clean, logits)}

    def mask_loss(self, clean, logits):
        """Mean binary cross-entropy over the pixels whose mask is known, a scalar."""
        if clean.shape[-1] == 3:
            return ops.zeros(())
        height, width = ops.shape(clean)[1], ops.shape(clean)[2]
        logits = logits[:, :height, :width]
        mask = ops.cast(clean[..., 3:], "float32")
        known = ops.cast(mask >= 0, "float32")
        # log(1 + exp(x)) - mask * x, the cross-entropy of a sigmoid
        errors = (ops.softplus(logits) - ops.maximum(mask, 0.0) * logits) * known
        return ops.sum(errors) / ops.maximum(ops.sum(known), 1.0)

    def track(self, rainy, clean, derained, losses, finite):
        return super().track(rainy, clean[..., :3], derained, losses, finite)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **kwargs):
        raise ValueError(
            "Only the TensorFlow backend trains with masks. "
            f"Received: {keras.backend.backend()}."
        )

    def adopt(self, other):
        """Takes over the weights of a trained network of this class, or of a `ResUNet`.

        Of a `ResUNet` with fewer levels each layer is taken over by its name. The
        levels that it lacks start with no effect, so that the picture is the old
        network's but for the 5 % that the mask, see `MASK_START`, takes off its change.

        Args:
            other: built `ResUNetDrops` of the same shape, or `ResUNet` whose levels are
                the finest of these.

        Returns:
            A line that says what was taken over, or `None` if all was.

        Raises:
            ValueError: for a network of another kind, or levels of another shape.
        """
        if isinstance(other, ResUNetDrops) or not isinstance(other, ResUNet):
            return Derainer.adopt(self, other)
        levels = len(other.network.filters)
        theirs, mine = other.network.layers_by_name(), self.network.layers_by_name()
        kept = [(mine[name], layer) for name, layer in theirs.items() if name in mine]
        shapes = [
            [tuple(weight.shape) for layer in part for weight in layer.weights]
            for part in zip(*kept, strict=True)
        ]
        if len(kept) < len(theirs) or shapes[0] != shapes[1]:
            raise ValueError(
                "Levels can only be taken over by a network that has the same and "
                f"perhaps more. Received: filters={other.network.filters}, "
                f"down={other.network.down}, up={other.network.up} for "
                f"filters={self.network.filters}, down={self.network.down}, "
                f"up={self.network.up}."
            )
        for layer, source in kept:
            layer.set_weights(source.get_weights())
        for name in self.silenced(levels):
            for weight in mine[name].weights:
                weight.assign(ops.zeros(weight.shape))
        new = [name for name in mine if name not in theirs]
        return (
            f"{len(kept)} layers of a {type(other).__name__} with {levels} levels are "
            f"taken over; {len(new)} are new ({', '.join(new)})"
        )

    def silenced(self, levels):
        """Names of the layers through which levels from this one on take effect."""
        names = []
        for level in range(levels - 1, len(self.network.up)):
            names.append(f"expand_{level}")
            names += [f"up_{level}_{i}" for i in range(self.network.up[level])]
        return names
