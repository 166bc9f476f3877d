"""Console of a command: progress, notes and errors on stderr, exit codes.

```python
with Progress("derain") as progress:
    for number, path in enumerate(paths):
        progress(number, len(paths))
        ...  # progress.say("note: ...") prints a line without breaking the bar
```

rich is imported only when a bar is really drawn.
"""

import contextlib
import os
import sys
import threading
import time
import traceback
from typing import Any, TextIO

import typer

from tfderain import errors, extras

DELAY = 2.0  # seconds before a bar appears; shorter work needs none
EVERY = 30.0  # seconds between lines where stderr is a file or a pipe

STOPPED = 130  # exit code after Ctrl-C, as in shells

# Classes that typer does not export: of usage errors, and of all errors that it shows.
USAGE: Any = typer.BadParameter.__mro__[1]
SHOWN: Any = typer.BadParameter.__mro__[2]


class Failure(Exception):
    """Ends a command with one line and exit code 1."""


class Tolerant:
    """A text stream that never raises: what cannot be shown must not stop the work.

    Characters that the stream cannot encode are written as `\\x..` or `\\u....`; after
    an error, such as a closed pipe or a full disk, text is dropped.

    Args:
        stream: text file, or `None` as `sys.stderr` is in a process without one.

    Attributes:
        error: the first error, or `None`.
    """

    def __init__(self, stream: TextIO | None):
        self.stream = stream
        self.error: Exception | None = None

    def write(self, text: str) -> int:
        if self.stream and not self.error:
            self._try(self.stream.write, self._known(text))
        return len(text)

    def flush(self):
        if self.stream and not self.error:
            self._try(self.stream.flush)

    def isatty(self) -> bool:
        return bool(self.stream) and bool(self._try(self.stream.isatty))

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def _known(self, text):
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        try:
            text.encode(encoding)
            return text
        except UnicodeEncodeError:
            return text.encode(encoding, "backslashreplace").decode(encoding)

    def _try(self, function, *arguments):
        try:
            return function(*arguments)
        except (OSError, ValueError) as error:  # ValueError: the file is closed
            self.error = error


class Progress:
    """Shows `done/total` and the time left, once the work takes longer than 2 s.

    On a terminal this is a rich progress bar; elsewhere (a log file, a pipe) it is one
    plain line every 30 seconds. Use it as a context manager and call it with the
    numbers; a failure to show them is never raised.

    Args:
        label: str. What is being done, e.g. `"derain"`.
        stream: text file. Defaults to `sys.stderr` at the time of the call.
        delay: float, seconds before the bar appears.
        every: float, seconds between two plain lines.

    Call: `progress(done, total)` with `0 <= done <= total`; `done` may have a fraction.
    """

    def __init__(
        self,
        label: str,
        stream: TextIO | None = None,
        delay: float = DELAY,
        every: float = EVERY,
    ):
        self.label = label
        self.stream: Any = stream or Tolerant(sys.stderr)
        self.every = every
        self.counts: tuple[Any, Any] = (0, None)
        self.detail = ""
        self.started = self.spoken = time.monotonic()
        self.lock = threading.Lock()
        self.bar = None
        self.closed = False
        self.timer = None
        if self.stream.isatty():
            # A timer, because one large picture alone can take longer than the delay.
            self.timer = threading.Timer(delay, self._open)
            self.timer.daemon = True

    def __enter__(self):
        if self.timer:
            self.timer.start()
        return self

    def __exit__(self, *_):
        if self.timer:
            self.timer.cancel()
        with self.lock:
            self.closed = True
            if self.bar:
                self.bar.stop()

    def __call__(self, done: float, total: float):
        with self.lock:
            self.counts = (done, total)
            if self.bar:
                self.bar.update(self.task, completed=done, total=total)
                return
        now = time.monotonic()
        if not self.timer and now - self.spoken >= self.every:
            self.spoken = now
            detail = f", {self.detail}" if self.detail else self._left(now)
            self.say(f"{self.label}: {int(done)}/{total}{detail}")

    def status(self, line: str):
        """Shows a line about what is under way beside the numbers; `""` ends that."""
        with self.lock:
            self.detail = line
            if self.bar:
                self.bar.update(self.task, description=self._description())

    def _description(self):
        return f"{self.label} {self.detail}".strip()

    def say(self, line: str):
        """Prints one line to the stream, above the bar if there is one."""
        with self.lock:
            if self.bar:
                console = self.bar.console
                console.print(line, markup=False, highlight=False, soft_wrap=True)
            else:
                print(line, file=self.stream, flush=True)

    def _left(self, now):
        done, total = self.counts
        if not done:
            return ""
        return f", {(now - self.started) / done * (total - done):.0f} s left"

    def _open(self):
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Bar

        bar = Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("elapsed"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(file=self.stream),
            transient=True,
        )
        with self.lock:
            if self.closed:
                return
            done, total = self.counts
            self.task = bar.add_task(self._description(), completed=done, total=total)
            bar.start()
            self.bar = bar


def run(app: typer.Typer, arguments: list[str]) -> int:
    """Runs a command and returns its exit code; every error is one line on stderr.

    Exit code 2 is for bad usage (`ValueError` too), 1 for other failures, 130 for
    Ctrl-C. The environment variable `TFDERAIN_DEBUG` adds the traceback. A closed
    stdout or stderr stops nothing.
    """
    out, err = Tolerant(sys.stdout), Tolerant(sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = _run(app, arguments)
        out.flush()
        # Nobody reads a closed pipe; in all other cases the loss must be reported.
        if out.error and not isinstance(out.error, BrokenPipeError):
            reason = errors.reason(out.error)
            lost = f"error: stdout accepts no more text ({reason}); files are complete"
            code = code or _stop(lost, 1)
        err.flush()
    return code


def _run(app, arguments):
    try:
        command = typer.main.get_command(app)
        arguments = arguments or ["--help"]
        with extras.with_tensorflow():
            code = command.main(arguments, prog_name="tfderain", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = STOPPED
    except SHOWN as error:
        where = getattr(getattr(error, "ctx", None), "command_path", "tfderain")
        hint = f" (see {where} --help)" if isinstance(error, USAGE) else ""
        return _stop(f"error: {error.format_message()}{hint}", 2)
    except ValueError as error:
        return _stop(f"error: {error}", 2)
    except (Failure, OSError, ImportError) as error:
        return _stop(f"error: {error}", 1)
    except Exception as error:
        hint = "(tfderain --debug COMMAND shows where)"
        return _stop(f"error: {type(error).__name__}: {error} {hint}", 1)
    if code == STOPPED:  # what typer makes of Ctrl-C
        return _stop("stopped; finished files are complete", code)
    return code or 0


def _stop(message, code):
    if os.environ.get("TFDERAIN_DEBUG") and sys.exception():
        traceback.print_exc()
    print(errors.one_line(message), file=sys.stderr)
    return code


def open_streams():
    """Gives empty streams to a process started without stdin, stdout or stderr.

    Otherwise the first files that it opens would get their numbers, and libraries that
    write to file descriptor 2 would write into a result.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def close_streams():
    """Lets Python exit quietly with buffered text that stdout or stderr reject."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            if stream:
                stream.flush()
        except (OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
