"""The log line of each interval, with the work done, from the differences of the metrics."""

import asyncio
import math
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from stream.observe.quantile import quantile

Key = tuple[str, frozenset[tuple[str, str]]]

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
PREFIX = "labelstream_"

log = structlog.get_logger(__name__)


class Samples:
    """The samples of a registry at one moment, or their differences between two moments."""

    def __init__(self, values: Mapping[Key, float]) -> None:
        self._values = values

    @classmethod
    def read(cls, registry: CollectorRegistry) -> "Samples":
        """Return the current samples of a registry."""
        return cls(
            {
                (sample.name, frozenset(sample.labels.items())): sample.value
                for family in registry.collect()
                if family.name.startswith(PREFIX)
                for sample in family.samples
            }
        )

    def since(self, earlier: "Samples") -> "Samples":
        """Return the increases of counters and histograms since an earlier moment."""
        return Samples({key: value - earlier._values.get(key, 0.0) for key, value in self._values.items()})

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of all samples with this name and these labels; 0 when there are none."""
        wanted = labels.items()
        return sum(v for (found, has), v in self._values.items() if found == PREFIX + name and wanted <= has)

    def by(self, name: str, label: str) -> dict[str, int]:
        """Return the totals by the values of a label, without zeros."""
        found: dict[str, int] = {}
        for (sample, has), value in self._values.items():
            if sample == PREFIX + name and value:
                key = dict(has)[label]
                found[key] = found.get(key, 0) + round(value)
        return found

    def values_of(self, name: str, label: str) -> list[str]:
        """Return the values of a label, sorted."""
        return sorted({dict(has)[label] for sample, has in self._values if sample == PREFIX + name})

    def quantile(self, histogram: str, share: float, **labels: str) -> float:
        """Return a histogram's quantile, interpolated within its bucket; NaN when nothing was observed.

        A quantile beyond the last bound is reported as that bound.
        """
        below: dict[float, float] = {}
        for (sample, has), value in self._values.items():
            if sample == f"{PREFIX}{histogram}_bucket" and labels.items() <= has:
                bound = float(dict(has)["le"])
                below[bound] = below.get(bound, 0.0) + value
        bounds = sorted(below)
        counts = [below[bound] for bound in bounds]
        if not counts or not counts[-1]:
            return math.nan
        finite = [bound for bound in bounds if not math.isinf(bound)]
        found = quantile(counts, share, finite)
        return finite[-1] if found is None else found


class IntervalSummary:
    """Logs the work of every interval at info, and a longer idle time once."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float]) -> None:
        """
        Args:
            registry: the registry of the worker's metrics.
            clock: returns monotonic seconds.
        """
        self._registry = registry
        self._clock = clock
        self._before = Samples.read(registry)
        self._at = clock()
        self._idle = False

    def log_interval(self) -> None:
        """Log the interval since the last call."""
        fields, happened = self._next()
        if happened:
            log.info("interval", **fields)
        elif not self._idle:
            log.info("idle", seconds=fields["seconds"], partitions=fields["partitions"])
        self._idle = not happened

    def log_final(self) -> None:
        """Log the interval since the last call, unless nothing happened."""
        fields, happened = self._next()
        if happened:
            log.info("interval", **fields, last=True)

    def _next(self) -> tuple[dict[str, Any], bool]:
        now, at = Samples.read(self._registry), self._clock()
        gained, seconds = now.since(self._before), at - self._at
        self._before, self._at = now, at
        fields = interval_fields(now, gained, seconds)
        # A worker with waiting events is not idle, even when none was finished.
        return fields, bool(fields["events_in"] or fields["events"] or fields["batches"] or fields["lag"])


def interval_fields(now: Samples, gained: Samples, seconds: float) -> dict[str, Any]:
    """Return the fields of an interval's log line.

    Args:
        now: the current samples, for the gauges.
        gained: the increases of counters and histograms in the interval.
        seconds: the length of the interval.
    """
    batches = gained.total("batch_rows_count")
    routes = now.values_of("events_in_total", "route")
    fields: dict[str, Any] = {
        "seconds": round(seconds, 1),
        "events_in": round(gained.total("events_in_total")),
        "events": gained.by("events_total", "outcome"),
        "events_per_s": round(gained.total("events_total") / seconds, 1) if seconds else 0.0,
        "dead_letters": gained.by("dead_letters_total", "reason"),
        "batches": round(batches),
        "rows": round(gained.total("batch_rows_sum")),
        "fill_ratio": round(gained.total("batch_fill_ratio_sum") / batches, 3) if batches else None,
        "cache_hit_ratio": _hit_ratios(gained),
        "age_s": quantiles(gained, "event_age_seconds", 1),
        "stages_ms": _stages(gained),
        "retries": gained.by("retries_total", "what"),
        "lag": round(now.total("consumer_lag")),
        "in_flight": round(now.total("in_flight_events")),
        "queued": round(now.total("queue_events")),
        "partitions": round(now.total("partitions_assigned")),
    }
    if len(routes) > 1:
        fields["labelled"] = {
            route: round(gained.total("events_total", route=route, outcome="labelled")) for route in routes
        }
    return fields


def quantiles(gained: Samples, histogram: str, unit: float, **labels: str) -> dict[str, float]:
    """Return a histogram's p50, p95 and p99 multiplied by `unit`; empty without observations."""
    found = {name: gained.quantile(histogram, share, **labels) * unit for name, share in QUANTILES.items()}
    return {name: round(value, 3) for name, value in found.items() if not math.isnan(value)}


def _hit_ratios(gained: Samples) -> dict[str, float]:
    found = {}
    for tier in gained.values_of("cache_requests_total", "tier"):
        if lookups := gained.total("cache_requests_total", tier=tier):
            found[tier] = round(gained.total("cache_requests_total", tier=tier, result="hit") / lookups, 3)
    return found


def _stages(gained: Samples) -> dict[str, dict[str, float]]:
    name = "stage_duration_seconds"
    found = {
        stage: quantiles(gained, name, 1000, stage=stage)
        for stage in gained.values_of(f"{name}_count", "stage")
    }
    return {stage: values for stage, values in found.items() if values}


async def log_intervals(summary: IntervalSummary, interval_s: float) -> None:
    """Log a line at the end of every interval, until cancelled."""
    while True:
        await asyncio.sleep(interval_s)
        summary.log_interval()
