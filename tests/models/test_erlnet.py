"""ERL-Net: widths, ablations, entanglement and what each stage trains."""

import keras
import numpy as np
import pytest
from helpers import check_config, check_gradients, check_layer, check_model, images

from tfderain.models import entanglement, erlnet

TINY = {"stem": 4, "growth": 2, "num_layers": 2, "levels": 3}
ABLATIONS = {
    "MEMD--": {"skip": False, "fusion": False},
    "MEMD-": {"fusion": False},
    "MEMD": {},
    "clgd": {"entanglement": "clgd"},
    "mlgd": {"entanglement": "mlgd"},
    "direct": {"entanglement": "mlgd", "stage": "direct"},
    "transitions": {"entanglement": "mlgd", "compression": 0.5},
}


def tiny(**options):
    keras.utils.set_random_seed(0)
    model = erlnet.ERLNet(**{**TINY, **options})
    prepare(model)
    return model


def prepare(model):
    """Builds it, and gives a stage with the feature loss something to learn from."""
    model.build((None, None, None, 3))
    if model.teacher is not None:
        model.learn_from(tiny())


def test_blocks():
    features = images(2, 8, 12, 5)
    check_layer(erlnet.DenseBlock(3, 4), features, (2, 8, 12, 17))
    check_layer(erlnet.FeatureFusion(6, ratio=1), features, (2, 8, 12, 6))


def test_a_dense_block_convolves_the_concatenation_of_all_maps_before():
    features = images(2, 7, 9, 5) - 0.5
    block = erlnet.DenseBlock(3, 4)
    block.build(features.shape)
    for layer in block.convolutions:
        layer.bias.assign(images(4))
    wanted = features
    for layer in block.convolutions:
        activated = np.where(wanted > 0, wanted, erlnet.SLOPE * wanted)
        wanted = np.concatenate([wanted, layer(activated)], axis=-1)
    for training in (False, True):
        found = block(features, training=training)
        # float32 sums over up to 117 products in another order
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_the_published_widths_make_225_channels():
    encoder = erlnet.DenseEncoder(**erlnet.PUBLISHED_WIDTHS)
    shapes = [tuple(f.shape) for f in encoder(images(1, 16, 24, 3))]
    # 7 layers of 16 after 120, and then after half of what came before, rounded down
    assert [shape[-1] for shape in shapes] == [232, 228, 226, 225]
    assert shapes[-1] == (1, 2, 3, 225)
    kinds = [layer.kernel.shape for layer in encoder.transitions]
    assert kinds == [(1, 1, 232, 116), (1, 1, 228, 114), (1, 1, 226, 113)]
    assert encoder.compute_output_shape((1, 16, 24, 3)) == shapes
    with pytest.raises(ValueError, match="Received: compression=0"):
        erlnet.DenseEncoder(compression=0)


def test_the_middle_layer_has_224_channels_at_an_eighth_of_the_size():
    encoder = erlnet.DenseEncoder()
    shapes = [tuple(f.shape) for f in encoder(images(1, 16, 24, 3))]
    assert shapes[0] == (1, 16, 24, 80)
    assert shapes[-1] == (1, 2, 3, 224)
    assert [tuple(s) for s in encoder.compute_output_shape((1, 16, 24, 3))] == shapes


def test_features_are_taken_before_an_activation():
    features = erlnet.DenseEncoder(**TINY)(images(1, 16, 24, 3))
    assert all(np.min(f) < -1e-3 for f in features)


@pytest.mark.parametrize("name", ["MEMD--", "MEMD", "direct"])
def test_model_contract(name, tmp_path):
    model = erlnet.ERLNet(**TINY, **ABLATIONS[name])
    check_model(model, tmp_path, prepare=prepare, scaled_graph=name == "direct")


@pytest.mark.parametrize("name", ["MEMD-", "clgd", "mlgd"])
def test_gradients_reach_every_weight_of_the_other_setups(name):
    model = tiny(**ABLATIONS[name])
    check_config(model)
    check_gradients(model, images(2, 16, 32, 3), training=True)


# Entanglement


def test_entangled_features_are_the_sum_of_both_branches():
    rainy = images(1, 16, 24, 3)
    for form, residuals in (("clgd", 1), ("mlgd", 3)):
        network = tiny(entanglement=form).network
        branches = network.branches(rainy)
        main, residual = network.main_encoder(rainy), network.residual_encoder(rainy)
        for i, entangled in enumerate(branches["entangled"]):
            added = residual[i] if i >= 3 - residuals else 0.0
            np.testing.assert_array_equal(entangled, main[i] + added)


def test_feature_loss_by_hand():
    model = tiny(entanglement="mlgd", stage="residual")
    rainy, clean = images(1, 16, 24, 3), images(1, 16, 24, 3, seed=1)
    _, losses = model.compute_losses(rainy, clean, training=False)
    entangled = model.network.branches(rainy)["entangled"]
    wanted = tiny().network.main_encoder(clean)
    feature = sum(
        np.mean(np.abs(e - w)) for e, w in zip(entangled, wanted, strict=True)
    )
    pixel = np.mean(np.abs(model.network(rainy).numpy().clip(0, 1) - clean))
    # float32 means in another order
    assert float(losses["feature"]) == pytest.approx(feature, rel=1e-5)
    assert float(losses["reconstruction"]) == pytest.approx(pixel, rel=1e-5)
    assert float(losses["loss"]) == pytest.approx(pixel + 0.01 * feature, rel=1e-5)


@pytest.mark.parametrize("stage", entanglement.STAGES)
def test_a_stage_moves_its_own_variables_only(stage):
    model = tiny(entanglement="mlgd", stage=stage)
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    parts = {**model.parts, **({"teacher": model.teacher} if model.teacher else {})}
    before = {name: part.get_weights() for name, part in parts.items()}
    model.fit(images(4, 16, 24, 3), images(4, 16, 24, 3, seed=1), verbose=0)
    for name, part in parts.items():
        same = [
            np.array_equal(a, b)
            for a, b in zip(before[name], part.get_weights(), strict=True)
        ]
        moves = name in entanglement.STAGES[stage][0]
        assert not any(same) if moves else all(same), name


def test_strategies_are_table_1():
    trained = {
        strategy: [set(entanglement.STAGES[stage][0]) for stage in stages]
        for strategy, stages in entanglement.STRATEGIES.items()
    }
    men_mde, ren, mde = {"main_encoder", "decoder"}, "residual_encoder", "decoder"
    assert trained == {
        "MA_A": [men_mde, {ren}],
        "MA_B": [men_mde, {ren, mde}],
        "MA_C": [men_mde, {ren}, {mde}],
        "MA_D": [men_mde, {ren}, {ren, mde}],
        "DT": [{"main_encoder", ren, mde}],
    }
    full = {s for s, (_, has_features) in entanglement.STAGES.items() if has_features}
    assert full == {"residual", "residual_decoder", "direct"}


def test_a_stage_goes_on_from_the_one_before():
    rainy = images(1, 16, 24, 3)
    main = tiny()
    main.network.decoder.output_convolution.bias.assign([0.1, 0.2, 0.3])
    second = tiny(entanglement="mlgd", stage="residual")
    untouched = second.network.residual_encoder.get_weights()
    second.adopt(main)
    for mine, kept in zip(
        second.network.residual_encoder.get_weights(), untouched, strict=True
    ):
        np.testing.assert_array_equal(mine, kept)
    for weight in second.network.residual_encoder.weights:
        weight.assign(0 * weight)
    np.testing.assert_array_equal(second.network(rainy), main.network(rainy))
    third = tiny(entanglement="mlgd", stage="refine")
    third.adopt(second)
    np.testing.assert_array_equal(third.network(rainy), main.network(rainy))


def test_only_the_network_is_deployed():
    memd, entangled = tiny(), tiny(entanglement="mlgd", stage="direct")
    assert set(memd.parts) == {"main_encoder", "decoder"}
    encoder = memd.network.main_encoder.count_params()
    extra = entangled.network.count_params() - memd.network.count_params()
    assert extra == encoder
    assert not any("teacher" in weight.path for weight in entangled.network.weights)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="skip=False"):
        erlnet.ERLNet(skip=False, fusion=False, entanglement="mlgd")
    with pytest.raises(ValueError, match="fusion=True"):
        erlnet.ERLNet(skip=False)
    with pytest.raises(ValueError, match="entanglement='sum'"):
        erlnet.ERLNet(entanglement="sum")
    with pytest.raises(ValueError, match="stage='second'"):
        erlnet.ERLNet(stage="second")
    with pytest.raises(ValueError, match="needs a residual encoder"):
        erlnet.ERLNet(stage="residual")
    with pytest.raises(ValueError, match="entanglement=None"):
        tiny().middle_features(images(1, 8, 8, 3))
    with pytest.raises(ValueError, match="stage=None"):
        tiny().learn_from(tiny())
    model = erlnet.ERLNet(**TINY, entanglement="clgd", stage="residual")
    model.compile("adam")
    with pytest.raises(ValueError, match="learn_from"):
        model.fit(images(1, 8, 8, 3), images(1, 8, 8, 3), verbose=0)
    with pytest.raises(ValueError, match="same shape"):
        tiny().adopt(tiny(stem=6))


# Another encoder-decoder


def unet(width=4):
    """A plain U-Net of Keras layers: an encoder and a decoder."""
    layers = keras.layers
    image = keras.Input((None, None, 3))
    full = layers.Conv2D(width, 3, padding="same")(image)
    half = layers.Conv2D(2 * width, 3, 2, padding="same")(layers.ReLU()(full))
    encoder = keras.Model(image, [full, half], name="encoder")
    skip, middle = (
        keras.Input((None, None, width)),
        keras.Input((None, None, 2 * width)),
    )
    up = layers.Conv2DTranspose(width, 3, 2, padding="same")(layers.ReLU()(middle))
    merged = layers.Concatenate()([up, skip])
    derained = layers.Conv2D(3, 3, padding="same")(layers.ReLU()(merged))
    return encoder, keras.Model([skip, middle], derained, name="decoder")


def test_a_unet_of_keras_layers_can_be_entangled(tmp_path):
    keras.utils.set_random_seed(0)
    encoder, decoder = unet()
    options = {"stride": 2, "global_skip": True}
    main = entanglement.Entangled(encoder, decoder, stage="main", **options)
    clean_to_clean = entanglement.Entangled(*unet(), stage="main", **options)
    rainy, clean = images(4, 15, 21, 3), images(4, 15, 21, 3, seed=1)
    for model, inputs in ((main, rainy), (clean_to_clean, clean)):
        model.compile(optimizer=keras.optimizers.Adam(1e-3))
        model.fit(inputs, clean, verbose=0)
    model = entanglement.Entangled(*unet(), "mlgd", stage="residual", **options)
    model.build((None, None, None, 3))
    model.adopt(main)
    model.learn_from(clean_to_clean)
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    history = model.fit(rainy, clean, epochs=5, verbose=0).history
    assert history["feature"][-1] < history["feature"][0]
    assert model.network.branches(rainy[:, :14, :20])["entangled"][1].shape[-1] == 8
    model.save(tmp_path / "unet.keras")
    loaded = keras.saving.load_model(tmp_path / "unet.keras")
    np.testing.assert_array_equal(loaded(rainy), model(rainy))
