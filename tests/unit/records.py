"""A stand-in for aiokafka's record, for tests that need no broker, and the record that a worker reads."""

from dataclasses import dataclass, field
from typing import Any

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from stream.kafka.faust.unpack import RECORDS_AT
from stream.records import Record, Source, events

SOURCE = Source("texts", 3)


@dataclass(frozen=True)
class FakeRecord:
    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = field(default_factory=tuple)
    offset: int = 1041
    timestamp: int = 1_763_632_800_000


def as_read(record: FakeRecord) -> Record:
    """What a worker makes of such a record in the log: a packed one where there is a codec."""
    if events.codec is None:
        return record
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 20)
    builder.append(0, record.timestamp, record.key, record.value, [*record.headers])
    batch = bytes(builder.build())
    (read,) = events.codec.unpack(
        batch, RECORDS_AT, len(batch), 1, record.offset, record.timestamp, False, record.offset
    )
    return read


def told(record: Any) -> tuple[object, ...]:
    """All that a record says; packed ones are compared by it."""
    return record.key, record.value, [*record.headers], record.timestamp
