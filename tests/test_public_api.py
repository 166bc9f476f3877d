"""The public names are a list, so that no name appears or vanishes by accident."""

import importlib

import pytest

import tfderain

PUBLIC = {
    "analysis": "before_after correlation_table feature_maps improvement_bars "
    "psnr_histogram score_distributions ssim_boxplot task_weights",
    "batch": "Summary derain_files synthesize_files",
    "comparison": "Comparison Improvement Share compare improvement improvement_table "
    "improvements read",
    "evaluation": "Result Row evaluate find_scenes versions",
    "layers": "ConvNorm Convolution ExpertStage MixtureOfExperts SqueezeExcitation "
    "mirror_indices pad_to_multiple",
    "losses": "Charbonnier Edge ImageLoss Perceptual Reconstruction "
    "StructuralDissimilarity Texture",
    "metrics": "PROTOCOLS PSNR SSIM luma psnr ssim",
    "models": "MENET ERLNet JRGR Entangled DRSformer "
    "Rainmer AirNet PRESETS Derainer load",
    "naturalness": "Pristine Result compare features fit niqe",
    "optimizers": "ConvMuon GroupAdam LinearDecay CosineCycles TwoGroupAdamW",
    "presets": "available find folder",
    "profiling": "Profile profile read_summary table",
    "rainmaking": "RainMaker make_real",
    "recipes": "ABLATIONS RECIPES TrainConfig ablate override resolve",
    "regions": "Maps Result Row VARIANTS binary_maps evaluate find_masks "
    "indicator_map intersection mask_maps overview",
    "relations": "draw_scores draw_sphere embed rainy_pairs report score sphere",
    "runtime": "RUNTIMES Restorer",
    "serving": "PAGE Server Settings serve",
    "timing": "Memory Timing add_memory add_profile table time_models to_json",
    "training": "RECIPES ABLATIONS NonFiniteLoss TrainConfig resolve train",
    "translation": "LAYERS PICTURES draw_layers figure_6 figure_9 rain_layers tsne",
    "weighting": "Fixed GradientBalance LossBalance Weighting",
    "winograd": "compiled convolve suits use",
}


def test_modules():
    assert set(PUBLIC) | {"data", "export", "images"} == set(tfderain.__all__)
    with pytest.raises(AttributeError, match="no attribute 'gone'"):
        tfderain.gone  # noqa: B018


@pytest.mark.parametrize("module", sorted(PUBLIC))
def test_public_names_exist_and_are_documented(module):
    loaded = importlib.import_module(f"tfderain.{module}")
    assert loaded.__doc__
    for name in PUBLIC[module].split():
        item = getattr(loaded, name)
        if callable(item):
            assert item.__doc__, f"{module}.{name} has no docstring."


def test_version_is_that_of_the_package():
    from importlib import metadata

    assert metadata.version("tfderain") == tfderain.__version__
