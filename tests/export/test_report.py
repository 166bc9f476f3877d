"""Several exports with their measurements in one file."""

import json

import numpy as np
import pytest
from export_model import make_model
from PIL import Image

from tfderain import export
from tfderain.data import pairs as pairing


@pytest.fixture
def pairs(tmp_path):
    rng = np.random.default_rng(0)
    for kind in ("rainy", "clean"):
        (tmp_path / "pairs" / kind).mkdir(parents=True)
        for name in "ab":
            pixels = rng.integers(0, 256, (32, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pairs" / kind / f"{name}.png")
    return pairing.find_pairs(tmp_path / "pairs")


def test_each_file_is_scored_and_recorded(tmp_path, pairs):
    seen, out = [], tmp_path / "out"
    targets = ["litert", "litert_int8"]
    options = {
        "size": (32, 40),
        "representative": [export.random_image((32, 40))[0]] * 8,
        "pairs": pairs,
        "protocol": "rgb_gaussian",
        "progress": lambda *call: seen.append(call),
    }
    model = make_model()
    result = export.export_all(model, out, targets, **options)
    records = result.as_dict()
    assert json.loads((out / "export.json").read_text()) == records
    assert list(records) == targets and seen == [(0, 2), (1, 2), (2, 2)]
    full, quantized = records["litert"], records["litert_int8"]
    assert full["path"] == "model.tflite" and full["count"] == 2
    # int8 keeps these noisy pictures within a quarter of a dB
    assert quantized["psnr"] == pytest.approx(full["psnr"], abs=0.25)
    assert quantized["milliseconds"] > 0
    *_, last = result.table().splitlines()
    assert last.split()[:2] == ["model_int8.tflite", "litert_int8"]
    assert last.split()[5] == f"{quantized['psnr']:.2f}"
    # one that comes later joins the others
    export.export_all(model, out, ["litert_float16"], (32, 40))
    assert len(json.loads((out / "export.json").read_text())) == 3


def test_unknown_targets_are_named(tmp_path):
    with pytest.raises(ValueError, match="Received: \\['coreml'\\]"):
        export.export_all(make_model(), tmp_path, ["litert", "coreml"])
    assert list(tmp_path.iterdir()) == []


def test_representative_pictures_are_read(tmp_path, pairs):
    (first, second) = export.read_representative(pairs.rainy)
    assert first.shape == second.shape == (32, 40, 3)
    assert first.dtype == np.float32 and first.max() <= 1
