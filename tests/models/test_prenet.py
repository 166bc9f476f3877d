"""PReNet against the authors' code: golden data of csdwren/PReNet at 6d908d1e3c7f."""

import numpy as np
import official
import pytest
from helpers import check_config, check_model, images
from official import nhwc

from tfderain import losses, models, training
from tfderain.convert import prenet as official_prenet
from tfderain.models import prenet
from tfderain.optimizers import GroupAdam


def load_golden():
    """The golden arrays and a PReNet with the authors' (random) weights."""
    golden = official.load("prenet")
    model = prenet.PReNet()
    model.build((None, None, None, 3))
    official_prenet.place(model.network, official.weights(golden))
    return golden, model


def test_parity_of_all_stages():
    golden, model = load_golden()
    made = model.network.progress(nhwc(golden["in/rainy"]))
    assert len(made) == 6
    for stage, derained in enumerate(made, start=1):
        # stated with the golden data; float32 sums in another order
        expected = nhwc(golden[f"mid/stage_{stage}"])
        np.testing.assert_allclose(derained, expected, atol=1e-4)
    derained = model(nhwc(golden["in/rainy"]))
    expected = np.clip(nhwc(golden["out/derained"]), 0, 1)
    np.testing.assert_allclose(derained, expected, atol=1e-4)


def test_parameter_count():
    model = prenet.PReNet()
    model.build((None, None, None, 3))
    assert model.network.count_params() == 168_963  # as the paper states


def test_model(tmp_path):
    check_model(prenet.PReNet(stages=2, filters=8, num_blocks=2), tmp_path)


def test_loss_is_the_authors_of_the_last_stage():
    model = prenet.PReNet(stages=2, filters=8, num_blocks=1)
    rainy, clean = images(2, 16, 24, 3), images(2, 16, 24, 3, seed=1)
    derained, results = model.compute_losses(rainy, clean, training=True)
    np.testing.assert_array_equal(derained, model.network.progress(rainy)[-1])
    expected = np.mean(model.tasks["ssim"].call(clean, derained))
    assert float(results["loss"]) == pytest.approx(float(expected), rel=1e-6)


def test_config_and_refusals():
    check_config(prenet.PReNetNetwork(3, 16, 4))
    with pytest.raises(ValueError, match="must be at least 1. Received: stages=0"):
        prenet.PReNet(stages=0)


def test_the_recipe_of_the_paper():
    config = training.resolve("prenet_paper")
    assert (config.crop, config.batch_size, config.epochs) == (100, 18, 100)
    rate = training.learning_rate(config, steps_per_epoch=10)
    steps = {0: 1e-3, 299: 1e-3, 300: 2e-4, 500: 4e-5, 799: 4e-5, 800: 8e-6, 999: 8e-6}
    for step, expected in steps.items():
        assert float(rate(step)) == pytest.approx(expected, rel=1e-6)  # float32
    model = training.compile_model(training.build_model(config), config, 10)
    assert type(model) is models.PReNet and type(model.optimizer) is GroupAdam
    (loss,) = model.tasks.values()
    assert type(loss) is losses.StructuralDissimilarity
