"""JRGR: joint rain generation and removal, closing the loop on real photos.

Paper: Ye et al., CVPR 2021, "Closing the Loop: Joint Rain Generation and Removal via
Disentangled Image Translation". The networks and one whole training step are equal to
those of github.com/guyii54/JRGR at 2be5a1061582 (tests/models/test_jrgr.py).

Two networks remove rain, one from synthetic images, one from real photos; two others
translate the removed rain into the rain of the other domain, which is added to the
background again. In both directions, every image has to come back as it was:

```
synthetic -> derained + rain -> rain made real      -> derained, and back again
real      -> derained + rain -> rain made synthetic -> derained, and back again
```
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from tfderain.losses import Reconstruction
from tfderain.models.adversarial import ADVERSARIES, add_critics
from tfderain.models.base import Derainer, take_over
from tfderain.models.jrgr_losses import BACKGROUNDS, CRITICS, LAMBDAS, JointLosses
from tfderain.models.layers import pad_to_multiple
from tfderain.models.rain_generator import (
    JRGRNetwork,
    RainGenerator,
    RainGeneratorNetwork,
)
from tfderain.models.stages import Stage
from tfderain.models.translators import ResNetGenerator, UNet

if TYPE_CHECKING or keras.backend.backend() == "tensorflow":
    from tfderain.models.tape import AdversarialTraining
else:

    class AdversarialTraining:
        """A stand-in: only TensorFlow trains the networks together."""


STAGES = ("pretrain", "joint", "deploy")
# Which removal networks start from the pre-trained one, and the share of the learning
# rate for each network in joint training (sections 3.3 and 4.4 of the paper).
STRATEGIES = {
    "proposed": {"derain_synthetic": 0.01, "derain_real": 0.1},
    "Init-2": {"derain_synthetic": 0.01},
    "Init-1": {},
}
VARIANTS = ("code", "paper")
REMOVAL = ("derain_synthetic", "derain_real")
GENERATION = ("make_rain_synthetic", "make_rain_real")


@keras.saving.register_keras_serializable("tfderain")
class JRGR(JointLosses, AdversarialTraining, Derainer):
    """Joint rain generation and removal: four networks and three critics.

    Args:
        variant: `"code"`: rain is made by ResNet generators, as in the authors'
            code; `"paper"`: all four networks are U-Nets.
        filters: int. Channels of the first convolution of each network.
        num_levels: int. Levels of the U-Nets; the paper's 7 need sides of 128.
        num_blocks: int. Residual blocks of the ResNet generators.
        critic_filters: int. Channels of the first convolution of each critic.
        normalization, statistics, residual: of all four networks, see
            `tfderain.models.translators.Translator`. The paper uses batch
            normalisation and no residual.
        stage: which networks exist, and what `train_step` does. `"pretrain"`: only
            `derain_real`, trained on pairs by `tasks`; `"joint"`: all, trained
            together; `"deploy"`: the four networks without critics and pools.
        start: names of the removal networks that `adopt` gives pre-trained weights;
            both in the paper, `("derain_synthetic",)` for its Init-2, none for Init-1.
        lambdas: dict of loss weights, see `LAMBDAS`: Eq. (8), where the adversarial
            term of the backgrounds is separate from those of the rainy images, so that
            either can be left out (Table 2).
        alpha: float. Weight of the clean images in the loss of their critic, Eq. (4);
            its other term is a sum over four estimates.
        adversary: `"least_squares"` (code), `"log_saturating"` (Eqs. (2)-(4) of the
            paper) or `"log"`, its non-saturating form.
        pool_size: int. Images that each critic remembers; 0 for none.
        crop: int or `(height, width)` of the training images, which the pools store.
        tasks, weighting, clip_training: of stage `"pretrain"`, see `Derainer`.
            `tasks` defaults to squared errors.
        **kwargs: `name`, `dtype` and the other `keras.Model` options.

    Call: rainy `(batch, height, width, 3)` in [0, 1], any size from 1x1, to derained
    images of the same size, float32 in [0, 1], by `derain_real`.

    Raises:
        ValueError: for an unknown `variant`, `stage`, `adversary`, loss weight or
            network to start.
    """

    outer_layers = ("down_0", "up_0", "stem", "last")  # of U-Nets, ResNet generators
    config_arguments = ("crop",)
    strategies = tuple(STRATEGIES)

    @classmethod
    def training_stages(cls, strategy, model_config):
        """Pre-training of the removal network, if one starts from it; joint training.

        See `Derainer.training_stages`.
        """
        rates = STRATEGIES[strategy]
        lambdas = model_config.get("lambdas", {})
        left_out = [f"no_{name}" for name, weight in lambdas.items() if not weight]
        arguments = {**model_config, "stage": "joint", "start": list(rates)}
        folder = "-".join(["joint", strategy, *left_out])
        joint = Stage(folder, "joint", arguments, {"rates": {**rates} or None})
        if not rates:
            return [joint]
        alike = {  # for all ways to continue
            name: value for name, value in model_config.items() if name != "lambdas"
        }
        pretrain = Stage("pretrained", "pretrain", {**alike, "stage": "pretrain"})
        return [pretrain, joint]

    @classmethod
    def takes_photos(cls, model_config):
        return model_config.get("stage", "joint") == "joint"

    @classmethod
    def shipped(cls, model_config):
        """All four networks without critics, or the one that was pre-trained."""
        pretrained = model_config.get("stage") == "pretrain"
        return {**model_config, "stage": "pretrain" if pretrained else "deploy"}

    def __init__(
        self,
        variant="code",
        filters=64,
        num_levels=7,
        num_blocks=9,
        critic_filters=64,
        normalization="batch",
        statistics="moving",
        residual=False,
        stage="joint",
        start=REMOVAL,
        lambdas=None,
        alpha=4.0,
        adversary="least_squares",
        pool_size=50,
        crop=256,
        tasks=None,
        weighting=None,
        clip_training=False,
        **kwargs,
    ):
        check_arguments(variant, stage, adversary, lambdas or (), start)
        if tasks is None:
            tasks = {"reconstruction": Reconstruction("l2", value_range=2.0)}
        super().__init__(
            # A ResNet generator mirrors borders at a quarter of the size: two pixels.
            stride=max(2**num_levels, 8),
            tasks=tasks,
            weighting=weighting,
            clip_training=clip_training,
            **kwargs,
        )
        self.variant, self.stage = variant, stage
        self.num_blocks, self.critic_filters = num_blocks, critic_filters
        self.start = tuple(start)
        self.lambdas = {**LAMBDAS, **(lambdas or {})}
        self.alpha, self.adversary = alpha, adversary
        self.pool_size, self.crop = pool_size, crop
        self.add_networks(
            *(filters, num_levels),
            normalization=normalization,
            statistics=statistics,
            residual=residual,
        )
        self.pools = {}
        if stage == "joint":
            made = (*BACKGROUNDS, "made_real_rainy", "made_synthetic_rainy", "clean")
            add_critics(self, CRITICS, made)

    def add_networks(self, filters, num_levels, **options):
        """The networks of the stage, not yet built."""
        options["dtype"] = self.dtype_policy

        def generation(name):
            if self.variant == "paper":
                return UNet(filters, num_levels, name=name, **options)
            return ResNetGenerator(filters, self.num_blocks, name=name, **options)

        self.network = JRGRNetwork(filters, num_levels, name="derain_real", **options)
        if self.stage != "pretrain":
            self.derain_synthetic = JRGRNetwork(
                filters, num_levels, name="derain_synthetic", **options
            )
            for name in GENERATION:
                setattr(self, name, generation(name))

    @property
    def derain_real(self):
        """The deployed network, by its role."""
        return self.network

    @property
    def global_operations(self):
        return self.network.translator.global_operations

    @property
    def shared_kernel(self):
        return self.network.translator.ups[0].kernel

    def networks(self):
        """`{role: layer}` of the networks and critics that this stage has."""
        names = (*REMOVAL, *GENERATION, *CRITICS)
        return {name: getattr(self, name) for name in names if hasattr(self, name)}

    def build(self, input_shape):
        for layer in self.networks().values():
            layer.build((None, None, None, 3))
        self.stay_frozen()

    def adopt(self, other):
        """Takes over weights, those of the same networks or those of the pre-training.

        Args:
            other: built `JRGR`. If it was only pre-trained and this one trains
                jointly, the networks named in `start` start from its weights.

        Raises:
            ValueError: the shapes differ.
        """
        theirs = other.networks()
        if other.stage == "pretrain" and self.stage != "pretrain":
            theirs = {name: other.network for name in self.start}
        mine = self.networks()
        for name in theirs.keys() & mine.keys():
            take_over(mine[name].weights, theirs[name].weights)

    # Translation

    def translate(self, synthetic, real, training=False):
        """All eight translations of Figure 6, and the rain layers between them.

        Args:
            synthetic, real: rainy images `(batch, height, width, 3)` in [-1, 1], whose
                sizes are multiples of the stride.
            training: bool.

        Returns:
            Dict of tensors like the images, not clipped. From the synthetic image:
            `synthetic_derained`, `made_real_rainy`, `made_real_derained`,
            `synthetic_cycled`; from the real one: `real_derained`,
            `made_synthetic_rainy`, `made_synthetic_derained`, `real_cycled`. Rain:
            `synthetic_rain`, `made_real_rain`, `real_rain`, `made_synthetic_rain`.
        """
        unet = self.derain_synthetic.translator, self.network.translator
        made = self.make_rain_real, self.make_rain_synthetic
        images = {}
        for image, domain, other, (derain, derain_back), (there, back) in (
            (synthetic, "synthetic", "real", unet, made),
            (real, "real", "synthetic", unet[::-1], made[::-1]),
        ):
            derained = derain(image, training=training)
            rain = image - derained
            made_rainy = self._put_rain(there, derained, rain, training)
            again = derain_back(made_rainy, training=training)
            cycled = self._put_rain(back, again, made_rainy - again, training)
            images |= {
                f"{domain}_derained": derained,
                f"{domain}_rain": rain,
                f"made_{other}_rain": made_rainy - derained,
                f"made_{other}_rainy": made_rainy,
                f"made_{other}_derained": again,
                f"{domain}_cycled": cycled,
            }
        return images

    def _put_rain(self, translate, clean, rain, training=False):
        """Clean images with rain from the other domain; all in [-1, 1]."""
        return clean + translate(rain, training=training)

    def pictures(self, synthetic, real):
        """What `translate` returns for two images of any size, as images in [0, 1].

        Args:
            synthetic, real: rainy images `(batch, height, width, 3)` in [0, 1], of the
                same size.

        Returns:
            See `translate`; images are clipped to [0, 1], layers of rain are signed.
        """
        size = synthetic.shape[1:3]
        padded = [
            2 * pad_to_multiple(ops.cast(image, "float32"), self.stride) - 1
            for image in (synthetic, real)
        ]
        made = self.translate(*padded)
        return {
            name: image[:, : size[0], : size[1]] / 2
            if name.endswith("_rain")
            else ops.clip((image[:, : size[0], : size[1]] + 1) / 2, 0, 1)
            for name, image in made.items()
        }

    def make_real(self, clean, rain):
        """Adds synthetic rain, translated by `make_rain_real`, to clean images.

        Args:
            clean: `(batch, height, width, 3)` in [0, 1], any size from 1x1.
            rain: synthetic rain, `rainy - clean`, of the same shape.

        Returns:
            Rainy images in [0, 1], float32.
        """
        height, width = ops.shape(clean)[1:3]
        clean, rain = (
            pad_to_multiple(ops.cast(image, "float32"), self.stride)
            for image in (clean, rain)
        )
        made = self._put_rain(self.make_rain_real, 2 * clean - 1, 2 * rain)
        return ops.clip((made[:, :height, :width] + 1) / 2, 0, 1)

    def rain_generator(self):
        """The S2R half as a separate model, for export: synthetic rain made real.

        Returns:
            Built `RainGenerator`: copies of `derain_synthetic` and `make_rain_real`.

        Raises:
            ValueError: for stages other than `"joint"` and `"deploy"`.
        """
        if self.stage == "pretrain":
            raise ValueError(
                "Only a JRGR after joint training has a rain generator. "
                f"Received: stage={self.stage!r}."
            )
        parts = [self.derain_synthetic, self.make_rain_real]
        copies = [type(part).from_config(part.get_config()) for part in parts]
        network = RainGeneratorNetwork(*copies, name="rain_generator")
        model = RainGenerator(network, self.stride)
        model.build((None, None, None, 3))
        for copy, part in zip(copies, parts, strict=True):
            take_over(copy.weights, part.weights)
        return model

    def trained_variables(self):
        """`(variables of the four networks, variables of the critics)`."""
        networks = self.networks()
        return tuple(
            [v for name in names for v in networks[name].trainable_variables]
            for names in ((*REMOVAL, *GENERATION), CRITICS)
        )

    def get_config(self):
        unet = self.network.get_config()
        names = ("filters", "num_levels", "normalization", "statistics", "residual")
        return {
            **super().get_config(),
            **{name: unet[name] for name in names},
            "variant": self.variant,
            "num_blocks": self.num_blocks,
            "critic_filters": self.critic_filters,
            "stage": self.stage,
            "start": list(self.start),
            "lambdas": dict(self.lambdas),
            "alpha": self.alpha,
            "adversary": self.adversary,
            "pool_size": self.pool_size,
            "crop": self.crop if isinstance(self.crop, int) else list(self.crop),
        }

    @classmethod
    def from_config(cls, config):
        # Files from before `CycleGAN` was a separate network have this entry.
        config = {n: v for n, v in config.items() if (n, v) != ("translation", "rain")}
        return super().from_config(config)


def check_networks(model: Any):
    """Raises `ValueError` unless `model` can translate rain both ways."""
    if "make_rain_real" not in getattr(model, "networks", dict)():
        raise ValueError(
            "Only a JRGR after joint training makes rain. "
            f"Received: {type(model).__name__}"
            f"{f', stage={model.stage!r}' if hasattr(model, 'stage') else ''}."
        )


def check_arguments(
    variant: str,
    stage: str,
    adversary: str,
    lambdas: Iterable[str],
    start: Iterable[str],
):
    """Raises `ValueError` for a name that JRGR does not know."""
    for name, value, allowed in (
        ("variant", variant, VARIANTS),
        ("stage", stage, STAGES),
        ("adversary", adversary, ADVERSARIES),
        *(("lambdas", name, tuple(LAMBDAS)) for name in lambdas),
        *(("start", name, REMOVAL) for name in start),
    ):
        if value not in allowed:
            raise ValueError(
                f"`{name}` must be one of {allowed}. Received: {name}={value!r}."
            )
