"""Rain removal from images with TensorFlow and Keras 3.

```python
import tfderain

restorer = tfderain.runtime.Restorer("menet")  # LiteRT; TensorFlow stays unloaded
derained = restorer.derain(rainy)  # uint8 or float array, batch, or PIL image

model = tfderain.models.load("menet")  # the same weights as a Keras model
```
"""

from tfderain import lazy

__version__ = "0.1.0"

_MODULES = (
    "analysis",
    "batch",
    "benchmarks",
    "convert",
    "data",
    "evaluation",
    "export",
    "images",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "presets",
    "runtime",
    "serving",
    "training",
    "video",
    "weighting",
)

__getattr__, __dir__, __all__ = lazy.face(__name__, dict.fromkeys(_MODULES, ()))
