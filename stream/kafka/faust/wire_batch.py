"""The wire batches of a fetch response, read from its bytes."""

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Protocol

from aiokafka.record.legacy_records import LegacyRecordBatch
from aiokafka.record.util import calc_crc32c

from stream.codec import PART_RECORDS, Codec, EncodedRecords, ReadRecord, Record

# The header of record format 2: base offset, length, leader epoch, magic, CRC; attributes, last offset delta,
# first and latest timestamp, producer id and epoch, first sequence number, count.
HEADER = Struct(">qiibIhiqqqhii")
RECORDS_AT = HEADER.size
LENGTH, LENGTH_AT, LENGTH_COUNTS_FROM = Struct(">i"), 8, 12
CRC_COUNTS_FROM = 21
BASE_OFFSET = Struct(">q")
MAGIC_AT, MAGIC = 16, 2
COMPRESSION, LOG_APPEND_TIME, TRANSACTIONAL, CONTROL = 0x07, 0x08, 0x10, 0x20

# Positions in the header of formats 0 and 1. The smallest batch is a record of format 0 with two nulls.
LEGACY_ATTRIBUTES_AT = 17
LEGACY_KEY_AT = (18, 26)
LEGACY_SIZE = 26

Expand = Callable[[int, bytes], bytes]
"""Decompresses records, given the compression type and the bytes."""


class WireBatch(Protocol):
    """A wire batch: records that a producer has written together.

    Attributes:
        first_offset: the first offset of the batch; 0 if the header does not hold it.
        last_offset: the last offset of the batch.
        timestamp: the latest timestamp of its records, milliseconds; -1 if the header does not hold it.
        producer_id: the id of an idempotent producer, -1 without one; None in formats that have none.
        transactional: True if the batch belongs to a transaction.
        control: True if the batch holds a transaction marker instead of records.
    """

    @property
    def first_offset(self) -> int: ...
    @property
    def last_offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def producer_id(self) -> int | None: ...
    @property
    def transactional(self) -> bool: ...
    @property
    def control(self) -> bool: ...

    def is_intact(self) -> bool:
        """Return True if the checksum matches."""

    def records(self, codec: Codec, from_offset: int, expand: Expand) -> Iterator[list[Record]]:
        """Return the records whose offset is not less than `from_offset`, in parts.

        Raises:
            ValueError: the batch does not hold valid records.
        """


class Batch:
    """A batch of record format 2."""

    def __init__(self, data: bytes, start: int, stop: int) -> None:
        """
        Args:
            data: the fetch response.
            start: the position of the batch.
            stop: the position after the batch.
        """
        self._data, self._start, self._stop = data, start, stop
        (
            self.first_offset,
            _length,
            _leader_epoch,
            _magic,
            self._crc,
            self._attributes,
            self._last_offset_delta,
            self._first_timestamp,
            self.timestamp,
            self.producer_id,
            _producer_epoch,
            _sequence,
            self._count,
        ) = HEADER.unpack_from(data, start)
        self.last_offset: int = self.first_offset + self._last_offset_delta
        self.transactional = bool(self._attributes & TRANSACTIONAL)
        self.control = bool(self._attributes & CONTROL)

    def is_intact(self) -> bool:
        """See `WireBatch.is_intact`."""
        checked = memoryview(self._data)[self._start + CRC_COUNTS_FROM : self._stop]
        intact: bool = calc_crc32c(checked) == self._crc
        return intact

    def records(self, codec: Codec, from_offset: int, expand: Expand) -> Iterator[list[Record]]:
        """See `WireBatch.records`."""
        data, start, stop = self._data, self._start + RECORDS_AT, self._stop
        if compression := self._attributes & COMPRESSION:
            data = expand(compression, data[start:stop])
            start, stop = 0, len(data)
        appended = bool(self._attributes & LOG_APPEND_TIME)
        timestamp = self.timestamp if appended else self._first_timestamp
        encoded = EncodedRecords(
            data, start, stop, self._count, self.first_offset, timestamp, appended, self._last_offset_delta
        )
        return codec.unpack(encoded, from_offset)


class LegacyBatch:
    """A record, or a compressed set of records, of format 0 or 1. Brokers wrote them before release 0.11."""

    first_offset = 0
    timestamp = -1
    producer_id = None
    transactional = control = False

    def __init__(self, data: bytes, magic: int) -> None:
        self._data, self._magic = data, magic
        self._batch = LegacyRecordBatch(data, magic)
        self.last_offset: int = self._batch.next_offset - 1

    def is_intact(self) -> bool:
        """See `WireBatch.is_intact`."""
        return bool(self._batch.validate_crc())

    def records(self, codec: Codec, from_offset: int, expand: Expand) -> Iterator[list[Record]]:  # noqa: ARG002
        """See `WireBatch.records`. aiokafka reads the records, which exist in old topics only."""
        self._check_size(expand)
        part: list[Record] = []
        previous = from_offset - 1
        for record in self._batch:
            if record.offset < from_offset:
                continue
            if not previous < record.offset <= self.last_offset:
                raise ValueError("the offsets of the records are out of order")
            previous = record.offset
            timestamp = -1 if record.timestamp is None else record.timestamp
            part.append(ReadRecord(record.key, record.value, [], record.offset, timestamp))
            if len(part) == PART_RECORDS:
                yield part
                part = []
        if part:
            yield part

    def _check_size(self, expand: Expand) -> None:
        """Decompress the records once before aiokafka does, which has no limit."""
        data = self._data
        if compression := data[LEGACY_ATTRIBUTES_AT] & COMPRESSION:
            at = LEGACY_KEY_AT[self._magic]
            at += LENGTH.size + max(0, *LENGTH.unpack_from(data, at))
            (size,) = LENGTH.unpack_from(data, at)
            at += LENGTH.size
            expand(compression, data[at : at + size])


class ResponseReader:
    """Reads the batches of one partition in a fetch response, in order."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def header(self) -> Batch | None:
        """Return the header of the batch that `next` refused, None if its format is older or unknown."""
        data, at = self._data, self._at
        return Batch(data, at, at) if len(data) - at >= HEADER.size and data[at + MAGIC_AT] == MAGIC else None

    def next(self) -> WireBatch | None:
        """Return the next batch, None at the end of the response.

        Raises:
            ValueError: the position of the batch after this one is unknown.
        """
        data, start = self._data, self._at
        stop = batch_end(data, start)
        if stop > len(data):
            if start == 0 and data:
                # The broker returns the first batch whole, whatever its size.
                raise ValueError("its length exceeds the fetched bytes")
            return None
        magic = data[start + MAGIC_AT] if stop - start >= LEGACY_SIZE else MAGIC
        if magic > MAGIC:
            raise ValueError(f"its record format {magic} is unknown")
        if stop - start < (RECORDS_AT if magic == MAGIC else LEGACY_SIZE):
            raise ValueError("it is shorter than its header")
        self._at = stop
        if magic == MAGIC:
            return Batch(data, start, stop)
        return LegacyBatch(data[start:stop], magic)

    def skip_all(self) -> None:
        """Discard the rest of the response."""
        self._at = len(self._data)


def batch_end(data: bytes, start: int) -> int:
    """Return the position after the batch at `start`; it exceeds `data` if the batch is incomplete."""
    if len(data) - start < LENGTH_COUNTS_FROM:
        return len(data) + 1
    (length,) = LENGTH.unpack_from(data, start + LENGTH_AT)
    return start + LENGTH_COUNTS_FROM + int(length)
