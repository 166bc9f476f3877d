"""scripts/benchmark.py: its arithmetic; its sections are run by hand."""

import keras
import pytest
from script_modules import script


def test_convolutions_are_counted():
    convolution = keras.layers.Conv2D(4, (3, 5), padding="same")
    found = script("benchmark_network").convolution_gflop(convolution, (8, 10), batch=2)
    # a product and a sum for each pixel, output channel and tap
    assert found == pytest.approx(2 * (2 * 8 * 10) * 4 * (3 * 5 * 3) / 1e9)


def test_rows_have_ratio_target_and_rate(capsys):
    benchmark = script("benchmark")
    bench = benchmark.Bench(True, None, None, None, None, best_product=8.0)
    bench.add("step", 0.5, peer=2.0, target=0.9, gflop=1.0)
    bench.add("size", "3 MB")
    assert bench.rows[0] == {
        "what": "step",
        "tfderain": "500 ms",
        "PyTorch": "2,000 ms",
        "ratio": "0.25",
        "target": "<= 0.9",
        "GFLOP/s": "2 (25%)",
    }
    assert set(bench.rows[1].values()) == {"size", "3 MB", ""}
    assert capsys.readouterr().err.splitlines()[1].startswith("size | 3 MB")
