"""Training of the networks from recipes.

```python
config = training.resolve("menet", overrides=["epochs=20"])
material = training.Material([training.Source("Rain800", "left_clean")])
best = training.train(config, "runs/menet", material)
```

Modules: `recipes`, `ablations` and `config` (what to train, without Keras), `checking`
(of settings), `building` and `compiling` (from config to network), `material` (what a
run reads), `mixing` (rain for it), `strategies` (stage by stage), `loop` (the training
itself), `run_folder` (what a run stores, and how it resumes).
"""

from tfderain import lazy

__getattr__, __dir__, __all__ = lazy.face(
    __name__,
    {
        "ablations": ("ABLATIONS", "ablate"),
        "building": ("build_model", "shipped"),
        "checking": (),
        "compiling": ("compile_model", "learning_rate", "policy", "switches"),
        "config": ("TrainConfig", "override"),
        "loop": ("fit", "train"),
        "material": ("Material", "Source"),
        "mixing": (),
        "recipes": ("RECIPES", "resolve"),
        "run_folder": ("NonFiniteLoss",),
        "strategies": ("stages_of",),
    },
)
