"""A stand-in for aiokafka's record, for tests without a broker, and the record that a worker reads."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from stream.codec import EncodedRecords, Outgoing, load_codec
from stream.kafka.faust.unpack import RECORDS_AT
from stream.records import Record, Source

SOURCE = Source("texts", 3)


@dataclass(frozen=True)
class FakeRecord:
    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = field(default_factory=tuple)
    offset: int = 1041
    timestamp: int = 1_763_632_800_000


@dataclass(frozen=True)
class FakeBatch:
    """A fetched batch of one record."""

    record: FakeRecord

    def __iter__(self) -> Iterator[Record]:
        yield self.record

    def encoded(self) -> EncodedRecords:
        record = self.record
        builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 20)
        builder.append(0, record.timestamp, record.key, record.value, [*record.headers])
        data = bytes(builder.build())
        return EncodedRecords(data, RECORDS_AT, len(data), 1, record.offset, record.timestamp, False)


def as_read(record: FakeRecord) -> Record:
    """Return the record that a worker reads for such a record in the log."""
    (read,) = load_codec().unpack(FakeBatch(record), record.offset)
    return read


def contents(record: Outgoing) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]], int]:
    """Return the contents of a record, which tests compare."""
    return record.key, record.value, [*record.headers], record.timestamp
