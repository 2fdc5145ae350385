"""The Prometheus metrics of requests, beside those of the model."""

from collections.abc import Callable

from prometheus_client import Counter, Gauge, Histogram

from stream.observe.metrics import SECONDS, ModelMetrics

OUTCOMES = ("labelled", "failed")


class HttpMetrics:
    """Counts requests and rows. Labels have values from closed lists, so that no client can add series."""

    def __init__(self, metrics: ModelMetrics) -> None:
        """
        Args:
            metrics: the metrics of the model, whose registry receives these.
        """
        registry = metrics.registry
        self.model = metrics
        self._requests = Counter(
            "labelstream_http_requests",
            "Requests by endpoint and status.",
            ("endpoint", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "labelstream_http_request_duration_seconds",
            "Seconds from the headers of a request to the end of its response.",
            ("endpoint",),
            registry=registry,
            buckets=SECONDS,
        )
        self._rows = Counter(
            "labelstream_http_rows", "Rows by outcome: labelled or failed.", ("outcome",), registry=registry
        )
        self._queue_rows = Gauge(
            "labelstream_http_queue_rows", "Rows admitted and not finished.", registry=registry
        )
        for outcome in OUTCOMES:
            self._rows.labels(outcome)

    def watch_queue(self, rows: Callable[[], int]) -> None:
        """Let the gauge of the queue call a function that returns its rows."""
        self._queue_rows.set_function(rows)

    def observe_request(self, endpoint: str, status: int, seconds: float) -> None:
        """Observe a request.

        Args:
            endpoint: the path of its route, or `other`.
            status: the HTTP status.
            seconds: its duration.
        """
        self._requests.labels(endpoint, str(status)).inc()
        self._seconds.labels(endpoint).observe(seconds)

    def count_rows(self, labelled: int, failed: int) -> None:
        """Count rows by outcome."""
        self._rows.labels("labelled").inc(labelled)
        self._rows.labels("failed").inc(failed)
