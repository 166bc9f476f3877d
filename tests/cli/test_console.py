"""Progress on terminals and in log files; rich draws only when work takes long."""

import io
import time

import pytest

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
