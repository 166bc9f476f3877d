"""Folders of pictures: which files are found, and in which order."""

import os

import numpy as np
import pytest

from tfderain import extras, images


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def names(folder, **options):
    return [os.path.relpath(p, folder) for p in images.find_images(folder, **options)]


def test_pictures_by_extension_in_natural_order(tmp_path):
    touch(tmp_path, "10.png", "9.JPG", "notes.txt", ".hidden.png", "deep/1.gif")
    assert names(tmp_path) == ["9.JPG", "10.png"]
    assert names(tmp_path, recursive=True) == ["9.JPG", "10.png", "deep/1.gif"]


def test_hidden_folders_and_the_one_left_out_are_not_searched(tmp_path):
    touch(tmp_path, "a/1.png", ".cache/2.png", "out/3.png", "out/a/4.png")
    (tmp_path / "link").symlink_to(tmp_path / "out")  # another name of the folder
    for out in ("out", "link"):
        found = names(tmp_path, recursive=True, leave_out=tmp_path / out)
        assert found == ["a/1.png"]
    found = names(tmp_path, recursive=True, leave_out=tmp_path / "missing")
    linked = ["link/3.png", "link/a/4.png"]
    assert found == ["a/1.png", *linked, "out/3.png", "out/a/4.png"]


def test_everything_that_can_be_read_is_found(tmp_path, monkeypatch):
    known = ["a.jfif", "b.jpe", "c.ppm", "d.avif", "e.HEIC", "f.NEF", "g.dib"]
    touch(tmp_path, *known, "h.jxl", "i.mp4")
    assert names(tmp_path) == known
    missed = []
    assert names(tmp_path, missed=missed) == known
    assert missed == [(str(tmp_path / "h.jxl"), "tfderain does not read such files")]
    monkeypatch.setattr(extras, "installed", lambda *packages: False)
    missed = []
    assert names(tmp_path, missed=missed) == [*known[:4], "g.dib"]
    assert [path[-6:] for path, _ in missed] == ["e.HEIC", "/f.NEF", "/h.jxl"]
    assert "pillow-heif" in missed[0][1] and "rawpy" in missed[1][1]


def test_links_are_followed_and_loops_stop(tmp_path):
    touch(tmp_path, "data/a/1.png", "elsewhere/deep/2.png")
    (tmp_path / "data" / "rainy").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "a" / "up").symlink_to(tmp_path / "data")
    (tmp_path / "elsewhere" / "self").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "lost").symlink_to(tmp_path / "nowhere")
    found = names(tmp_path / "data", recursive=True)
    assert found == ["a/1.png", "rainy/deep/2.png"]
    assert names(tmp_path / "data" / "rainy", recursive=True) == ["deep/2.png"]


def test_names_with_equal_numbers_have_one_order(tmp_path):
    touch(tmp_path, "1.png", "01.png", "001.png")
    assert names(tmp_path) == ["001.png", "01.png", "1.png"]


def test_digits_that_are_no_numbers():
    # a superscript two is a digit to Python, but int() refuses it
    assert images.natural_key("1\u00b22.png") == ["", 1, "\u00b2", 2, ".png"]


def test_a_folder_that_is_none(tmp_path):
    touch(tmp_path, "1.png")
    for folder in (tmp_path / "missing", tmp_path / "1.png"):
        with pytest.raises(ValueError, match="There must be a folder. Received"):
            images.find_images(folder)


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    touch(tmp_path, "locked/1.png")
    scan = os.scandir

    def refuse(path):  # as for a user without the right; root may read everything
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ValueError, match="readable. Received: .*locked .Permission"):
        images.find_images(tmp_path, recursive=True)
    touch(tmp_path, "open/2.png")
    missed = []
    assert names(tmp_path, recursive=True, missed=missed) == ["open/2.png"]
    ((path, reason),) = missed
    assert path.endswith("locked") and "Permission denied" in reason
    with pytest.raises(ValueError, match="Every folder must be readable"):
        images.find_images(tmp_path / "locked", missed=[])


def test_pixels_of_any_picture_as_rgb(tmp_path):
    grey = np.array([[0, 257 * 7], [257 * 255, 257 * 128]], np.uint16)
    images.write(tmp_path / "grey.png", images.Picture(grey))
    expected = np.array([[0, 7], [255, 128]], np.uint8)
    pixels = images.read_rgb(tmp_path / "grey.png")
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, np.stack([expected] * 3, axis=-1))
