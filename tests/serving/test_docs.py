"""Serving guide: what docs/serving.md tells people to run does run; the load test."""

import importlib.util
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest
import tensorflow as tf
from PIL import Image
from tensorflow_serving.apis import prediction_log_pb2

from tfderain.serving import signatures

ROOT = pathlib.Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\S+)(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
COMMAND = "import sys; from tfderain.cli import main; sys.exit(main())"


def blocks():
    """Language and text of the fenced blocks that are to be run, in order."""
    found = [block.groups() for block in BLOCK.finditer(DOCUMENT)]
    return [(kind, text) for kind, note, text in found if "not run" not in note]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a small photo, where `python` is this interpreter."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    here = str(pathlib.Path(sys.executable).parent)
    monkeypatch.setenv("PATH", here, prepend=os.pathsep)
    with Image.open(ROOT / "examples" / "rainy" / "coffee.jpg") as image:
        image.resize((48, 32)).save("rainy.jpg")
    return tmp_path


@pytest.fixture
def addresses(folder):
    """Runs the document's first command; gives what to put for its addresses."""
    kind, command = blocks()[0]
    words = shlex.split(command)
    assert (kind, words[:2]) == ("sh", ["tfderain", "serve"])
    options = ["--port", "0", "--grpc-port", "0"]
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, *words[1:], *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            found = [re.search(r"127.0.0.1:\d+", process.stdout.readline())[0]]
            found.append(re.search(r"127.0.0.1:\d+", process.stdout.readline())[0])
            yield dict(zip(("127.0.0.1:8501", "127.0.0.1:8500"), found, strict=True))
        finally:
            process.kill()


# The document's one-liners leave the closing of files to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_commands_and_clients_run_in_order(folder, addresses):
    ran = []
    for kind, text in blocks()[1:]:
        for documented, real in addresses.items():
            text = text.replace(documented, real)
        if kind == "python":
            exec(compile(text, "docs/serving.md", "exec"), {})
        elif kind == "sh":
            command = ["bash", "-euo", "pipefail", "-c", text]
            subprocess.run(command, check=True, timeout=300)
        ran.append(kind)
    assert ran.count("python") == 3 and ran.count("sh") == 2
    for name in ("derained_curl", "derained_0", "derained_1", "derained_grpc"):
        with Image.open(f"{name}.png") as image:
            assert (image.format, image.size) == ("PNG", (48, 32))
    check_warm_up("exported/resunet/1")


def check_warm_up(folder):
    """The records ask for what the SavedModel beside them has."""
    path = f"{folder}/assets.extra/tf_serving_warmup_requests"
    (record,) = tf.data.TFRecordDataset(path).as_numpy_iterator()
    request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
    signature = signatures.SIGNATURES[request.model_spec.signature_name]
    assert list(request.inputs) == [signature.rainy]
    assert pathlib.Path(folder, "saved_model.pb").is_file()


def test_signatures_and_options_of_the_document_exist():
    for name, signature in signatures.SIGNATURES.items():
        assert f"`{name}`" in DOCUMENT
        assert f"`{signature.rainy}`" in DOCUMENT
        assert f"`{signature.derained}`" in DOCUMENT
    source = (ROOT / "tfderain" / "cli" / "serve.py").read_text(encoding="utf-8")
    named = re.findall(r"^\| `--([a-z-]+)", DOCUMENT, re.MULTILINE)
    assert named
    for option in named:
        argument = option.replace("-", "_")
        assert re.search(rf"^    {argument}: ", source, re.MULTILINE), option


def test_load_test_prints_a_table(capsys):
    path = ROOT / "scripts" / "load_test.py"
    spec = importlib.util.spec_from_file_location("load_test", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    asked = ["--requests", "32", "--size", "12", "--concurrency", "1", "8"]
    assert script.main(asked) == 0
    table = [line for line in capsys.readouterr().out.splitlines() if "|" in line]
    assert len(table) == 4
    for line, clients in zip(table[2:], (1, 8), strict=True):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[:3] == [str(clients), "16", "0"]
        assert all(float(cell) > 0 for cell in cells[3:6])
