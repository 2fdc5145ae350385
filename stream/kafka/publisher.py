"""Publishes the output of record batches and waits until the broker has confirmed it."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from aiokafka.errors import KafkaError, MessageSizeTooLargeError, UnknownTopicOrPartitionError
from aiokafka.partitioner import DefaultPartitioner

from stream.deadline import Deadline
from stream.kafka.partition_writer import RETRY_PAUSE_S, Fallback, PartitionWriter
from stream.kafka.produce_errors import refused_error, unconfirmed_error
from stream.records import Outgoing

T = TypeVar("T")


Refused = Mapping[str, Sequence[int]]
"""The indices of the records that a topic refused as too large, by topic."""


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
    ) -> Refused:
        """Write records, in order within each topic, and wait for the broker's confirmation.

        The topics are written at the same time, except those with a fallback: they are written afterwards,
        and only if no other topic refuses a record.

        Args:
            source_topic: the topic of the input records.
            source_partition: the partition of the input records.
            records: the output records, by topic.

        Returns:
            The records that were refused as too large; empty if all records are written.

        Raises:
            BrokerError: the broker did not confirm in time, or refused a record permanently.
            FencedError: another producer took over.
        """
        deadline = Deadline(self._deadline_s)
        sources = await self._partition_count(source_topic, deadline, source_partition + 1)
        fallbacks = self._fallbacks or {}
        for topics in (records.keys() - fallbacks.keys(), records.keys() & fallbacks.keys()):
            work = {
                topic: self._write(topic, records[topic], source_partition, sources, deadline)
                for topic in topics
                if records[topic]
            }
            found = await _all_done([*work.values()])
            refused = {topic: indices for topic, indices in zip(work, found, strict=True) if indices}
            if refused and self._fallbacks is None:
                raise refused_error(MessageSizeTooLargeError(), min(refused), source_partition)
            if refused:
                return refused
        return {}

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
        source_partition: int,
        sources: int,
        deadline: Deadline,
    ) -> list[int]:
        """Write the records of a topic, and return the indices of those that it refuses as too large."""
        targets = await self._partition_count(topic, deadline)
        by_partition = self._by_partition(records, source_partition, sources, targets)
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
    if len(work) == 1:
        return [await work[0]]
    results: list[T] = []
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
        results.append(outcome)
    return results
