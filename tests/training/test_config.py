"""Settings of a run, overridden by texts."""

from tfderain import training


def test_override_parses_by_type():
    settings = [
        "epochs=3",
        "learning_rate=2e-4",
        "ema=none",
        "clip_norm=0.5",
        "jit=true",
        "mixed_precision=mixed_bfloat16",
        'degrade={"real_share": 0.5}',
        "degrade.veil_share=0.1",
        "model_config.weighting=GB",
    ]
    config = training.resolve("menet", overrides=settings)
    assert (config.epochs, config.learning_rate) == (3, 2e-4)
    assert (config.ema, config.clip_norm, config.jit) == (None, 0.5, True)
    assert config.mixed_precision == "mixed_bfloat16"
    assert config.degrade == {"real_share": 0.5, "veil_share": 0.1}
    assert config.model_config["weighting"] == "GB"
    assert training.RECIPES["menet"].model_config["weighting"] == "LB"


def test_entries_of_any_depth_are_overridden():
    """Entries beside them keep the recipe's values, and the recipe keeps its own."""
    settings = [
        "degrade.kinds.editor=0.24",
        "degrade.ranges.heavy=[6, 12]",
        "model_config.tasks.log_error.value_range=2.0",
        "stages.main.epochs=3",
    ]
    config = training.override(training.RECIPES["resunet"], settings)
    before = training.RECIPES["resunet"]
    assert config.degrade["kinds"] == {**before.degrade["kinds"], "editor": 0.24}
    assert config.degrade["ranges"] == {"heavy": [6, 12]}
    assert config.degrade["own_share"] == before.degrade["own_share"]
    tasks = before.model_config["tasks"]
    expected = {**tasks, "log_error": {**tasks["log_error"], "value_range": 2.0}}
    assert config.model_config["tasks"] == expected
    assert config.stages == {"main": {"epochs": 3}}
    assert before.degrade["kinds"]["editor"] == 0.2 and before.stages is None
