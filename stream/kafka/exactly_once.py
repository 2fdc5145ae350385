"""Exactly-once delivery: the output of record batches and their offsets are committed in one transaction."""

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic

from aiokafka.structs import OffsetAndMetadata

from stream.deadline import Deadline
from stream.errors import Fatal, FencedError
from stream.kafka.batches import RecordBatch
from stream.kafka.delivery import FinishedBatch, merge_records, reject_refused
from stream.kafka.faust.transaction_offsets import ConsumerOffsets
from stream.kafka.faust.transactional_producer import TransactionalProducer, retrieve
from stream.kafka.publisher import Publisher
from stream.kafka.transaction_errors import fenced_error
from stream.kafka.transactions import CLOSE_S, Transactions, add_offset, commit
from stream.records import Source

TOPIC_POLL_S = 0.2


class ExactlyOnce:
    """Exactly-once delivery: a reader of committed records finds the output of each input record once.

    The output of a group and its next offset are written in one transaction of the partition's producer. If
    it is aborted, the next owner of the partition reads the records of the group again.
    """

    def __init__(
        self,
        transactions: Transactions,
        offsets: Callable[[], ConsumerOffsets],
        new_publisher: Callable[[Callable[[], object]], Publisher],
        *,
        group: str,
        deadline_s: float,
    ) -> None:
        """
        Args:
            transactions: the transactional producers of the assigned partitions.
            offsets: returns the offsets of the consumer that reads the partitions.
            new_publisher: creates the publisher for a producer.
            group: the consumer group.
            deadline_s: the seconds within which the broker has to commit a transaction.
        """
        self._transactions = transactions
        self._offsets = offsets
        self._new_publisher = new_publisher
        self._group = group
        self._deadline_s = deadline_s
        self._publishers: dict[Source, tuple[TransactionalProducer, Publisher]] = {}

    async def deliver(self, group: Sequence[FinishedBatch]) -> Sequence[bool]:
        """See `Delivery`. The batches of a committed transaction are delivered, even if they were revoked."""
        released = [finished.batch.released for finished in group]
        live = [finished for finished, gone in zip(group, released, strict=True) if not gone]
        delivered = await self._deliver_live(live) if live else False
        return [delivered and not gone for gone in released]

    async def _deliver_live(self, live: Sequence[FinishedBatch]) -> bool:
        batches = [finished.batch for finished in live]
        source, offsets = batches[0].source, self._offsets()
        metadata = await self._metadata(batches)
        producer = self._transactions.of(source)
        if metadata is None or producer is None or batches[0].released:
            return False
        if not offsets.are_next(batches):
            raise Fatal(
                f"the output of {source.topic}, partition {source.partition}, is not in order",
                cause="a transaction does not begin at the first unfinished offset: an error of the program",
                fix="report the error; nothing was lost",
            )
        offset = OffsetAndMetadata(batches[-1].offset_range.next_offset, metadata)
        try:
            return await producer.run(self._transaction(producer, live, offset))
        except FencedError as exc:
            # The publisher does not know that its records are those of a transaction.
            raise fenced_error(f"partition {source.partition} of {source.topic}") from exc

    async def _metadata(self, batches: Sequence[RecordBatch]) -> str | None:
        """Return the metadata of the offset, None if the offset must not be committed.

        An offset of a deleted topic would be committed in the new topic of the same name. A topic that a
        broker does not list for a moment is waited for.
        """
        offsets = self._offsets()
        while (metadata := offsets.metadata(batches[0].topic)) is None:
            if batches[0].released or offsets.draining:
                offsets.abandon(batches)
                break
            await asyncio.sleep(TOPIC_POLL_S)
        return metadata

    async def _transaction(
        self, producer: TransactionalProducer, live: Sequence[FinishedBatch], offset: OffsetAndMetadata
    ) -> None:
        source = live[0].batch.source
        await producer.begin()
        # The offset takes two requests, which are sent while the records are published.
        adding = asyncio.create_task(add_offset(producer, source, offset, self._group, self._deadline_s))
        try:
            await self._publish(self._publisher(source, producer), live)
            began = monotonic()
            await adding
            await commit(producer, source, self._deadline_s)
        except BaseException:
            refusal = retrieve(adding)
            adding.cancel()
            # An open transaction holds back every reader of committed records.
            await producer.abort(Deadline(CLOSE_S))
            if refusal is not None:
                # The refusal of the offset ended the transaction, so that records could not be published.
                raise refusal from refusal.__cause__
            raise
        self._offsets().on_committed([f.batch for f in live], monotonic() - began)

    async def _publish(self, publisher: Publisher, live: Sequence[FinishedBatch]) -> None:
        """Publish the output of batches, and wait until the broker has confirmed every record of it."""
        source = live[0].batch.source
        refused = await publisher.publish(*source, merge_records([f.records for f in live]))
        if refused:
            await publisher.publish(*source, merge_records(reject_refused(live, refused)))

    def _publisher(self, source: Source, producer: TransactionalProducer) -> Publisher:
        # A publisher belongs to one producer: a late group of an earlier epoch must not write through the
        # producer of the present one.
        known = self._publishers.get(source)
        if known is None or known[0] is not producer:
            known = self._publishers[source] = producer, self._new_publisher(lambda: producer.client)
        return known[1]
