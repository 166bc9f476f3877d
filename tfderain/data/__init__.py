"""Data: image pairs on disk, seeded `tf.data` pipelines, and synthetic rain.

Modules: `catalogue` (the known data sets), `descriptions`, `recognition`,
`verification`, `overlaps`, `preparation` (of what one has of them), `archives`,
`pipeline` (paths to batches), `balance` (proportions of light and dense rain), `rain`
(seeded synthetic rain), `lines`, `editors` (rain of benchmark sets), `night`, `drops`,
`snow` (other weather), `films` (rain that falls), `camera` (its effects), `mixer` (all
kinds of rain), `drop_mixer` (drops on the glass), `alignment` (of pairs of two shots).
Importing any of them leaves TensorFlow unloaded.
"""

from tfderain import lazy

__getattr__, __dir__, __all__ = lazy.face(
    __name__,
    {
        "alignment": (),
        "archives": (),
        "balance": (),
        "camera": (),
        "catalogue": (),
        "descriptions": (),
        "drop_mixer": (),
        "drops": (),
        "editors": (),
        "films": (),
        "lines": (),
        "mixer": (),
        "night": (),
        "overlaps": (),
        "pairs": (),
        "pipeline": (),
        "preparation": (),
        "rain": (),
        "recognition": (),
        "snow": (),
        "verification": (),
    },
)
