"""Writes records to a partition in order, and splits wire batches that the broker refuses as too large."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from aiokafka.errors import KafkaError, KafkaTimeoutError, UnknownTopicOrPartitionError

from stream.deadline import Deadline
from stream.kafka.faust.packed_batch import PackedBatch, next_batch
from stream.kafka.faust.produce_response import ProduceError
from stream.kafka.fill_limits import FillLimits
from stream.kafka.produce_errors import is_too_large, refused_error, unconfirmed_error
from stream.records import Outgoing

RETRY_PAUSE_S = 0.1
METADATA_TIMEOUT_S = 1.0

Send = Callable[[Outgoing], Awaitable[bool]]


class Fallback(Protocol):
    """Writes another form of a record that its topic refused as too large."""

    async def __call__(self, topic: str, record: Outgoing, send: Send) -> None:
        """Write the record in a smaller form.

        Args:
            topic: the topic that refused the record.
            record: the refused record.
            send: writes a record, and returns False if the topic refuses it as too large.

        Raises:
            Fatal: the topic refuses every form of the record.
        """


class PartitionWriter:
    """Writes records through an aiokafka producer, one wire batch of a partition at a time.

    If a following batch were sent before the confirmation, and the broker refused the first one, the records
    of the first one would be written after those of the following one. aiokafka has one batch of a partition
    in flight anyway.
    """

    def __init__(self, producer: Callable[[], Any]) -> None:
        """
        Args:
            producer: returns the started aiokafka producer.
        """
        self._producer = producer
        self._limits = FillLimits()

    async def write(
        self,
        topic: str,
        partition: int,
        records: Sequence[Outgoing],
        deadline: Deadline,
        fallback: Fallback | None = None,
    ) -> list[int]:
        """Write records in order and wait until the broker has confirmed them.

        Args:
            topic: the topic to write to.
            partition: the partition to write to.
            records: the records.
            deadline: the time by which the broker has to confirm them.
            fallback: writes another form of a record that the topic refuses as too large.

        Returns:
            The indices of the records that the topic refused as too large; empty with `fallback`.

        Raises:
            Fatal: the broker did not confirm in time, or refused a record for another reason.
        """

        async def send(record: Outgoing) -> bool:
            batch, _ = next_batch(self._producer(), [record], 0)
            return await self._confirm(batch, topic, partition, deadline)

        refused: list[int] = []
        start = split_until = 0
        limit = self._limits.of(topic)
        while start < len(records):
            batch, count = next_batch(self._producer(), records, start, limit)
            if await self._confirm(batch, topic, partition, deadline):
                self._limits.confirmed(topic)
                start += count
                if limit is not None and split_until and start >= split_until:
                    self._limits.set(topic, limit)
                    split_until = 0
            elif count > 1:
                limit = batch.filled_bytes // 2
                split_until = max(split_until, start + count)
            else:
                if fallback is None:
                    refused.append(start)
                else:
                    await fallback(topic, records[start], send)
                start += 1
                # The record was the reason for the splits, so the next batches need not be smaller.
                limit, split_until = self._limits.of(topic), 0
        return refused

    async def _confirm(self, batch: PackedBatch, topic: str, partition: int, deadline: Deadline) -> bool:
        """Send a wire batch and wait for its confirmation.

        Returns:
            False if the topic refuses the batch as too large.
        """
        try:
            async with asyncio.timeout(deadline.remaining()):
                await (await self._enqueue(batch, topic, partition))
        except TimeoutError:
            error = await self._metadata_error(topic) or batch.last_error
            raise unconfirmed_error(topic, partition, error, deadline.seconds) from None
        except (KafkaError, ProduceError) as exc:
            if is_too_large(exc):
                return False
            raise refused_error(exc, topic, partition) from exc
        return True

    async def _enqueue(self, batch: PackedBatch, topic: str, partition: int) -> Any:
        """Hand a batch to the producer, and return the future of its confirmation."""
        producer = self._producer()
        while True:
            try:
                if partition in await producer.partitions_for(topic):
                    return await producer.send_batch(batch, topic, partition=partition)
                # The partition was added after the last request for metadata, or it does not exist.
                batch.last_error = UnknownTopicOrPartitionError()
                await producer.client.force_metadata_update()
            except (KafkaTimeoutError, UnknownTopicOrPartitionError) as exc:
                # The producer waits for shorter than the deadline.
                batch.last_error = exc
            await asyncio.sleep(RETRY_PAUSE_S)

    async def _metadata_error(self, topic: str) -> Exception | None:
        """Return the error of the topic's metadata, None if the producer knows the topic."""
        error: Exception | None = None
        try:
            async with asyncio.timeout(METADATA_TIMEOUT_S):
                await self._producer().partitions_for(topic)
        except TimeoutError:
            error = UnknownTopicOrPartitionError()
        except KafkaError as exc:
            error = exc
        return error
