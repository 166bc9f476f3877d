"""The public names are a list, so that no name appears or vanishes by accident."""

import importlib
import types

import pytest

import tfderain

PUBLIC = {
    "analysis": "Correlations before_after charts evaluation_report examples extremes "
    "feature_maps features improvement_bars pages relations score_distributions "
    "task_weights translations",
    "analysis.evaluation_report": "HTML MARKDOWN NO_CHARTS write",
    "analysis.extremes": "COUNT CROP Extreme Extremes WIDTH",
    "analysis.pages": "Code Details Heading Page Picture Pictures STYLE Table Text",
    "analysis.relations": "COUNT NEIGHBOURS Relations SEED SIZE draw_scores "
    "draw_sphere embed rainy_pairs relate score sphere",
    "analysis.translations": "LAYERS PICTURES centre common draw_layers figure_10 "
    "figure_6 figure_7 figure_9 rain_layers tsne",
    "batch": "Films Summary derain_files plan rainmaking run synthesize_files",
    "batch.rainmaking": "BRIGHTEST FINE RainMaker STRONGEST cut make_real streak_gain",
    "benchmarks": "fresh_process profiling timing",
    "benchmarks.profiling": "CPU ELEMENT_TYPES HOST_MEMORY Profile RUNS profile "
    "read_summary",
    "benchmarks.timing": "LEAST Memory PATIENCE REPEATS Timing Timings add_memory "
    "add_profile time_models",
    "convert": "NETWORKS convert load",
    "data": "alignment archives balance camera catalogue descriptions drop_mixer drops "
    "editors films lines mixer night overlaps pairs pipeline preparation rain "
    "recognition snow verification",
    "evaluation": "Result Row comparison evaluate find_scenes niqe published regions "
    "scenes_of scores subjects",
    "evaluation.comparison": "Comparison Improvement Improvements Share compare "
    "improvement improvements label labels read",
    "evaluation.niqe": "BLOCK Pristine Result SHARPNESS compare features fit niqe",
    "evaluation.published": "Comparison Regions Score Time compare data_set "
    "data_sets load patches_of regions times",
    "evaluation.regions": "Maps Result Row VARIANTS binary_maps evaluate "
    "find_masks indicator_map intersection mask_maps overview",
    "export": "Artefact BOUNDS Bound Exports FFMPEG_NAMES MAX_PRESET_BYTES "
    "QUANTIZATIONS TARGETS check_keras deployable export_all export_preset measure "
    "random_image read_representative run_ffmpeg run_litert run_onnx run_openvino "
    "run_saved_model staged to_ffmpeg to_litert to_onnx to_saved_model total_bytes "
    "write_saved_model",
    "images": "EXTENSIONS FORMATS ImageError Like MAX_PIXELS Picture Scene TooLarge "
    "before_after compare decode encode find_images find_scene from_float from_pil "
    "natural_key opened orientation read read_rgb store to_float to_pil to_rgb "
    "to_uint8 turned write",
    "losses": "Charbonnier Edge ImageLoss LogError Perceptual Reconstruction "
    "StructuralDissimilarity Texture check_norm distance gaussian_band patch_gram "
    "sobel_edges",
    "metrics": "PROTOCOLS PSNR PSNR_CAP SSIM channel classes describe functions luma "
    "psnr ssim",
    "models": "AirNet CycleGAN DRSformer Derainer ERLNet Entangled JRGR MENET MODELS "
    "PRESETS PReNet Rainmer ResUNet ResUNetDrops adversarial airnet base contrast "
    "cyclegan drsformer entanglement erlnet jrgr jrgr_losses layers load loading menet "
    "prenet rain_generator rainmer register representation resunet resunet_drops "
    "sparse stages translators winograd",
    "models.layers": "ConvNorm Convolution ExpertStage MixtureOfExperts "
    "SqueezeExcitation UnbiasedBatchNormalization built convolution "
    "depthwise_initializer in_few_taps mirror_indices pad_to_multiple replicas "
    "separable",
    "models.winograd": "FLAGS LANES compiled convolve operations suits use",
    "optimizers": "ConvMuon CosineCycles GroupAdam LinearDecay StableDecay "
    "TwoGroupAdamW",
    "presets": "DEFAULT FILES FORMS Form Located available file_record find folder "
    "is_name locate read_card roots verify",
    "runtime": "Chain FrameRestorer RUNTIMES Restorer chain engines frames restorer "
    "tiling",
    "serving": "PAGE Server Settings serve",
    "training": "ABLATIONS Material NonFiniteLoss RECIPES Source TrainConfig ablate "
    "ablations build_model building checking compile_model compiling config fit "
    "learning_rate loop material mixing override policy recipes resolve run_folder "
    "shipped stages_of strategies switches train",
    "video": "ALIGNMENTS Camera EXTENSIONS Encoding FORMATS Film Live Preview "
    "Recording colours derain_film derain_live encoders films formats is_film is_live "
    "live preview reading temporal writing",
    "weighting": "Fixed GradientBalance LossBalance Weighting",
}


def test_modules():
    modules = {name for name in PUBLIC if "." not in name}
    assert modules == set(tfderain.__all__)
    with pytest.raises(AttributeError, match="no attribute 'gone'"):
        tfderain.gone  # noqa: B018


def public_names(module):
    """The face's own list, else names of the module itself without underscore."""
    if hasattr(module, "__all__"):
        return set(module.__all__)
    here = {name: getattr(module, name) for name in dir(module) if name[0] != "_"}
    return {
        name
        for name, item in here.items()
        if not isinstance(item, types.ModuleType)
        and getattr(item, "__module__", module.__name__) == module.__name__
    }


@pytest.mark.parametrize("module", sorted(PUBLIC))
def test_public_names_are_these_and_documented(module):
    loaded = importlib.import_module(f"tfderain.{module}")
    assert loaded.__doc__
    listed = PUBLIC[module].split()
    assert len(set(listed)) == len(listed)
    assert public_names(loaded) == set(listed)
    for name in listed:
        item = getattr(loaded, name)
        if callable(item):
            assert item.__doc__, f"{module}.{name} has no docstring."


def test_a_name_too_many_is_noticed():
    module = types.ModuleType("tfderain.fake")
    module.listed, module.pathlib = 1, importlib
    assert public_names(module) == {"listed"}
    module.more = 2
    assert public_names(module) == {"listed", "more"}


def test_version_is_that_of_the_package():
    from importlib import metadata

    assert metadata.version("tfderain") == tfderain.__version__
