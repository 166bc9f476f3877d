"""Nothing is kept that differs, nothing is overwritten unasked."""

import dataclasses
import json

import numpy as np
import pytest
from export_model import make_model

from tfderain import export, presets


@pytest.fixture(scope="module")
def model():
    return make_model()


def test_the_model_of_these_tests_changes_images(model):
    # Else every comparison below would pass for a file that returns its input, or
    # white. Some pixels are clipped, most are not.
    rainy = export.random_image((20, 24))
    derained = model(rainy).numpy()
    assert np.abs(derained - rainy).mean() > 0.02  # a thousand times the tolerance
    assert 0.5 < np.mean((derained > 0) & (derained < 1)) < 1.0


def measured(path, pairs, precision="float32"):
    return export.measure(path, pairs, [(8, 8)], 0.0, "litert", precision)


@pytest.mark.parametrize("wrong", [np.nan, 1.1 * export.BOUNDS["float32"].largest])
def test_one_wrong_pixel_is_enough(tmp_path, wrong):
    right = export.random_image((8, 8))
    written = right.copy()
    written[0, 3, 4, 1] += wrong
    with pytest.raises(ValueError, match="same pixels as Keras"):
        measured(tmp_path, [(right, right), (written, right)])


def test_small_errors_everywhere_are_too_many(tmp_path):
    right = export.random_image((8, 8))
    bound = export.BOUNDS["int8"]
    assert measured(tmp_path, [(right + 0.9 * bound.mean, right)], "int8")
    with pytest.raises(ValueError, match="same pixels as Keras.*int8"):
        measured(tmp_path, [(right + 1.1 * bound.mean, right)], "int8")


def test_a_record_has_checksums_and_no_folders(tmp_path):
    (tmp_path / "1" / "variables").mkdir(parents=True)
    (tmp_path / "1" / "variables" / "data").write_bytes(b"abc")
    right = export.random_image((8, 8))
    made = measured(tmp_path / "1", [(right, right)])
    record = json.loads(json.dumps(made.as_dict()))
    assert record["path"] == "1" and record["bytes"] == 3
    checksum = presets.file_record(tmp_path / "1" / "variables" / "data")["sha256"]
    assert record["sha256"] == {"variables/data": checksum}
    assert set(record) >= {field.name for field in dataclasses.fields(made)}


def test_nothing_is_overwritten_unless_asked(model, tmp_path):
    target = tmp_path / "m.tflite"
    target.write_bytes(b"mine")
    with pytest.raises(ValueError, match="Nothing is overwritten"):
        export.to_litert(model, target)
    assert target.read_bytes() == b"mine"
    artefact = export.to_litert(model, target, overwrite=True)
    assert artefact.path == target
    assert artefact.bytes == target.stat().st_size > 4


def test_an_old_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "old"
    target.mkdir()
    (target / "left over").touch()
    with export.staged(target, overwrite=True) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["old", "new"]
