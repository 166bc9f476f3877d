"""Runtime: `Restorer` and the engines and tiles behind it, without TensorFlow.

Modules: `restorer`, `frames` (of films), `engines` (LiteRT, ONNX Runtime, TensorFlow),
`tiling`.
"""

from tfderain import lazy

__getattr__, __dir__, __all__ = lazy.face(
    __name__,
    {
        "engines": (),
        "frames": ("FrameRestorer",),
        "restorer": ("RUNTIMES", "Restorer"),
        "tiling": (),
    },
)
