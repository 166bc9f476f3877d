"""Queue, bounded, for the images of all calls, and the threads that derain them.

Images of different calls, and those of one call, are processed in parallel; each call
keeps track of its own answers. A call that has failed, was cancelled or has run out of
time costs at most the tile that is being computed.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from tfderain.runtime import Restorer
from tfderain.serving.metrics import Metrics
from tfderain.serving.refusal import Refusal

LOG = logging.getLogger("tfderain.serving")


class Stopped(Exception):
    """Aborts work on an image that nobody is waiting for any more."""


class Call:
    """Images that were asked for together.

    Attributes:
        images: list of whatever `restore` takes.
        restore: function of `(restorer, image, progress)`.
        deadline: float, on the clock of `time.monotonic`.
        future: `Future` of the list of answers, in the order of `images`. Cancelling it
            cancels the call.
    """

    def __init__(self, images: Sequence[Any], restore: Callable, deadline: float):
        self.images = images
        self.restore = restore
        self.deadline = deadline
        self.future = Future()
        self.queued = time.monotonic()
        self._answers = [None] * len(images)
        self._missing = len(images)
        self._lock = threading.Lock()

    def over(self) -> bool:
        """Whether no further image of this call needs to be derained."""
        return self.future.done() or time.monotonic() > self.deadline

    def answer(self, number: int, answer: Any):
        """Takes the answer to one image, and finishes after the last one."""
        with self._lock:
            self._answers[number] = answer
            self._missing -= 1
            if not self._missing and self._claim():
                self.future.set_result(self._answers)

    def fail(self, error: Refusal):
        """Finishes with an error, unless the call is finished."""
        with self._lock:
            if self._claim():
                self.future.set_exception(error)

    def _claim(self):
        # False if it is cancelled, even at this very moment; hence not just `done()`.
        return not self.future.done() and self.future.set_running_or_notify_cancel()


class Engine:
    """Derains images in its own threads, each with its own restorer.

    Args:
        restorers: list of `tfderain.runtime.Restorer`, one per thread. They are called
            only from these threads.
        capacity: int. Largest number of waiting images.
        metrics: `tfderain.serving.metrics.Metrics`.
    """

    def __init__(self, restorers: Sequence[Restorer], capacity: int, metrics: Metrics):
        self.capacity = capacity
        self.metrics = metrics
        self._waiting = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._threads = [
            # Daemons, so that an endless computation cannot keep the process alive.
            threading.Thread(target=self._work, args=(restorer,), daemon=True)
            for restorer in restorers
        ]
        for thread in self._threads:
            thread.start()

    def __len__(self):
        """Number of waiting images."""
        return len(self._waiting)

    def submit(self, call: Call) -> Future:
        """Queues either all images of a call or none.

        Raises:
            Refusal: `INVALID_ARGUMENT` if they can never fit, `RESOURCE_EXHAUSTED` if
                they do not fit now, `UNAVAILABLE` after `stop`.
        """
        count = len(call.images)
        if count > self.capacity:
            raise Refusal(
                "INVALID_ARGUMENT",
                f"A request must not have more than {self.capacity} images. "
                f"Received: {count}.",
            )
        if not count:
            call.future.set_result([])
            return call.future
        with self._changed:
            if self._stopping:
                raise Refusal("UNAVAILABLE", "The server is stopping.")
            if len(self._waiting) + count > self.capacity:
                alive = [job for job in self._waiting if not job[0].over()]
                self._waiting = deque(alive)
            if len(self._waiting) + count > self.capacity:
                raise Refusal(
                    "RESOURCE_EXHAUSTED",
                    f"The queue is full ({len(self._waiting)} of {self.capacity} "
                    "images are waiting); try again later.",
                )
            self._waiting.extend((call, number) for number in range(count))
            self._changed.notify(count)
        return call.future

    def stop(self, timeout: float | None = None) -> bool:
        """Accepts no more calls, finishes those it has, and ends the threads.

        Returns:
            Whether all threads ended within `timeout` seconds.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        until = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            thread.join(None if until is None else max(until - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in self._threads)

    def _next(self):
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping)
            return self._waiting.popleft() if self._waiting else None

    def _work(self, restorer):
        while job := self._next():
            call, number = job
            if call.over():
                call.fail(Refusal("DEADLINE_EXCEEDED", "No time was left for it."))
            else:
                self.metrics.waited.observe(time.monotonic() - call.queued)
                self._derain(restorer, call, number)

    def _derain(self, restorer, call, number):
        def progress(done, total):
            if call.over() and done < total:
                raise Stopped

        try:
            with self.metrics.working.time():
                answer = call.restore(restorer, call.images[number], progress)
            call.answer(number, answer)
        except Stopped:
            message = "The time was up before all tiles were done."
            call.fail(Refusal("DEADLINE_EXCEEDED", message))
        except Refusal as error:
            call.fail(error.about(number, len(call.images)))
        # Whatever a network or codec raises, the worker must live for the next image.
        except BaseException as error:
            LOG.exception("An image failed.")
            message = f"The image could not be derained ({type(error).__name__})."
            call.fail(Refusal("INTERNAL", message))
