"""Looks at the consumer once a second: gauges for the metrics, and whether anything still moves."""

import asyncio
from collections.abc import Callable, Mapping
from time import time
from typing import Protocol

from stream.errors import StalledError
from stream.observe.metrics import Metrics

INTERVAL_S = 1.0


class Watched(Protocol):
    """What is looked at of `BatchConsumer`."""

    queued_events: int
    queued_bytes: int
    in_flight_events: int
    progress: int

    @property
    def full(self) -> bool: ...
    @property
    def broker_answers(self) -> bool: ...
    def lag(self) -> Mapping[tuple[str, int], int]: ...


class Watch:
    """Keeps the gauges, and ends a worker that has work and does not get on with it.

    Consumers that silently stop are known in every Kafka client; a restart mends them.
    """

    def __init__(
        self,
        consumer: Watched,
        metrics: Metrics,
        stall_exit_s: float,
        clock: Callable[[], float],
        fail: Callable[[BaseException], None],
        unix_time: Callable[[], float] = time,
    ) -> None:
        """
        Args:
            consumer: what is watched.
            metrics: where gauges are set.
            stall_exit_s: seconds with lag and without progress that are too many.
            clock: monotonic seconds.
            fail: told a `StalledError`.
            unix_time: seconds since the epoch.
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
        """Look for ever."""
        while True:
            self.look()
            await asyncio.sleep(INTERVAL_S)

    def look(self) -> None:
        """Look once."""
        consumer, metrics = self._consumer, self._metrics
        lag = consumer.lag()
        metrics.queue_events.set(consumer.queued_events)
        metrics.queue_bytes.set(consumer.queued_bytes)
        metrics.in_flight_events.set(consumer.in_flight_events)
        metrics.assigned.set(len(lag))
        metrics.paused.set(len(lag) if consumer.full else 0)
        metrics.lag.clear()
        for (topic, partition), events in lag.items():
            metrics.lag.labels(topic, str(partition)).set(events)
        moved, behind = consumer.progress != self._progress, any(lag.values())
        # What a silent broker holds is not known, so there may be work.
        if moved or (not behind and consumer.broker_answers):
            metrics.last_progress.set(self._unix_time())
        if moved or not behind:
            self._progress, self._moved_at = consumer.progress, self._clock()
        elif self._clock() - self._moved_at > self._stall_exit_s:
            self._fail(
                StalledError(
                    f"no progress for {self._stall_exit_s:g} s with {sum(lag.values())} events waiting",
                    cause="the consumer or the model stopped without an error",
                    fix="the supervisor should restart the worker; nothing was lost",
                )
            )
