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
