"""Benchmarks: time and memory of models, profiles of LiteRT files.

Modules: `timing`, `profiling`, `fresh_process` (a call in a separate interpreter).
"""

from tfderain import lazy

__getattr__, __dir__, __all__ = lazy.face(
    __name__,
    {
        "fresh_process": (),
        "profiling": (),
        "timing": (),
    },
)
