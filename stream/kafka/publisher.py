"""Publishes the output of record batches and waits until the broker has confirmed it."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from aiokafka.errors import KafkaError, MessageSizeTooLargeError, UnknownTopicOrPartitionError
from aiokafka.partitioner import DefaultPartitioner

from stream.deadline import Deadline
from stream.kafka.partition_writer import RETRY_PAUSE_S, Fallback, PartitionWriter
from stream.kafka.produce_errors import refused_error, unconfirmed_error
from stream.records import Outgoing

T = TypeVar("T")


class Oversized(NamedTuple):
    """The records that a topic refused as too large, by their indices; no later topic was written."""

    topic: str
    indices: Sequence[int]


class Publisher:
    """Publishes records through an aiokafka producer, many in one batch.

    The producer is idempotent and retries without a limit; the publisher limits the time.
    """

    def __init__(
        self, producer: Callable[[], Any], deadline_s: float, fallbacks: Mapping[str, Fallback] | None = None
    ) -> None:
        """
        Args:
            producer: returns the started aiokafka producer.
            deadline_s: the seconds within which the broker has to confirm the records of one call.
            fallbacks: by topic, the writer of another form of a record that the topic refuses as too large.
                Without any, such a refusal is an error.
        """
        self._producer = producer
        self._deadline_s = deadline_s
        self._fallbacks = fallbacks
        self._writer = PartitionWriter(producer)
        self._by_key = DefaultPartitioner()

    async def publish(
        self, source_topic: str, source_partition: int, records: Mapping[str, Sequence[Outgoing]]
    ) -> Oversized | None:
        """Write records in order, one topic after the other, and wait for the broker's confirmation.

        Args:
            source_topic: the topic of the input records.
            source_partition: the partition of the input records.
            records: the output records, by topic, in the order in which the topics are written.

        Returns:
            The records that a topic refused as too large; None if all records are written.

        Raises:
            BrokerError: the broker did not confirm in time, or refused a record permanently.
            FencedError: another producer took over.
        """
        deadline = Deadline(self._deadline_s)
        sources = await self._partition_count(source_topic, deadline, source_partition + 1)
        for topic, outgoing in records.items():
            if outgoing:
                targets = await self._partition_count(topic, deadline)
                by_partition = self._by_partition(outgoing, source_partition, sources, targets)
                if refused := await self._write(topic, outgoing, by_partition, deadline):
                    if self._fallbacks is None:
                        raise refused_error(MessageSizeTooLargeError(), topic, source_partition)
                    return Oversized(topic, refused)
        return None

    async def _partition_count(self, topic: str, deadline: Deadline, at_least: int = 1) -> int:
        """Return the partition count of a topic.

        Args:
            topic: the topic.
            deadline: the time by which the producer has to learn the count.
            at_least: the smallest possible count; a smaller one is out of date.
        """
        try:
            async with asyncio.timeout(deadline.remaining()):
                while True:
                    try:
                        count = len(await self._producer().partitions_for(topic))
                    except UnknownTopicOrPartitionError:
                        count = 0
                    if count >= at_least:
                        return count
                    await self._producer().client.force_metadata_update()
                    await asyncio.sleep(RETRY_PAUSE_S)
        except TimeoutError:
            missing = UnknownTopicOrPartitionError()
            raise unconfirmed_error(topic, at_least - 1, missing, deadline.seconds) from None
        except KafkaError as exc:
            raise refused_error(exc, topic, at_least - 1) from exc

    def _by_partition(
        self, records: Sequence[Outgoing], source_partition: int, sources: int, targets: int
    ) -> Mapping[int, Sequence[int]]:
        """Return the indices of the records by partition.

        The partition is the source's if the partition counts match. Otherwise the key decides, as in Kafka.
        """
        if sources == targets:
            return {source_partition: range(len(records))}
        partitions = list(range(targets))
        chosen: dict[int, list[int]] = defaultdict(list)
        for at, record in enumerate(records):
            key = record.key
            partition = (
                source_partition % targets if key is None else self._by_key(key, partitions, partitions)
            )
            chosen[partition].append(at)
        return chosen

    async def _write(
        self,
        topic: str,
        records: Sequence[Outgoing],
        by_partition: Mapping[int, Sequence[int]],
        deadline: Deadline,
    ) -> list[int]:
        """Write the records of a topic, and return the indices of those that it refuses as too large."""
        fallback = (self._fallbacks or {}).get(topic)
        parts = [*by_partition.values()]
        refused = await _all_done(
            [
                self._writer.write(
                    topic,
                    partition,
                    records if len(part) == len(records) else [records[at] for at in part],
                    deadline,
                    fallback,
                )
                for partition, part in by_partition.items()
            ]
        )
        return sorted(part[at] for part, found in zip(parts, refused, strict=True) for at in found)


async def _all_done(work: Sequence[Awaitable[T]]) -> list[T]:
    """Await everything, then raise the first failure, so that every exception is retrieved."""
    results: list[T] = []
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
        results.append(outcome)
    return results
