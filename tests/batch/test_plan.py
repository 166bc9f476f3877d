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


def test_a_folder_in_natural_order_without_the_output(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.makedirs("in/out")
    for name in ("10.png", "9.png", "out/1.png"):
        Image.new("RGB", (6, 4)).save(f"in/{name}")
    jobs = plan.plan(["in"], "in/out", recursive=True)
    assert [job.source for job in jobs] == ["in/9.png", "in/10.png"]
