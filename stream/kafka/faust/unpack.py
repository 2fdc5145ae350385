"""The unpacking of fetched records by the codec, in place of aiokafka's."""

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

from stream.codec import EncodedRecords, Record, load_codec

# Positions in the header of a batch in record format 2.
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
    """Stands in for aiokafka's `MemoryRecords`, and keeps its bytes and the position of the current batch."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.start = self.stop = 0
        """The position of the batch that `next_batch` returned last."""
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


class IndexedBatch:
    """A batch of a fetch response. Implements `stream.codec.base.FetchedBatch` on aiokafka's objects."""

    def __init__(self, batch: Any, records: Any) -> None:
        """
        Args:
            batch: aiokafka's batch.
            records: the memory records that the batch comes from.
        """
        self._batch = batch
        self._records = records

    def __iter__(self) -> Iterator[Record]:
        return iter(self._batch)

    def encoded(self) -> EncodedRecords | None:
        """See `FetchedBatch.encoded`."""
        batch, records = self._batch, self._records
        # aiokafka may have received this response before `keep_fetched_bytes` was called.
        if type(records) is not IndexedMemoryRecords or batch.magic != MAGIC:
            return None
        start, stop, data = records.start + RECORDS_AT, records.stop, records.data
        if batch.compression_type != DefaultRecordBatch.CODEC_NONE:
            data = bytes(DECOMPRESS[batch.compression_type](data[start:stop]))
            start, stop = 0, len(data)
        (count,) = LENGTH.unpack_from(records.data, records.start + COUNT_AT)
        log_append_time = batch.timestamp_type == LOG_APPEND_TIME
        timestamp = batch.max_timestamp if log_append_time else batch.first_timestamp
        return EncodedRecords(data, start, stop, count, batch.base_offset, timestamp, log_append_time)


def keep_fetched_bytes() -> None:
    """Make aiokafka's consumers in this process create `IndexedMemoryRecords` for fetched data."""
    fetcher.MemoryRecords = IndexedMemoryRecords


class PackedPartitionRecords(PartitionRecords):  # type: ignore[misc]
    """The records of one partition in a fetch response, unpacked by the codec.

    aiokafka creates a `ConsumerRecord` for each record in three calls, two thirds of the cost of reading.
    This class skips the same records: control records, aborted transactions, and records before the position.
    """

    next_fetch_offset: int

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._codec = load_codec()
        self._ready: list[Any] = []
        self._next_offset = self.next_fetch_offset
        """The position after the last ready record."""

    @classmethod
    def instead_of(cls, unread: PartitionRecords) -> "PackedPartitionRecords":
        """Take over the records of aiokafka's object, which must be unread and cannot be used afterwards."""
        # Its iterator refers back to it. This cycle would keep the response until the garbage collector runs.
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

    def take(self, count: int | None = None) -> list[Any]:
        """Return the next records: `count` of them, fewer at the end, all if it is None.

        Raises:
            CorruptRecordException: a batch is damaged.
        """
        taken: list[Any] = []
        while count is None or len(taken) < count:
            if not self._ready and not self._read_on():
                break
            part = self._ready if count is None else self._ready[: count - len(taken)]
            self._ready = self._ready[len(part) :]
            taken += part
            # Compaction may have removed a batch's last records, and markers take offsets too.
            self.next_fetch_offset = part[-1].offset + 1 if self._ready else self._next_offset
        return taken

    def _read_on(self) -> bool:
        """Unpack the next batch that has records to return; return False at the end."""
        while not self._ready and self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            if not self._skips(batch):
                self._ready = self._unpacked(batch)
            self._next_offset = batch.next_offset
            if not self._ready:
                self.next_fetch_offset = self._next_offset
        return bool(self._ready)

    def _unpacked(self, batch: Any) -> list[Any]:
        try:
            return self._codec.unpack(IndexedBatch(batch, self._records), self.next_fetch_offset)
        except ValueError as exc:
            raise CorruptRecordException(f"{exc} - {self._tp}") from None

    def _unpack_records(self) -> Iterator[Any]:
        """Return an empty iterator for aiokafka's constructor; a generator would form a reference cycle."""
        return iter(())

    def _skips(self, batch: Any) -> bool:
        if self._isolation_level == READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch:
                if self._contains_abort_marker(batch):
                    self._aborted_producers.discard(batch.producer_id)
            elif batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return bool(batch.is_control_batch)


class FetchBuffer(OrderedDict[TopicPartition, Any]):
    """aiokafka's buffer of fetch responses, in which the codec unpacks the records of chosen partitions."""

    def __init__(
        self, packed: Callable[[TopicPartition], bool], received: Mapping[TopicPartition, Any] | None = None
    ) -> None:
        """
        Args:
            packed: returns True if the codec may unpack a partition's records.
            received: the responses that the fetcher holds already.
        """
        super().__init__()
        self._packed = packed
        for tp, response in (received or {}).items():
            self[tp] = response

    def __setitem__(self, tp: TopicPartition, received: Any) -> None:
        if type(received) is FetchResult and self._packed(tp):
            unread = received._partition_records
            if type(unread) is PartitionRecords:
                received._partition_records = PackedPartitionRecords.instead_of(unread)
                # The fetcher compares the exact class, so a subclass would not be read.
                received.getall = _getall(ref(received))
        super().__setitem__(tp, received)


def _getall(result: Callable[[], Any]) -> Callable[[int | None], list[Any]]:
    """Return a `FetchResult.getall` that takes many records at a time. A weak reference avoids a cycle."""

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
