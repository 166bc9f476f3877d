"""Data: image pairs on disk, seeded `tf.data` pipelines, and synthetic rain.

Modules: `catalogue` (the known data sets), `pipeline` (paths to batches), `balance`
(proportions of light and dense rain), `rain` (seeded synthetic rain), `lines`,
`editors` (rain of benchmark sets), `night`, `drops`, `snow` (other weather), `camera`
(its effects), `mixer` (all kinds of rain), `drop_mixer` (drops on the glass),
`alignment` (of pairs of two shots). Importing any of them leaves TensorFlow unloaded.
"""

from tfderain import lazy

__getattr__, __dir__, __all__ = lazy.face(
    __name__,
    {
        "alignment": (),
        "balance": (),
        "camera": (),
        "catalogue": (),
        "drop_mixer": (),
        "drops": (),
        "editors": (),
        "lines": (),
        "mixer": (),
        "night": (),
        "pairs": (),
        "pipeline": (),
        "rain": (),
        "snow": (),
    },
)
