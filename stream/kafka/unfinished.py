"""The events that a consumer has read and no agent has finished, and their limits."""

import asyncio
from collections import Counter

from stream.kafka.batches import RecordBatch


class UnfinishedEvents:
    """Counts the unfinished events: they are queued until an agent takes them, and then in flight.

    Attributes:
        queued_events: the number of queued events.
        queued_bytes: the bytes of their keys and values.
        in_flight_events: the number of events in flight.
        in_flight_bytes: the bytes of their keys and values.
        idle: set while no event is in flight.
        capacity: set when events leave the queue or are finished; the reader clears it before it waits.
    """

    def __init__(self, max_events: int, max_bytes: int) -> None:
        """
        Args:
            max_events: the number of unfinished events at which the consumer stops reading.
            max_bytes: the bytes of their keys and values at which the consumer stops reading.
        """
        self._max_events = max_events
        self._max_bytes = max_bytes
        self.queued_events = 0
        self.queued_bytes = 0
        self.in_flight_events = 0
        self.in_flight_bytes = 0
        self._queued_by_topic: Counter[str] = Counter()
        self.capacity = asyncio.Event()
        self.idle = asyncio.Event()
        self.idle.set()

    @property
    def full(self) -> bool:
        """True if the unfinished events have reached a limit, so that the partitions are paused."""
        return (
            self.queued_events + self.in_flight_events >= self._max_events
            or self.queued_bytes + self.in_flight_bytes >= self._max_bytes
        )

    def queued_of(self, topic: str) -> int:
        """Return the number of queued events of a topic."""
        return self._queued_by_topic[topic]

    def queue(self, batch: RecordBatch) -> None:
        """Count a batch as queued."""
        self.queued_events += len(batch)
        self.queued_bytes += batch.size_bytes
        self._queued_by_topic[batch.topic] += len(batch)

    def take(self, batch: RecordBatch) -> None:
        """Count a queued batch as in flight."""
        self.queued_events -= len(batch)
        self.queued_bytes -= batch.size_bytes
        self._queued_by_topic[batch.topic] -= len(batch)
        self.in_flight_events += len(batch)
        self.in_flight_bytes += batch.size_bytes
        self.idle.clear()
        self.capacity.set()

    def finish(self, batch: RecordBatch) -> None:
        """Count a batch in flight as finished."""
        self.in_flight_events -= len(batch)
        self.in_flight_bytes -= batch.size_bytes
        self.capacity.set()
        if not self.in_flight_events:
            self.idle.set()

    def drop_queued(self) -> int:
        """Forget all queued events, and return their number."""
        dropped, self.queued_events, self.queued_bytes = self.queued_events, 0, 0
        self._queued_by_topic.clear()
        return dropped

    def clear(self) -> None:
        """Forget all events."""
        self.drop_queued()
        self.in_flight_events = self.in_flight_bytes = 0
        self.idle.set()
        self.capacity.set()
