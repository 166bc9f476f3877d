"""scripts/kill_test.py: counts true kills, and finds a fault that was put in."""

import importlib.util
import pathlib
import random

import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "kill_test.py"
# Adds a number to a file in each phase; what comes after the third is endless.
WORK = """
import pathlib, sys, time
path, ends = pathlib.Path(sys.argv[1]), sys.argv[2] == "ends"
for phase in ("begins", "steps", "saves"):
    print(phase, flush=True)
done = len(path.read_text()) if path.exists() else 0
path.write_text("x" * (done + 1))
print("names", flush=True)
while done < 2 and not ends:
    time.sleep(1)
"""


@pytest.fixture
def kill_test():
    spec = importlib.util.spec_from_file_location("kill_test", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_kills_are_counted_by_the_phase_that_was_reached(kill_test, tmp_path):
    looks = []
    phases = kill_test.killed_often(
        WORK,
        (tmp_path / "work", "endless"),
        2,
        lambda life: life.reach("names"),
        lambda: looks.append(len((tmp_path / "work").read_text())),
    )
    assert phases == {"names": 2}
    assert looks == [1, 2]
    assert (tmp_path / "work").read_text() == "xxx"  # the last life came to its end


def test_a_kill_before_the_first_phase_is_one(kill_test):
    assert kill_test.Life("import time; time.sleep(60)").kill() == "imports"


def test_an_end_before_the_kill_is_no_kill(kill_test, tmp_path):
    with pytest.raises(RuntimeError, match="kills=3, of which 0"):
        kill_test.killed_often(
            WORK,
            (tmp_path / "work", "ends"),
            3,
            lambda life: life.process.wait(),
            lambda: None,
        )


def test_a_breakdown_is_no_kill(kill_test):
    with pytest.raises(RuntimeError, match="status=1"):
        kill_test.killed_often(
            "raise SystemExit(1)", (), 3, lambda life: life.process.wait(), lambda: None
        )


def test_durations_tell_the_first_epoch_from_the_others(kill_test):
    life = kill_test.Life("")
    life.end()
    names = ("steps", "saves", "steps", "saves", "steps", "ended")
    life.phases = list(zip(names, (0.0, 5.0, 6.0, 7.0, 9.0, 12.0), strict=True))
    assert kill_test.durations(life) == {"steps": (5.0, 2.0), "saves": (1.0, 2.0)}


def test_batch_is_killed_and_goes_on(kill_test, tmp_path, capsys):
    kill_test.check_batch(2, tmp_path, random.Random(0), pictures=60)
    assert "killed 2 times on the way to 120 files" in capsys.readouterr().out


CARELESS = """
import pathlib, sys, time
out = pathlib.Path(sys.argv[2])
out.mkdir(exist_ok=True)
for path in pathlib.Path(sys.argv[1]).iterdir():
    content = path.read_bytes()
    with (out / path.name).open("wb") as file:
        file.write(content[: len(content) // 2])
        file.flush()
        print("begins", flush=True)
        time.sleep(0.5)
        file.write(content[len(content) // 2 :])
"""


def test_half_written_results_are_found(kill_test, tmp_path, monkeypatch):
    monkeypatch.setattr(kill_test, "BATCH", CARELESS)
    with pytest.raises(OSError, match="truncated"):
        kill_test.check_batch(1, tmp_path, random.Random(0), pictures=1)
