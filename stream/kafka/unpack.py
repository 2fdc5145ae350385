"""Records out of a fetched response as aiokafka's decoder makes them, without an object more for each."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.structs import TopicPartition


class BareRecords(PartitionRecords):  # type: ignore[misc]
    """A partition's records of one response, as they are decoded: offset, timestamp, key, value, headers.

    aiokafka makes a `ConsumerRecord` of each, in three calls; that is two thirds of what reading costs. What
    is passed over is the same: markers, aborted transactions, and what lies before the position.
    """

    next_fetch_offset: int

    @classmethod
    def instead_of(cls, unread: PartitionRecords) -> "BareRecords":
        """The same records, none of which was read yet; they cannot be read from where they were any more."""
        # Its iterator holds it and so the response, a cycle: garbage is collected far too seldom for that.
        unread._records_iterator = None
        return cls(
            unread._tp,
            unread._records,
            unread._aborted_transactions,
            unread.next_fetch_offset,
            unread._key_deserializer,
            unread._value_deserializer,
            unread._check_crcs,
            unread._isolation_level,
        )

    def __iter__(self) -> Iterator[Any]:
        return self._records_iterator  # type: ignore[no-any-return]

    def _unpack_records(self) -> Iterator[Any]:
        while self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            if not self._passes_over(batch):
                for record in batch:
                    offset = record.offset
                    if offset >= self.next_fetch_offset:
                        self.next_fetch_offset = offset + 1
                        yield record
            # Compaction may have removed a batch's last records, and markers are offsets too.
            self.next_fetch_offset = batch.next_offset

    def _passes_over(self, batch: Any) -> bool:
        if self._isolation_level == READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch:
                if self._contains_abort_marker(batch):
                    self._aborted_producers.discard(batch.producer_id)
            elif batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return bool(batch.is_control_batch)


class Fetches(OrderedDict[TopicPartition, Any]):
    """What aiokafka's fetcher has received and nobody has read: bare records where they are wanted."""

    def __init__(
        self, bare: Callable[[TopicPartition], bool], received: Mapping[TopicPartition, Any] | None = None
    ) -> None:
        """
        Args:
            bare: whether a partition's records may be bare.
            received: what the fetcher has by now.
        """
        super().__init__()
        self._bare = bare
        for tp, response in (received or {}).items():
            self[tp] = response

    def __setitem__(self, tp: TopicPartition, received: Any) -> None:
        if type(received) is FetchResult and self._bare(tp):
            unread = received._partition_records
            if type(unread) is PartitionRecords:
                received._partition_records = BareRecords.instead_of(unread)
        super().__setitem__(tp, received)
