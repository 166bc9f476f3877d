"""Contract of all de-raining networks: the base class `Derainer`."""

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from tfderain import images
from tfderain import weighting as weightings
from tfderain.models.layers import pad_to_multiple

if TYPE_CHECKING or keras.backend.backend() == "tensorflow":
    from tfderain.models.tape import TapeTraining
else:

    class TapeTraining:
        """A stand-in: other backends use Keras's own steps, with `compute_loss`."""

        def average_losses(self, losses):
            """Task losses over the whole batch, which is on a single device."""
            return losses


class Derainer(TapeTraining, keras.Model):
    """Base of the networks: padding, task losses and their weights, one training step.

    A subclass sets `self.network`, the deployable part: a layer that maps
    `(batch, height, width, 3)` rainy images in [0, 1], with sizes that are multiples of
    `stride`, to derained images in the same range, not clipped.

    Args:
        stride: int. Heights and widths are padded to a multiple of it by mirroring.
        tasks: dict from task name to `keras.losses.Loss` on images in [0, 1].
        weighting: `tfderain.weighting.Weighting`. Defaults to `Fixed()`, a sum.
        clip_training: bool. Whether losses see images clipped to [0, 1] in training, as
            those of MENET's authors do; clipped pixels then pass no gradient.
        more_losses: names of losses that a subclass adds in `forward_losses`.
        **kwargs: `name`, `dtype` and the other `keras.Model` options.

    Call: rainy `(batch, height, width, 3)` in [0, 1], any size from 1x1, to derained
    images of the same size, float32 in [0, 1].
    """

    # What training, shipping and export need to know of a network; set by subclasses.

    # Names of the layers whose kernels Muon leaves to Adam: those next to the pixels.
    outer_layers = ()

    # Constructor arguments that default to the `TrainConfig` field of the same name.
    config_arguments = ()

    # Names of the ways to train the network stage by stage, see `training_stages`.
    strategies = ()

    # Names of the representations that `represent` returns.
    views = ()

    # Whether a derained pixel depends on the whole image.
    global_operations = False

    # Whether `with_mask` also says where drops are, and training takes masks: a fourth
    # channel of the clean images.
    makes_mask = False

    # LiteRT's names of the operations that int8 exports keep in float32.
    float_operations = ()

    @classmethod
    def training_stages(cls, strategy, model_config):
        """The stages of a strategy, in order.

        Args:
            strategy: one of `strategies`.
            model_config: constructor arguments of a recipe.

        Returns:
            List of `tfderain.models.stages.Stage`.

        Raises:
            ValueError: networks with these arguments cannot be trained in this way.
        """
        raise NotImplementedError(f"{cls.__name__} is trained in a single stage.")

    @classmethod
    def takes_photos(cls, model_config):
        """Whether networks with these arguments train on pairs and real photos."""
        return False

    @classmethod
    def shipped(cls, model_config):
        """Constructor arguments of the shipped network after training with these."""
        return dict(model_config)

    def prepare_for_litert(self):
        """Chooses among equivalent computations those that LiteRT does faster."""

    def __init__(
        self,
        stride,
        tasks,
        weighting=None,
        clip_training=True,
        more_losses=(),
        **kwargs,
    ):
        # Images stay float32 under half-precision policies: bfloat16 has fewer steps in
        # [0.5, 1] than 8-bit images. Layers inside the network cast.
        super().__init__(autocast=False, **kwargs)
        self.stride = stride
        self.tasks = {task: keras.losses.get(loss) for task, loss in tasks.items()}
        self.weighting = weighting or weightings.Fixed()
        self.clip_training = clip_training
        tasks = [*tasks, *more_losses]
        names = ["loss", *tasks, *(f"weight_{task}" for task in tasks)]
        if self.weighting.needs_gradients:
            names += [f"gradient_norm_{task}" for task in tasks]
        self.loss_trackers = {name: keras.metrics.Mean(name=name) for name in names}
        # scalar int32 variables: they are part of the graph and of checkpoints
        self.bad_steps, self.bad_steps_in_a_row = (
            self.add_weight(
                (),
                "zeros",
                dtype="int32",
                trainable=False,
                aggregation="only_first_replica",
                name=name,
            )
            for name in ("bad_steps", "bad_steps_in_a_row")
        )

    @property
    def shared_kernel(self):
        """The variable whose gradients `GradientBalance` compares."""
        raise NotImplementedError(f"{type(self).__name__} has no shared kernel.")

    def build(self, input_shape):
        self.network.build((None, None, None, 3))
        self.stay_frozen()

    def stay_frozen(self):
        """Freezes what was built after `trainable` had been set to False.

        This happens when a frozen network is loaded, alone or inside another model:
        Keras's setter reaches only existing layers, and ignores an unchanged value.
        """
        if not self.trainable:
            self.trainable = True
            self.trainable = False

    def call(self, rainy, training=False):
        rainy = ops.cast(rainy, "float32")
        derained = self.network(pad_to_multiple(rainy, self.stride), training=training)
        return self.finish(derained, rainy, training)

    def finish(self, derained, rainy, training):
        """Crops the network's output to the size of the rainy images, and clips it."""
        derained = derained[:, : ops.shape(rainy)[1], : ops.shape(rainy)[2]]
        if training and not self.clip_training:
            return derained
        return ops.clip(derained, 0.0, 1.0)

    def compute_output_shape(self, input_shape):
        return input_shape

    def adopt(self, other):
        """Takes over the weights of a trained network, to continue from there.

        Args:
            other: built `Derainer` of the same class and shape.

        Returns:
            A line that says what was not taken over as it is, or `None`.

        Raises:
            ValueError: the weights of the two differ in number or shape.
        """
        take_over(self.network.weights, other.network.weights)

    def task_losses(self, clean, derained):
        """`{task: scalar loss}`, unweighted means over the batch.

        The mean is taken here: a `keras.losses.Loss` that reduces the batch itself
        also divides by the number of replicas, which must not affect the weighting.
        """
        clean, derained = (ops.cast(x, "float32") for x in (clean, derained))
        return {
            task: ops.mean(loss.call(clean, derained))
            for task, loss in self.tasks.items()
        }

    def forward_losses(self, rainy, clean, training):
        """Returns `(derained, {task: scalar})`."""
        derained = self(rainy, training=training)
        return derained, self.task_losses(clean, derained)

    def weigh(self, losses, gradient_norms=None):
        """Adds the weights, the norms and the weighted sum `"loss"` to task losses."""
        weights = self.weighting(self.average_losses(losses), gradient_norms)
        total = sum(weights[task] * losses[task] for task in losses)
        report = {"loss": total, **losses}
        report |= {f"weight_{task}": weight for task, weight in weights.items()}
        if gradient_norms:
            report |= {f"gradient_norm_{t}": n for t, n in gradient_norms.items()}
        return report

    def compute_losses(self, rainy, clean, training):
        """Returns `(derained, losses)`; `losses["loss"]` is minimised.

        `losses` also holds each unweighted task loss under its name, `weight_<task>`,
        and, with `GradientBalance`, `gradient_norm_<task>`.
        """
        if self.weighting.needs_gradients:
            return self._split(self.weigh_with_gradients(rainy, clean, training))
        return self._split(self.forward_losses(rainy, clean, training))

    def _split(self, forward):
        derained, *losses = forward
        return derained, self.weigh(*losses)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **kwargs):
        """Weighted sum of the task losses, minimised by Keras's own training steps."""
        if self.weighting.needs_gradients:
            raise ValueError(
                "GradientBalance needs tf.GradientTape, which only the TensorFlow "
                f"backend has. Received: {keras.backend.backend()}."
            )
        report = self.weigh(self.task_losses(y, y_pred))
        for name, value in report.items():
            self.loss_trackers[name].update_state(value)
        return report["loss"]

    def track(self, rainy, clean, derained, losses, finite):
        """Adds the losses of a finite step to running means; returns all metrics."""
        weight = ops.cast(finite, "float32")
        for name, value in losses.items():
            # NaN times zero is NaN, so it is replaced before it gets the weight zero.
            value = ops.where(finite, ops.cast(value, "float32"), 0.0)
            self.loss_trackers[name].update_state(value, sample_weight=weight)
        results = self.compute_metrics(rainy, clean, ops.clip(derained, 0.0, 1.0))
        means = {name: self.loss_trackers[name].result() for name in losses}
        return {**results, **means, "bad_steps": ops.cast(self.bad_steps, "float32")}

    def derain(self, image):
        """Derains one image or a batch and returns it in the kind it came in.

        The network sees only the scene, see `tfderain.images.hidden`.

        Args:
            image: PIL image, or array `(height, width)`, `(height, width, 3)` or
                `(batch, height, width, 3)`, uint8 or float in [0, 1].

        Returns:
            The derained image of the same kind, size and dtype.
        """
        like = images.Like(image)
        for rainy, derained in like.pairs:
            batch = images.to_rgb(images.to_float(rainy))[None]
            output = self(batch, training=False)
            images.store(ops.convert_to_numpy(output)[0], derained)
        return like.finished()

    def get_config(self):
        return {
            **super().get_config(),
            "tasks": {
                task: keras.saving.serialize_keras_object(loss)
                for task, loss in self.tasks.items()
            },
            "weighting": keras.saving.serialize_keras_object(self.weighting),
            "clip_training": self.clip_training,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        if config.get("tasks"):
            config["tasks"] = {
                task: keras.saving.deserialize_keras_object(loss)
                for task, loss in config["tasks"].items()
            }
        if config.get("weighting"):
            config["weighting"] = keras.saving.deserialize_keras_object(
                config["weighting"]
            )
        return cls(**config)


def take_over(mine: Any, theirs: Any):
    """Gives each variable of `mine` the value of its counterpart in `theirs`."""
    shapes = [[tuple(weight.shape) for weight in part] for part in (mine, theirs)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            "Weights can be taken over only from a network of the same shape. "
            f"Received: {len(theirs)} weights for {len(mine)}."
        )
    for weight, value in zip(mine, theirs, strict=True):
        weight.assign(value)
