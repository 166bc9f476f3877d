"""The reader of PyTorch files: both layouts, and everything that it refuses."""

import pickle
import re
import struct
import zipfile

import numpy as np
import pth_files
import pytest
from helpers import images

from tfderain.convert import pth
from tfderain.convert.weights import Weights

ARRAYS = {
    "conv.weight": images(4, 3, 2),
    "conv.bias": images(4, seed=1).astype("<f2"),
    "scale": np.array(2.5, "<f8"),
    "norm.num_batches_tracked": np.array(7, "<i8"),
    "turned": pth_files.transposed(3, 5),
}
LAYOUTS = pytest.mark.parametrize("write", [pth_files.write_bare, pth_files.write_zip])


@LAYOUTS
def test_read(write, tmp_path):
    tensors = pth.read(write(tmp_path / "net.pth", ARRAYS))
    assert list(tensors) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert tensors[name].dtype == array.dtype
        np.testing.assert_array_equal(tensors[name], array)


@LAYOUTS
def test_bfloat16_comes_as_float32(write, tmp_path):
    upper = np.array([0x3F80, 0xC040], "<u2")  # 1.0 and -3.0
    arrays = {"weight": upper}
    tensors = pth.read(write(tmp_path / "net.pth", arrays, kind="BFloat16Storage"))
    np.testing.assert_array_equal(tensors["weight"], np.array([1, -3], "f4"))


def test_checkpoint_of_a_training(tmp_path):
    weights = pth_files.state_dict({"module.weight": ARRAYS["conv.weight"]})
    code = {"epoch": pth_files.whole(3), "state_dict": weights, "loss": b"N"}
    code = pth_files.dictionary(code)
    arrays = {"weight": ARRAYS["conv.weight"]}
    tensors = pth.read(pth_files.write_zip(tmp_path / "net.pth", arrays, code))
    assert list(tensors) == ["state_dict.module.weight"]
    own = Weights.find(tensors, "weight")
    np.testing.assert_array_equal(own["weight"], ARRAYS["conv.weight"])


def test_view_of_a_storage(tmp_path):
    whole, names = images(6), {"all": images(6)}
    view = b"(" + pth_files.text("view") + pth_files.numbers([2, 3])[1:]
    code = pth_files.tensor(whole[2:5], "0", bare=True)
    code = code.replace(b"NtQ", view + b"tQ")
    code = pth_files.dictionary({"part": code})
    tensors = pth.read(pth_files.write_bare(tmp_path / "net.pth", names, code))
    np.testing.assert_array_equal(tensors["part"], whole[2:5])


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        import os

        return os.mkdir, (str(self.folder),)


@LAYOUTS
def test_nothing_is_executed(write, tmp_path):
    made = tmp_path / "made"
    evil = pickle.dumps(Evil(made), 2)[2:-1]  # without its first and last opcode
    code = pth_files.dictionary({"weight": evil})
    path = write(tmp_path / "net.pth", {}, code)
    with pytest.raises(ValueError, match=r"it names posix.mkdir. Received: weights="):
        pth.read(path)
    assert not made.exists()


@pytest.mark.parametrize(
    "name",
    ["builtins\neval", "torch\nload", "torch.nn.modules.conv\nConv2d", "os\nsystem"],
)
def test_other_names_are_refused(name, tmp_path):
    code = pth_files.dictionary({"net": f"c{name}\n".encode()})
    path = pth_files.write_zip(tmp_path / "net.pth", {}, code)
    with pytest.raises(ValueError, match=f"it names {name.replace(chr(10), '.')}"):
        pth.read(path)


@LAYOUTS
def test_every_truncation_is_refused(write, tmp_path):
    content = write(tmp_path / "net.pth", ARRAYS).read_bytes()
    path = tmp_path / "cut.pth"
    for size in range(0, len(content), 7):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match="complete PyTorch file") as error:
            pth.read(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is another kind of file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "it is another kind of file"),
        (pickle.dumps([1, 2], 2), "it is another kind of file"),
        (pickle.dumps(Evil("made"), 0), "it is another kind of file"),
        (pickle.dumps(Evil("made"), 2), "it names posix.mkdir"),
    ],
)
def test_foreign_files(content, reason, tmp_path):
    path = tmp_path / "foreign.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(reason)):
        pth.read(path)


def test_archives_that_pytorch_did_not_write(tmp_path):
    path = tmp_path / "net.pth"
    pth_files.write_zip(path, ARRAYS, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="its archive is compressed"):
        pth.read(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.json", "{}")
    with pytest.raises(ValueError, match="without one data.pkl"):
        pth.read(path)
    pth_files.write_zip(path, {}, pth_files.dictionary({"epoch": b"N"}))
    with pytest.raises(ValueError, match="it holds no tensors"):
        pth.read(path)


@pytest.mark.parametrize(
    ("shape", "strides"), [((5,), (1,)), ((4, 4), (0, 1)), ((2,), (9,)), ((-1,), (1,))]
)
@LAYOUTS
def test_tensors_outside_their_storage(write, shape, strides, tmp_path):
    array = images(4)
    code = pth_files.tensor(array, "0", bare=write is pth_files.write_bare)
    right = pth_files.numbers([4]) + pth_files.numbers([1])
    wrong = pth_files.numbers(shape) + pth_files.numbers(strides)
    code = pth_files.dictionary({"weight": code.replace(right, wrong)})
    path = write(tmp_path / "net.pth", {"weight": array}, code)
    with pytest.raises(ValueError, match="larger than its storage|impossible sizes"):
        pth.read(path)


def test_storage_sizes_that_lie(tmp_path):
    path = pth_files.write_bare(tmp_path / "net.pth", {"weight": images(4)})
    content = path.read_bytes()
    place = len(content) - 16 - 8
    path.write_bytes(content[:place] + struct.pack("<q", 2**60) + content[place + 8 :])
    with pytest.raises(ValueError, match="complete PyTorch file"):
        pth.read(path)
