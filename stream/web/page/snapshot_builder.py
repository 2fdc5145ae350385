"""Builds snapshots from a worker's metrics, their history and recent outcomes."""

from collections.abc import Callable

from stream import __version__
from stream.observe.metrics import STAGES, Metrics
from stream.settings import Settings
from stream.web.page.history import WINDOW_S, History
from stream.web.page.recent import RecentOutcomes
from stream.web.page.scrape import AGE, Scrape, samples, total
from stream.web.page.snapshot import Batches, PartitionLag, RouteView, Snapshot, TierView
from stream.web.page.state import StateInputs, WorkerState, derive_state

PARTITIONS_SHOWN = 32
TREND_S = 30.0


class SnapshotBuilder:
    """Builds snapshots of one worker."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        history: History,
        recent: RecentOutcomes,
        *,
        waiting_for: Callable[[], str | None],
        host: str,
        now_ms: Callable[[], int],
    ) -> None:
        """
        Args:
            settings: the worker's settings.
            metrics: the worker's metrics.
            history: the scrapes of these metrics.
            recent: the sampled outcomes.
            waiting_for: returns what is missing until the worker is ready; None when it is ready.
            host: the name of the machine.
            now_ms: returns the milliseconds since the epoch.
        """
        self._settings = settings
        self._metrics = metrics
        self._history = history
        self._recent = recent
        self._waiting_for = waiting_for
        self._host = host
        self._now_ms = now_ms

    def snapshot(self) -> Snapshot:
        """Return a snapshot: gauges as of now, rates and percentiles as of the newest scrape."""
        history, metrics, recent = self._history, self._metrics, self._recent
        newest, older = history.newest, history.before(WINDOW_S)
        lag = self._lag()
        waiting = sum(partition.events for partition in lag)
        largest = sorted(lag, key=lambda partition: -partition.events)[:PARTITIONS_SHOWN]
        return Snapshot(
            at_ms=self._now_ms(),
            version=__version__,
            host=self._host,
            group=self._settings.group,
            state=self._state(newest, waiting),
            outcomes={name: int(number) for name, number in newest.outcomes.items()},
            per_s=history.per_s(),
            per_s_window=history.per_s(WINDOW_S),
            throughput=history.throughput(),
            window_s=min(WINDOW_S, newest.at_s - older.at_s),
            durations=history.percentiles((AGE, *STAGES)),
            lag_total=waiting,
            lag=sorted(largest, key=lambda partition: (partition.topic, partition.partition)),
            lag_more=len(lag) - len(largest),
            blocked_total=int(total(metrics.blocked)),
            routes=self._routes(),
            cache=_tiers(older, newest),
            batches=_batches(older, newest),
            queue_events=int(total(metrics.queue_events)),
            queue_bytes=int(total(metrics.queue_bytes)),
            in_flight_events=int(total(metrics.in_flight_events)),
            assigned=int(total(metrics.assigned)),
            paused=int(total(metrics.paused)),
            rebalances=int(total(metrics.rebalances, "_total")),
            events=[*reversed(recent.events)],
            shows_texts=recent.show_texts,
            dead_reasons=self._dead_reasons(),
            dead=[*reversed(recent.dead)],
        )

    def _state(self, newest: Scrape, waiting: int) -> WorkerState:
        before = self._history.before(TREND_S)
        return derive_state(
            StateInputs(
                waiting_for=self._waiting_for(),
                assigned=int(total(self._metrics.assigned)),
                waiting=waiting,
                waiting_before=int(before.lag),
                span_s=newest.at_s - before.at_s,
                per_s=self._history.per_s(),
                stuck_s=self._history.stuck_s(),
                paused=int(total(self._metrics.paused)),
                blocked=int(total(self._metrics.blocked)),
            )
        )

    def _lag(self) -> list[PartitionLag]:
        return [
            PartitionLag(labels["topic"], int(labels["partition"]), int(events))
            for labels, events in samples(self._metrics.lag)
        ]

    def _routes(self) -> list[RouteView]:
        loaded = {labels["route"]: labels for labels, _ in samples(self._metrics.bundle)}
        return [
            RouteView(
                route.name,
                route.input_topic,
                route.output_topic,
                route.dead_topic,
                route.review_topic,
                f"{bundle['name']}@{bundle['version']}" if (bundle := loaded.get(route.name)) else None,
                bundle["variant"] if bundle else None,
                bundle["provider"].removesuffix("ExecutionProvider") if bundle else None,
                self._recent.label_counts(route.name),
            )
            for route in self._settings.effective_routes
        ]

    def _dead_reasons(self) -> dict[str, int]:
        reasons: dict[str, int] = {}
        for labels, number in samples(self._metrics.dead_letters, "_total"):
            reasons[labels["reason"]] = reasons.get(labels["reason"], 0) + int(number)
        return {reason: number for reason, number in reasons.items() if number}


def _tiers(older: Scrape, newest: Scrape) -> list[TierView]:
    views = []
    for tier in sorted({tier for tier, _ in newest.cache}):
        hits_total, lookups_total = _hits_and_lookups(newest, tier)
        hits_before, lookups_before = _hits_and_lookups(older, tier)
        hits, lookups = hits_total - hits_before, lookups_total - lookups_before
        views.append(
            TierView(
                tier,
                hits,
                lookups,
                hits / lookups if lookups else None,
                hits_total,
                lookups_total,
                hits_total / lookups_total if lookups_total else None,
            )
        )
    return views


def _hits_and_lookups(scrape: Scrape, tier: str) -> tuple[int, int]:
    results = {result: number for (name, result), number in scrape.cache.items() if name == tier}
    return int(results.get("hit", 0)), int(sum(results.values()))


def _batches(older: Scrape, newest: Scrape) -> Batches:
    number, seconds = newest.inferences - older.inferences, newest.at_s - older.at_s
    if not number:
        return Batches(0.0, None, None)
    return Batches(
        number / seconds if seconds > 0 else 0.0,
        (newest.rows - older.rows) / number,
        (newest.fills - older.fills) / number,
    )
