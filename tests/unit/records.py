"""A stand-in for aiokafka's record, for tests without a broker, and the record that a worker reads."""

from dataclasses import dataclass, field

from stream.codec import EncodedRecords, Outgoing, load_codec
from stream.codec.wire import encode_body, encode_record
from stream.records import Record, Source

SOURCE = Source("texts", 3)


@dataclass(frozen=True)
class FakeRecord:
    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = field(default_factory=tuple)
    offset: int = 1041
    timestamp: int = 1_763_632_800_000
    damaged: bool = False


def encoded(record: FakeRecord) -> EncodedRecords:
    """Return the batch of one record that a fetch returns for such a record in the log."""
    data = encode_record(0, 0, encode_body(record.key, record.value, record.headers))
    return EncodedRecords(data, 0, len(data), 1, record.offset, record.timestamp, False, 0)


def as_read(record: FakeRecord) -> Record:
    """Return the record that a worker reads for such a record in the log."""
    ((read,),) = load_codec().unpack(encoded(record), record.offset)
    return read


def contents(record: Outgoing) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]], int]:
    """Return the contents of a record, which tests compare."""
    return record.key, record.value, [*record.headers], record.timestamp
