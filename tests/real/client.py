"""A blocking client for tests, the same for Apache Kafka and the embedded broker.

All answers come from the broker and nothing is cached, so that tests which reconcile input with output, or
read a group's committed offsets, check the state of the broker.
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
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from tests.real.retry import DEADLINE_S, TRANSIENT_ERRORS, retry_transient
from tests.real.wait import until

Headers = Iterable[tuple[str, bytes | None]]

# After a restart of the broker clients must reconnect at once, not after librdkafka's back-off of 10 s.
_COMMON = {"log_level": 0, "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 100}


@dataclass(frozen=True)
class Record:
    """A record as read from the broker."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp: int
    """The timestamp in milliseconds since 1970, or -1 if the record has none."""


class BrokerClient:
    """The client; subclasses start and stop a broker and set its address."""

    address: str
    """The bootstrap servers, host:port."""

    _admin: AdminClient | None = None
    _producer: Producer | None = None

    def create_topic(self, name: str, partitions: int = 4, **config: object) -> str:
        """Create a topic and return its name when every partition has a leader.

        Args:
            name: the name of the topic, usually from `components.unique`.
            partitions: the number of partitions.
            config: the settings of the topic with _ in place of dots: `cleanup_policy="compact"`.
        """
        settings = {key.replace("_", "."): str(value) for key, value in config.items()}
        topic = NewTopic(name, partitions, 1, config=settings)
        self._admin_client().create_topics([topic], operation_timeout=DEADLINE_S)[name].result(DEADLINE_S)

        def has_leaders() -> bool:
            metadata = self._admin_client().list_topics(name, timeout=DEADLINE_S).topics[name]
            leaders = [partition.leader for partition in metadata.partitions.values()]
            return metadata.error is None and len(leaders) == partitions and min(leaders) >= 0

        until(has_leaders, DEADLINE_S, f"leaders of the {partitions} partitions of {name}")
        return name

    def partitions(self, topic: str) -> list[int]:
        """Return the partition numbers of a topic; on the embedded broker this creates the topic."""
        metadata = self._admin_client().list_topics(topic, timeout=DEADLINE_S).topics[topic]
        if metadata.error is not None:
            raise KafkaException(metadata.error)
        return sorted(metadata.partitions)

    def produce(
        self,
        topic: str,
        *values: bytes | None,
        key: bytes | None = None,
        headers: Headers = (),
        partition: int | None = None,
        timestamp: int | None = None,
    ) -> list[tuple[int, int]]:
        """Write values in order and return the (partition, offset) of each, as confirmed by the broker."""
        if self._producer is None:
            settings = {"acks": "all", "message.timeout.ms": int(DEADLINE_S * 1000)}
            self._producer = Producer(self._config(**settings))
        positions: list[tuple[int, int]] = [(-1, -1)] * len(values)
        errors: list[KafkaError] = []

        def on_confirmed(number: int, error: KafkaError | None, message: Message) -> None:
            if error is not None:
                errors.append(error)
            positions[number] = (message.partition(), message.offset())

        optional: dict[str, Any] = {"partition": partition, "timestamp": timestamp}
        arguments = {name: value for name, value in optional.items() if value is not None}
        for number, value in enumerate(values):
            while True:
                try:
                    self._producer.produce(
                        topic,
                        value,
                        key,
                        headers=list(headers),
                        on_delivery=lambda error, message, number=number: on_confirmed(
                            number, error, message
                        ),
                        **arguments,
                    )
                    break
                except BufferError:
                    self._producer.poll(0.1)
        assert self._producer.flush(DEADLINE_S) == 0, f"{topic}: records not confirmed in {DEADLINE_S:g} s"
        if errors:
            raise KafkaException(errors[0])
        return positions

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return the committed offset (the next to read) of each partition that has one.

        Waits for the end of transactions with pending offsets.
        """
        positions = [TopicPartition(topic, number) for number in self.partitions(topic)]

        # AdminClient.list_consumer_group_offsets of librdkafka 2.16 crashes the process while the group's
        # coordinator is loading after a restart.
        consumer = Consumer(self._config(**{"group.id": group, "enable.auto.commit": False}))

        def request() -> dict[int, int]:
            response = consumer.committed(positions, timeout=DEADLINE_S)
            for entry in response:
                if entry.error is not None:
                    raise KafkaException(entry.error)
            return {entry.partition: entry.offset for entry in response if entry.offset >= 0}

        try:
            return retry_transient(request, f"committed offsets of {group} in {topic}")
        finally:
            consumer.close()

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Return the next offset of each partition; the end of a transaction occupies an offset too."""
        requested = {TopicPartition(topic, number): OffsetSpec.latest() for number in self.partitions(topic)}

        def request() -> dict[int, int]:
            futures = self._admin_client().list_offsets(requested, request_timeout=DEADLINE_S)
            return {entry.partition: future.result(DEADLINE_S).offset for entry, future in futures.items()}

        return retry_transient(request, f"end offsets of {topic}")

    def records(self, topic: str, *, aborted: bool = False) -> list[Record]:
        """Return all records up to the current end, by partition and offset.

        Args:
            topic: the topic.
            aborted: whether to include the records of open and aborted transactions.
        """
        unfinished = set(self.partitions(topic))
        consumer = Consumer(
            self._config(
                **{
                    "group.id": "labelstream-tests-reader",
                    "enable.auto.commit": False,
                    "isolation.level": "read_uncommitted" if aborted else "read_committed",
                    "enable.partition.eof": True,
                    "fetch.wait.max.ms": 10,
                }
            )
        )
        read_records: list[Record] = []

        def read() -> bool:
            for message in consumer.consume(10_000, timeout=0.05):
                error = message.error()
                if error is None:
                    read_records.append(_record(message))
                elif error.code() == KafkaError._PARTITION_EOF:
                    unfinished.discard(message.partition())
                elif error.code() not in TRANSIENT_ERRORS:
                    raise KafkaException(error)
            return not unfinished

        try:
            consumer.assign([TopicPartition(topic, number, 0) for number in sorted(unfinished)])
            until(read, DEADLINE_S, f"end of topic {topic} on {self.address}")
        finally:
            consumer.close()
        return sorted(read_records, key=lambda record: (record.partition, record.offset))

    def _config(self, **settings: object) -> dict[str, Any]:
        return {"bootstrap.servers": self.address, **_COMMON, **settings}

    def _admin_client(self) -> AdminClient:
        if self._admin is None:
            self._admin = AdminClient(self._config())
        return self._admin

    def _await_metadata(self, deadline_s: float, check: Callable[[], None] = lambda: None) -> None:
        """Wait until the broker answers a metadata request; `check` raises if waiting is pointless."""

        def has_brokers() -> bool:
            check()
            return bool(self._admin_client().list_topics(timeout=1).brokers)

        what = f"metadata from the broker on {self.address}"
        until(has_brokers, deadline_s, what, ignoring=(KafkaException,))

    def drop_connections(self) -> None:
        """Drop connections before the broker stops, so that none of them blocks."""
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
