"""Records out of a fetched response without aiokafka's object for each."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from struct import Struct
from typing import Any
from weakref import ref

from aiokafka.codec import gzip_decode, lz4_decode, snappy_decode, zstd_decode
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from stream.codec import codec

# Where a batch of the log's format says how long it is, and where its records begin (record format 2).
LENGTH = Struct(">i")
LENGTH_AT, LENGTH_COUNTS_FROM = 8, 12
COUNT_AT, RECORDS_AT = 57, 61
MAGIC = 2
LOG_APPEND_TIME = 1

DECOMPRESS: dict[int, Callable[[bytes], bytes]] = {
    DefaultRecordBatch.CODEC_NONE: bytes,
    DefaultRecordBatch.CODEC_GZIP: gzip_decode,
    DefaultRecordBatch.CODEC_SNAPPY: snappy_decode,
    DefaultRecordBatch.CODEC_LZ4: lz4_decode,
    DefaultRecordBatch.CODEC_ZSTD: zstd_decode,
}


class IndexedMemoryRecords:
    """aiokafka's `MemoryRecords`, with the bytes that it was made of and the place of each batch in them."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.start = self.stop = 0
        """Where the batch lies that was given out last."""
        self._records = MemoryRecords(data)

    def size_in_bytes(self) -> int:
        size: int = self._records.size_in_bytes()
        return size

    def has_next(self) -> bool:
        more: bool = self._records.has_next()
        return more

    def next_batch(self) -> Any:
        self.start = self.stop
        (length,) = LENGTH.unpack_from(self.data, self.start + LENGTH_AT)
        self.stop = self.start + LENGTH_COUNTS_FROM + length
        return self._records.next_batch()


def keep_fetched_bytes() -> None:
    """Let aiokafka's consumers in this process make `IndexedMemoryRecords` of what they fetch."""
    fetcher.MemoryRecords = IndexedMemoryRecords


class PackedPartitionRecords(PartitionRecords):  # type: ignore[misc]
    """A partition's records of one response: offset, timestamp, key, value, headers.

    aiokafka makes a `ConsumerRecord` of each, in three calls; that is two thirds of what reading costs. What
    is passed over is the same: markers, aborted transactions, and what lies before the position.
    """

    next_fetch_offset: int

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._ready: list[Any] = []
        self._behind = self.next_fetch_offset
        """The position when all that is ready was taken."""

    @classmethod
    def instead_of(cls, unread: PartitionRecords) -> "PackedPartitionRecords":
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

    def __next__(self) -> Any:
        for record in self.take(1):
            return record
        raise StopIteration

    def take(self, most: int | None = None) -> list[Any]:
        """The next records, fewer than `most` only at the end; all when it is None.

        Raises:
            CorruptRecordException: a batch is damaged.
        """
        taken: list[Any] = []
        while most is None or len(taken) < most:
            if not self._ready and not self._read_on():
                break
            part = self._ready if most is None else self._ready[: most - len(taken)]
            self._ready = self._ready[len(part) :]
            taken += part
            # Compaction may have removed a batch's last records, and markers are offsets too.
            self.next_fetch_offset = part[-1].offset + 1 if self._ready else self._behind
        return taken

    def _read_on(self) -> bool:
        """Get the next batch ready that has something to read; False at the end."""
        while not self._ready and self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            if not self._passes_over(batch):
                self._ready = self._unpacked(batch)
            self._behind = batch.next_offset
            if not self._ready:
                self.next_fetch_offset = self._behind
        return bool(self._ready)

    def _unpacked(self, batch: Any) -> list[Any]:
        kept = self._records
        if codec is None or type(kept) is not IndexedMemoryRecords or batch.magic != MAGIC:
            return [record for record in batch if record.offset >= self.next_fetch_offset]
        appended = batch.timestamp_type == LOG_APPEND_TIME
        start, stop, data = kept.start + RECORDS_AT, kept.stop, kept.data
        if batch.compression_type != DefaultRecordBatch.CODEC_NONE:
            data = bytes(DECOMPRESS[batch.compression_type](data[start:stop]))
            start, stop = 0, len(data)
        (count,) = LENGTH.unpack_from(kept.data, kept.start + COUNT_AT)
        try:
            return codec.unpack(
                data,
                start,
                stop,
                count,
                batch.base_offset,
                batch.max_timestamp if appended else batch.first_timestamp,
                appended,
                self.next_fetch_offset,
            )
        except ValueError as exc:
            raise CorruptRecordException(f"{exc} - {self._tp}") from None

    def _unpack_records(self) -> Iterator[Any]:
        """Of aiokafka's constructor; a generator of ours would hold us in a cycle."""
        return iter(())

    def _passes_over(self, batch: Any) -> bool:
        if self._isolation_level == READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch:
                if self._contains_abort_marker(batch):
                    self._aborted_producers.discard(batch.producer_id)
            elif batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return bool(batch.is_control_batch)


class FetchBuffer(OrderedDict[TopicPartition, Any]):
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
                received._partition_records = PackedPartitionRecords.instead_of(unread)
                # The fetcher asks for this very class, so one of our own would not be read.
                received.getall = _getall(ref(received))
        super().__setitem__(tp, received)


def _getall(result: Callable[[], Any]) -> Callable[[int | None], list[Any]]:
    """`FetchResult.getall`, many records at a time. It holds no result: that would be a cycle."""

    def getall(max_records: int | None = None) -> list[Any]:
        received = result()
        if not received.check_assignment(received._topic_partition) or not received.has_more():
            return []
        records = received._partition_records
        taken: list[Any] = records.take(max_records)
        received._update_position()
        if max_records is None or len(taken) < max_records:
            received._partition_records = None
        return taken

    return getall
