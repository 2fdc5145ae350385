"""Record batches that the codec fills and aiokafka's producer sends in place of its own."""

import time
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any

from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.util import calc_crc32c

from stream.codec import Codec, Outgoing, load_codec

# The header of record format 2: base offset, length, leader epoch, magic, CRC; attributes, last offset delta,
# first and latest timestamp, producer id and epoch, first sequence number, count.
HEADER = Struct(">qiibIhiqqqhii")
LENGTH_COUNTS_FROM = 12
CRC = Struct(">I")
CRC_AT = 17
CRC_COUNTS_FROM = 21
NO_LEADER_EPOCH = -1
MAGIC = 2
TRANSACTIONAL = 0x10

# aiokafka compresses lz4 at level 9, which costs twelve times as much for label events and saves 2% of the
# bytes.
COMPRESS: dict[int, Callable[[bytes], bytes]] = {
    DefaultRecordBatch.CODEC_GZIP: gzip_encode,
    DefaultRecordBatch.CODEC_SNAPPY: snappy_encode,
    DefaultRecordBatch.CODEC_LZ4: lambda records: lz4_encode(records, 1),
    DefaultRecordBatch.CODEC_ZSTD: zstd_encode,
}


class PackedBatch:
    """Stands in for aiokafka's `BatchBuilder`: it has every attribute that the producer uses.

    Attributes:
        filled_bytes: the size before compression; 0 for an empty batch.
        last_error: the last error that the broker reported for the batch; None if it reported none.
    """

    def __init__(
        self, codec: Codec, max_bytes: int, compression: int, *, transactional: bool = False
    ) -> None:
        """
        Args:
            codec: encodes the records.
            max_bytes: the maximum size before compression; a record that exceeds it gets a batch of its own.
            compression: the number of the compression type in record format 2; 0 for none.
            transactional: True if the batch belongs to a transaction.
        """
        self._codec = codec
        self._max_bytes = max_bytes
        self._compression = compression
        self._attributes = TRANSACTIONAL if transactional else 0
        self._buffer = bytearray(HEADER.size)
        self._count = 0
        self._timestamps = (0, 0)
        self._producer = (-1, -1, 0)
        self._built: bytearray | None = None
        self.filled_bytes = 0
        self.last_error: Exception | None = None

    @classmethod
    def of(cls, producer: Any, max_bytes: int | None = None) -> "PackedBatch":
        """Return an empty batch with the settings of an aiokafka producer.

        Args:
            producer: the producer.
            max_bytes: the maximum size before compression, if it is smaller than the producer's.
        """
        accumulator = producer._message_accumulator
        transactions = accumulator._txn_manager
        size = accumulator._batch_size
        return cls(
            load_codec(),
            size if max_bytes is None else min(size, max_bytes),
            accumulator._compression_type,
            transactional=transactions is not None and transactions.transactional_id is not None,
        )

    def fill(self, records: Sequence[Outgoing], start: int) -> int:
        """Append records from `start` on, as many as fit, and return their number. Call this once."""
        now = int(time.time() * 1000)
        self._count, *timestamps = self._codec.append(self._buffer, records, start, self._max_bytes, now)
        self._timestamps = (timestamps[0], timestamps[1])
        self.filled_bytes = len(self._buffer)
        return self._count

    def close(self) -> None:
        """Do nothing: a filled batch takes no further records."""

    def closed(self) -> bool:
        return True

    def record_count(self) -> int:
        return self._count

    def size(self) -> int:
        """Return the size in bytes, before compression until the batch is built."""
        return len(self._buffer if self._built is None else self._built)

    @property
    def base_sequence(self) -> int:
        """The sequence number of the first record, 0 before the producer sends the batch."""
        return self._producer[2]

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._producer = (producer_id, producer_epoch, base_sequence)

    def _build(self) -> bytearray:
        if self._built is None:
            attributes = self._attributes | self._compress()
            self._built = self._buffer
            HEADER.pack_into(
                self._built,
                0,
                0,
                len(self._built) - LENGTH_COUNTS_FROM,
                NO_LEADER_EPOCH,
                MAGIC,
                0,
                attributes,
                self._count - 1,
                *self._timestamps,
                *self._producer,
                self._count,
            )
            CRC.pack_into(self._built, CRC_AT, calc_crc32c(memoryview(self._built)[CRC_COUNTS_FROM:]))
        return self._built

    def _compress(self) -> int:
        """Compress the records if that makes them smaller, and return the compression type."""
        if self._compression:
            records = bytes(memoryview(self._buffer)[HEADER.size :])
            compressed = COMPRESS[self._compression](records)
            if len(compressed) < len(records):
                self._buffer[HEADER.size :] = compressed
                return self._compression
        return 0


def next_batch(
    producer: Any, records: Sequence[Outgoing], start: int, max_bytes: int | None = None
) -> tuple[PackedBatch, int]:
    """Return a batch for an aiokafka producer with the records from `start` on that fit, and their number.

    Args:
        producer: the producer.
        records: the records to write.
        start: the index of the first record of the batch.
        max_bytes: the maximum size before compression, if it is smaller than the producer's.
    """
    batch = PackedBatch.of(producer, max_bytes)
    return batch, batch.fill(records, start)
