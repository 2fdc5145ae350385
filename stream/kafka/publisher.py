"""Writes whole batches with the producer that Faust owns, and returns only when the broker has them."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import KafkaError, MessageSizeTooLargeError, ProducerFenced
from aiokafka.partitioner import DefaultPartitioner

from stream.errors import BrokerError, Fatal, FencedError


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to be written, and where it came from; the timestamp is in milliseconds."""

    topic: str
    source_topic: str
    source_partition: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    timestamp: int


class Publisher:
    """Publishes through an aiokafka producer by record batch.

    The producer is idempotent and tries again by itself for as long as it takes; the deadline is ours.
    """

    def __init__(self, producer: Callable[[], Any], deadline_s: float) -> None:
        """
        Args:
            producer: gives the started aiokafka producer.
            deadline_s: how long the broker may keep a batch unconfirmed, seconds.
        """
        self._producer = producer
        self._deadline_s = deadline_s
        self._by_key = DefaultPartitioner()

    async def publish(self, records: Iterable[Outgoing]) -> None:
        """Write records and wait until the broker has confirmed every one; order is kept per partition.

        Raises:
            BrokerError: not confirmed within the deadline, or refused for good.
            FencedError: another producer took over.
        """
        targets: dict[tuple[str, int], list[Outgoing]] = defaultdict(list)
        waiting = list(records)
        try:
            async with asyncio.timeout(self._deadline_s):
                counts = await self._partition_counts(waiting)
                for record in waiting:
                    targets[record.topic, self._partition(record, counts)].append(record)
                await _all_confirmed(self._write(topic, at, batch) for (topic, at), batch in targets.items())
        except TimeoutError:
            raise BrokerError(
                f"the broker did not confirm records for {', '.join(sorted({r.topic for r in waiting}))}",
                why=f"no confirmation within {self._deadline_s:g} s",
                mend="check the broker's health; the events are read again after a restart",
            ) from None

    async def _partition_counts(self, records: list[Outgoing]) -> dict[str, int]:
        topics = {topic for record in records for topic in (record.topic, record.source_topic)}
        return {topic: len(await self._producer().partitions_for(topic)) for topic in topics}

    def _partition(self, record: Outgoing, counts: dict[str, int]) -> int:
        """The source's partition number when the counts match, else by key, as Kafka's clients do."""
        count = counts[record.topic]
        if count == counts[record.source_topic]:
            return record.source_partition
        if record.key is None:
            return record.source_partition % count
        everyone = list(range(count))
        chosen: int = self._by_key(record.key, everyone, everyone)
        return chosen

    async def _write(self, topic: str, partition: int, records: list[Outgoing]) -> None:
        producer = self._producer()
        builder = producer.create_batch()
        confirmations = []
        try:
            for record in records:
                while not _append(builder, record):
                    confirmations.append(await producer.send_batch(builder, topic, partition=partition))
                    builder = producer.create_batch()
            confirmations.append(await producer.send_batch(builder, topic, partition=partition))
            await _all_confirmed(confirmations)
        except KafkaError as exc:
            raise refusal(exc, topic) from exc


def _append(builder: Any, record: Outgoing) -> bool:
    return (
        builder.append(
            timestamp=record.timestamp if record.timestamp >= 0 else None,
            key=record.key,
            value=record.value,
            headers=record.headers,
        )
        is not None
    )


async def _all_confirmed(waiting: Iterable[Any]) -> None:
    """Await all, then raise the first failure: no confirmation is left unlooked at."""
    for outcome in await asyncio.gather(*waiting, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


def refusal(error: KafkaError, topic: str) -> Fatal:
    """What a produce error that the producer gave up on means for the worker."""
    if isinstance(error, ProducerFenced):
        return FencedError(
            f"this worker's producer for {topic} was fenced",
            why="another producer uses the same identity",
            mend="run one worker per identity; the supervisor may restart this one",
        )
    if isinstance(error, MessageSizeTooLargeError):
        return BrokerError(
            f"a record is too large for {topic}",
            why="the topic's max.message.bytes is smaller than the record with its headers",
            mend=f"raise max.message.bytes of {topic}, see labelstream topics check; nothing was dropped",
        )
    return BrokerError(
        f"the broker refused records for {topic}",
        why=f"{type(error).__name__}: {error}",
        mend="check the topic and its permissions: labelstream topics check; nothing was committed",
    )
