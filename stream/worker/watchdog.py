"""A watchdog that ends a worker without progress, and updates the gauges of the consumer."""

import asyncio
from collections.abc import Callable, Mapping
from time import time
from typing import Protocol

from stream.errors import BrokerError, StalledError
from stream.kafka.consumer import PartitionProgress
from stream.kafka.unfinished import UnfinishedEvents
from stream.observe.metrics import Metrics
from stream.worker.stalls import FIX, StallDetector

INTERVAL_S = 1.0


class WatchedConsumer(Protocol):
    """The part of `BatchConsumer` that the watchdog reads."""

    unfinished: UnfinishedEvents
    progress: int

    @property
    def broker_answers(self) -> bool: ...
    @property
    def topic_error(self) -> BrokerError | None: ...
    def partition_progress(self) -> Mapping[tuple[str, int], PartitionProgress]: ...
    def blocked(self) -> Mapping[tuple[str, int], int]: ...


class Watchdog:
    """Updates the gauges once a second, and ends a worker that cannot go on.

    A worker cannot go on if it has work and makes no progress, if one of its partitions does not move, or if
    an input topic cannot be read.

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
            fail: ends the worker with the error that it receives.
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
        self._stalls = StallDetector(stall_exit_s, clock)

    async def run(self) -> None:
        """Check the consumer every second until cancelled."""
        while True:
            self.check()
            await asyncio.sleep(INTERVAL_S)

    def check(self) -> None:
        """Check the consumer once."""
        consumer = self._consumer
        partitions = consumer.partition_progress()
        lag = {tp: progress.lag for tp, progress in partitions.items()}
        self._update_gauges(lag)
        if error := consumer.topic_error:
            self._fail(error)
        moved, behind = consumer.progress != self._progress, any(lag.values())
        # The lag behind a silent broker is unknown, so there may be work.
        if moved or (not behind and consumer.broker_answers):
            self._metrics.last_progress.set(self._unix_time())
        if moved or not behind:
            self._progress, self._moved_at = consumer.progress, self._clock()
        elif self._clock() - self._moved_at > self._stall_exit_s:
            self._fail(
                StalledError(
                    f"no progress for {self._stall_exit_s:g} s with {sum(lag.values())} events waiting",
                    cause="the consumer or the model stopped without an error",
                    fix=FIX,
                )
            )
        stalled = self._stalls.check(partitions, self._has_room, broker_answers=consumer.broker_answers)
        if stalled:
            self._fail(stalled)

    def _has_room(self, topic: str) -> bool:
        unfinished = self._consumer.unfinished
        return not unfinished.full and not unfinished.queued_of(topic)

    def _update_gauges(self, lag: Mapping[tuple[str, int], int]) -> None:
        unfinished, metrics = self._consumer.unfinished, self._metrics
        metrics.queue_events.set(unfinished.queued_events)
        metrics.queue_bytes.set(unfinished.queued_bytes)
        metrics.in_flight_events.set(unfinished.in_flight_events)
        metrics.assigned.set(len(lag))
        metrics.paused.set(len(lag) if unfinished.full else 0)
        metrics.lag.clear()
        metrics.blocked.clear()
        for (topic, partition), events in lag.items():
            metrics.lag.labels(topic, str(partition)).set(events)
        for (topic, partition), events in self._consumer.blocked().items():
            metrics.blocked.labels(topic, str(partition)).set(events)
