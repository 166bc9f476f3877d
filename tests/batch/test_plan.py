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


def test_films_keep_their_kind_or_become_mkv(tmp_path):
    for name in ("a.mp4", "b.AVI", "c.jpg", "d.webm", "e.txt", "f.ts"):
        (tmp_path / name).touch()
    jobs = plan.plan([tmp_path], tmp_path / "out", format="webp", compare=True)
    assert [(os.path.basename(job.target), len(job.others)) for job in jobs] == [
        ("a.mp4", 0),
        ("b.mkv", 0),
        ("c.webp", 1),
        ("d.webm", 0),
    ]
    (job,) = plan.plan([tmp_path / "f.ts"], f"{tmp_path}/out/")
    assert job.target.endswith("f.mkv"), "named, it is a film and no program"


@pytest.mark.parametrize(
    ("source", "output", "message"),
    [
        ("a.mp4", "b.png", "output of one film must be a file ending in .mp4, .m4v"),
        ("c.jpg", "b.mp4", "output of one picture must be a file ending in .png"),
        (".", "b.mp4", "need a folder as the output"),
    ],
)
def test_films_and_pictures_have_outputs_of_their_kind(
    tmp_path, monkeypatch, source, output, message
):
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "c.jpg"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=message):
        plan.plan([source], output)
