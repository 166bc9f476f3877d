"""Training by recipe, in a run folder that survives being killed at any moment.

```python
config = training.resolve("menet", overrides=["epochs=20"])
best = training.train(config, "runs/menet", "Rain800", layout="left_clean")
model = tfderain.models.load(best)
```

A run folder holds `config.json` (config, data, versions, commit), `history.csv`,
`logs/` for TensorBoard, `pool.npy` (rain layers), `best.keras` (the weights to use),
and `state.json` with `checkpoints/`, from which the same command goes on.
"""

import dataclasses
import functools
import os
import pathlib

import keras
import numpy as np

from tfderain import (
    files,
    losses,
    metrics,
    models,
    optimizers,
    runs,
    weighting,
    winograd,
)
from tfderain.data import pairs as pairing
from tfderain.data import pipeline, rain
from tfderain.models import resunet
from tfderain.models.entanglement import STAGES
from tfderain.recipes import (
    ABLATIONS,
    RECIPES,
    TrainConfig,
    ablate,
    override,
    resolve,
)
from tfderain.runs import NonFiniteLoss
from tfderain.stages import stage_config, stages_of

__all__ = [
    "ABLATIONS",
    "RECIPES",
    "NonFiniteLoss",
    "TrainConfig",
    "ablate",
    "build_model",
    "compile_model",
    "fit",
    "override",
    "resolve",
    "train",
]

LOSSES = {
    "reconstruction": losses.Reconstruction,
    "edge": losses.Edge,
    "texture": losses.Texture,
    "perceptual": losses.Perceptual,
}


# From config to compiled model


def build_model(config, mixed_precision=None):
    """A new, built network of a config, not compiled.

    Args:
        config: `TrainConfig`.
        mixed_precision: dtype policy of the layers; `None` for float32.

    Raises:
        ValueError: for unknown tasks or constructor arguments.
    """
    arguments = dict(config.model_config)
    if "tasks" in arguments:
        arguments["tasks"] = {
            name: _loss(name, options, config)
            for name, options in arguments["tasks"].items()
        }
    if "weighting" in arguments:
        arguments["weighting"] = _weighting(arguments["weighting"])
    if config.model == "jrgr":
        arguments.setdefault("crop", config.crop)
    classes = {
        "menet": models.MENET,
        "erlnet": models.ERLNet,
        "jrgr": models.JRGR,
        "rainmer": models.Rainmer,
        "drsformer": models.DRSformer,
        "resunet": resunet.ResUNet,
    }
    model = classes[config.model](dtype=mixed_precision or "float32", **arguments)
    model.build((None, None, None, 3))
    return model


def shipped(config):
    """The config of the network that is left after training: without a stage.

    JRGR keeps all four of its networks, but no critics; Rainmer no key encoder.
    """
    model_config = dict(config.model_config)
    stage = model_config.pop("stage", None)
    if config.model == "jrgr":
        model_config["stage"] = "pretrain" if stage == "pretrain" else "deploy"
    if config.model == "rainmer":
        model_config["contrast_weight"] = 0.0
    return dataclasses.replace(config, model_config=model_config)


def _loss(name, options, config):
    if "class_name" in options:
        return keras.saving.deserialize_keras_object(options)
    if name not in LOSSES:
        raise ValueError(
            f"Tasks must be among {', '.join(LOSSES)}. Received: task={name!r}."
        )
    if name == "perceptual":
        options = {"weights": config.vgg_weights, **options}
    return LOSSES[name](**options)


def _weighting(value):
    if value == "LB":
        return weighting.LossBalance()
    if value == "GB":
        return weighting.GradientBalance()
    if isinstance(value, dict):
        if "class_name" in value:
            return keras.saving.deserialize_keras_object(value)
        return weighting.Fixed(value)
    raise ValueError(
        '`weighting` must be "GB", "LB" or a dict of fixed weights. '
        f"Received: weighting={value!r}."
    )


def learning_rate(config, steps_per_epoch):
    """The learning rate of a config: a float or a Keras schedule over the steps."""
    rate, total = config.learning_rate, config.epochs * steps_per_epoch
    schedules = keras.optimizers.schedules
    if config.schedule in ("constant", "plateau"):
        return rate
    if config.schedule == "steps":
        # Keras goes on with the old value at a boundary itself, hence the -1.
        boundaries = [epoch * steps_per_epoch - 1 for epoch in (40, 80)]
        return schedules.PiecewiseConstantDecay(
            boundaries, [rate, rate / 10, rate / 100]
        )
    if config.schedule == "linear":
        half = max(1, total // 2)
        return optimizers.LinearDecay(rate, constant_steps=total - half, steps=half)
    if config.schedule in ("cycles", "hold"):
        first = round(total * 92 / 300)
        ends = rate / 3 if config.schedule == "cycles" else rate, rate / 300
        return optimizers.CosineCycles(rate, (max(1, first), total - first), ends)
    warm_up = min(500, max(1, total // 50))
    if config.schedule == "stable":
        return optimizers.StableDecay(rate, 200, total - total // 4, total // 4)
    return schedules.CosineDecay(
        0.0, max(1, total - warm_up), warmup_target=rate, warmup_steps=warm_up
    )


def compile_model(model, config, steps_per_epoch):
    """Gives a model the optimizer, metric and execution options of a config."""
    options = {"global_clipnorm": config.clip_norm}
    if config.optimizer == "two_groups":  # which clips by itself
        options = {"clip": config.clip_norm or float("inf")}
    if config.accumulate > 1:
        options["gradient_accumulation_steps"] = config.accumulate
    classes = {
        "adam": functools.partial(
            optimizers.GroupAdam, rates=config.rates, beta_1=config.beta_1
        ),
        "muon": functools.partial(
            optimizers.ConvMuon, exclude_layers=list(model.outer_layers)
        ),
        "adamw": functools.partial(
            keras.optimizers.AdamW, weight_decay=config.weight_decay
        ),
        "two_groups": functools.partial(
            optimizers.TwoGroupAdamW, weight_decay=config.weight_decay
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
    # Its variables have to exist before a checkpoint is read into them. A wrapped
    # optimizer (float16) marks itself built only when it builds itself.
    model.optimizer.build(model.trainable_variables)
    model.optimizer.built = True
    return model


def policy(config):
    """The Keras dtype policy of a config; sets what is no policy (`cpu_bfloat16`)."""
    if config.mixed_precision != "cpu_bfloat16":
        return config.mixed_precision
    import tensorflow as tf

    options = {"auto_mixed_precision_onednn_bfloat16": True}
    tf.config.optimizer.set_experimental_options(options)
    return None


class Pictures(keras.callbacks.Callback):
    """Writes `rainy | derained | clean` of some validation patches for TensorBoard."""

    def __init__(self, folder, rainy, clean, every):
        super().__init__()
        self.folder, self.rainy, self.clean, self.every = folder, rainy, clean, every

    def on_train_begin(self, logs=None):
        import tensorflow as tf

        self.writer = tf.summary.create_file_writer(str(self.folder))

    def on_train_end(self, logs=None):
        self.writer.close()

    def on_epoch_end(self, epoch, logs=None):
        import tensorflow as tf

        if epoch % self.every:
            return
        with runs.averaged(self.model) as model:
            derained = model(self.rainy, training=False)
        strips = tf.concat([self.rainy, derained, self.clean], axis=2)
        with self.writer.as_default(step=epoch):
            tf.summary.image("rainy | derained | clean", strips, max_outputs=8)


# Training


def fit(
    model, config, run_dir, batches, validation, steps, callbacks=(), verbose="auto"
):
    """Trains a compiled model in a prepared run folder, going on where it stands.

    Args:
        model: compiled `Derainer`.
        config: `TrainConfig`.
        run_dir: see `prepare_run`.
        batches: callable from the number of the first batch to endless batches.
        validation: arrays `(rainy, clean)`, see `validation_patches`.
        steps: per epoch.
        callbacks: more of them; they run before the state is saved.
        verbose: as in `keras.Model.fit`.

    Returns:
        Path of `best.keras`: averaged weights of the epoch with the best validation
        PSNR, float32, without optimizer.

    Raises:
        NonFiniteLoss: after `config.max_bad_steps` bad steps in a row.
    """
    run_dir = pathlib.Path(run_dir)
    state = runs.read_state(run_dir)
    if state["checkpoint"]:
        model.load_weights(run_dir / "checkpoints" / state["checkpoint"])
        runs.publish_best(run_dir, state)
    runs.truncate_history(run_dir / "history.csv", state["epoch"])
    if state["epoch"] < config.epochs:
        model.fit(
            batches(state["epoch"] * steps),
            steps_per_epoch=steps,
            epochs=config.epochs,
            initial_epoch=state["epoch"],
            validation_data=validation,
            validation_batch_size=config.batch_size,
            callbacks=[
                runs.LearningRate(),
                *callbacks,
                *(
                    [runs.Plateau(run_dir / "history.csv")]
                    if config.schedule == "plateau"
                    else []
                ),
                runs.RunState(run_dir, config, state, build_model(shipped(config))),
            ],
            shuffle=False,  # the batches come in their order
            verbose=verbose,
        )
    return run_dir / "best.keras"


def train(
    config,
    run_dir,
    data,
    streaks=None,
    layout="auto",
    pattern=None,
    start=None,
    verbose="auto",
    real=None,
    weights=None,
):
    """Trains a recipe on a folder of pairs, or goes on with a run that was stopped.

    A recipe with a `strategy` trains one stage after the other, each in a folder of its
    own inside `run_dir`. A finished stage is not trained again, also when another
    strategy shares it: `clean_to_clean/`, `MEMD/`, then `MA_A-mlgd/` and so on.

    Args:
        config: `TrainConfig`, see `resolve`.
        run_dir: folder of the run. If it holds an unfinished run with these settings,
            training goes on after its last whole epoch, with the same result as
            without the interruption.
        data: folder of rainy/clean pairs, see `tfderain.data.pairs.find_pairs`, or a
            sequence of such folders to train on at once.
        streaks: folder with pictures of rain streaks on black, mixed into the rain
            layers; `None` for rendered rain alone.
        layout, pattern: see `find_pairs`. For several folders one for all of them, or
            a sequence with one for each.
        start: trained network whose weights a new run starts from, see
            `tfderain.models.load`; `None` for random weights.
        verbose: as in `keras.Model.fit`.
        real: folder of real rainy photos, for JRGR.
        weights: how much of the samples comes from each of several folders, in
            proportion; `None`: each pair counts alike.

    Returns:
        Path of the best weights: `best.keras` in the run folder, or in that of the
        last stage.

    Raises:
        ValueError: for unusable data, or a run folder with other settings.
        NonFiniteLoss: after `config.max_bad_steps` bad steps in a row.
    """
    sources = {
        **runs.sources_of(data, layout, pattern, weights),
        "streaks": streaks and os.path.abspath(streaks),
    }
    if real is not None:
        sources["real"] = os.path.abspath(real)
    if (config.model == "jrgr") != (real is not None):
        raise ValueError(
            "JRGR is trained with real rainy photos (`real`), other networks without. "
            f"Received: model={config.model!r}, real={real}."
        )
    if config.strategy is None:
        return train_stage(config, run_dir, sources, start, verbose=verbose)
    run_dir, teacher = pathlib.Path(run_dir), None
    for name, stage, settings in stages_of(config):
        reads_features = config.model == "erlnet" and STAGES[stage][1]
        if reads_features and teacher is None:
            clean = stage_config(config, "clean_to_clean", "main", inputs="clean")
            folder = run_dir / "clean_to_clean"
            teacher = train_stage(clean, folder, sources, verbose=verbose)
        start = train_stage(
            settings,
            run_dir / name,
            sources,
            start,
            teacher if reads_features else None,
            verbose,
        )
    return start


def train_stage(config, run_dir, sources, start=None, teacher=None, verbose="auto"):
    """One run in a folder of its own.

    Args:
        config: `TrainConfig` without strategy.
        run_dir, start, verbose: see `train`.
        sources: dict of `data`, `layout`, `pattern`, `streaks` and perhaps `real` and
            `weights`, see `train`.
        teacher: network trained on clean images, for a stage with the feature loss.

    Returns:
        Path of the best weights, `<run_dir>/best.keras`.
    """
    training, validation = pairing.split_by_background(
        runs.find_pairs(sources), config.validation_fraction, config.seed
    )
    from_weights = {"start": start and str(start), "teacher": teacher and str(teacher)}
    run_dir = runs.prepare_run(config, run_dir, {**sources, **from_weights})
    pool = rain_pool(config, run_dir, sources["streaks"])
    steps = config.steps_per_epoch
    if steps is None:
        patches = pipeline.epoch_size(training, config.crops)
        steps = max(1, patches // config.batch_size)
    set_up(config)
    model = build_model(config, policy(config))
    if start and not runs.read_state(run_dir)["checkpoint"]:
        model.adopt(models.load(start))
    if teacher:
        model.learn_from(models.load(teacher))
    model = compile_model(model, config, steps)

    mixer = None if pool is None else rain.RainMixer(pool, **config.degrade)

    def batches(first):
        options = {"start": first, "flips": config.flips, "degrade": mixer}
        sizes = (config.crop, config.batch_size, config.seed)
        if config.model_config.get("stage") == "joint":
            photos = pairing.find_images(sources["real"], recursive=True)
            return pipeline.unpaired_dataset(training, photos, *sizes, **options)
        options["crops"] = config.crops
        made = pipeline.train_dataset(training, *sizes, **options)
        if config.inputs == "clean":
            made = made.map(lambda rainy, clean: (clean, clean))
        return made

    held_out = validation_patches(validation, config, pool)
    rainy, clean = (part[:: -(-len(part) // 8)] for part in held_out)  # 8 to look at
    callbacks = [
        keras.callbacks.TensorBoard(run_dir / "logs", write_graph=False),
        Pictures(run_dir / "logs", rainy, clean, max(1, config.epochs // 20)),
    ]
    return fit(model, config, run_dir, batches, held_out, steps, callbacks, verbose)


def set_up(config):
    """Seeds everything; deterministic and Winograd's operations, as the config says."""
    keras.utils.set_random_seed(config.seed)
    winograd.use(config.winograd)
    if config.deterministic:
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def rain_pool(config, run_dir, streaks=None):
    """The rain layers of a run, rendered once, or `None` without `degrade`."""
    if config.degrade is None:
        return None
    path = run_dir / "pool.npy"
    if not path.exists():
        pool = rain.streak_pool(
            config.pool_count, config.pool_size, config.seed, streaks
        )
        with files.replacing(path) as temporary:
            np.save(temporary, pool)
    return np.load(path, mmap_mode="r")


def validation_patches(pairs, config, pool):
    """Patches of the validation pairs: their own rain, and fixed synthetic rain.

    Returns:
        `(rainy, clean)`, float32 arrays `(patches, crop, crop, 3)` in [0, 1]; whole
        batches of them, at least `config.validation_crops`. A function of the
        arguments alone.
    """
    halves = [None]
    if pool is not None:
        # No clean patches: their PSNR would outweigh that of the rainy ones.
        shares = {**config.degrade, "real_share": 0.0, "clean_share": 0.0}
        halves.append(rain.RainMixer(pool, **shares))
    count = -(-config.validation_crops // (config.batch_size * len(halves)))
    batches = []
    for degrade in halves:
        sampler = pipeline.make_sampler(
            pairs, config.crop, config.batch_size, config.seed + 1, degrade=degrade
        )
        batches += [sampler.batch(index) for index in range(count)]
    rainy, clean = zip(*batches, strict=True)
    if config.inputs == "clean":
        rainy = clean
    return np.concatenate(rainy), np.concatenate(clean)
