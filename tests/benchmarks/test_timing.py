"""Running times, measured on a clock that the models turn, and memory of known size."""

import dataclasses
import json

import greedy
import numpy as np
import pytest

from tfderain.benchmarks import fresh_process, timing


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    return now


class Clocked:
    """A model that takes the given seconds, image after image."""

    runtime = "litert"

    def __init__(self, clock, seconds, seen):
        self.clock, self.seconds, self.seen = clock, iter(seconds), seen

    def derain(self, image):
        assert image.shape == (32, 48, 3) and image.dtype == "uint8"
        self.seen.append(self)
        self.clock[0] += next(self.seconds)
        return image


def test_models_take_turns_and_the_first_image_is_apart(clock, tmp_path):
    seen, calls = [], []
    models = {
        "slow": Clocked(clock, (9, 4, 2, 3), seen),
        "fast": Clocked(clock, (5, 1, 1, 1), seen),
    }
    timings = timing.time_models(
        models, (32, 48), 3, progress=lambda *call: calls.append(call)
    )
    assert seen == [models["slow"], models["fast"]] * 4
    assert calls[-1] == (8, 8)
    slow, fast = timings
    assert (slow.first, slow.seconds, slow.median) == (9, (4, 2, 3), 3)
    assert (fast.first, fast.median, fast.runtime, fast.size) == (
        5,
        1,
        "litert",
        (32, 48),
    )
    assert slow.p90 == pytest.approx(3.8)  # between the 2nd and the 3rd of 2, 3, 4
    fast = dataclasses.replace(fast, memory=timing.Memory(21_400_000, 35_600_000))
    about, where, _, _, _, slower, faster = (
        timing.Timings([slow, fast], 3).table().splitlines()
    )
    numbers = ["32x48", "3", "3.0000", "3.8000", "2.0000", "9.0000", "-", "-"]
    assert slower.split() == ["slow", "litert", *numbers]
    assert faster.split()[-2:] == ["21", "36"] and "memory" in about
    assert where.startswith("3 threads; ") and "cores" in where
    content = json.loads(
        timing.Timings([slow, fast], 3).to_json(tmp_path / "times.json")
    )
    assert content["timings"][0]["median"] == 3 and content["machine"]
    assert content["timings"][0]["p90"] == slow.p90 and content["threads"] == 3
    assert content["timings"][1]["memory"] == {"loaded": 21_400_000, "peak": 35_600_000}
    assert content == json.loads((tmp_path / "times.json").read_text())


def test_slow_models_get_fewer_images_unless_asked(clock):
    def models():
        return {
            "slow": Clocked(clock, [7] * 99, seen),
            "fast": Clocked(clock, [1] * 99, seen),
        }

    seen = []
    slow, fast = timing.time_models(models(), (32, 48))
    # 4 x 7 s are below 30 s, the fifth is beyond them
    assert (len(slow.seconds), len(fast.seconds)) == (5, 20)
    slow, fast = timing.time_models(models(), (32, 48), 7)
    assert (len(slow.seconds), len(fast.seconds)) == (7, 7)


needs_linux = pytest.mark.skipif(
    not timing.STATUS.exists(), reason="only Linux tells memory"
)


@needs_linux
def test_memory_is_that_of_the_model_alone():
    ours = np.ones(128_000_000, np.uint8)  # which a fork would start with
    memory = fresh_process.call(greedy.memory)
    del ours
    # 4 MB: what Python itself takes meanwhile
    assert memory.loaded == pytest.approx(greedy.WEIGHTS, abs=4e6)
    assert memory.peak == pytest.approx(greedy.WEIGHTS + greedy.WORK, abs=4e6)


@needs_linux
def test_memory_of_a_preset():
    one = timing.Timing("menet", "litert", (32, 48), 0.0, (0.0,))
    memory = timing.add_memory(one, threads=1).memory
    # its 3.9 MB of weights and LiteRT's library; without TensorFlow
    assert 4e6 < memory.loaded <= memory.peak < 200e6


def test_any_callable_can_be_timed():
    (one,) = timing.time_models({"copy": lambda image: image.copy()}, (8, 9), 1)
    assert len(one.seconds) == 1 and one.seconds[0] >= 0 and one.runtime == ""


@pytest.mark.parametrize("models, repeats", [({}, 1), ({"a": lambda x: x}, 0)])
def test_nothing_to_time_is_refused(models, repeats):
    with pytest.raises(ValueError, match=f"models={len(models)}, repeats={repeats}"):
        timing.time_models(models, repeats=repeats)
