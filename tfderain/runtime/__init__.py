"""Runtime: `Restorer`, and the engines and tiles behind it; no TensorFlow.

Modules: `restorer`, `chain` (several one after the other), `engines` (LiteRT, ONNX
Runtime, TensorFlow), `tiling`.
"""

from tfderain import lazy

__getattr__, __dir__, __all__ = lazy.face(
    __name__,
    {
        "chain": ("Chain",),
        "engines": (),
        "restorer": ("RUNTIMES", "Restorer"),
        "tiling": (),
    },
)
