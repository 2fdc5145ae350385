"""A watchdog that ends a worker without progress, and updates the gauges of the consumer."""

import asyncio
from collections.abc import Callable, Mapping
from time import time
from typing import Protocol

from stream.errors import StalledError
from stream.kafka.unfinished import UnfinishedEvents
from stream.observe.metrics import Metrics

INTERVAL_S = 1.0


class WatchedConsumer(Protocol):
    """The part of `BatchConsumer` that the watchdog reads."""

    unfinished: UnfinishedEvents
    progress: int

    @property
    def broker_answers(self) -> bool: ...
    def lag(self) -> Mapping[tuple[str, int], int]: ...


class Watchdog:
    """Updates the gauges once a second, and ends a worker that has work and makes no progress.

    The consumers of all Kafka clients are known to stop without an error at times; a restart helps.
    """

    def __init__(
        self,
        consumer: WatchedConsumer,
        metrics: Metrics,
        stall_exit_s: float,
        clock: Callable[[], float],
        fail: Callable[[BaseException], None],
        unix_time: Callable[[], float] = time,
    ) -> None:
        """
        Args:
            consumer: the consumer to watch.
            metrics: the metrics whose gauges are updated.
            stall_exit_s: the seconds with lag and without progress after which the worker ends.
            clock: returns monotonic seconds.
            fail: ends the worker with a `StalledError`.
            unix_time: returns the seconds since the epoch.
        """
        self._consumer = consumer
        self._metrics = metrics
        self._stall_exit_s = stall_exit_s
        self._clock = clock
        self._fail = fail
        self._unix_time = unix_time
        self._progress = -1
        self._moved_at = clock()

    async def run(self) -> None:
        """Check the consumer every second until cancelled."""
        while True:
            self.check()
            await asyncio.sleep(INTERVAL_S)

    def check(self) -> None:
        """Check the consumer once."""
        consumer, metrics = self._consumer, self._metrics
        lag = consumer.lag()
        metrics.queue_events.set(consumer.unfinished.queued_events)
        metrics.queue_bytes.set(consumer.unfinished.queued_bytes)
        metrics.in_flight_events.set(consumer.unfinished.in_flight_events)
        metrics.assigned.set(len(lag))
        metrics.paused.set(len(lag) if consumer.unfinished.full else 0)
        metrics.lag.clear()
        for (topic, partition), events in lag.items():
            metrics.lag.labels(topic, str(partition)).set(events)
        moved, behind = consumer.progress != self._progress, any(lag.values())
        # The lag behind a silent broker is unknown, so there may be work.
        if moved or (not behind and consumer.broker_answers):
            metrics.last_progress.set(self._unix_time())
        if moved or not behind:
            self._progress, self._moved_at = consumer.progress, self._clock()
        elif self._clock() - self._moved_at > self._stall_exit_s:
            self._fail(
                StalledError(
                    f"no progress for {self._stall_exit_s:g} s with {sum(lag.values())} events waiting",
                    cause="the consumer or the model stopped without an error",
                    fix="restart the worker, as a supervisor does; nothing was lost",
                )
            )
