import errno
import pathlib
import zipfile

import pytest

from tfderain import files


def test_the_file_appears_at_the_end(tmp_path):
    target = tmp_path / "scores.json"
    with files.replacing(target) as temporary:
        temporary.write_text("new")
        assert temporary.suffix == ".json" and not target.exists()
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there(tmp_path, error):
    target = tmp_path / "scores.json"
    target.write_text("old")
    with pytest.raises(error), files.replacing(target) as temporary:
        temporary.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_error_of_the_system_names_the_file(tmp_path):
    target = tmp_path / "scores.json"
    with (
        pytest.raises(OSError, match=f"No space left.*{target}"),
        files.replacing(target),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_stem_leaves_the_folders():
    assert files.stem("a.b/1.tar.png") == "a.b/1.tar"
    assert files.stem("1") == "1"


def test_longer_names_where_two_are_equal():
    names = ["1.jpg", "2.png"]
    assert files.distinct(map(files.stem, names), names) == ["1", "2"]
    names = ["1.jpg", "1.png", "2.png"]
    assert files.distinct(map(files.stem, names), names) == names


@pytest.mark.parametrize("name", ["plain", "run[1]", "a*b?c"])
def test_a_folder_has_a_name_without_wildcards(name, tmp_path):
    folder = tmp_path / name
    folder.mkdir()
    with files.without_wildcards(folder) as path:
        assert not set(path) & set("*?[]")
        pathlib.Path(path, "file").write_text("text")
    assert (folder / "file").read_text() == "text"


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"", "empty"),
        (b"PK\x03\x04 half of an archive", "beginning of one"),
    ],
)
def test_damage_is_said(content, part, tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    assert part in files.damage(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    assert files.damage(path) == ""
