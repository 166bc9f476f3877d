import io
import tarfile
import zipfile

import pytest
from data_set_trees import packed, picture

from tfderain.data import archives

NAMES = ["Set/rain-2.png", "Set/rain-10.png", "Set/sub/a.jpg"]


def tree(folder):
    for number, name in enumerate(NAMES):
        picture(folder / name, number)
    (folder / "Set/readme.txt").write_text("no picture")
    (folder / "Set/.hidden.png").write_bytes(b"")
    (folder / "__MACOSX/Set").mkdir(parents=True)
    (folder / "__MACOSX/Set/rain-2.png").write_bytes(b"")
    return folder


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz"])
def test_images_of_an_archive_are_read_by_name(tmp_path, suffix):
    source = tree(tmp_path / "in")
    path = packed(source, tmp_path / f"Mine{suffix}")
    with archives.opened(path) as found:
        assert found.images == [f"Mine/{name}" for name in NAMES]
        first = (source / NAMES[1]).read_bytes()
        assert found.size(f"Mine/{NAMES[1]}") == len(first)
        told = []
        targets = {f"Mine/{name}": tmp_path / name.split("/")[-1] for name in NAMES}
        found.copy(targets, lambda: told.append(1))
    assert len(told) == 3
    for name in NAMES:
        expected = (source / name).read_bytes()
        assert (tmp_path / name.split("/")[-1]).read_bytes() == expected


def test_a_folder_with_archives_in_it(tmp_path):
    source = tree(tmp_path / "in")
    folder = tmp_path / "out"
    picture(folder / "loose.png", 1)
    packed(source, folder / "test.zip")
    packed(source, folder / "train.tar")
    with archives.opened(folder) as found:
        assert found.images == ["loose.png"] + [
            f"{split}/{name}" for split in ("test", "train") for name in NAMES
        ]
        copies = {"loose.png": tmp_path / "1.png", f"train/{NAMES[0]}": tmp_path / "2"}
        found.copy(copies)
    assert (tmp_path / "1.png").read_bytes() == (folder / "loose.png").read_bytes()
    assert (tmp_path / "2").read_bytes() == (source / NAMES[0]).read_bytes()


@pytest.mark.parametrize(
    "name",
    ["../out.png", "/etc/out.png", "a/../../out.png", "..\\out.png", "C:\\out.png"],
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_lead_out_are_refused(tmp_path, name, kind):
    path = tmp_path / f"bad.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(zipfile.ZipInfo(name), b"x")
    else:
        with tarfile.open(path, "w") as archive:
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with (
        pytest.raises(ValueError, match=r"must stay inside it.*not to be trusted"),
        archives.opened(path),
    ):
        pass


def test_links_in_a_tar_file_are_no_images(tmp_path):
    (tmp_path / "secret").write_text("secret")
    with tarfile.open(tmp_path / "links.tar", "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            link = tarfile.TarInfo(f"{kind.decode()}.png")
            link.type, link.linkname = kind, str(tmp_path / "secret")
            archive.addfile(link)
    with archives.opened(tmp_path / "links.tar") as found:
        assert found.images == []


def test_what_cannot_be_read_is_one_clear_error(tmp_path):
    def fails(path, match):
        with pytest.raises(ValueError, match=match), archives.opened(path) as found:
            found.copy({name: tmp_path / "copy" for name in found.images})

    fails(tmp_path / "missing.zip", "must be a folder or an archive")
    (tmp_path / "set.rar").write_bytes(b"Rar!\x1a\x07\x00")
    fails(tmp_path / "set.rar", "unpack others .RAR, 7z")
    whole = packed(tree(tmp_path / "in"), tmp_path / "set.zip").read_bytes()
    (tmp_path / "short.zip").write_bytes(whole[:-200])
    fails(tmp_path / "short.zip", "must be a whole ZIP or TAR file")
    # a picture whose bytes changed: its checksum tells
    where = whole.index(b"IDAT")
    changed = whole[:where] + b"JUNK" + whole[where + 4 :]
    (tmp_path / "changed.zip").write_bytes(changed)
    fails(tmp_path / "changed.zip", r"must be whole and without a password.*CRC")
    packed(tree(tmp_path / "in2"), tmp_path / "set.tar.gz")
    half = (tmp_path / "set.tar.gz").read_bytes()[:-300]
    (tmp_path / "half.tar.gz").write_bytes(half)
    fails(tmp_path / "half.tar.gz", "must be (whole and|a whole ZIP or TAR)")
