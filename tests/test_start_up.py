"""Start-up: TensorFlow costs seconds, and most commands do not need it.

Each check runs in a process of its own, because the tests have loaded TensorFlow.
"""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tfderain import export, models

HEAVY = ("tensorflow", "keras", "ai_edge_litert", "matplotlib", "rich", "PIL")
HEAVY += ("fastapi", "grpc")
REPORT = """
import json, sys
heavy = [name for name in {heavy} if name in sys.modules]
print(json.dumps(heavy), file=sys.stderr)
"""
COMMANDS = ("derain", "serve", "train")
COMMAND = """
import sys
from tfderain import cli
try:
    cli.main({arguments})
except SystemExit as end:
    assert not end.code, end.code
"""


def run(code):
    """Runs Python code; returns what it printed and which heavy modules it loaded."""
    code += REPORT.format(heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr, json.loads(done.stderr.splitlines()[-1])


def test_importing_tfderain_loads_nothing_heavy():
    assert run("import tfderain; tfderain.presets.available()")[2] == []


def test_light_modules_leave_tensorflow_alone():
    light = ("analysis", "batch", "benchmarks", "evaluation", "images", "runtime")
    light += ("data", "presets", "reports", "serving", "training.recipes", "video")
    code = f"""
import importlib
for name in {light}:
    module = importlib.import_module("tfderain." + name)
    for public in getattr(module, "__all__", ()):
        getattr(module, public)
"""
    assert not {"tensorflow", "keras"} & set(run(code)[2])


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], [], *([name, "--help"] for name in COMMANDS)],
)
def test_help_and_version_load_nothing_heavy(arguments):
    out, _, loaded = run(COMMAND.format(arguments=arguments))
    assert "tfderain" in out and loaded == []


def test_listing_presets_loads_nothing_heavy():
    assert run(COMMAND.format(arguments=["list"]))[2] == []


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    """Folder of a tiny preset: an untrained network that changes little."""
    folder = tmp_path_factory.mktemp("presets") / "tiny"
    model = models.MENET(num_blocks=1, filters=4, normalization=None, value_range=1.0)
    model.build((None, None, None, 3))
    export.to_litert(model, folder / "model.tflite", size=(32, 48))
    card = {"stride": model.stride, "global_operations": False}
    (folder / "card.json").write_text(json.dumps(card))
    return folder


def test_deraining_a_photo_leaves_tensorflow_alone(preset, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (33, 47, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "rainy.png")
    output = tmp_path / "derained.png"
    arguments = ["derain", str(tmp_path / "rainy.png"), "--out", str(output)]
    code = COMMAND.format(arguments=[*arguments, "--model", str(preset)])
    out, err, loaded = run(code)
    assert loaded == ["ai_edge_litert", "PIL"], "rich neither: it took no two seconds"
    assert out == "", "stdout is for results"
    assert "1 derained, 0 skipped, 0 failed" in err.splitlines()[-2]
    with Image.open(output) as image:
        assert image.size == (47, 33)
