"""Schedules and optimizers of configs."""

import numpy as np
from short_runs import smoke

from tfderain import training


def test_cosine_schedule_rises_and_falls():
    config = smoke("epochs=100", "schedule=cosine")
    rate = training.learning_rate(config, steps_per_epoch=100)  # warm-up: 200 steps
    values = [float(rate(step)) for step in (0, 100, 200, 5100, 10_000)]
    # half-way up, the top, the middle of the cosine, the end; float32
    np.testing.assert_allclose(values, [0, 5e-4, 1e-3, 5e-4, 0], atol=1e-8)


def test_config_reaches_compile():
    config = smoke("jit=true", "clip_norm=0.5", "ema=0.25")
    model = training.compile_model(training.build_model(config), config, 4)
    assert model.jit_compile is True
    assert model.optimizer.global_clipnorm == 0.5
    assert (model.optimizer.use_ema, model.optimizer.ema_momentum) == (True, 0.25)
