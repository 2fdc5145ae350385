"""When label events arrive: a consumer on the same machine that compares its clock with their timestamps."""

import time
from collections.abc import Callable

from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

from benchmarks.speed.punctual import punctual

GRACE_S = 20.0
POLL_S = 0.05


class Arrivals:
    """Reads one partition of the output topic, to spare the cores; events are spread evenly over all."""

    def __init__(self, broker: str, topic: str, partition: int = 0) -> None:
        """Begin at the partition's end."""
        self.delays: list[tuple[float, float]] = []
        """Per label event: its timestamp and its delay, both in milliseconds."""
        # Its threads are started here.
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
        # The end is looked up with the first poll.
        self._consumer.poll(1.0)

    def read(self, expected: Callable[[], int | None]) -> bool:
        """Read until as many events came as expected, which is None while the producer is at it.

        Returns:
            Whether they all came, within 20 s after the producer's end.
        """
        with punctual():
            return self._read(expected)

    def _read(self, expected: Callable[[], int | None]) -> bool:
        ended = None
        while True:
            first = self._consumer.poll(POLL_S)
            if first is not None:
                # What else has arrived is there without waiting.
                messages = [first, *self._consumer.consume(1_000, 0)]
                now_ms = time.time() * 1e3
                for message in messages:
                    if message.error() is not None:
                        raise KafkaException(message.error())
                    stamp = message.timestamp()[1]
                    self.delays.append((stamp, now_ms - stamp))
                continue
            wanted = expected()
            if wanted is not None:
                ended = ended or time.monotonic()
                if len(self.delays) >= wanted:
                    return True
                if time.monotonic() - ended > GRACE_S:
                    return False

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()
