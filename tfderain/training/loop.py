"""Training loop: a recipe in a run folder, safe against being killed at any moment.

```python
config = training.resolve("menet", overrides=["epochs=20"])
material = training.Material([training.Source("Rain800", "left_clean")])
best = training.train(config, "runs/menet", material)
model = tfderain.models.load(best)
```

A run folder holds `config.json` (config, data, versions, commit), `data.json` (the
files that are read, and those for validation), `history.csv`, `logs/` for TensorBoard,
`pool*.npy` (rain layers), `best.keras` (the weights to use), and `state.json` with
`checkpoints/`, from which the same command continues.
"""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Collection, Sequence
from typing import Any

import keras
import numpy as np

from tfderain import models
from tfderain.data import pairs as pairing
from tfderain.data import pipeline
from tfderain.training import checking, contents, history, mixing, run_folder
from tfderain.training.building import build_model, shipped
from tfderain.training.compiling import compile_model, policy, switches
from tfderain.training.config import TrainConfig
from tfderain.training.material import Material
from tfderain.training.strategies import stages_of, takes_photos


class Pictures(keras.callbacks.Callback):
    """Shows `rainy | derained | clean` of some validation patches in TensorBoard."""

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
        strips = tf.concat([self.rainy, derained, self.clean[..., :3]], axis=2)
        with self.writer.as_default(step=epoch):
            tf.summary.image("rainy | derained | clean", strips, max_outputs=8)


class KindScores(keras.callbacks.Callback):
    """Adds the validation PSNR of each kind of rain to the logs.

    Args:
        kinds: names of the kinds, in the order of the validation patches.
        batches: number of batches of each.
    """

    def __init__(self, kinds, batches):
        super().__init__()
        self.kinds, self.batches, self.sums = list(kinds), batches, []

    def on_test_begin(self, logs=None):
        self.sums = [0.0]

    def on_test_batch_end(self, batch, logs=None):
        if logs and (batch + 1) % self.batches == 0:
            # the mean so far, of batches of equal size
            mean = float(keras.ops.convert_to_numpy(logs["psnr_rgb"]))
            self.sums.append(mean * (batch + 1))

    def on_epoch_end(self, epoch, logs):
        ends = zip(self.kinds, self.sums[:-1], self.sums[1:], strict=True)
        for kind, before, after in ends:
            if logs is not None:
                logs[f"val_psnr_rgb_{kind}"] = (after - before) / self.batches


def fit(
    model: Any,
    config: TrainConfig,
    run_dir: str | os.PathLike,
    batches: Callable[[int], Any],
    validation: tuple[np.ndarray, np.ndarray] | None,
    steps: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: str | int = "auto",
):
    """Trains a compiled model in a prepared run folder, from its present state.

    Args:
        model: compiled `Derainer`.
        config: `TrainConfig`.
        run_dir: see `prepare_run`.
        batches: callable from the number of the first batch to endless batches.
        validation: arrays `(rainy, clean)`, see `validation_patches`, or `None`.
        steps: steps per epoch.
        callbacks: further callbacks; they run before the state is saved.
        verbose: as in `keras.Model.fit`.

    Returns:
        Path of `best.keras`: averaged weights of the epoch with the best validation
        PSNR, or of the last one (`keep`), in float32, without an optimizer.

    Raises:
        images.ImageError: for a picture that is damaged behind its header.
        NonFiniteLoss: after `config.max_bad_steps` bad steps in a row.
    """
    run_dir = pathlib.Path(run_dir)
    state = run_folder.read_state(run_dir)
    if state["checkpoint"]:
        run_folder.load_checkpoint(model, run_dir, state)
        run_folder.publish_best(run_dir, state)
    history.truncate(run_dir / "history.csv", state["epoch"])
    if state["epoch"] < config.epochs:
        with pipeline.plain_errors():
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
    config: TrainConfig,
    run_dir: str | os.PathLike,
    material: Material,
    verbose: str | int = "auto",
    say: Callable | None = None,
):
    """Trains a recipe on folders of pairs, or continues a run that was stopped.

    A recipe with a `strategy` trains one stage after another, each in its own subfolder
    of `run_dir`. A finished stage is not trained again, even if another strategy shares
    it: `clean_to_clean/`, `MEMD/`, then `MA_A-mlgd/` and so on.

    Args:
        config: `TrainConfig`, see `resolve`.
        run_dir: folder of the run. If it holds an unfinished run with these settings,
            training continues after its last complete epoch, with the same result as
            without the interruption.
        material: `Material`, the folders and files to read.
        verbose: as in `keras.Model.fit`.
        say: called with a line for each change of the data, or `None`.

    Returns:
        Path of the best weights: `best.keras` in the run folder, or in that of the
        last stage.

    Raises:
        ValueError: for unknown settings, unusable data, a run folder with other
            settings or other data, or a damaged file in it.
        NonFiniteLoss: after `config.max_bad_steps` bad steps in a row.
    """
    checking.check(config)
    stages = [] if config.strategy is None else stages_of(config)
    if takes_photos(config) and material.photos is None:
        material = dataclasses.replace(material, photos=photos_beside(material))
    if takes_photos(config) != (material.photos is not None):
        raise ValueError(
            "JRGR and CycleGAN need real rainy photos (`photos`), other networks "
            f"do not take any. Received: model={config.model!r}, "
            f"photos={material.photos}."
        )
    if not stages:
        return train_stage(config, run_dir, material, verbose, say)
    run_dir, teacher, best = pathlib.Path(run_dir), None, material.start
    for stage, settings in stages:
        folder = run_dir / stage.folder
        if stage.teaches:
            alone = dataclasses.replace(material, start=None)
            teacher = train_stage(settings, folder, alone, verbose, say)
        else:
            taught = teacher if stage.learns else None
            reads = dataclasses.replace(material, start=best, teacher=taught)
            best = train_stage(settings, folder, reads, verbose, say)
    return best


def train_stage(
    config: TrainConfig,
    run_dir: str | os.PathLike,
    material: Material,
    verbose: str | int = "auto",
    say: Callable | None = None,
):
    """Trains one run in its own folder.

    Args:
        config: `TrainConfig` without a strategy.
        run_dir, material, verbose, say: see `train`.

    Returns:
        Path of the best weights, `<run_dir>/best.keras`.
    """
    data = pairing.find_mixture(material.sources)
    pairing.check(data, config.crop)
    if takes_photos(config):
        photos = photos_of(material)
        pairing.check(pairing.Pairs(photos, photos), config.crop)
    with run_folder.starting(run_dir):
        return _train_on(data, config, run_dir, material, verbose, say)


def _train_on(data, config, run_dir, material, verbose, say):
    """Trains on checked pairs, see `train_stage`."""
    about, reads = material.as_dict(), contents.describe(material, data)
    before = run_folder.check_run(config, run_dir, about, reads, say)
    pairs, held_out, sides = contents.split(config, material, data, before)
    for source, lists in zip(reads["sources"], sides, strict=True):
        source |= lists
    run_dir = run_folder.prepare_run(config, run_dir, about, reads)
    pools = mixing.rain_pools(config, run_dir, material)
    kinds = mixing.validation_kinds(held_out or pairs, config, pools)
    if held_out is None:  # nothing to validate on: some training pairs to look at
        few = dataclasses.replace(config, validation_crops=8)
        validation, shown = None, mixing.validation_patches(kinds, few)
    else:
        validation = shown = mixing.validation_patches(kinds, config)
    steps = config.steps_per_epoch or epoch_steps(config, pairs, material)
    with switches(config):
        model = prepared_model(config, run_dir, material, steps, say)
        batches = training_batches(config, pairs, material, pools)
        callbacks = observers(config, run_dir, kinds if validation else (), shown)
        return fit(
            model, config, run_dir, batches, validation, steps, callbacks, verbose
        )


def photos_beside(material: Material) -> str | None:
    """The photos of JRGR's layout: `Ot` beside `Os` and `Bs` in a source."""
    folders = [os.path.join(source.folder, "Ot") for source in material.sources]
    return next(filter(os.path.isdir, folders), None)


def epoch_steps(config: TrainConfig, pairs: Any, material: Material) -> int:
    """Steps per epoch: all patches once, or, with photos, the shorter of both lists.

    JRGR's authors draw pairs and photos from two shuffled lists until one ends.
    """
    patches = pipeline.epoch_size(pairs, config.crops)
    if takes_photos(config):
        patches = min(patches, len(photos_of(material)))
    return max(1, patches // config.batch_size)


def prepared_model(
    config: TrainConfig,
    run_dir: pathlib.Path,
    material: Material,
    steps: int,
    say: Callable | None = None,
):
    """The compiled network of a run, with the initial weights of a new run."""
    model = build_model(config, policy(config))
    if material.start and not run_folder.read_state(run_dir)["checkpoint"]:
        note = model.adopt(models.load(material.start))
        if note and say:
            say(f"note: {note}")
    if material.teacher:
        model.learn_from(models.load(material.teacher))
    return compile_model(model, config, steps)


def training_batches(
    config: TrainConfig,
    pairs: pairing.Pairs | pairing.Mixture,
    material: Material,
    pools: dict[str, np.ndarray],
):
    """Training data of a run: a callable from the first batch's number to batches."""
    mixer = mixing.make_mixer(config, pools)

    def batches(first):
        options = {"start": first, "flips": config.flips, "degrade": mixer}
        sizes = (config.crop, config.batch_size, config.seed)
        if takes_photos(config):
            photos = photos_of(material)
            return pipeline.unpaired_dataset(pairs, photos, *sizes, **options)
        options |= {"crops": config.crops, "turns": config.turns}
        options["align"] = config.align
        if config.whole_images:
            options["whole"] = config.model_config.get("encoder_size", 128)
        made = pipeline.train_dataset(pairs, *sizes, **options)
        if config.inputs == "clean":
            made = made.map(lambda rainy, clean: (clean, clean))
        return made

    return batches


def photos_of(material: Material) -> tuple[str, ...]:
    """The real rainy photos that a run reads.

    Raises:
        ValueError: there are none.
    """
    if material.photos is None:
        return ()
    photos = pairing.find_images(material.photos, recursive=True)
    if not photos:
        raise ValueError(
            f"There must be photos in the folder. Received: photos={material.photos}."
        )
    return tuple(photos)


def observers(
    config: TrainConfig,
    run_dir: pathlib.Path,
    kinds: Collection[str],
    shown: tuple[np.ndarray, np.ndarray],
):
    """The callbacks that watch a run: TensorBoard, pictures, scores of each kind."""
    rainy, clean = (part[:: -(-len(part) // 8)] for part in shown)  # 8 to look at
    watching = [
        keras.callbacks.TensorBoard(run_dir / "logs", write_graph=False),
        Pictures(run_dir / "logs", rainy, clean, max(1, config.epochs // 20)),
    ]
    if len(kinds) < 2:
        return watching
    batches = mixing.batches_per_kind(config, len(kinds))
    return [KindScores(kinds, batches), *watching]  # TensorBoard shows them as well
