"""Plans of a batch: which file becomes which."""

import os

import pytest
from PIL import Image

from tfderain.batch import plan


def test_an_empty_folder_says_that_recursive_looks_deeper(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.makedirs("in/deep")
    Image.new("RGB", (6, 4)).save("in/deep/a.png")
    with pytest.raises(ValueError, match="--recursive"):
        plan.plan(["in"], "out")
    (job,) = plan.plan(["in"], "out", recursive=True)
    assert job.target == os.path.join("out", "deep", "a.png")
