"""Training loop: a recipe in a run folder that survives being killed at any moment.

```python
config = training.resolve("menet", overrides=["epochs=20"])
best = training.train(config, "runs/menet", "Rain800", layout="left_clean")
model = tfderain.models.load(best)
```

A run folder holds `config.json` (config, data, versions, commit), `history.csv`,
`logs/` for TensorBoard, `pool.npy` (rain layers), `best.keras` (the weights to use),
and `state.json` with `checkpoints/`, from which the same command goes on.
"""

import os
import pathlib

import keras
import numpy as np

from tfderain import files, models
from tfderain.data import pairs as pairing
from tfderain.data import pipeline, rain
from tfderain.training import run_folder
from tfderain.training.building import build_model, shipped
from tfderain.training.compiling import compile_model, policy, set_up
from tfderain.training.strategies import stages_of, takes_photos


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
        with run_folder.averaged(self.model) as model:
            derained = model(self.rainy, training=False)
        strips = tf.concat([self.rainy, derained, self.clean], axis=2)
        with self.writer.as_default(step=epoch):
            tf.summary.image("rainy | derained | clean", strips, max_outputs=8)


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
    state = run_folder.read_state(run_dir)
    if state["checkpoint"]:
        model.load_weights(run_dir / "checkpoints" / state["checkpoint"])
        run_folder.publish_best(run_dir, state)
    run_folder.truncate_history(run_dir / "history.csv", state["epoch"])
    if state["epoch"] < config.epochs:
        model.fit(
            batches(state["epoch"] * steps),
            steps_per_epoch=steps,
            epochs=config.epochs,
            initial_epoch=state["epoch"],
            validation_data=validation,
            validation_batch_size=config.batch_size,
            callbacks=[
                run_folder.LearningRate(),
                *callbacks,
                *(
                    [run_folder.Plateau(run_dir / "history.csv")]
                    if config.schedule == "plateau"
                    else []
                ),
                run_folder.RunState(
                    run_dir, config, state, build_model(shipped(config))
                ),
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
        **run_folder.sources_of(data, layout, pattern, weights),
        "streaks": streaks and os.path.abspath(streaks),
    }
    if real is not None:
        sources["real"] = os.path.abspath(real)
    stages = [] if config.strategy is None else stages_of(config)
    if takes_photos(config) != (real is not None):
        raise ValueError(
            "JRGR is trained with real rainy photos (`real`), other networks without. "
            f"Received: model={config.model!r}, real={real}."
        )
    if not stages:
        return train_stage(config, run_dir, sources, start, verbose=verbose)
    run_dir, teacher = pathlib.Path(run_dir), None
    for stage, settings in stages:
        folder = run_dir / stage.folder
        if stage.teaches:
            teacher = train_stage(settings, folder, sources, verbose=verbose)
        else:
            taught = teacher if stage.learns else None
            start = train_stage(settings, folder, sources, start, taught, verbose)
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
        run_folder.find_pairs(sources), config.validation_fraction, config.seed
    )
    from_weights = {"start": start and str(start), "teacher": teacher and str(teacher)}
    run_dir = run_folder.prepare_run(config, run_dir, {**sources, **from_weights})
    pool = rain_pool(config, run_dir, sources["streaks"])
    steps = config.steps_per_epoch
    if steps is None:
        patches = pipeline.epoch_size(training, config.crops)
        steps = max(1, patches // config.batch_size)
    set_up(config)
    model = build_model(config, policy(config))
    if start and not run_folder.read_state(run_dir)["checkpoint"]:
        model.adopt(models.load(start))
    if teacher:
        model.learn_from(models.load(teacher))
    model = compile_model(model, config, steps)

    mixer = None if pool is None else rain.RainMixer(pool, **config.degrade)

    def batches(first):
        options = {"start": first, "flips": config.flips, "degrade": mixer}
        sizes = (config.crop, config.batch_size, config.seed)
        if takes_photos(config):
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
