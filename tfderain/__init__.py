"""Rain removal from images with TensorFlow and Keras 3.

```python
import tfderain

restorer = tfderain.runtime.Restorer("menet")  # LiteRT; TensorFlow stays unloaded
derained = restorer.derain(rainy)  # uint8 or float array, batch, or PIL image

model = tfderain.models.load("menet")  # the same weights as a Keras model
```
"""

import importlib

__version__ = "0.1.0"
__all__ = [
    "analysis",
    "batch",
    "comparison",
    "data",
    "evaluation",
    "export",
    "images",
    "layers",
    "losses",
    "metrics",
    "models",
    "naturalness",
    "optimizers",
    "presets",
    "profiling",
    "rainmaking",
    "recipes",
    "regions",
    "relations",
    "runtime",
    "serving",
    "timing",
    "training",
    "translation",
    "weighting",
    "winograd",
]


def __getattr__(name):  # PEP 562: TensorFlow loads when first used, not on import
    if name in __all__:
        return importlib.import_module(f"tfderain.{name}")
    raise AttributeError(f"module 'tfderain' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
