"""CycleGAN: rain removed and made without pairs (Zhu et al., ICCV 2017).

Paper: https://arxiv.org/abs/1703.10593. The generators and critics are those of
`translators` and `adversarial`, which are equal to the authors' networks
(tests/models/test_translators.py, test_adversarial.py). JRGR's paper compares with it
in Table 1 and in Figure 9, where it translates a whole background into a rainy image.

There are two generators and two critics: one generator removes rain from photos, the
other adds it to unrelated clean images, and an image that has passed through both must
be as it was. Nothing is learned from pairs.
"""

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from tfderain.losses import Reconstruction
from tfderain.models.adversarial import add_critics, adversarial_loss
from tfderain.models.base import Derainer, take_over
from tfderain.models.layers import pad_to_multiple
from tfderain.models.translators import ResNetGenerator

if TYPE_CHECKING or keras.backend.backend() == "tensorflow":
    from tfderain.models.tape import AdversarialTraining
else:

    class AdversarialTraining:
        """Only TensorFlow trains networks and critics together."""


STAGES = ("joint", "deploy")
GENERATORS = ("derain_network", "make_rain")
CRITICS = ("critic_clean", "critic_rainy")
LOSSES = (
    *("generators", "critics", "adversarial_clean", "adversarial_rainy"),
    *("cycle_rainy", "cycle_clean", "identity_rainy", "identity_clean", *CRITICS),
)


@keras.saving.register_keras_serializable("tfderain")
class CycleGANNetwork(keras.layers.Layer):
    """CycleGAN's generator as it is deployed: from images in [0, 1] to such images.

    Args:
        filters, num_blocks, normalization: see `ResNetGenerator`.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, 3)` in [0, 1], multiples of 4, at least 8, to float32
    of the same shape.
    """

    def __init__(self, filters=64, num_blocks=9, normalization="instance", **kwargs):
        super().__init__(**kwargs)
        self.translator = ResNetGenerator(
            filters,
            num_blocks,
            normalization=normalization,
            dtype=self.dtype_policy,
            name="resnet",
        )

    def build(self, input_shape):
        self.translator.build(input_shape)

    def call(self, images, training=False):
        images = ops.cast(images, "float32")
        return (self.translator(2 * images - 1, training=training) + 1) / 2

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        resnet = self.translator.get_config()
        names = ("filters", "num_blocks", "normalization")
        return {**super().get_config(), **{name: resnet[name] for name in names}}


@keras.saving.register_keras_serializable("tfderain")
class CycleGAN(AdversarialTraining, Derainer):
    """CycleGAN between rainy photos and unrelated clean images.

    Args:
        filters: int. Channels of the first convolution of each generator.
        num_blocks: int. Residual blocks of the generators: 9 for crops of 256.
        critic_filters: int. Channels of the first convolution of each critic.
        normalization: of the generators, see `Translator`. The paper uses instance
            normalisation.
        cycle: float. Weight of the cycle losses, Eq. (3).
        identity: float. Weight of the identity losses, section 5.2, relative to
            `cycle`: a generator should not change images of its output's domain.
            Defaults to `0.0`, Eq. (3); the authors' code has `0.5`.
        stage: `"joint"`: all networks, trained together; `"deploy"`: the generators
            only.
        pool_size: int. Images that each critic remembers; 0 for none.
        crop: int or `(height, width)` of the training images, which the pools store.
        **kwargs: `name`, `dtype` and the other `keras.Model` options.

    Like JRGR, it is trained on batches `(synthetic, clean, real)`: it learns from clean
    images and real photos; the synthetic image of a pair is derained only to measure
    progress (`psnr_rgb`).

    Call: rainy `(batch, height, width, 3)` in [0, 1], any size from 1x1, to derained
    images of the same size, float32 in [0, 1].

    Raises:
        ValueError: for an unknown `stage`.

    Reference: Zhu et al., 2017, arXiv:1703.10593, sections 3 and 4.
    """

    outer_layers = ("stem", "last")
    config_arguments = ("crop",)

    @classmethod
    def takes_photos(cls, model_config):
        return model_config.get("stage", "joint") == "joint"

    @classmethod
    def shipped(cls, model_config):
        return {**model_config, "stage": "deploy"}

    def __init__(
        self,
        filters=64,
        num_blocks=9,
        critic_filters=64,
        normalization="instance",
        cycle=10.0,
        identity=0.0,
        stage="joint",
        pool_size=50,
        crop=256,
        tasks=None,
        **kwargs,
    ):
        if stage not in STAGES:
            raise ValueError(
                f"`stage` must be one of {STAGES}. Received: stage={stage!r}."
            )
        super().__init__(
            stride=8,
            # for validation pairs only
            tasks=tasks or {"reconstruction": Reconstruction("l1", 1.0)},
            **{"clip_training": False, **kwargs},
        )
        self.critic_filters, self.pool_size = critic_filters, pool_size
        self.cycle, self.identity = cycle, identity
        self.stage, self.crop = stage, crop
        options = {"normalization": normalization, "dtype": self.dtype_policy}
        self.network, self.make_rain = (
            CycleGANNetwork(filters, num_blocks, name=name, **options)
            for name in GENERATORS
        )
        self.pools = {}
        if stage == "joint":
            add_critics(self, CRITICS, ("derained", "made_rainy"))

    def loss_names(self):
        """Names of the losses of joint training."""
        return [n for n in LOSSES if self.identity or not n.startswith("identity")]

    @property
    def global_operations(self):
        return self.network.translator.global_operations

    @property
    def shared_kernel(self):
        return self.network.translator.last.kernel

    def networks(self):
        """`{name: layer}` of the generators and the critics that this stage has."""
        parts = {"derain_network": self.network, "make_rain": self.make_rain}
        critics = CRITICS if self.stage == "joint" else ()
        return parts | {name: getattr(self, name) for name in critics}

    def build(self, input_shape):
        for layer in self.networks().values():
            layer.build((None, None, None, 3))
        self.stay_frozen()

    def adopt(self, other):
        mine, theirs = self.networks(), other.networks()
        for name in theirs.keys() & mine.keys():
            take_over(mine[name].weights, theirs[name].weights)

    def joint_losses(self, synthetic: Any, clean: Any, real: Any):
        """The losses of one step, Eqs. (1)-(3), with least squares (section 4).

        Args:
            synthetic, clean, real: `(batch, crop, crop, 3)` in [0, 1]; `synthetic` is
                derained and returned, but nothing is learned from it.

        Returns:
            `(derained, losses)`: the derained synthetic images, and all of
            `loss_names()`. The generators minimise `generators`, the critics `critics`.
        """
        synthetic, clean, real = (
            ops.cast(image, "float32") for image in (synthetic, clean, real)
        )
        made = self.translate(clean, real, training=True)
        losses = self.generator_losses(made, clean, real)
        good = ops.isfinite(losses["generators"])
        losses |= self.critic_losses(made, clean, real, good)
        derained = ops.stop_gradient(self.network(synthetic, training=True))
        return derained, {"loss": losses["generators"], **losses}

    def translate(self, clean: Any, real: Any, training: bool = False):
        """Both cycles: `derained`, `rainy_cycled`, `made_rainy`, `clean_cycled`.

        Args:
            clean, real: `(batch, height, width, 3)` in [0, 1], multiples of the stride.
            training: bool.
        """
        derained = self.network(real, training=training)
        made_rainy = self.make_rain(clean, training=training)
        return {
            "derained": derained,
            "rainy_cycled": self.make_rain(derained, training=training),
            "made_rainy": made_rainy,
            "clean_cycled": self.network(made_rainy, training=training),
        }

    def generator_losses(self, made: Any, clean: Any, real: Any):
        """Losses of the generators; distances are those of images in [-1, 1]."""

        def distance(left, right):
            return 2 * ops.mean(ops.abs(left - right))

        losses = {
            "adversarial_clean": judged(self.critic_clean, made["derained"], True),
            "adversarial_rainy": judged(self.critic_rainy, made["made_rainy"], True),
            "cycle_rainy": distance(made["rainy_cycled"], real),
            "cycle_clean": distance(made["clean_cycled"], clean),
        }
        total = losses["adversarial_clean"] + losses["adversarial_rainy"]
        total += self.cycle * (losses["cycle_rainy"] + losses["cycle_clean"])
        if self.identity:
            same = {
                "identity_clean": distance(self.network(clean, training=True), clean),
                "identity_rainy": distance(self.make_rain(real, training=True), real),
            }
            total += self.identity * self.cycle * sum(same.values())
            losses |= same
        return {"generators": total, **losses}

    def critic_losses(self, made: Any, clean: Any, real: Any, good: Any = True):
        """Halved sums of "real is real" and "made is made", the latter from pools."""
        losses = {}
        for name, example, key in (
            ("critic_clean", clean, "derained"),
            ("critic_rainy", real, "made_rainy"),
        ):
            image, critic = ops.stop_gradient(made[key]), getattr(self, name)
            if self.pools:
                image = self.pools[key](image, good=good)
            right, wrong = judged(critic, example, True), judged(critic, image, False)
            losses[name] = 0.5 * (right + wrong)
        return {"critics": sum(losses.values()), **losses}

    def pictures(self, synthetic, real):
        """Those of JRGR's `pictures` that this has as well, for Figure 9 of its paper.

        Args:
            synthetic, real: rainy images `(batch, height, width, 3)` in [0, 1].

        Returns:
            `real_derained`, `synthetic_derained`, and `made_real_rainy`: the derained
            synthetic image made rainy again; images in [0, 1].
        """
        derained = self(synthetic)
        return {
            "real_derained": self(real),
            "synthetic_derained": derained,
            "made_real_rainy": self.rain_on(derained),
        }

    def rain_on(self, clean):
        """Clean images `(batch, height, width, 3)` in [0, 1], made rainy."""
        clean = ops.cast(clean, "float32")
        made = self.make_rain(pad_to_multiple(clean, self.stride))
        return self.finish(made, clean, False)

    def trained_variables(self):
        """`(variables of the generators, variables of the critics)`."""
        networks = self.networks()
        return tuple(
            [v for name in names for v in networks[name].trainable_variables]
            for names in (GENERATORS, CRITICS)
        )

    def get_config(self):
        resnet = self.network.get_config()
        names = ("filters", "num_blocks", "normalization")
        return {
            **super().get_config(),
            **{name: resnet[name] for name in names},
            "critic_filters": self.critic_filters,
            "cycle": self.cycle,
            "identity": self.identity,
            "stage": self.stage,
            "pool_size": self.pool_size,
            "crop": self.crop if isinstance(self.crop, int) else list(self.crop),
        }


def judged(critic: Any, images: Any, real: bool):
    """Distance of a critic's answers from calling images in [0, 1] real (or made)."""
    return adversarial_loss(critic(2 * images - 1), real)
