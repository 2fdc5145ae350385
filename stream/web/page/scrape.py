"""A scrape: the counters and histograms of a worker at one moment, as far as the page needs them."""

from collections import defaultdict
from dataclasses import dataclass

from prometheus_client.registry import Collector

from stream.observe.metrics import STAGES, Metrics

AGE = "age"
Buckets = tuple[float, ...]
"""Cumulative counts of a histogram by upper bound; the last one counts every observation."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """Totals since the worker's start, at one moment and over all routes.

    Attributes:
        at_s: the time of the scrape, in monotonic seconds.
        outcomes: events by outcome: labelled, dead, tombstone, dropped.
        lag: events not yet finished in all partitions.
        durations: cumulative counts by `SECONDS` and infinity, for every stage and for the age of events.
        cache: cache lookups by tier and result.
        inferences: the number of batches inferred.
        rows: the number of rows in these batches.
        fills: the sum of the batches' fill ratios.
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
        """The number of events with any outcome."""
        return sum(self.outcomes.values())


def scrape(metrics: Metrics, at_s: float) -> Scrape:
    """Return the current totals of the metrics.

    Args:
        metrics: the worker's metrics.
        at_s: the current time, in monotonic seconds.
    """
    outcomes: dict[str, float] = defaultdict(float)
    for labels, value in samples(metrics.events, "_total"):
        outcomes[labels["outcome"]] += value
    stages = _buckets(metrics.stage, "stage")
    durations = {stage: buckets for stage, buckets in stages.items() if stage in STAGES}
    ages = _buckets(metrics.event_age, "route").values()
    if ages:
        durations[AGE] = tuple(map(sum, zip(*ages, strict=True)))
    cache = {(k["tier"], k["result"]): value for k, value in samples(metrics.cache, "_total")}
    return Scrape(
        at_s,
        dict(outcomes),
        total(metrics.lag),
        durations,
        cache,
        total(metrics.batch_rows, "_count"),
        total(metrics.batch_rows, "_sum"),
        total(metrics.batch_fill, "_sum"),
    )


def samples(metric: Collector, suffix: str = "") -> list[tuple[dict[str, str], float]]:
    """Return the labels and values of a metric's samples whose name ends in `suffix`."""
    return [
        (sample.labels, sample.value)
        for family in metric.collect()
        for sample in family.samples
        if sample.name == family.name + suffix
    ]


def total(metric: Collector, suffix: str = "") -> float:
    """Return the sum of a metric's samples whose name ends in `suffix`."""
    return sum(value for _, value in samples(metric, suffix))


def _buckets(metric: Collector, label: str) -> dict[str, Buckets]:
    counts: dict[str, list[float]] = defaultdict(list)
    for labels, value in samples(metric, "_bucket"):
        counts[labels[label]].append(value)
    return {name: tuple(cumulative) for name, cumulative in counts.items()}
