"""Reports: what results share, and the versions that they name."""

import sys
from importlib import metadata

from tfderain import reports


def test_versions_name_every_runtime_that_is_loaded(monkeypatch):
    for module, package in (
        ("onnxruntime", "onnxruntime"),
        ("ai_edge_litert", "ai-edge-litert"),
    ):
        monkeypatch.delitem(sys.modules, module, raising=False)
        assert module not in reports.versions()
        monkeypatch.setitem(sys.modules, module, sys)
        assert reports.versions()[module] == metadata.version(package)


def test_a_row_of_a_table_is_one_line():
    rows = [("a\n\x1b[31m.png", "1.0"), ("", "2.0")]
    assert reports.text_table(("image", "psnr_y"), rows).splitlines() == [
        "image             psnr_y",
        "------------------------",
        "a \\x1b[31m.png       1.0",
        "                     2.0",
    ]
