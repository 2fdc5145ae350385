"""The worker's Prometheus metrics; dashboards and alerts depend on their names."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from stream.errors import Reason
from stream.observe.stages import StageTrace, TracedTimer

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
STAGES = ("decode", "cache", "tokenise", "queue", "infer", "postprocess", "publish", "commit")
OUTCOMES = ("labelled", "dead", "tombstone", "dropped")
COMMITS = ("done", "failed")
CACHE_RESULTS = {"local": ("hit", "miss"), "redis": ("hit", "miss", "invalid", "error")}
REDIS_OPERATIONS = ("read", "write")
RETRIES = ("publish", "commit", "topics", "broker", "redis", "registry")
RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)


class AgeExemplar(NamedTuple):
    """An event that the histogram of ages names as an example.

    Attributes:
        timestamp: the event's timestamp, in milliseconds since the epoch.
        ids: the trace id and the span id of the event.
    """

    timestamp: int
    ids: Mapping[str, str]


class AgeHistogram(Collector):
    """The histogram `labelstream_event_age_seconds`, observed a batch at a time.

    Observing events one by one took as long as decoding them.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._edges = np.array(SECONDS)
        self._counts: dict[str, npt.NDArray[np.int64]] = {}
        self._sums: dict[str, float] = {}
        self._exemplars: dict[str, dict[int, Exemplar]] = {}
        registry.register(self)

    def register(self, route: str) -> None:
        """Expose a route before its first event."""
        self._counts.setdefault(route, np.zeros(len(SECONDS) + 1, dtype=np.int64))
        self._sums.setdefault(route, 0.0)

    def observe(
        self,
        route: str,
        timestamps: npt.NDArray[np.int64],
        now: int,
        exemplar: AgeExemplar | None = None,
    ) -> None:
        """Observe the ages of events.

        Args:
            route: the route's name.
            timestamps: the events' timestamps, int64 of shape (events,), in milliseconds since the epoch; a
                future timestamp counts as an age of 0.
            now: the current time in milliseconds since the epoch.
            exemplar: one of the events, with its trace; None if none of them is traced.
        """
        if exemplar is not None:
            age = max(now - exemplar.timestamp, 0) / 1000
            bucket = int(self._edges.searchsorted(age))
            found = Exemplar(dict(exemplar.ids), age, now / 1000)
            self._exemplars.setdefault(route, {})[bucket] = found
        if not len(timestamps):
            return
        ages = np.maximum(now - timestamps, 0) / 1000
        counts = np.bincount(self._edges.searchsorted(ages), minlength=len(SECONDS) + 1)
        self._counts[route] = self._counts.get(route, 0) + counts
        self._sums[route] = self._sums.get(route, 0.0) + float(ages.sum())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield the metric family, as `prometheus_client` requires of a collector."""
        family = HistogramMetricFamily(
            "labelstream_event_age_seconds",
            "Seconds from a record's timestamp to the confirmation of its label by the broker.",
            labels=["route"],
        )
        for route, counts in self._counts.items():
            limits = [*map(str, map(float, SECONDS)), "+Inf"]
            exemplars = self._exemplars.get(route, {})
            buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
            for at, (limit, count) in enumerate(zip(limits, map(float, counts.cumsum()), strict=True)):
                buckets.append((limit, count, exemplars[at]) if at in exemplars else (limit, count))
            family.add_metric([route], buckets, self._sums[route])
        yield family


class ModelMetrics:
    """The metrics of a process that runs a model, in a registry of their own.

    Every label takes its values from a closed list or from the configuration, so that events cannot add
    series. Series of a known list are exposed at 0 from the start, so that `increase()` sees the first
    increment.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.cache = self._counter("cache_requests", "Cache lookups by tier and result.", "tier", "result")
        self.stage = self._histogram(
            "stage_duration_seconds", "Seconds per batch, by stage.", SECONDS, "stage"
        )
        self.batch_rows = self._histogram("batch_rows", "Rows per inference.", ROWS)
        self.batch_tokens = self._histogram("batch_tokens", "Padded tokens per inference.", TOKENS)
        self.batch_fill = self._histogram("batch_fill_ratio", "Real / padded tokens per inference.", RATIOS)
        self.ready = self._gauge("ready", "1 while /ready answers 200, else 0.")
        self.build = self._gauge("build_info", "The version of labelstream.", "version")
        self.bundle = self._gauge(
            "bundle_info", "The bundle in use.", "route", "name", "version", "digest", "variant", "provider"
        )
        self._stages = {stage: self.stage.labels(stage) for stage in STAGES}
        self._expect_tier("local")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"labelstream_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"labelstream_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"labelstream_{name}", text, labels, registry=self.registry, buckets=buckets)

    def _expect_tier(self, tier: str) -> None:
        for result in CACHE_RESULTS[tier]:
            self.cache.labels(tier, result)

    def timed(self, stage: str, traces: Sequence[StageTrace] = ()) -> AbstractContextManager[object]:
        """Return a context manager that observes its duration as that of the stage.

        Args:
            stage: one of `STAGES`.
            traces: the traces of the batches that the stage works on, which record it as well.
        """
        histogram = self._stages[stage]
        return TracedTimer(histogram.observe, stage, traces) if traces else histogram.time()

    def inferred(self, rows: int, real_tokens: int, padded_tokens: int) -> None:
        """Observe one inference."""
        self.batch_rows.observe(rows)
        self.batch_tokens.observe(padded_tokens)
        self.batch_fill.observe(real_tokens / padded_tokens)

    def cache_result(self, tier: str, result: str, n: int) -> None:
        """Count `n` cache lookups with the same result."""
        if n:
            self.cache.labels(tier, result).inc(n)

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """Return the body and the content type of a scrape.

        Args:
            accept: the request's Accept header, which selects OpenMetrics or the text format.
        """
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):
            # The library compares the parts of a version as numbers, whatever the client has sent.
            encode, content_type = choose_encoder("")
        return encode(self.registry), content_type


class Metrics(ModelMetrics):
    """The metrics of one worker: those of its models, and those of Kafka and Redis."""

    def __init__(self) -> None:
        super().__init__()
        self.events = self._counter(
            "events",
            "Events with a confirmed outcome: labelled, dead, tombstone or dropped.",
            "route",
            "outcome",
        )
        self.events_in = self._counter("events_in", "Events received.", "route")
        self.dead_letters = self._counter("dead_letters", "Dead letters by reason.", "route", "reason")
        self.dead_letters_truncated = self._counter(
            "dead_letters_truncated", "Dead letters cut to the size that their topic takes.", "route"
        )
        self.commits = self._counter("commits", "Offset commits by result.", "result")
        self.retries = self._counter("retries", f"Retries by operation: {', '.join(RETRIES)}.", "what")
        self.rebalances = self._counter("rebalances", "Partition assignments received.")
        self.offsets_skipped = self._counter(
            "offsets_skipped", "Offsets that were removed before they were read.", "topic", "partition"
        )
        self.topic_recreations = self._counter(
            "topic_recreations", "Input topics found deleted and created again.", "topic"
        )
        self.spans_dropped = self._counter("trace_spans_dropped", "Spans that were not exported.")
        self.event_age = AgeHistogram(self.registry)
        self.queue_events = self._gauge("queue_events", "Events read and not yet being processed.")
        self.queue_bytes = self._gauge("queue_bytes", "Bytes read and not yet being processed.")
        self.in_flight_events = self._gauge("in_flight_events", "Events being processed.")
        self.lag = self._gauge("consumer_lag", "Events not yet finished, by partition.", "topic", "partition")
        self.blocked = self._gauge(
            "consumer_blocked_events",
            "Offsets behind an open transaction, which cannot be read yet, by partition.",
            "topic",
            "partition",
        )
        self.assigned = self._gauge("partitions_assigned", "Partitions assigned to this worker.")
        self.paused = self._gauge("partitions_paused", "Assigned partitions paused by a full queue.")
        self.last_progress = self._gauge(
            "last_progress_timestamp_seconds",
            "Unix time of the last progress, or of the last moment without pending work.",
        )
        for result in COMMITS:
            self.commits.labels(result)
        for what in RETRIES:
            self.retries.labels(what)

    def register_route(self, route: str) -> None:
        """Expose a route's series before its first event."""
        self.events_in.labels(route)
        for outcome in OUTCOMES:
            self.events.labels(route, outcome)
        for reason in Reason:
            self.dead_letters.labels(route, reason.value)
        self.dead_letters_truncated.labels(route)
        self.event_age.register(route)

    def register_redis(self) -> Gauge:
        """Expose the metrics of Redis, and return the gauge `labelstream_redis_up`."""
        self._expect_tier("redis")
        self.redis_paused = self._gauge(
            "redis_paused", "1 while reads or writes pause because Redis refuses them.", "operation"
        )
        for operation in REDIS_OPERATIONS:
            self.redis_paused.labels(operation)
        return self._gauge("redis_up", "1 while Redis answers, else 0.")

    def register_partitions(self, partitions: Iterable[tuple[str, int]]) -> None:
        """Expose the counters of partitions at 0.

        Args:
            partitions: pairs of topic and partition number.
        """
        for topic, partition in partitions:
            self.offsets_skipped.labels(topic, str(partition))
            self.topic_recreations.labels(topic)

    def retried(self, what: str) -> None:
        """Count a retry of one of `RETRIES`."""
        self.retries.labels(what).inc()
