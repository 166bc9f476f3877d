"""Base install: NumPy, Pillow, LiteRT and typer are enough to derain and to score."""

import os
import subprocess
import sys

import pytest
from commands import picture

# Everything that only extras bring; an import of it fails as if it were not there.
WITHOUT = """
import importlib.abc, sys

EXTRAS = set("EXTRA PACKAGES".split())

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in EXTRAS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from tfderain import cli
sys.argv[0] = "tfderain"
cli.main()
""".replace(
    "EXTRA PACKAGES",
    "tensorflow keras tensorboard tensorflow_serving h5py ml_dtypes onnx onnxruntime "
    "tf2onnx matplotlib sklearn scipy umap fastapi uvicorn grpc prometheus_client "
    "openvino pillow_heif rawpy skimage tifffile jax torch httpx hypothesis",
)


def run(folder, *arguments):
    """A command without the extras: exit code, what it printed, its last error line."""
    made = subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments],
        **{"cwd": folder, "capture_output": True, "text": True, "timeout": 300},
        env={**os.environ, "COLUMNS": "100"},
    )
    lines = made.stderr.strip().splitlines()
    return made.returncode, made.stdout, lines[-1] if lines else ""


def test_everyday_commands_need_no_extra(tmp_path):
    for name in ("1", "2"):
        picture(tmp_path / "clean" / f"{name}.png", size=(64, 48))
    code, out, _ = run(tmp_path, "list")
    assert code == 0 and "menet" in out
    code, _, error = run(tmp_path, "synthesize", "clean", "--out", "pairs")
    assert code == 0, error
    code, out, error = run(tmp_path, "evaluate", "menet", "--data", "pairs")
    assert code == 0 and "mean of 2 images" in out, error
    rainy = "pairs/rainy"
    code, _, error = run(tmp_path, "derain", rainy, "--out", "dry", "--model", "menet")
    assert code == 0 and len(list((tmp_path / "dry").iterdir())) == 2, error
    code, out, error = run(tmp_path, "bench", "menet", "--size", "64x48")
    assert code == 0, error


@pytest.mark.parametrize(
    "command",
    [
        "train smoke --data pairs --out run",
        "export menet --to litert --out m.tflite",
        "derain a.png --out b.png --model m.keras",
    ],
)
def test_other_commands_name_their_extra(tmp_path, command):
    picture(tmp_path / "a.png", size=(64, 48))
    (tmp_path / "m.keras").write_bytes(b"PK")
    for kind in ("rainy", "clean"):
        picture(tmp_path / "pairs" / kind / "1.png", size=(160, 160))
    code, _, error = run(tmp_path, *command.split())
    assert code == 1
    assert error.startswith("error: This needs TensorFlow and Keras; install with ")
    assert '`pip install "tfderain[tensorflow]"`' in error


def test_python_names_the_extra_too(tmp_path):
    code = "import tfderain\ntry:\n    tfderain.losses\n"
    code += "except ImportError as error:\n    print(error)\n"
    script = WITHOUT.replace("from tfderain import cli", code).split("sys.argv[0]")[0]
    made = subprocess.run(
        [sys.executable, "-c", script],
        **{"capture_output": True, "text": True, "timeout": 60, "check": True},
    )
    assert made.stdout == (
        "This needs TensorFlow and Keras; install with `pip install "
        "\"tfderain[tensorflow]\"`. Received: No module named 'keras'.\n"
    )
