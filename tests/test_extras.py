"""Extras: one error and one exit code, whichever optional package is missing."""

import sys

import pytest
from commands import picture

from tfderain import cli, extras
from tfderain.cli import console


def test_require_returns_the_first_module():
    assert (
        extras.require("json.decoder", "csv", extra="onnx")
        is sys.modules["json.decoder"]
    )


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.ndimage", None)
    with pytest.raises(ImportError) as caught:
        extras.require("json", "scipy.ndimage", extra="analysis")
    assert str(caught.value) == (
        'This needs json, scipy; install with `pip install "tfderain[analysis]"`. '
        "Received: import of scipy.ndimage halted; None in sys.modules."
    )
    assert extras.installed("json", "csv") and not extras.installed("json", "no_such")


@pytest.mark.parametrize(
    "package, extra, command",
    [
        ("onnxruntime", "onnx", "derain a.png --out b.png --model m.onnx"),
        ("uvicorn", "serve", "serve menet"),
        ("matplotlib.figure", "analysis", "analyze weights . --out w.png"),
        ("scipy.ndimage", "analysis", "analyze naturalness menet --photos . --clean ."),
    ],
)
def test_commands_have_one_exit_code_for_it(
    tmp_path, monkeypatch, capsys, package, extra, command
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    picture(tmp_path / "a.png", size=(96, 96))
    (tmp_path / "m.onnx").write_bytes(b"a network")
    (tmp_path / "history.csv").write_text("epoch,weight_edge\n0,1\n")
    assert console.run(cli.app, command.split()) == 1
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("error: This needs ")
    assert f'`pip install "tfderain[{extra}]"`' in line
