"""JRGR: joint rain generation and removal, the loop closed on real photos.

Paper: Ye et al., CVPR 2021, "Closing the Loop: Joint Rain Generation and Removal via
Disentangled Image Translation". Networks and one whole step equal those of
github.com/guyii54/JRGR at 2be5a1061582 (tests/models/test_jrgr.py).

Two networks remove rain, from synthetic and from real photos; two others translate the
rain that was removed into the rain of the other domain, which is put on the removed
background. Both ways round, every image has to come back as it was:

```
synthetic -> derained + rain -> rain made real      -> derained, and back again
real      -> derained + rain -> rain made synthetic -> derained, and back again
```
"""

from typing import TYPE_CHECKING

import keras
from keras import ops

from tfderain.losses import Reconstruction
from tfderain.models.adversarial import (
    ADVERSARIES,
    ImagePool,
    PatchCritic,
    adversarial_loss,
)
from tfderain.models.base import Derainer, take_over
from tfderain.models.layers import pad_to_multiple
from tfderain.models.translators import ResNetGenerator, UNet

if TYPE_CHECKING or keras.backend.backend() == "tensorflow":
    from tfderain.models.tape import AdversarialTraining
else:

    class AdversarialTraining:
        """Only TensorFlow trains the networks together."""


STAGES = ("pretrain", "joint", "deploy")
VARIANTS = ("code", "paper")
TRANSLATIONS = ("rain", "image")
# Of the code as the authors ran it (train_list.py): mse 40, adv 4, cyc 40. The paper
# prints adv 10, cyc 1, mse 10, which is the same ratio with two of them exchanged.
LAMBDAS = {
    "adversarial_clean": 4.0,
    "adversarial_rainy": 4.0,
    "cycle": 40.0,
    "mse": 40.0,
}
REMOVAL = ("derain_synthetic", "derain_real")
GENERATION = ("make_rain_synthetic", "make_rain_real")
CRITICS = ("critic_clean", "critic_synthetic", "critic_real")
# The four estimates of a background that critic_clean judges.
BACKGROUNDS = (
    "synthetic_derained",
    "made_real_derained",
    "real_derained",
    "made_synthetic_derained",
)

PRESETS = {
    # For two cores; starts as the identity, so that backgrounds stay sharp.
    "jrgr": {
        "variant": "paper",
        "filters": 20,
        "num_levels": 4,
        "critic_filters": 24,
        "normalization": None,
        "residual": True,
        "stage": "deploy",
    }
}


@keras.saving.register_keras_serializable("tfderain")
class JRGRNetwork(keras.layers.Layer):
    """The removal network as it is deployed: images in [0, 1] to images like them.

    Args:
        filters, num_levels, normalization, statistics, residual: see
            `tfderain.models.translators.UNet`.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, 3)` in [0, 1], multiples of the stride, to float32
    of the same shape, not clipped.
    """

    def __init__(
        self,
        filters=64,
        num_levels=7,
        normalization="batch",
        statistics="moving",
        residual=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.translator = UNet(
            filters,
            num_levels,
            normalization=normalization,
            statistics=statistics,
            residual=residual,
            dtype=self.dtype_policy,
            name="unet",
        )
        self.stride = self.translator.stride

    def build(self, input_shape):
        self.translator.build(input_shape)

    def call(self, rainy, training=False):
        rainy = ops.cast(rainy, "float32")
        return (self.translator(2 * rainy - 1, training=training) + 1) / 2

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        unet = self.translator.get_config()
        names = ("filters", "num_levels", "normalization", "statistics", "residual")
        return {**super().get_config(), **{name: unet[name] for name in names}}


@keras.saving.register_keras_serializable("tfderain")
class RainGeneratorNetwork(keras.layers.Layer):
    """Synthetic rain in a picture made real: derain, translate the rain, put it back.

    Args:
        removal: `JRGRNetwork`, `derain_synthetic`.
        generation: `UNet` or `ResNetGenerator`, `make_rain_real`.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, 3)` in [0, 1], multiples of both networks' strides, to
    float32 of the same shape, not clipped.
    """

    def __init__(self, removal, generation, **kwargs):
        super().__init__(**kwargs)
        self.removal = removal
        self.generation = generation

    def build(self, input_shape):
        for layer in (self.removal, self.generation):
            if not layer.built:
                layer.build(input_shape)

    def call(self, rainy, training=False):
        derained = self.removal(rainy, training=training)
        made = self.generation(2 * (rainy - derained), training=training)
        return derained + made / 2

    def get_config(self):
        parts = {"removal": self.removal, "generation": self.generation}
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            **{name: serialize(layer) for name, layer in parts.items()},
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in ("removal", "generation"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)


@keras.saving.register_keras_serializable("tfderain")
class RainGenerator(Derainer):
    """Makes the synthetic rain in pictures look real; for export, not for training.

    Args:
        network: `RainGeneratorNetwork`.
        stride: int. Heights and widths are padded to a multiple of it.
        **kwargs: `name`, `dtype` and the other `keras.Model` options.

    Call: pictures with synthetic rain, `(batch, height, width, 3)` in [0, 1], any size
    from 1x1, to pictures with real rain, float32 in [0, 1].
    """

    def __init__(self, network, stride, **kwargs):
        config = ("tasks", "weighting", "clip_training")
        kwargs = {name: v for name, v in kwargs.items() if name not in config}
        super().__init__(stride=stride, tasks={}, **kwargs)
        self.network = network

    def get_config(self):
        network = keras.saving.serialize_keras_object(self.network)
        return {**super().get_config(), "network": network, "stride": self.stride}

    @classmethod
    def from_config(cls, config):
        network = keras.saving.deserialize_keras_object(config["network"])
        return cls(**{**config, "network": network})


@keras.saving.register_keras_serializable("tfderain")
class JRGR(AdversarialTraining, Derainer):
    """Joint rain generation and removal: four networks and three critics.

    Args:
        variant: `"code"`: rain is made by ResNet generators, as in the authors'
            code; `"paper"`: all four networks are U-Nets.
        filters: int. Channels of the first convolution of each network.
        num_levels: int. Levels of the U-Nets; the paper's 7 need sides of 128.
        num_blocks: int. Residual blocks of the ResNet generators.
        critic_filters: int. Channels of the first convolution of each critic.
        normalization, statistics, residual: of all four networks, see
            `tfderain.models.translators.Translator`. The paper has batch
            normalisation and no residual.
        translation: what the generation networks translate. `"rain"`: the rain layer
            alone, put on the derained image; `"image"`: the derained image as a whole,
            which is CycleGAN (Figure 9).
        stage: which networks there are, and what `train_step` does. `"pretrain"`:
            `derain_real` alone, trained on pairs by `tasks`; `"joint"`: all, trained
            together; `"deploy"`: the four networks without critics and pools.
        start: names of the removal networks that `adopt` gives pre-trained weights;
            both in the paper, `("derain_synthetic",)` for its Init-2, none for Init-1.
        lambdas: dict of loss weights, see `LAMBDAS`: Eq. (8), where the adversarial
            term of the backgrounds stands apart from those of the rainy images, so
            that either can be left out (Table 2).
        alpha: float. How often the clean images count in the loss of their critic,
            Eq. (4); its other term is a sum over four estimates.
        adversary: `"least_squares"` (code) or `"log"` (paper).
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
        translation="rain",
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
        for name, value, allowed in (
            ("variant", variant, VARIANTS),
            ("translation", translation, TRANSLATIONS),
            ("stage", stage, STAGES),
            ("adversary", adversary, ADVERSARIES),
            *(("lambdas", name, tuple(LAMBDAS)) for name in lambdas or ()),
            *(("start", name, REMOVAL) for name in start),
        ):
            if value not in allowed:
                raise ValueError(
                    f"`{name}` must be one of {allowed}. Received: {name}={value!r}."
                )
        if tasks is None:
            tasks = {"reconstruction": Reconstruction("l2", value_range=2.0)}
        super().__init__(
            # The mirrored border of a ResNet generator needs two pixels of a quarter.
            stride=max(2**num_levels, 8),
            tasks=tasks,
            weighting=weighting,
            clip_training=clip_training,
            **kwargs,
        )
        self.variant = variant
        self.critic_filters = critic_filters
        self.num_blocks = num_blocks
        self.translation = translation
        self.stage = stage
        self.start = tuple(start)
        self.lambdas = {**LAMBDAS, **(lambdas or {})}
        self.alpha = alpha
        self.adversary = adversary
        self.pool_size = pool_size
        self.crop = crop
        dtype = self.dtype_policy
        options = {
            "normalization": normalization,
            "statistics": statistics,
            "residual": residual,
            "dtype": dtype,
        }

        def removal(name):
            return JRGRNetwork(filters, num_levels, name=name, **options)

        def generation(name):
            if variant == "paper":
                return UNet(filters, num_levels, name=name, **options)
            return ResNetGenerator(filters, num_blocks, name=name, **options)

        self.network = removal("derain_real")
        if stage != "pretrain":
            self.derain_synthetic = removal("derain_synthetic")
            for name in GENERATION:
                setattr(self, name, generation(name))
        if stage == "joint":
            # Instance normalisation of a new critic's small features multiplies
            # gradients beyond what float16 holds.
            half = self.compute_dtype == "float16"
            for name in CRITICS:
                critic = PatchCritic(
                    critic_filters, dtype="float32" if half else dtype, name=name
                )
                setattr(self, name, critic)
            self.loss_trackers.update(
                {name: keras.metrics.Mean(name=name) for name in self.loss_names()}
            )
        self.pools = {}
        if stage == "joint" and pool_size:
            shape = (*((crop, crop) if isinstance(crop, int) else crop), 3)
            made = (*BACKGROUNDS, "made_real_rainy", "made_synthetic_rainy", "clean")
            self.pools = {
                name: ImagePool(pool_size, shape, seed, name=f"pool_{name}")
                for seed, name in enumerate(made)
            }

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
        """Takes over weights: of the same networks, or those of the pre-training.

        Args:
            other: built `JRGR`. If it was only pre-trained and this one trains
                jointly, its network starts the ones named in `start`.

        Raises:
            ValueError: when the shapes differ.
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
            Dict of tensors like the images, not clipped. Of the synthetic image:
            `synthetic_derained`, `made_real_rainy`, `made_real_derained`,
            `synthetic_cycled`; of the real one: `real_derained`,
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
        """Clean images with rain of the other domain; all in [-1, 1]."""
        if self.translation == "image":
            return translate(clean, training=training)
        return clean + translate(rain, training=training)

    def pictures(self, synthetic, real):
        """What `translate` returns of two images of any size, as images in [0, 1].

        Args:
            synthetic, real: rainy images `(batch, height, width, 3)` in [0, 1]. Both
                of one size.

        Returns:
            See `translate`; images clipped to [0, 1], layers of rain signed.
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
        """Puts rain on clean images, translated into real rain by `make_rain_real`.

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
        """The S2R half as a model of its own, for export: synthetic rain made real.

        Returns:
            Built `RainGenerator`: copies of `derain_synthetic` and `make_rain_real`.

        Raises:
            ValueError: for another stage than `"joint"` and `"deploy"`, or for
                `translation="image"`.
        """
        if self.stage == "pretrain" or self.translation == "image":
            raise ValueError(
                "Only a JRGR that translates rain, after joint training, has a rain "
                f"generator. Received: stage={self.stage!r}, "
                f"translation={self.translation!r}."
            )
        parts = [self.derain_synthetic, self.make_rain_real]
        copies = [type(part).from_config(part.get_config()) for part in parts]
        network = RainGeneratorNetwork(*copies, name="rain_generator")
        model = RainGenerator(network, self.stride)
        model.build((None, None, None, 3))
        for copy, part in zip(copies, parts, strict=True):
            take_over(copy.weights, part.weights)
        return model

    # Joint training

    def loss_names(self):
        """Names of the losses of joint training, in the order of the equations."""
        return [
            "generators",
            "critics",
            *(f"adversarial_{name}" for name in BACKGROUNDS),
            "adversarial_made_real_rainy",
            "adversarial_made_synthetic_rainy",
            "cycle_synthetic_rainy",
            "cycle_real_rainy",
            "cycle_synthetic_clean",
            "cycle_real_clean",
            "mse_synthetic_derained",
            "mse_made_real_derained",
            *CRITICS,
            *(f"{critic}_gap" for critic in CRITICS),
        ]

    def joint_losses(self, synthetic, clean, real):
        """The losses of one step, Eqs. (2)-(8), all from the same forward passes.

        Args:
            synthetic, clean, real: `(batch, crop, crop, 3)` in [0, 1]: a synthetic pair
                and real rainy images, unpaired.

        Returns:
            `(derained, losses)`: the synthetic images derained, all of `loss_names()`.
            `generators` is minimised by the four networks, `critics` by the critics.
            `<critic>_gap` is the mean answer to real examples minus that to made ones:
            near 0 the critic is beaten, near 1 it beats the generators.
        """
        synthetic, clean, real = (
            2 * ops.cast(image, "float32") - 1 for image in (synthetic, clean, real)
        )
        made = self.translate(synthetic, real, training=True)
        losses = self._generator_losses(made, synthetic, clean, real)
        # The images do not tell: oneDNN's convolution with ReLU makes 0 of NaN.
        good = ops.isfinite(losses["generators"])
        losses |= self._critic_losses(made, synthetic, clean, real, good)
        return (made["synthetic_derained"] + 1) / 2, {
            "loss": losses["generators"],
            **losses,
        }

    def _generator_losses(self, made, synthetic, clean, real):
        def distance(left, right):
            return ops.mean(ops.abs(left - right))

        judged = zip(
            CRITICS,
            (BACKGROUNDS, ["made_synthetic_rainy"], ["made_real_rainy"]),
            strict=True,
        )
        adversarial = {
            f"adversarial_{name}": adversarial_loss(logits, True, self.adversary)
            for critic, names in judged
            for name, logits in zip(
                names, self._ask(critic, [made[name] for name in names]), strict=True
            )
        }
        backgrounds = [f"adversarial_{name}" for name in BACKGROUNDS]
        # The authors let both sides of the background terms learn.
        cycles = {
            "cycle_synthetic_rainy": distance(synthetic, made["synthetic_cycled"]),
            "cycle_real_rainy": distance(real, made["real_cycled"]),
            "cycle_synthetic_clean": distance(
                made["synthetic_derained"], made["made_real_derained"]
            ),
            "cycle_real_clean": distance(
                made["real_derained"], made["made_synthetic_derained"]
            ),
        }
        squares = {
            f"mse_{name}": ops.mean(ops.square(made[name] - clean))
            for name in ("synthetic_derained", "made_real_derained")
        }
        weights = {
            name: "adversarial_clean" if name in backgrounds else "adversarial_rainy"
            for name in adversarial
        }
        weights |= dict.fromkeys(cycles, "cycle") | dict.fromkeys(squares, "mse")
        losses = {**adversarial, **cycles, **squares}
        total = sum(self.lambdas[weights[name]] * losses[name] for name in losses)
        return {"generators": total, **losses}

    def _ask(self, critic, images):
        """A critic's answers to several batches, in one call: it judges each alone."""
        answers = getattr(self, critic)(ops.concatenate(images, axis=0))
        return ops.split(answers, len(images), axis=0)

    def _critic_losses(self, made, synthetic, clean, real, good=True):
        """Halved sums of "real is real" and "made is made", Eqs. (2)-(4).

        `good`, a scalar bool: whether the pools take the images.
        """
        made = {name: ops.stop_gradient(image) for name, image in made.items()}
        if self.pools:
            kept = (*BACKGROUNDS, "made_real_rainy", "made_synthetic_rainy")
            made = {name: self.pools[name](made[name], good=good) for name in kept}
            self.pools["clean"](clean, good=good)
            # Each estimate stands against clean images of its own.
            batch, groups = clean.shape[0], len(BACKGROUNDS)
            examples = ops.split(self.pools["clean"].draw(groups * batch), groups)
        else:
            examples = [clean] * len(BACKGROUNDS)
        given = {
            "critic_clean": (examples, [made[name] for name in BACKGROUNDS]),
            "critic_synthetic": ([synthetic], [made["made_synthetic_rainy"]]),
            "critic_real": ([real], [made["made_real_rainy"]]),
        }
        losses = {}
        for name, (right, wrong) in given.items():
            count = len(right)
            answers = self._ask(name, [*right, *wrong])
            # alpha counts the clean images against the four estimates together
            share = self.alpha / len(BACKGROUNDS) if name == "critic_clean" else 1.0
            # Means over groups of equal size: their sum is `count` times the mean.
            right, wrong = (
                ops.concatenate(part, axis=0)
                for part in (answers[:count], answers[count:])
            )
            losses[name] = 0.5 * count * (
                share * adversarial_loss(right, True, self.adversary)
                + adversarial_loss(wrong, False, self.adversary)
            )  # fmt: skip
            losses[f"{name}_gap"] = ops.mean(right) - ops.mean(wrong)
        return {"critics": sum(losses[name] for name in CRITICS), **losses}

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
            "translation": self.translation,
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


def check_networks(model):
    """Raises `ValueError` unless `model` can translate rain both ways."""
    if "make_rain_real" not in getattr(model, "networks", dict)():
        raise ValueError(
            "Only a JRGR after joint training makes rain. "
            f"Received: {type(model).__name__}"
            f"{f', stage={model.stage!r}' if hasattr(model, 'stage') else ''}."
        )
