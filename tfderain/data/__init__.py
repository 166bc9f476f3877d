"""Image pairs on disk, seeded `tf.data` pipelines, and synthetic rain.

Modules: `catalogue` (the known data sets), `pipeline` (paths to batches), `rain`
(seeded synthetic rain). Importing any of them leaves TensorFlow unloaded.
"""

import importlib

__all__ = ["catalogue", "pipeline", "rain"]


def __getattr__(name):
    if name in __all__:
        return importlib.import_module(f"tfderain.data.{name}")
    raise AttributeError(f"module 'tfderain.data' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
