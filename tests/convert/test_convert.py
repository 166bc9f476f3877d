"""Official weights: golden weights in the official layouts give the golden images."""

import keras
import numpy as np
import pth_files
import pytest
from helpers import GOLDEN

from tfderain import convert, models
from tfderain.models.prenet import PReNet


def golden_weights():
    """The golden arrays, and the authors' names with their (random) tensors."""
    golden = np.load(GOLDEN / "prenet.npz", allow_pickle=False)
    weights = {k.removeprefix("w/"): golden[k] for k in golden if k.startswith("w/")}
    return golden, weights


@pytest.mark.parametrize("write", [pth_files.write_bare, pth_files.write_zip])
def test_prenet(write, tmp_path):
    golden, weights = golden_weights()
    path = write(tmp_path / "net_latest.pth", weights)
    out = convert.convert("prenet", path, tmp_path / "prenet.keras")
    model = models.load(out)
    assert type(model) is PReNet
    derained = model(np.moveaxis(golden["in/rainy"], 1, -1))
    expected = np.clip(np.moveaxis(golden["out/derained"], 1, -1), 0, 1)
    # stated with the golden data; float32 sums in another order
    np.testing.assert_allclose(derained, expected, atol=1e-4)
    assert keras.saving.load_model(out).count_params() == model.count_params()


def test_refusals_leave_no_file(tmp_path):
    _, weights = golden_weights()
    path = pth_files.write_zip(tmp_path / "net.pth", weights)
    out = tmp_path / "out.keras"
    with pytest.raises(ValueError, match=r"one of .*prenet.* Received: network='pre'"):
        convert.convert("pre", path, out)
    with pytest.raises(ValueError, match="must end with .keras"):
        convert.convert("prenet", path, tmp_path / "out.h5")
    with pytest.raises(FileNotFoundError):
        convert.convert("prenet", tmp_path / "none.pth", out)
    other = pth_files.write_zip(
        tmp_path / "other.pth", {"a.weight": weights.popitem()[1]}
    )
    with pytest.raises(ValueError, match="the weights of prenet: it has no conv"):
        convert.convert("prenet", other, out)
    fewer = {k: v for k, v in weights.items() if not k.startswith("res_conv2")}
    shared = pth_files.write_bare(tmp_path / "shared.pth", fewer)
    with pytest.raises(ValueError, match="the weights of prenet: it has no"):
        convert.convert("prenet", shared, out)
    assert not out.exists()
