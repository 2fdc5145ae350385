"""Puts a snapshot together from a worker's metrics, its history and what it saw lately."""

from collections.abc import Callable

from stream import __version__
from stream.observe.metrics import STAGES, Metrics
from stream.settings import Settings
from stream.web.page.history import WINDOW_S, History
from stream.web.page.readings import AGE, Reading, samples, total
from stream.web.page.recent import Recent
from stream.web.page.snapshot import Batches, PartitionLag, RouteView, Snapshot, TierView
from stream.web.page.standing import Facts, Standing, judge

PARTITIONS_SHOWN = 32
TREND_S = 30.0


class Composer:
    """Makes snapshots of one worker."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        history: History,
        recent: Recent,
        *,
        waiting_for: Callable[[], str | None],
        host: str,
        now_ms: Callable[[], int],
    ) -> None:
        """
        Args:
            settings: the worker's.
            metrics: the worker's.
            history: readings of them.
            recent: sampled outcomes.
            waiting_for: what is missing until the worker is ready, None when nothing is.
            host: the machine's name.
            now_ms: milliseconds since the epoch.
        """
        self._settings = settings
        self._metrics = metrics
        self._history = history
        self._recent = recent
        self._waiting_for = waiting_for
        self._host = host
        self._now_ms = now_ms

    def snapshot(self) -> Snapshot:
        """How things are: gauges as of now, rates and percentiles as of the newest reading."""
        history, metrics, recent = self._history, self._metrics, self._recent
        newest, older = history.newest, history.before(WINDOW_S)
        lag = self._lag()
        waiting = sum(partition.events for partition in lag)
        most = sorted(lag, key=lambda partition: -partition.events)[:PARTITIONS_SHOWN]
        return Snapshot(
            at_ms=self._now_ms(),
            version=__version__,
            host=self._host,
            group=self._settings.group,
            standing=self._standing(newest, waiting),
            outcomes={name: int(number) for name, number in newest.outcomes.items()},
            per_s=history.per_s(),
            per_s_window=history.per_s(WINDOW_S),
            line=history.line(),
            window_s=min(WINDOW_S, newest.at_s - older.at_s),
            durations=history.percentiles((AGE, *STAGES)),
            lag_total=waiting,
            lag=sorted(most, key=lambda partition: (partition.topic, partition.partition)),
            lag_more=len(lag) - len(most),
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

    def _standing(self, newest: Reading, waiting: int) -> Standing:
        before = self._history.before(TREND_S)
        return judge(
            Facts(
                waiting_for=self._waiting_for(),
                assigned=int(total(self._metrics.assigned)),
                waiting=waiting,
                waiting_before=int(before.lag),
                span_s=newest.at_s - before.at_s,
                per_s=self._history.per_s(),
                stuck_s=self._history.stuck_s(),
                paused=int(total(self._metrics.paused)),
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
                f"{of['name']}@{of['version']}" if (of := loaded.get(route.name)) else None,
                of["variant"] if of else None,
                of["provider"].removesuffix("ExecutionProvider") if of else None,
                self._recent.tally(route.name),
            )
            for route in self._settings.effective_routes
        ]

    def _dead_reasons(self) -> dict[str, int]:
        reasons: dict[str, int] = {}
        for labels, number in samples(self._metrics.dead_letters, "_total"):
            reasons[labels["reason"]] = reasons.get(labels["reason"], 0) + int(number)
        return {reason: number for reason, number in reasons.items() if number}


def _tiers(older: Reading, newest: Reading) -> list[TierView]:
    def counted(tier: str, since: Reading | None) -> tuple[int, int]:
        of = {
            result: number - (since.cache.get((tier, result), 0.0) if since else 0.0)
            for (name, result), number in newest.cache.items()
            if name == tier
        }
        return int(of.get("hit", 0)), int(sum(of.values()))

    views = []
    for tier in sorted({tier for tier, _ in newest.cache}):
        hits, lookups = counted(tier, older)
        hits_total, lookups_total = counted(tier, None)
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


def _batches(older: Reading, newest: Reading) -> Batches:
    number, seconds = newest.inferences - older.inferences, newest.at_s - older.at_s
    if not number:
        return Batches(0.0, None, None)
    return Batches(
        number / seconds if seconds > 0 else 0.0,
        (newest.rows - older.rows) / number,
        (newest.fills - older.fills) / number,
    )
