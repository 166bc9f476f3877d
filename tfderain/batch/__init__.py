"""Batches of pictures and films: files, folders and trees, derained or made rainy.

Modules: `run` (does both), `plan` (which file becomes which), `rainmaking` (rain as
JRGR learned it). Importing them loads neither TensorFlow nor LiteRT.
"""

from tfderain import lazy

__getattr__, __dir__, __all__ = lazy.face(
    __name__,
    {
        "plan": (),
        "rainmaking": (),
        "run": ("Films", "Summary", "derain_files", "synthesize_files"),
    },
)
