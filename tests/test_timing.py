"""Running times, measured on a clock that the models turn."""

import json

import pytest

from tfderain import timing


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
    lines = timing.table(timings).splitlines()
    assert lines[4].split() == ["slow", "litert", "32x48", "3.0000", "2.0000", "9.0000"]
    assert "cores" in lines[0]
    content = json.loads(timing.to_json(timings, tmp_path / "times.json"))
    assert content["timings"][0]["median"] == 3 and content["machine"]
    assert content == json.loads((tmp_path / "times.json").read_text())


def test_any_callable_can_be_timed():
    (one,) = timing.time_models({"copy": lambda image: image.copy()}, (8, 9), 1)
    assert len(one.seconds) == 1 and one.seconds[0] >= 0 and one.runtime == ""


@pytest.mark.parametrize("models, repeats", [({}, 1), ({"a": lambda x: x}, 0)])
def test_nothing_to_time_is_refused(models, repeats):
    with pytest.raises(ValueError, match=f"models={len(models)}, repeats={repeats}"):
        timing.time_models(models, repeats=repeats)
