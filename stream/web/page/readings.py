"""The counters and histograms of a worker at one moment, as the page needs them."""

from collections import defaultdict
from dataclasses import dataclass

from prometheus_client.registry import Collector

from stream.observe.metrics import STAGES, Metrics

AGE = "age"
Buckets = tuple[float, ...]
"""Cumulated counts of a histogram by upper bound; the last one is of everything."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Totals since the worker's start, at a moment.

    Attributes:
        at_s: monotonic seconds.
        outcomes: events by outcome: labelled, dead, tombstone.
        lag: events not yet finished, all partitions together.
        durations: for each stage, and for the age of events, the cumulated counts by `SECONDS` and infinity.
        cache: look-ups by tier and result.
        inferences: batches inferred.
        rows: rows in them.
        fills: sum of their fill ratios.
    """

    at_s: float
    outcomes: dict[str, float]
    lag: float
    durations: dict[str, Buckets]
    cache: dict[tuple[str, str], float]
    inferences: float
    rows: float
    fills: float

    @property
    def finished(self) -> float:
        """Events with any outcome."""
        return sum(self.outcomes.values())


def read(metrics: Metrics, at_s: float) -> Reading:
    """Read what there is to read, for all routes together."""
    outcomes: dict[str, float] = defaultdict(float)
    for labels, value in samples(metrics.events, "_total"):
        outcomes[labels["outcome"]] += value
    durations = {stage: found for stage, found in _buckets(metrics.stage, "stage").items() if stage in STAGES}
    ages = _buckets(metrics.event_age, "route").values()
    if ages:
        durations[AGE] = tuple(map(sum, zip(*ages, strict=True)))
    cache = {(k["tier"], k["result"]): value for k, value in samples(metrics.cache, "_total")}
    return Reading(
        at_s,
        dict(outcomes),
        total(metrics.lag),
        durations,
        cache,
        total(metrics.batch_rows, "_count"),
        total(metrics.batch_rows, "_sum"),
        total(metrics.batch_fill, "_sum"),
    )


def samples(metric: Collector, ending: str = "") -> list[tuple[dict[str, str], float]]:
    """Labels and values of a metric's samples whose name has that ending."""
    return [
        (sample.labels, sample.value)
        for family in metric.collect()
        for sample in family.samples
        if sample.name == family.name + ending
    ]


def total(metric: Collector, ending: str = "") -> float:
    """The sum of a metric's samples."""
    return sum(value for _, value in samples(metric, ending))


def _buckets(metric: Collector, label: str) -> dict[str, Buckets]:
    found: dict[str, list[float]] = defaultdict(list)
    for labels, value in samples(metric, "_bucket"):
        found[labels[label]].append(value)
    return {name: tuple(counts) for name, counts in found.items()}
