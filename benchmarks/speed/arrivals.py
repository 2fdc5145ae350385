"""Arrival delays of label events, measured by a consumer on the same machine against their timestamps."""

import time
from collections.abc import Callable

from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

from benchmarks.speed.punctual import punctual

GRACE_S = 20.0
POLL_S = 0.05


class Arrivals:
    """A consumer of one output partition, which is enough because events are spread evenly."""

    def __init__(self, broker: str, topic: str, partition: int = 0) -> None:
        """Start at the end of the partition."""
        self.delays: list[tuple[float, float]] = []
        """Timestamp and delay of each label event, both in milliseconds."""
        # The constructor starts librdkafka's threads, which inherit the priority.
        with punctual():
            self._consumer = Consumer(
                {
                    "bootstrap.servers": broker,
                    "log_level": 0,
                    "group.id": "bench-arrivals",
                    "enable.auto.commit": False,
                    "fetch.wait.max.ms": 100,
                }
            )
        self._consumer.assign([TopicPartition(topic, partition, OFFSET_END)])
        # The first poll resolves OFFSET_END to an offset.
        self._consumer.poll(1.0)

    def read(self, expected: Callable[[], int | None]) -> bool:
        """Read until all expected events have arrived.

        Args:
            expected: returns the number of expected events, or None while the producer is running.

        Returns:
            Whether all events arrived within 20 s after the producer ended.
        """
        with punctual():
            return self._read(expected)

    def _read(self, expected: Callable[[], int | None]) -> bool:
        producer_ended = None
        while True:
            first = self._consumer.poll(POLL_S)
            if first is not None:
                # A timeout of 0 returns the messages that are already buffered.
                messages = [first, *self._consumer.consume(1_000, 0)]
                now_ms = time.time() * 1e3
                for message in messages:
                    if message.error() is not None:
                        raise KafkaException(message.error())
                    timestamp_ms = message.timestamp()[1]
                    self.delays.append((timestamp_ms, now_ms - timestamp_ms))
                continue
            expected_count = expected()
            if expected_count is not None:
                producer_ended = producer_ended or time.monotonic()
                if len(self.delays) >= expected_count:
                    return True
                if time.monotonic() - producer_ended > GRACE_S:
                    return False

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()
