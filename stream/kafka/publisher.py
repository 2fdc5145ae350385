"""Publishes the output of record batches and waits until the broker has confirmed it."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from aiokafka.errors import KafkaError, MessageSizeTooLargeError, ProducerFenced
from aiokafka.partitioner import DefaultPartitioner

from stream.errors import BrokerError, Fatal, FencedError
from stream.kafka.faust.packed_batch import next_batch
from stream.records import Outgoing


class Publisher:
    """Publishes records through an aiokafka producer, many in one batch.

    The producer is idempotent and retries without a limit; the publisher limits the time.
    """

    def __init__(self, producer: Callable[[], Any], deadline_s: float) -> None:
        """
        Args:
            producer: returns the started aiokafka producer.
            deadline_s: the seconds within which the broker has to confirm the records of one call.
        """
        self._producer = producer
        self._deadline_s = deadline_s
        self._by_key = DefaultPartitioner()

    async def publish(
        self, source_topic: str, source_partition: int, records: Mapping[str, Sequence[Outgoing]]
    ) -> None:
        """Write records in order and wait until the broker has confirmed all of them.

        Args:
            source_topic: the topic of the input records.
            source_partition: the partition of the input records.
            records: the output records, by topic.

        Raises:
            BrokerError: the broker did not confirm in time, or refused a record permanently.
            FencedError: another producer took over.
        """
        try:
            async with asyncio.timeout(self._deadline_s):
                sources = await self._partition_count(source_topic)
                writes = [
                    self._write(topic, partition, part)
                    for topic, outgoing in records.items()
                    if outgoing
                    for partition, part in self._by_partition(
                        outgoing, source_partition, sources, await self._partition_count(topic)
                    ).items()
                ]
                await _all_confirmed(writes)
        except TimeoutError:
            raise BrokerError(
                f"the broker did not confirm records for {', '.join(sorted(records))}",
                cause=f"no confirmation within {self._deadline_s:g} s",
                fix="check the broker's health; the events are read again after a restart",
            ) from None

    async def _partition_count(self, topic: str) -> int:
        return len(await self._producer().partitions_for(topic))

    def _by_partition(
        self, records: Sequence[Outgoing], source_partition: int, sources: int, targets: int
    ) -> Mapping[int, Sequence[Outgoing]]:
        """Keep the source's partition if the partition counts match, else partition by key as Kafka does."""
        if sources == targets:
            return {source_partition: records}
        partitions = list(range(targets))
        chosen: dict[int, list[Outgoing]] = defaultdict(list)
        for record in records:
            key = record.key
            partition = (
                source_partition % targets if key is None else self._by_key(key, partitions, partitions)
            )
            chosen[partition].append(record)
        return chosen

    async def _write(self, topic: str, partition: int, records: Sequence[Outgoing]) -> None:
        producer = self._producer()
        confirmations = []
        try:
            written = 0
            while written < len(records):
                batch, count = next_batch(producer, records, written)
                written += count
                confirmations.append(await producer.send_batch(batch, topic, partition=partition))
            await _all_confirmed(confirmations)
        except KafkaError as exc:
            raise _produce_error(exc, topic) from exc


async def _all_confirmed(confirmations: Iterable[Any]) -> None:
    """Await every confirmation, then raise the first failure, so that every exception is retrieved."""
    for outcome in await asyncio.gather(*confirmations, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


def _produce_error(error: KafkaError, topic: str) -> Fatal:
    """Return the error that ends the worker after a failure that the producer does not retry."""
    if isinstance(error, ProducerFenced):
        return FencedError(
            f"this worker's producer for {topic} was fenced",
            cause="another producer uses the same identity",
            fix="run one worker per identity; the supervisor may restart this one",
        )
    if isinstance(error, MessageSizeTooLargeError):
        return BrokerError(
            f"a record is too large for {topic}",
            cause="the topic's max.message.bytes is smaller than the record with its headers",
            fix=f"raise max.message.bytes of {topic}: labelstream topics check shows it; nothing was dropped",
        )
    return BrokerError(
        f"the broker refused records for {topic}",
        cause=f"{type(error).__name__}: {error}",
        fix="check the topic and its permissions: labelstream topics check; nothing was committed",
    )
