"""Mixing of rain for a run: its rain layers, its mixture, its validation patches.

Needs neither Keras nor TensorFlow.
"""

import dataclasses
import functools
import pathlib

import numpy as np

from tfderain import errors, files
from tfderain.data import drop_mixer, pipeline, rain
from tfderain.data import mixer as kinds
from tfderain.data.pairs import Mixture, Pairs
from tfderain.training.config import TrainConfig
from tfderain.training.material import Material


def rain_pools(
    config: TrainConfig, run_dir: pathlib.Path, material: Material
) -> dict[str, np.ndarray]:
    """The rain layers of a run, rendered once and then read from its folder.

    Args:
        config: `TrainConfig`.
        run_dir: `pathlib.Path` for `pool.npy` or, for a mixture of kinds, one
            `pool_<name>.npy` for each kind of layer.
        material: `Material`.

    Returns:
        dict of uint8 arrays; empty without `degrade`.

    Raises:
        ValueError: one of these files is damaged or missing.
    """
    if config.degrade is None:
        return {}
    several = mixer_class(config) is not rain.RainMixer
    # Both mixtures have streaks; these are saved last and show that all are there.
    last = run_dir / ("pool_streaks.npy" if several else "pool.npy")
    if not last.exists():
        pools = render(config, material)
        streaks = pools.pop("streaks")
        paths = {run_dir / f"pool_{name}.npy": pool for name, pool in pools.items()}
        for path, pool in (paths | {last: streaks}).items():
            with files.replacing(path) as temporary:
                np.save(temporary, pool)
    if not several:
        return {"streaks": _load(last, config)}
    names = kinds.POOLS if material.layers is None else (*kinds.POOLS, "given")
    return {name: _load(run_dir / f"pool_{name}.npy", config) for name in names}


def _load(path, config):
    """A pool mapped from its file, so that only used parts are in memory."""
    try:
        pool = np.load(path, mmap_mode="r")
        if pool.shape[1:] != (config.pool_size,) * 2 or pool.dtype != np.uint8:
            raise ValueError(f"{pool.dtype} {pool.shape}")
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(
            "Rain layers of a run must be as it wrote them. Delete all pool*.npy in "
            "its folder: the same ones are rendered again. "
            f"Received: {path} ({errors.reason(error)})."
        ) from error
    return pool


def render(config: TrainConfig, material: Material) -> dict[str, np.ndarray]:
    """Renders the rain layers of a config, see `rain_pools`."""
    if config.degrade is None:
        return {}
    seed, streaks = config.seed, material.streaks
    sizes: dict = {"count": config.pool_count, "size": config.pool_size}
    if mixer_class(config) is rain.RainMixer:
        return {"streaks": rain.streak_pool(**sizes, seed=seed, folder=streaks)}
    return kinds.render_pools(seed, streaks, material.layers, **sizes)


def mixer_class(config: TrainConfig) -> type[kinds.KindMixer] | type[rain.RainMixer]:
    """What the entries of `degrade` say: with `drops` it is a `DropMixer`, else with
    `kinds` a `KindMixer`, with neither a `RainMixer`."""
    entries = config.degrade or {}
    if "drops" in entries:
        return drop_mixer.DropMixer
    return kinds.KindMixer if "kinds" in entries else rain.RainMixer


def make_mixer(config: TrainConfig, pools: dict[str, np.ndarray], **changes: float):
    """The mixture that turns crops into training pairs, or `None` without `degrade`.

    Args:
        config: `TrainConfig`. `ranges` in its `degrade` is a dict of the fields that
            differ from `RANGES`.
        pools: see `rain_pools`.
        **changes: entries of `degrade` to replace.

    Returns:
        An object of `mixer_class`.

    Raises:
        ValueError: for unknown ranges, or shares out of range.
    """
    if config.degrade is None:
        return None
    arguments: dict = {**config.degrade, **changes}
    kind = mixer_class(config)
    default = rain.RANGES if kind is rain.RainMixer else kinds.RANGES
    if "ranges" in arguments:
        arguments["ranges"] = _changed(default, arguments["ranges"])
    if issubclass(kind, kinds.KindMixer):
        return kind(pools, **arguments)
    return kind(pools["streaks"], **arguments)


def _changed(ranges, changes):
    """Ranges with new values for some fields, or some entries of a field."""
    made = _replaced(vars(ranges), changes)
    return dataclasses.replace(ranges, **made)


def _replaced(values, changes):
    if not isinstance(changes, dict) or not changes.keys() <= values.keys():
        raise ValueError(
            f"Known ranges are {', '.join(values)}. Received: ranges={changes}."
        )
    return values | {
        name: _replaced(values[name], value)
        if isinstance(values[name], dict)
        else value
        for name, value in changes.items()
    }


def validation_kinds(
    pairs: Pairs | Mixture, config: TrainConfig, pools: dict[str, np.ndarray]
) -> dict:
    """Validation data of a run: kinds of rain in equal parts.

    Args:
        pairs: `Pairs` or `Mixture` of the validation.
        config: `TrainConfig`.
        pools: see `rain_pools`.

    Returns:
        dict from a kind to `(pairs, degrade)`, see `PatchSampler`: `"own"`, if any
        pairs have rain of their own; for a mixture of kinds those that it names in
        `validated`, or else `"synthetic"`.
    """
    own = [part.with_rain() for part in pairs.parts]
    mixer = make_mixer(config, pools)
    as_it_is = getattr(mixer, "own", None)
    chosen: dict = {"own": (pairs.replaced(own), as_it_is)} if any(own) else {}
    if isinstance(mixer, kinds.KindMixer):
        partial, validated = functools.partial, mixer.validated
        made = {kind: partial(_of_kind, mixer, kind) for kind in validated}
        return chosen | {kind: (pairs, degrade) for kind, degrade in made.items()}
    if mixer is not None:
        # No clean patches: their PSNR would outweigh that of the rainy ones.
        wet = make_mixer(config, pools, real_share=0.0, clean_share=0.0)
        chosen["synthetic"] = (pairs, wet)
    if not chosen:
        raise ValueError(
            "Clean pictures without pairs need synthetic rain (`degrade`). "
            f"Received: degrade={config.degrade}, {len(pairs)} clean pictures."
        )
    return chosen


def _of_kind(mixer, kind, rainy, clean, seed):
    return mixer.make(kind, clean, np.random.default_rng(seed))


def batches_per_kind(config: TrainConfig, count: int) -> int:
    """Full validation batches for each of `count` kinds."""
    return -(-config.validation_crops // (config.batch_size * count))


def validation_patches(chosen: dict, config: TrainConfig):
    """Patches to validate on, kind after kind.

    Args:
        chosen: see `validation_kinds`.
        config: `TrainConfig`.

    Returns:
        `(rainy, clean)`, float32 arrays `(patches, crop, crop, 3)` in [0, 1], the clean
        ones with a mask of drops where the mixture makes one; equally many full batches
        of each kind, together at least `config.validation_crops` patches. They depend
        only on the arguments.
    """
    batches, sizes = [], (config.crop, config.batch_size, config.seed + 1)
    for pairs, degrade in chosen.values():
        sampler = pipeline.PatchSampler(
            pairs, *sizes, degrade=degrade, align=config.align
        )
        count = batches_per_kind(config, len(chosen))
        batches += [sampler.batch(index) for index in range(count)]
    rainy, clean = zip(*batches, strict=True)
    if config.inputs == "clean":
        rainy = clean
    return np.concatenate(rainy), np.concatenate(clean)
