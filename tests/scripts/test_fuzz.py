"""scripts/fuzz.py: draws inputs, and finds a fault that was put in."""

import os
import pathlib
import warnings

import pytest
from PIL import Image
from script_modules import script

from tfderain import batch

FOREVER = float("inf")


@pytest.fixture
def fuzz():
    module = script("fuzz")
    with warnings.catch_warnings():  # Pillow's, of damaged metadata
        warnings.simplefilter("ignore")
        yield module


def test_pictures_are_drawn_and_end_well(fuzz):
    watch = fuzz.fuzz_pictures(60, 0, FOREVER, None)
    assert watch.ends.total() >= 50  # hypothesis leaves out what it drew before
    assert watch.ends["derained"] and watch.ends["refused"]


def test_partial_outputs_are_found(fuzz, monkeypatch):
    def careless(inputs, output, restorer, **_):
        os.makedirs(output)
        pathlib.Path(output, "a.png").write_bytes(b"half")
        return batch.Summary(failed=[("a.png", "it broke")])

    monkeypatch.setattr(batch, "derain_files", careless)
    with pytest.raises(AssertionError, match="it broke"):
        fuzz.fuzz_pictures(20, 0, FOREVER, None)


def test_checksums_are_mended(fuzz, tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 3)).save(path)
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[30] ^= 1  # in the checksum of the header
    assert fuzz.with_checksums(bytes(damaged)) == whole
