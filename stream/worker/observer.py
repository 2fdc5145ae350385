"""The metrics and log lines of the Kafka clients' events."""

from collections.abc import Iterable, Mapping
from typing import Any

import structlog

from stream.observe.metrics import Metrics
from stream.tracing import Tracer

log = structlog.get_logger(__name__)


class MetricsObserver:
    """A `ConsumerObserver` that records events in the worker's metrics."""

    def __init__(self, metrics: Metrics, tracer: Tracer | None = None) -> None:
        self._metrics = metrics
        self._tracer = tracer
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

    def on_commit(self, succeeded: bool, seconds: float, offsets: Mapping[Any, int]) -> None:
        """Count the commit, record its duration, and add it to the traces of the committed batches."""
        self._metrics.commits.labels("done" if succeeded else "failed").inc()
        if not succeeded:
            # The next commit interval tries again.
            self._metrics.retried("commit")
        ids: Mapping[str, str] | None = None
        if self._tracer is not None and succeeded:
            ids = self._tracer.on_commit(offsets, seconds)
        self._metrics.stage.labels("commit").observe(seconds, None if ids is None else dict(ids))

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

    def on_topic_recreated(self, topic: str, lost: Mapping[int, int]) -> None:
        """Count the topic and its lost events, and log an error."""
        self._metrics.topic_recreations.labels(topic).inc()
        for partition, offsets in lost.items():
            self._metrics.offsets_skipped.labels(topic, str(partition)).inc(offsets)
        log.error(
            "an input topic was deleted and created again, the new topic is read from its beginning",
            topic=topic,
            lost_offsets=sum(lost.values()),
            cause="the id of the topic has changed",
            fix="produce the lost events again, if there are any",
        )

    def on_probe_retry(self) -> None:
        """Count the retry."""
        self._metrics.retried("broker")

    def on_publish_retry(self) -> None:
        """Count the retry."""
        self._metrics.retried("publish")
