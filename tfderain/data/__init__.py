"""Image pairs on disk, seeded `tf.data` pipelines, and synthetic rain.

Modules: `catalogue` (the known data sets), `pipeline` (paths to batches), `balance`
(proportions of light and dense rain), `rain` (seeded synthetic rain), `night`, `drops`,
`snow` (other weather). Importing any of them leaves TensorFlow unloaded.
"""

import importlib

__all__ = ["balance", "catalogue", "drops", "night", "pipeline", "rain", "snow"]


def __getattr__(name):
    if name in __all__:
        return importlib.import_module(f"tfderain.data.{name}")
    raise AttributeError(f"module 'tfderain.data' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
