"""De-raining networks.

```python
model = tfderain.models.load("menet")
derained = model.derain(rainy)
```

`MODELS` names the networks that recipes and presets use. Its names can be read without
Keras, which is loaded with the first class.
"""

import sys

from tfderain import lazy, presets

MODELS = lazy.Registry(
    __name__,
    {
        "cyclegan": "cyclegan:CycleGAN",
        "drsformer": "drsformer:DRSformer",
        "erlnet": "erlnet:ERLNet",
        "jrgr": "jrgr:JRGR",
        "menet": "menet:MENET",
        "prenet": "prenet:PReNet",
        "rainmer": "rainmer:Rainmer",
        "resunet": "resunet:ResUNet",
        "resunet_drops": "resunet_drops:ResUNetDrops",
    },
)
PRESETS = {name: form.model_config for name, form in presets.FORMS.items()}

_MODULES = {
    **{module: (name,) for module, name in MODELS.homes.values()},
    "adversarial": (),
    "airnet": ("AirNet",),
    "base": ("Derainer",),
    "contrast": (),
    "entanglement": ("Entangled",),
    "jrgr_losses": (),
    "layers": (),
    "loading": ("load", "register"),
    "rain_generator": (),
    "representation": (),
    "sparse": (),
    "stages": (),
    "translators": (),
    "winograd": (),
}
__getattr__, __dir__, __all__ = lazy.face(__name__, _MODULES, ("MODELS", "PRESETS"))

if "keras" in sys.modules:
    # Importing this package must be enough for Keras to load a file with the classes.
    __getattr__("register")()
