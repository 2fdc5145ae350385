"""What tests ask of a broker, in blocking calls: the same for Apache Kafka and the embedded broker.

Everything here is asked of the broker itself and nothing is remembered, so that a test which reconciles what
went in with what came out, or reads a group's committed offsets, judges what the broker holds.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from tests.real.insist import DEADLINE_S, PASSING, insist
from tests.real.wait import until

Headers = Iterable[tuple[str, bytes | None]]

# A broker that a test restarts must be found again at once, not after librdkafka's 10 s of back-off.
_COMMON = {"log_level": 0, "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 100}


@dataclass(frozen=True)
class Record:
    """One record as the broker gives it back."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp: int
    """Milliseconds since 1970, -1 if the record has none."""


class BrokerClient:
    """The questions; subclasses start and end the broker and say where it is."""

    address: str
    """host:port, to be used as bootstrap servers."""

    _admin: AdminClient | None = None
    _producer: Producer | None = None

    def partitions(self, topic: str) -> list[int]:
        """The topic's partition numbers; on the embedded broker asking makes the topic."""
        found = self._ask().list_topics(topic, timeout=DEADLINE_S).topics[topic]
        if found.error is not None:
            raise KafkaException(found.error)
        return sorted(found.partitions)

    def produce(
        self,
        topic: str,
        *values: bytes | None,
        key: bytes | None = None,
        headers: Headers = (),
        partition: int | None = None,
        timestamp: int | None = None,
    ) -> list[tuple[int, int]]:
        """Write values in order; returns the (partition, offset) of each, as the broker confirmed it."""
        if self._producer is None:
            settings = {"acks": "all", "message.timeout.ms": int(DEADLINE_S * 1000)}
            self._producer = Producer(self._config(**settings))
        places: list[tuple[int, int]] = [(-1, -1)] * len(values)
        errors: list[KafkaError] = []

        def confirmed(number: int, error: KafkaError | None, message: Message) -> None:
            if error is not None:
                errors.append(error)
            places[number] = (message.partition(), message.offset())

        optional: dict[str, Any] = {"partition": partition, "timestamp": timestamp}
        given = {name: value for name, value in optional.items() if value is not None}
        for number, value in enumerate(values):
            while True:
                try:
                    self._producer.produce(
                        topic,
                        value,
                        key,
                        headers=list(headers),
                        on_delivery=lambda error, message, number=number: confirmed(number, error, message),
                        **given,
                    )
                    break
                except BufferError:
                    self._producer.poll(0.1)
        assert self._producer.flush(DEADLINE_S) == 0, f"{topic}: records not confirmed in {DEADLINE_S:g} s"
        if errors:
            raise KafkaException(errors[0])
        return places

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """The group's committed offset (the next to read) of each partition that has one.

        Offsets of a transaction that has not ended are waited for, not passed over.
        """
        places = [TopicPartition(topic, number) for number in self.partitions(topic)]

        # Not AdminClient.list_consumer_group_offsets: in librdkafka 2.16 it crashes the process when the
        # group's coordinator is still loading, as it is after a restart.
        consumer = Consumer(self._config(**{"group.id": group, "enable.auto.commit": False}))

        def ask() -> dict[int, int]:
            answer = consumer.committed(places, timeout=DEADLINE_S)
            for place in answer:
                if place.error is not None:
                    raise KafkaException(place.error)
            return {place.partition: place.offset for place in answer if place.offset >= 0}

        try:
            return insist(ask, f"committed offsets of {group} in {topic}")
        finally:
            consumer.close()

    def end_offsets(self, topic: str) -> dict[int, int]:
        """The offset that each partition's next record gets; a transaction's end takes up an offset too."""
        wanted = {TopicPartition(topic, number): OffsetSpec.latest() for number in self.partitions(topic)}

        def ask() -> dict[int, int]:
            futures = self._ask().list_offsets(wanted, request_timeout=DEADLINE_S)
            return {place.partition: future.result(DEADLINE_S).offset for place, future in futures.items()}

        return insist(ask, f"end offsets of {topic}")

    def records(self, topic: str) -> list[Record]:
        """All records up to the end as of now, by partition and offset, without aborted transactions."""
        waiting = set(self.partitions(topic))
        consumer = Consumer(
            self._config(
                **{
                    "group.id": "labelstream-tests-reader",
                    "enable.auto.commit": False,
                    "isolation.level": "read_committed",
                    "enable.partition.eof": True,
                    "fetch.wait.max.ms": 10,
                }
            )
        )
        found: list[Record] = []

        def read() -> bool:
            for message in consumer.consume(10_000, timeout=0.05):
                error = message.error()
                if error is None:
                    found.append(_record(message))
                elif error.code() == KafkaError._PARTITION_EOF:
                    waiting.discard(message.partition())
                elif error.code() not in PASSING:
                    raise KafkaException(error)
            return not waiting

        try:
            consumer.assign([TopicPartition(topic, number, 0) for number in sorted(waiting)])
            until(read, DEADLINE_S, f"end of topic {topic} on {self.address}")
        finally:
            consumer.close()
        return sorted(found, key=lambda record: (record.partition, record.offset))

    def _config(self, **more: object) -> dict[str, Any]:
        return {"bootstrap.servers": self.address, **_COMMON, **more}

    def _ask(self) -> AdminClient:
        if self._admin is None:
            self._admin = AdminClient(self._config())
        return self._admin

    def _await_metadata(self, deadline_s: float, check: Callable[[], None] = lambda: None) -> None:
        """Readiness: a metadata request is answered. `check` may raise when waiting has become pointless."""

        def answered() -> bool:
            check()
            return bool(self._ask().list_topics(timeout=1).brokers)

        what = f"metadata from the broker on {self.address}"
        until(answered, deadline_s, what, ignoring=(KafkaException,))

    def _forget(self) -> None:
        """Drop connections before the broker goes, so that nothing of them waits for it."""
        self._admin = self._producer = None


def _record(message: Message) -> Record:
    return Record(
        partition=message.partition(),
        offset=message.offset(),
        key=message.key(),
        value=message.value(),
        headers=tuple(message.headers() or ()),
        timestamp=message.timestamp()[1],
    )
