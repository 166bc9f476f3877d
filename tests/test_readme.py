"""The README's code runs, and its commands do what they say."""

import pathlib
import re
import shlex
import shutil

import numpy as np
import pytest
from PIL import Image
from short_runs import SMALLEST

from tfderain import cli, models
from tfderain.cli import console

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    """Fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def commands():
    """Lines of the console blocks that call tfderain, without comments."""
    lines = "\n".join(blocks("console")).splitlines()
    lines = [line.split("#")[0].strip() for line in lines]
    return [line for line in lines if line.startswith("tfderain ")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with what the README's reader has: photos of rain."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "examples" / "clean", "photos")
    shutil.copytree(ROOT / "examples" / "rainy", "rainy_photos")
    shutil.copy(ROOT / "examples" / "rainy" / "coffee.jpg", "rainy.jpg")
    shutil.copy("rainy.jpg", "photo.jpg")
    return tmp_path


# Readers pass `Image.open(...)` straight on, which leaves closing to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_python_runs(folder):
    namespace = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), namespace)
    size = Image.open("rainy.jpg").size
    assert Image.open("derained.png").size == size
    assert not np.array_equal(Image.open("derained.png"), Image.open("rainy.jpg"))


def quick(line):
    """The same command on a recipe of seconds instead of hours."""
    line = re.sub(r"train (menet(_paper)?|rainmer)", "train smoke", line)
    words = shlex.split(line)[1:]
    small = {
        "erlnet": ("stem=4", "growth=2", "num_layers=1"),
        "jrgr": ("filters=2", "num_levels=2", "num_blocks=1", "critic_filters=2"),
    }
    command, network = (*words, None)[:2]
    if command == "train" and network in small:
        settings = [f"model_config.{setting}" for setting in small[network]]
        settings += ["stages=none", "epochs=1", "steps_per_epoch=2", "batch_size=2"]
        settings += ["crop=32", "degrade=none", "validation_fraction=0.25"]
        settings += ["validation_crops=2"]
        words += [word for setting in settings for word in ("--set", setting)]
    if words[:2] == ["analyze", "relations"]:  # of an untrained Rainmer, no map
        words = [word.replace("runs/rainmer", str(tiny_rainmer())) for word in words]
        words += ["--no-umap", "--images", "3"]
    if command == "bench":
        words += ["--repeats", "2"]
    return words


def tiny_rainmer():
    model = models.Rainmer(**SMALLEST, contrast_weight=0.0)
    model.build((None, None, None, 3))
    path = pathlib.Path("rainmer.keras")
    model.save(path)
    return path


def test_commands_run_in_order(folder):
    listed = commands()
    assert len(listed) >= 10
    for line in listed:
        if "other.json" in line:
            shutil.copy("mine.json", "other.json")
        assert console.run(cli.app, quick(line)) == 0, line
    pictures = ["derained", "figures_8_9", "task_weights", "improved", "features"]
    pictures += ["figure_6"]
    for made in ("mine.json", "table.json", *(f"{name}.png" for name in pictures)):
        assert pathlib.Path(made).is_file(), made
    assert len(list(pathlib.Path("derained").rglob("*.compare.*"))) == 4
    assert len(list(pathlib.Path("real_pairs", "rainy").iterdir())) == 4


def test_files_named_in_the_readme_exist():
    names = re.findall(
        r"`((?:scripts|tests|savedmodels|examples|docs)/[\w./]+)`", README
    )
    assert names
    for name in names:
        assert (ROOT / name).exists(), name
    for name in re.findall(r"\]\((docs/[\w.]+)\)", README):
        assert (ROOT / name).is_file(), name
