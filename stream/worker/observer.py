"""The metrics and log lines of the Kafka clients' events."""

from collections.abc import Iterable

import structlog

from stream.observe.metrics import Metrics

log = structlog.get_logger(__name__)


class MetricsObserver:
    """A `ConsumerObserver` that records events in the worker's metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._queue_seconds = metrics.stage.labels("queue")

    def on_rebalance(self) -> None:
        """Count the rebalance."""
        self._metrics.rebalances.inc()

    def on_assigned(self, partitions: Iterable[tuple[str, int]]) -> None:
        """Expose the counters of the partitions."""
        self._metrics.register_partitions(partitions)

    def on_taken(self, waited_s: float) -> None:
        """Record the time that a batch waited in the queue."""
        self._queue_seconds.observe(waited_s)

    def on_commit(self, succeeded: bool, seconds: float) -> None:
        """Count the commit and record its duration."""
        self._metrics.commits.labels("done" if succeeded else "failed").inc()
        if not succeeded:
            # The next commit interval tries again.
            self._metrics.retried("commit")
        self._metrics.stage.labels("commit").observe(seconds)

    def on_offsets_skipped(self, topic: str, partition: int, offsets: int) -> None:
        """Count the skipped offsets and log an error."""
        self._metrics.offsets_skipped.labels(topic, str(partition)).inc(offsets)
        log.error(
            "retention removed events before they were read",
            topic=topic,
            partition=partition,
            offsets=offsets,
            fix="lengthen the topic's retention, or add workers",
        )

    def on_probe_retry(self) -> None:
        """Count the retry."""
        self._metrics.retried("broker")

    def on_publish_retry(self) -> None:
        """Count the retry."""
        self._metrics.retried("publish")
