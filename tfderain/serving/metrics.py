"""Metrics for Prometheus at `/metrics`: calls, their times, the queue, the process."""

import contextlib
import time
from collections.abc import Callable

from tfderain.serving.refusal import Refusal

# Seconds: a thumbnail takes 10 ms, 4K on two cores half a minute.
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Metrics of one server, in a separate registry.

    Attributes:
        waited, working: histograms of the seconds that an image waits, and takes.
    """

    def __init__(self):
        import prometheus_client as prometheus

        self._prometheus = prometheus
        self.registry = registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=registry)
        prometheus.GCCollector(registry=registry)
        labels = ("protocol", "method")
        self._calls = prometheus.Counter(
            "tfderain_requests",
            "Calls by the gRPC name of their result.",
            (*labels, "code"),
            registry=registry,
        )
        self._seconds = prometheus.Histogram(
            "tfderain_request_seconds",
            "Seconds from the whole request to its answer.",
            labels,
            buckets=BUCKETS,
            registry=registry,
        )
        self.waited = prometheus.Histogram(
            "tfderain_queue_seconds",
            "Seconds that an image waits for a worker.",
            buckets=BUCKETS,
            registry=registry,
        )
        self.working = prometheus.Histogram(
            "tfderain_image_seconds",
            "Seconds that a worker takes for an image: decoding, network, encoding.",
            buckets=BUCKETS,
            registry=registry,
        )
        self._queue = prometheus.Gauge(
            "tfderain_queue_images", "Waiting images.", registry=registry
        )
        self._open = prometheus.Gauge(
            "tfderain_requests_open", "Calls in progress.", registry=registry
        )

    def watch(self, queue: Callable, calls: Callable):
        """Sets the functions that return how many images wait and calls are open."""
        self._queue.set_function(queue)
        self._open.set_function(calls)

    @contextlib.contextmanager
    def call(self, protocol: str, method: str):
        """Counts and times a call, by the code of the `Refusal` that it raises."""
        started = time.monotonic()
        code = "CANCELLED"  # asyncio's own error is not an `Exception`
        try:
            yield
            code = "OK"
        except Exception as error:
            code = error.code if isinstance(error, Refusal) else "INTERNAL"
            raise
        finally:
            self._calls.labels(protocol, method, code).inc()
            self._seconds.labels(protocol, method).observe(time.monotonic() - started)

    def page(self) -> tuple[bytes, str]:
        """Returns all metrics as text, and its content type."""
        return (
            self._prometheus.generate_latest(self.registry),
            self._prometheus.CONTENT_TYPE_LATEST,
        )
