"""Progress on terminals and in log files; rich draws only when work takes long."""

import errno
import io
import json
import os
import subprocess
import sys
import time

import pytest
from commands import picture

from tfderain import cli
from tfderain.cli import console


class Terminal(io.StringIO):
    def isatty(self):
        return True


def wait_for(condition, seconds=20):
    """Waits for another thread; slow machines may take long to import rich."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.01)


def test_short_work_shows_nothing():
    for stream in (Terminal(), io.StringIO()):
        with console.Progress("derain", stream) as progress:
            for done in range(4):
                progress(done, 3)
        assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar_even_within_one_picture():
    stream = Terminal()
    with console.Progress("derain", stream, delay=0.01) as progress:
        progress(0, 7)
        wait_for(lambda: progress.bar)
        progress(3.5, 7)
        progress.bar.refresh()
        progress.say("note: [bold] stays as it is")
    text = stream.getvalue()
    assert "derain" in text and "3/7" in text and "left" in text
    assert "note: [bold] stays as it is\n" in text


def test_a_log_file_gets_a_line_now_and_then(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: clock[0])
    stream = io.StringIO()
    with console.Progress("derain", stream, every=30) as progress:
        for done in range(101):
            progress(done, 100)
            clock[0] += 1
    assert stream.getvalue() == (
        "derain: 30/100, 70 s left\n"
        "derain: 60/100, 40 s left\n"
        "derain: 90/100, 10 s left\n"
    )


def test_an_error_ends_the_bar():
    stream = Terminal()
    with (
        pytest.raises(RuntimeError, match="stop"),
        console.Progress("derain", stream, delay=0.01) as progress,
    ):
        wait_for(lambda: progress.bar)
        raise RuntimeError("stop")
    assert not progress.bar.live.is_started


class Full(io.StringIO):
    """A file behind which the disk is full."""

    def __init__(self, kind=OSError):
        super().__init__()
        self.kind, self.tries = kind, 0

    def write(self, text):
        self.tries += 1
        raise self.kind(errno.ENOSPC, "No space left on device")


def test_a_stream_that_takes_no_text_stops_nothing():
    full = Full()
    stream = console.Tolerant(full)
    print("one", "two", file=stream, flush=True)
    assert full.tries == 1 and stream.error.errno == errno.ENOSPC
    gone = io.StringIO()
    gone.close()
    for broken in (console.Tolerant(gone), console.Tolerant(None)):
        assert broken.isatty() is False
        assert broken.write("text") == 4
        broken.flush()


def test_characters_that_a_terminal_cannot_show_are_spelled_out():
    file = io.BytesIO()
    stream = console.Tolerant(io.TextIOWrapper(file, "ascii"))
    print("caf\u00e9 \udce9 \U0001f327 ok", file=stream, flush=True)
    assert file.getvalue() == b"caf\\xe9 \\udce9 \\U0001f327 ok\n"
    assert stream.error is None


@pytest.mark.parametrize(
    ("out", "err", "expected"),
    [
        (Full(), io.StringIO(), 1),
        (Full(BrokenPipeError), io.StringIO(), 0),  # as `| head -1`
        (None, None, 0),
        (io.StringIO(), Full(), 0),
    ],
)
def test_what_cannot_be_said_costs_no_result(folder, monkeypatch, out, err, expected):
    for side in ("rainy", "clean"):
        picture(folder / "data" / side / "a.png")
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    command = ["evaluate", "data/clean", "--data", "data", "--json", "scores.json"]
    assert console.run(cli.app, command) == expected
    rows = json.loads((folder / "scores.json").read_text())["rows"]
    assert rows[0]["name"] == "a.png"
    assert console.run(cli.app, ["derain", "data/rainy", "--out", "out/"]) == 0
    assert (folder / "out" / "a.png").is_file()
    if expected:
        assert err.getvalue().startswith(
            "error: stdout accepts no more text (No space left on device)"
        )


def test_numbers_are_printed_where_their_file_cannot_be_written(folder, run):
    for side in ("rainy", "clean"):
        picture(folder / "data" / side / "a.png")
    (folder / "file").touch()
    code, out, err = run(
        *("evaluate", "data/clean", "--data", "data", "--json", "file/scores.json")
    )
    assert code == 1 and "a.png" in out and "file" in err[-1]


def test_a_process_without_streams_keeps_their_numbers(tmp_path):
    # Else the file that is opened first is number 2, where TensorFlow and LiteRT write.
    code = f"""
import os
from tfderain.cli import console
console.open_streams()
with open({str(tmp_path / "first")!r}, "wb") as file:
    os.write(2, b"a warning of a library")
    file.write(b"%d" % file.fileno())
console.close_streams()
"""
    command = [sys.executable, "-c", code]
    shell = " ".join(f"'{word}'" for word in command[:2]) + ' "$0" <&- >&- 2>&-'
    done = subprocess.run(["sh", "-c", shell, code], env={**os.environ})
    assert done.returncode == 0
    assert int((tmp_path / "first").read_bytes()) > 2
