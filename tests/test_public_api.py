"""The public names are a list, so that no name appears or vanishes by accident."""

import importlib

import pytest

import tfderain

PUBLIC = {
    "analysis": "before_after charts correlation_table feature_maps features "
    "improvement_bars psnr_histogram relations score_distributions ssim_boxplot "
    "task_weights translations",
    "analysis.relations": "draw_scores draw_sphere embed rainy_pairs report score "
    "sphere",
    "analysis.translations": "LAYERS PICTURES draw_layers figure_6 figure_9 "
    "rain_layers tsne",
    "batch": "Summary derain_files plan rainmaking run synthesize_files",
    "batch.rainmaking": "RainMaker make_real",
    "benchmarks": "fresh_process profiling timing",
    "benchmarks.profiling": "Profile profile read_summary table",
    "benchmarks.timing": "Memory Timing add_memory add_profile table time_models "
    "to_json",
    "data": "balance catalogue drops night pairs pipeline rain snow",
    "evaluation": "Result Row comparison evaluate find_scenes niqe regions scenes_of "
    "scores subjects",
    "evaluation.comparison": "Comparison Improvement Share compare improvement "
    "improvement_table improvements read",
    "evaluation.niqe": "Pristine Result compare features fit niqe",
    "evaluation.regions": "Maps Result Row VARIANTS binary_maps evaluate find_masks "
    "indicator_map intersection mask_maps overview",
    "images": "EXTENSIONS FORMATS ImageError Like MAX_PIXELS Picture TooLarge "
    "before_after compare decode encode find_images from_float from_pil natural_key "
    "read read_rgb store to_float to_pil to_rgb to_uint8 write",
    "losses": "Charbonnier Edge ImageLoss Perceptual Reconstruction "
    "StructuralDissimilarity Texture",
    "metrics": "PROTOCOLS PSNR SSIM luma psnr ssim",
    "models": "AirNet DRSformer Derainer ERLNet Entangled JRGR MENET MODELS PRESETS "
    "PReNet Rainmer ResUNet load register",
    "models.layers": "ConvNorm Convolution ExpertStage MixtureOfExperts "
    "SqueezeExcitation mirror_indices pad_to_multiple",
    "models.winograd": "compiled convolve suits use",
    "optimizers": "ConvMuon GroupAdam LinearDecay CosineCycles TwoGroupAdamW",
    "presets": "available find folder",
    "runtime": "RUNTIMES Restorer engines restorer tiling",
    "serving": "PAGE Server Settings serve",
    "training": "ABLATIONS NonFiniteLoss RECIPES TrainConfig ablate build_model fit "
    "compile_model override resolve train",
    "weighting": "Fixed GradientBalance LossBalance Weighting",
}


def test_modules():
    modules = {name for name in PUBLIC if "." not in name}
    assert modules | {"export"} == set(tfderain.__all__)
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
