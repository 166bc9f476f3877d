"""LiteRT's own profile against what the file says it has."""

import collections
import os

import pytest
from ai_edge_litert.interpreter import Interpreter

from tfderain import presets
from tfderain.benchmarks import profiling

SUMMARY = """
============ Run Order ============
   [node type]  [start]  [first]  [avg ms]  [%]  [mem KB]  [times called]  [Name]
   Delegate/Clamp (NC)  0.000  0.3  1.5  50%  0.000  4  [Delegate]:0
   Delegate/Add (ND)  0.000  0.3  2.0  33%  0.000  2  [Delegate]:1
   RELU  0.000  0.3  1.0  17%  0.000  2  [some/tensor]:7

============ Top by Computation Time ============
   [node type]  [start]  [first]  [avg ms]  [%]  [mem KB]  [times called]  [Name]
   Delegate/Add (ND)  0.000  0.3  2.0  33%  0.000  2  [Delegate]:1
"""


def test_rows_that_two_parts_share_count_twice():
    operations = profiling.read_summary(SUMMARY, runs=2)
    clamp, add = ("Clamp (NC)", 0.0015), ("Add (ND)", 0.002)
    assert operations == [clamp, clamp, add, ("RELU", 0.001)]
    profile = profiling.Profile((8, 8), 1, 0.007, tuple(operations))
    assert profile.by_kind() == {
        "Clamp (NC)": (2, 0.003),
        "Add (ND)": (1, 0.002),
        "RELU": (1, 0.001),
    }
    about, _, titles, _, clamp, *_ = profile.table().splitlines()
    assert "8x8" in about and "0.0070 s, of which" in about and "0.0060 s" in about
    assert clamp.split() == ["Clamp", "(NC)", "2", "0.0030", "50.0%"]
    assert profiling.read_summary("profiling is off", runs=2) == []


@pytest.mark.parametrize("name", ["model.tflite", "model_int8.tflite"])
def test_a_profile_has_the_operations_of_the_file(name):
    path = presets.folder("menet") / name
    profile = profiling.profile(path, (30, 45), threads=1)
    assert (profile.tile, profile.tiles) == ((32, 48), 1), "whole strides"
    details = Interpreter(os.fspath(path))._get_ops_details()
    wanted = collections.Counter(operation["op_name"] for operation in details)
    kinds = {kind.split(" (")[0]: n for kind, (n, _) in profile.by_kind().items()}
    assert kinds["Convolution"] == wanted["CONV_2D"] > 20
    assert kinds["Space To Depth"] == wanted["SPACE_TO_DEPTH"] == 2
    total = sum(seconds for _, seconds in profile.operations)
    # LiteRT rounds the time of each operation to a microsecond
    assert 0 < total <= profile.seconds + 1e-6 * len(profile.operations)


def test_errors_of_the_other_process_come_back():
    with pytest.raises(ValueError, match="name='nothing.tflite'"):
        profiling.profile("nothing.tflite")
