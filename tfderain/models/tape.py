"""Training step of all networks on `tf.GradientTape`.

It works as a graph under `fit`, with `jit_compile=True`, with loss scaling, and under
`tf.distribute.MirroredStrategy` with the same numbers as one replica that sees the
whole batch. A step whose loss or gradients are not finite changes nothing and is
counted.
"""

from typing import Any

import keras
import tensorflow as tf


def mean_over_replicas(tensors: Any):
    """Means of a nest of tensors over all replicas; the nest itself on one device."""
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return tensors
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, tensors)


def shared_gradient_norms(tape: Any, losses: Any, kernel: Any):
    """`{task: l2 norm of d loss / d kernel}` of the whole batch over all replicas."""
    kernel = kernel.value if hasattr(kernel, "value") else kernel
    gradients = {task: tape.gradient(loss, kernel) for task, loss in losses.items()}
    gradients = mean_over_replicas(gradients)
    return {task: tf.norm(tf.cast(g, tf.float32)) for task, g in gradients.items()}


def all_finite(loss: Any, gradients: Any):
    """Whether loss and gradients are finite on every replica, a scalar bool."""
    checks = [tf.reduce_all(tf.math.is_finite(t)) for t in (loss, *gradients)]
    finite = tf.cast(tf.reduce_all(tf.stack(checks)), tf.float32)
    return mean_over_replicas(finite) >= 1.0


def apply_if(finite: Any, optimizer: Any, gradients: Any, variables: Any):
    """Lets the optimizer step if `finite` is true; otherwise changes nothing.

    Under a strategy the condition has to be outside the replicas, because the optimizer
    merges their gradients inside its step.
    """

    def apply():
        optimizer.apply(gradients, variables)

    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        tf.cond(finite, apply, lambda: None)
        return

    def across_replicas(strategy, finite, gradients):
        def apply_everywhere():
            strategy.extended.call_for_each_replica(
                optimizer.apply, args=(gradients, variables)
            )

        first = strategy.experimental_local_results(finite)[0]
        tf.cond(first, apply_everywhere, lambda: None)

    tf.distribute.get_replica_context().merge_call(
        across_replicas, args=(finite, gradients)
    )


class TapeTraining(keras.Model):
    """Gives a `Derainer` its `train_step` and `test_step` on the TensorFlow backend."""

    def make_train_function(self, force=False):
        # The optimizer's variables must exist before the condition around its step.
        with self.distribute_strategy.scope():
            if not self.built:
                self.build((None, None, None, 3))
            if not self.optimizer.built:
                self.optimizer.build(self.trainable_variables)
        return super().make_train_function(force)

    def weigh_with_gradients(self, rainy, clean, training):
        """As `forward_losses`, plus the gradient norms that the weighting asks for."""
        with tf.GradientTape(persistent=True) as tape:
            derained, losses = self.forward_losses(rainy, clean, training)
        return derained, losses, shared_gradient_norms(tape, losses, self.shared_kernel)

    def average_losses(self, losses):
        """Task losses over the whole batch, so that all replicas weight alike."""
        return mean_over_replicas(losses)

    def gather_batch(self, tensors):
        """Dict of the tensors `(batch, ...)` of all replicas, concatenated."""
        if tf.distribute.get_strategy().num_replicas_in_sync == 1:
            return tensors
        context = tf.distribute.get_replica_context()
        return context.all_gather(tensors, axis=0)

    def train_step(self, data):
        rainy, clean = data
        variables = self.trainable_variables
        with tf.GradientTape() as tape:
            derained, losses = self.compute_losses(rainy, clean, training=True)
            # The optimizer sums the gradients of the replicas.
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            loss = self.optimizer.scale_loss(losses["loss"] / replicas)
        gradients = tape.gradient(loss, variables)
        finite = self.step(losses["loss"], gradients, variables)
        return self.track(rainy, clean, derained, losses, finite)

    def step(self, loss, gradients, variables):
        """Applies gradients unless something is not finite; returns whether it did."""
        finite = all_finite(loss, gradients)
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            # It skips such steps itself, and must see them to lower its scale.
            self.optimizer.apply(gradients, variables)
        else:
            apply_if(finite, self.optimizer, gradients, variables)
        one = tf.where(finite, 0, 1)
        self.bad_steps.assign_add(one)
        self.bad_steps_in_a_row.assign((self.bad_steps_in_a_row + one) * one)
        return finite

    def test_step(self, data):
        rainy, clean = data
        derained, losses = self.compute_losses(rainy, clean, training=False)
        finite = tf.constant(True)
        return self.track(rainy, clean, derained, losses, finite)


class AdversarialTraining(TapeTraining):
    """Joint training of networks and the critics that judge them.

    A model with `stage == "joint"` has `joint_losses(*images)`, whose `generators` and
    `critics` are minimised by the two groups of `trained_variables()`. All gradients
    come from one forward pass and are applied together, which is the same as one after
    the other, since the generated images were computed before.
    """

    def train_step(self, data):
        if self.stage != "joint":
            return super().train_step(data)
        synthetic, clean, _ = data
        groups = self.trained_variables()
        with tf.GradientTape(persistent=True) as tape:
            derained, losses = self.joint_losses(*data)
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            totals = [
                self.optimizer.scale_loss(losses[name] / replicas)
                for name in ("generators", "critics")
            ]
        gradients, variables = [], []
        for total, group in zip(totals, groups, strict=True):
            gradients += tape.gradient(total, group)
            variables += group
        del tape
        loss = losses["generators"] + losses["critics"]
        finite = self.step(loss, gradients, variables)
        return self.track(synthetic, clean, derained, losses, finite)
