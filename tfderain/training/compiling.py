"""Compiling of networks: a recipe's optimizer, learning rate, precision and seed."""

import contextlib
import functools
from typing import Any

import keras

from tfderain import metrics, optimizers
from tfderain.models import winograd
from tfderain.training.config import TrainConfig


def learning_rate(config: TrainConfig, steps_per_epoch: int):
    """The learning rate of a config: a float or a Keras schedule over the steps."""
    rate, total = config.learning_rate, config.epochs * steps_per_epoch
    schedules = keras.optimizers.schedules
    if config.schedule in ("constant", "plateau"):
        return rate
    if config.schedule == "steps":
        # Keras still uses the old value at the boundary itself, hence the -1.
        boundaries = [epoch * steps_per_epoch - 1 for epoch in config.milestones]
        rates = [
            rate * config.milestone_factor**count
            for count in range(len(boundaries) + 1)
        ]
        return schedules.PiecewiseConstantDecay(boundaries, rates)
    if config.schedule == "linear":
        half = max(1, total // 2)
        return optimizers.LinearDecay(rate, constant_steps=total - half, steps=half)
    if config.schedule in ("cycles", "hold"):
        first = round(total * 92 / 300)
        ends = rate / 3 if config.schedule == "cycles" else rate, rate / 300
        return optimizers.CosineCycles(rate, (max(1, first), total - first), ends)
    if config.schedule == "stable":
        return optimizers.StableDecay(rate, 200, total - total // 4, total // 4)
    warm_up = min(500, max(1, total // 50))
    return schedules.CosineDecay(
        0.0, max(1, total - warm_up), warmup_target=rate, warmup_steps=warm_up
    )


def compile_model(model: Any, config: TrainConfig, steps_per_epoch: int):
    """Gives a model the optimizer, metric and execution options of a config."""
    options = {"global_clipnorm": config.clip_norm}
    if config.optimizer == "two_groups":  # does its own clipping
        options = {"clip": config.clip_norm or float("inf")}
    if config.accumulate > 1:
        options["gradient_accumulation_steps"] = config.accumulate
    adam = {} if config.epsilon is None else {"epsilon": config.epsilon}
    classes = {
        "adam": functools.partial(
            optimizers.GroupAdam, rates=config.rates, beta_1=config.beta_1, **adam
        ),
        "muon": functools.partial(
            optimizers.ConvMuon, exclude_layers=list(model.outer_layers)
        ),
        "adamw": functools.partial(
            keras.optimizers.AdamW, weight_decay=config.weight_decay, **adam
        ),
        "two_groups": functools.partial(
            optimizers.TwoGroupAdamW, weight_decay=config.weight_decay, **adam
        ),
    }
    optimizer = classes[config.optimizer](
        learning_rate(config, steps_per_epoch),
        **options,
        use_ema=config.ema is not None,
        ema_momentum=config.ema if config.ema is not None else 0.99,
    )
    model.compile(
        optimizer=optimizer,
        metrics=[metrics.PSNR("rgb_gaussian", name="psnr_rgb")],
        jit_compile=config.jit,
    )
    # The optimizer's variables must exist before a checkpoint is read into them. A
    # wrapped optimizer (float16) is marked as built only if it is built itself.
    model.optimizer.build(model.trainable_variables)
    model.optimizer.built = True
    return model


def policy(config: TrainConfig):
    """The Keras dtype policy of a config; `cpu_bfloat16` is not one, see `switches`."""
    chosen = config.mixed_precision
    return None if chosen == "cpu_bfloat16" else chosen


@contextlib.contextmanager
def switches(config: TrainConfig):
    """Changes settings of the whole process, and restores them on leaving.

    Seeds everything, and chooses Winograd's operations, oneDNN's bfloat16 and
    deterministic operations by the config. Everything computed inside must also be
    traced inside.
    """
    keras.utils.set_random_seed(config.seed)
    with contextlib.ExitStack() as stack:
        stack.callback(winograd.use, winograd.use(config.winograd))
        if config.mixed_precision == "cpu_bfloat16":
            stack.enter_context(_onednn_bfloat16())
        if config.deterministic:
            stack.enter_context(_determinism())
        yield


@contextlib.contextmanager
def _onednn_bfloat16():
    import tensorflow as tf

    name, optimizer = "auto_mixed_precision_onednn_bfloat16", tf.config.optimizer
    before = optimizer.get_experimental_options().get(name, False)
    optimizer.set_experimental_options({name: True})
    try:
        yield
    finally:
        optimizer.set_experimental_options({name: before})


@contextlib.contextmanager
def _determinism():
    # Only switching it on is public.
    from tensorflow.python.framework import config as tensorflow_config

    before = tensorflow_config.is_op_determinism_enabled()
    tensorflow_config.enable_op_determinism()
    try:
        yield
    finally:
        if not before:
            tensorflow_config.disable_op_determinism()
