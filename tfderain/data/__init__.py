"""Data: image pairs on disk, seeded `tf.data` pipelines, and synthetic rain.

Modules: `catalogue` (the known data sets), `pipeline` (paths to batches), `balance`
(proportions of light and dense rain), `rain` (seeded synthetic rain), `night`, `drops`,
`snow` (other weather). Importing any of them leaves TensorFlow unloaded.
"""

from tfderain import lazy

__getattr__, __dir__, __all__ = lazy.face(
    __name__,
    {
        "balance": (),
        "catalogue": (),
        "drops": (),
        "night": (),
        "pairs": (),
        "pipeline": (),
        "rain": (),
        "snow": (),
    },
)
