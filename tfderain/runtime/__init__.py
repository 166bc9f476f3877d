"""Runtime: `Restorer` and the engines and tiles behind it, without TensorFlow.

Modules: `restorer`, `chain` (several one after the other), `frames` (of films),
`engines` (LiteRT, ONNX Runtime, TensorFlow), `tiling`.
"""

from tfderain import lazy

__getattr__, __dir__, __all__ = lazy.face(
    __name__,
    {
        "chain": ("Chain",),
        "engines": (),
        "frames": ("FrameRestorer",),
        "restorer": ("RUNTIMES", "Restorer"),
        "tiling": (),
    },
)
