"""A producer that writes records with any bytes and waits until the broker has confirmed them."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner

from stream.codec import Outgoing
from stream.deadline import Deadline
from stream.dlq.letters import Position
from stream.dlq.replay import Event
from stream.kafka.connection import client_options, connection_error
from stream.kafka.faust.produce_response import handle_produce_responses
from stream.kafka.faust.producer import prepare_producer
from stream.kafka.partition_writer import PartitionWriter
from stream.settings import Settings

CONFIRM_S = 30.0
STOP_S = 2.0
BATCH_BYTES = 64 * 2**10
# The broker's own limit applies.
MAX_REQUEST_BYTES = 2**30


class EventWriter:
    """Writes events to their topics. A block of `async with` connects and disconnects."""

    def __init__(self, settings: Settings, topics: Mapping[str, int]) -> None:
        """
        Args:
            settings: the address of the broker and the credentials.
            topics: the partition counts of the topics, by name.
        """
        self._settings = settings
        self._topics = topics
        self._producer: Any = None
        self._writer = PartitionWriter(lambda: self._producer)
        self._by_key = DefaultPartitioner()

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            BrokerError: the broker does not answer.
        """
        handle_produce_responses()
        producer = AIOKafkaProducer(
            **client_options(self._settings),
            client_id="labelstream-dlq",
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            max_batch_size=BATCH_BYTES,
            max_request_size=MAX_REQUEST_BYTES,
        )
        self._producer = prepare_producer(producer, lambda: None)
        try:
            await self._producer.start()
        except (KafkaError, OSError) as exc:
            await self._stop()
            raise connection_error(self._settings, exc) from exc
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def write(self, events: Sequence[Event]) -> set[Position]:
        """Write events, in order within each partition, and wait for the confirmation of all of them.

        Returns:
            The positions of the dead letters whose events their topic refuses as too large.

        Raises:
            BrokerError: the broker did not confirm in time, or refused an event for another reason. Some of
                the events may be written.
        """
        deadline = Deadline(CONFIRM_S)
        groups: dict[tuple[str, int], list[Event]] = defaultdict(list)
        for event in events:
            groups[event.topic, self._partition(event)].append(event)
        parts = [*groups.values()]
        work = [
            self._writer.write(topic, partition, [event.record for event in part], deadline)
            for (topic, partition), part in groups.items()
        ]
        found = await asyncio.gather(*work, return_exceptions=True)
        # Each result is retrieved before the first error is raised.
        for result in found:
            if isinstance(result, BaseException):
                raise result
        return {
            part[at].position
            for part, result in zip(parts, found, strict=True)
            if not isinstance(result, BaseException)
            for at in result
        }

    async def append(self, topic: str, record: Outgoing) -> None:
        """Write a record to the first partition of a topic, and wait for its confirmation.

        Raises:
            BrokerError: the broker did not confirm in time, or refused the record.
        """
        await self._writer.write(topic, 0, [record], Deadline(CONFIRM_S))

    def _partition(self, event: Event) -> int:
        """Return the partition of the event if the topic has it, else that of the key."""
        count = self._topics[event.topic]
        key = event.record.key
        if event.partition < count or key is None:
            return event.partition % count
        partitions = [*range(count)]
        return int(self._by_key(key, partitions, partitions))

    async def _stop(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._producer.stop(), STOP_S)
