"""Presets are found, described and checked without TensorFlow."""

import json
import subprocess
import sys

import pytest

from tfderain import presets


def write_preset(root, name, **card):
    """A preset of one file, with a right card unless `card` says otherwise."""
    folder = root / name
    (folder / "1").mkdir(parents=True)
    (folder / "model.tflite").write_bytes(b"weights of " + name.encode())
    (folder / "1" / "saved_model.pb").write_bytes(b"graph")
    files = {
        path.relative_to(folder).as_posix(): presets.file_record(path)
        for path in (folder / "model.tflite", folder / "1" / "saved_model.pb")
    }
    card = {"name": name, "files": files, **card}
    (folder / "card.json").write_text(json.dumps(card))
    return folder


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty folder that is searched before all others."""
    folder = tmp_path / "presets"
    folder.mkdir()
    monkeypatch.setenv("TFDERAIN_PRESETS", str(folder))
    return folder


@pytest.fixture
def alone(root, monkeypatch):
    """`root` as the only folder that is searched."""
    monkeypatch.setattr(presets, "PACKAGE", root / "nowhere")
    return root


def test_finds_a_preset_by_name(root):
    folder = write_preset(root, "drizzle", stride=4)
    assert presets.folder("drizzle") == folder
    assert presets.find("drizzle") == folder
    assert presets.available()["drizzle"]["stride"] == 4


def test_the_environment_comes_before_the_checkout_and_the_wheel(tmp_path, monkeypatch):
    package = tmp_path / "site" / "tfderain"
    folders = [
        tmp_path / "env",
        package.parent / "savedmodels",
        package / "savedmodels",
    ]
    for level, folder in enumerate(folders):
        write_preset(folder, "menet", level=level)
        write_preset(folder, f"only_{level}")
    monkeypatch.setattr(presets, "PACKAGE", package)
    monkeypatch.setenv("TFDERAIN_PRESETS", str(folders[0]))

    # Without pyproject.toml the package lies in site-packages, whose `savedmodels`
    # is somebody else's.
    assert sorted(presets.available()) == ["menet", "only_0", "only_2"]
    (package.parent / "pyproject.toml").touch()
    assert sorted(presets.available()) == ["menet", "only_0", "only_1", "only_2"]
    assert presets.available()["menet"]["level"] == 0
    assert presets.folder("menet") == folders[0] / "menet"
    monkeypatch.delenv("TFDERAIN_PRESETS")
    assert presets.folder("menet") == folders[1] / "menet"


def test_an_unknown_name_lists_the_known_ones(alone):
    write_preset(alone, "drizzle")
    with pytest.raises(
        ValueError, match=r"one of drizzle, drops, erlnet, jrgr, menet.*'hail'"
    ):
        presets.find("hail")


def test_a_preset_without_weights_says_how_to_train_it(alone):
    with pytest.raises(ValueError, match="tfderain train menet .*run folder"):
        presets.find("menet")


def test_a_name_cannot_leave_the_folder(alone):
    write_preset(alone.parent, "outside")
    with pytest.raises(ValueError, match="must be one of"):
        presets.folder("../outside")
    assert not presets.is_name("..")


def test_a_path_is_returned_as_it_is(alone, tmp_path, monkeypatch):
    other = write_preset(tmp_path / "elsewhere", "menet")
    assert presets.find(other) == other
    assert presets.find(str(other / "model.tflite")) == other / "model.tflite"
    with pytest.raises(ValueError, match="existing file or folder.*missing/model"):
        presets.find("missing/model.tflite")
    # A bare word may be a file here too, but a preset of that name goes first.
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert presets.find("menet").resolve() == other
    preset = write_preset(alone, "menet")
    assert presets.find("menet") == preset
    assert presets.find("./menet").resolve() == other


@pytest.mark.parametrize(
    ("files", "kind", "runtime"),
    [
        (["best.keras"], "run", "tensorflow"),
        (["config.json"], "run", "litert"),  # nothing to run yet; the error says so
        (["card.json", "model.keras", "model.tflite"], "preset", "litert"),
        (["model.tflite", "1/saved_model.pb"], "export", "litert"),
        (["model.onnx"], "export", "onnx"),
        (["model.keras"], "export", "tensorflow"),
        (["2/saved_model.pb", "10/saved_model.pb"], "saved_model", "tensorflow"),
        (["1.png", "2/3.png"], "folder", "litert"),
    ],
)
def test_what_a_folder_means(files, kind, runtime, tmp_path):
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("{}")
    located = presets.locate(tmp_path)
    assert (located.kind, located.runtime) == (kind, runtime)
    assert located.path == tmp_path
    assert located.card == ({} if kind == "preset" else None)
    keras = [tmp_path / file for file in files if file.endswith(".keras")]
    assert [located.keras] == (keras or [None])
    saved = tmp_path / "10" if kind == "saved_model" else None
    assert kind == "export" or located.saved_model == saved


@pytest.mark.parametrize(
    ("name", "kind", "runtime"),
    [
        ("a.keras", "keras", "tensorflow"),
        ("a.tflite", "litert", "litert"),
        ("a.onnx", "onnx", "onnx"),
        ("a.png", "file", "litert"),
    ],
)
def test_what_a_file_means(name, kind, runtime, tmp_path):
    (tmp_path / name).touch()
    located = presets.locate(tmp_path / name)
    assert (located.kind, located.runtime) == (kind, runtime)
    assert located.keras == (tmp_path / name if kind == "keras" else None)


def test_a_bare_name_is_a_preset_whatever_lies_here(tmp_path, monkeypatch):
    """Also to the command line and to `models.load`, which took `menet/best.keras`."""
    from tfderain import models
    from tfderain.cli import options

    (tmp_path / "menet").mkdir()
    (tmp_path / "menet" / "best.keras").write_bytes(b"not the preset")
    monkeypatch.chdir(tmp_path)
    assert presets.locate("menet").kind == "preset"
    assert presets.locate("./menet").kind == "run"
    assert options.restorer("menet").runtime == "litert"
    assert options.restorer_or_images("menet").runtime == "litert"
    assert isinstance(models.load("menet"), models.MENET)


def test_verify_accepts_untouched_files(root):
    folder = write_preset(root, "drizzle")
    assert presets.verify("drizzle") == ("1/saved_model.pb", "model.tflite")
    assert presets.verify(folder) == ("1/saved_model.pb", "model.tflite")


def test_verify_names_every_wrong_file(root):
    folder = write_preset(root, "drizzle")
    (folder / "model.tflite").write_bytes(b"other weights")
    (folder / "1" / "saved_model.pb").unlink()
    (folder / "model.keras").touch()
    message = "saved_model.pb: missing; model.keras: not in.*; model.tflite: changed"
    with pytest.raises(ValueError, match=message):
        presets.verify("drizzle")


def test_verify_refuses_a_card_without_files(root):
    folder = write_preset(root, "drizzle", files={})
    (folder / "model.tflite").unlink()
    (folder / "1" / "saved_model.pb").unlink()
    with pytest.raises(ValueError, match="no files listed"):
        presets.verify("drizzle")


def test_file_record(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert presets.file_record(tmp_path / "abc") == {
        # FIPS 180-2, appendix B.1
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "bytes": 3,
    }


@pytest.mark.parametrize("content", ["", "{", "[1]"])
def test_a_broken_card_is_named(root, content):
    folder = write_preset(root, "drizzle")
    (folder / "card.json").write_text(content)
    with pytest.raises(ValueError, match=r"Received: .*drizzle.card\.json"):
        presets.read_card(folder)


def test_tensorflow_stays_unloaded():
    code = (
        "import sys; from tfderain import presets; presets.available(); "
        "print(sorted({'tensorflow', 'keras', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
