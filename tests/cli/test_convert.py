"""Command `convert`."""

import official
import pth_files

from tfderain import models


def test_weights_become_a_model(folder, run):
    tensors = official.tensors(official.load("prenet"))
    pth_files.write_bare(folder / "net.pth", tensors)
    words = ("convert", "prenet", "net.pth", "new/prenet.keras")
    code, out, err = run(*words, "--set", "stages=3")
    assert code == 0, err
    assert "new/prenet.keras" in out
    assert models.load(folder / "new/prenet.keras").network.stages == 3
    code, _, err = run(*words)
    assert code == 2 and "--overwrite" in err[-1]
    assert run(*words, "--overwrite")[0] == 0
    assert models.load(folder / "new/prenet.keras").network.stages == 6


def test_mistakes_are_one_line(folder, run):
    (folder / "net.pth").write_bytes(b"something else")
    for words, message in (
        (("prenet", "net.pth", "net.keras"), "must be a complete PyTorch file"),
        (("menet", "net.pth", "net.keras"), "not a complete TensorFlow checkpoint"),
        (("prenet", "none.pth", "net.keras"), "none.pth"),
        (("prenet", "net.pth", "net.h5"), "must end with .keras"),
        (("prenet", "net.pth", "n.keras", "--set", "stages"), "must be name=value"),
        (("prenet", "net.pth", "n.keras", "--set", "x=1"), "must be among stages"),
        (("unet", "net.pth", "net.keras"), "unet"),
    ):
        code, _, err = run("convert", *words)
        assert code in (1, 2) and message in err[-1], (words, err)
    assert [path.name for path in folder.iterdir()] == ["net.pth"]
