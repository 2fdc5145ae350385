"""What an input record turns out to be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import orjson

from stream.codec import codec
from stream.errors import Reason

Headers = Sequence[tuple[str, bytes]]


class Outgoing(Protocol):
    """A Kafka record to be written: raw bytes; timestamp in milliseconds since the epoch."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def timestamp(self) -> int: ...


class Record(Outgoing, Protocol):
    """A Kafka record that was read.

    Where that was is not part of it: records come by partition, and that is said once for all of them.
    """

    @property
    def offset(self) -> int: ...


class PlainRecord(NamedTuple):
    """A record to be written where nothing packs it."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int


def outgoing(key: bytes | None, value: bytes | None, headers: Headers, timestamp: int) -> Outgoing:
    """A record to be written, as the publisher wants it."""
    if codec is None:
        return PlainRecord(key, value, headers, timestamp)
    return codec.pack(key, value, headers, timestamp)


class Source(NamedTuple):
    """Where records were read."""

    topic: str
    partition: int


class Event(NamedTuple):
    """A text to be labelled. `raw_metadata` is its metadata, or the JSON of that: few models read it."""

    record: Record
    id: str
    text: str
    text_pair: str | None = None
    raw_metadata: Mapping[str, Any] | bytes | None = None
    time: str | None = None

    @property
    def metadata(self) -> Mapping[str, Any] | None:
        """What the producer says of the text."""
        return orjson.loads(self.raw_metadata) if type(self.raw_metadata) is bytes else self.raw_metadata  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A null value: passed on, so that compacted label topics forget what the producer deleted."""

    record: Record
    id: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that cannot be labelled, and why; `message` never holds the text."""

    record: Record
    source: Source
    id: str
    reason: Reason
    message: str


Decoded = Event | Tombstone | DeadLetter


def timestamps(records: Sequence[Outgoing]) -> npt.NDArray[np.int64]:
    """Of records that are packed where there is a codec: milliseconds since the epoch, [records]."""
    if codec is None:
        return np.array([record.timestamp for record in records], dtype=np.int64)
    return np.frombuffer(codec.timestamps([*records]), dtype=np.int64)


def header(record: Record, name: str) -> bytes | None:
    """The last header of that name."""
    for key, value in reversed(record.headers):
        if key == name:
            return value
    return None


def event_id(source: Source, record: Record, own: object = None) -> str:
    """Header `labelstream-id`, else the event's own id, else topic-partition-offset."""
    named = header(record, "labelstream-id") if record.headers else None
    if named:
        return named.decode("utf-8", "replace")
    if own is not None and own != "":
        return str(own)
    return f"{id_stem(source)}{record.offset}"


def id_stem(source: Source) -> str:
    """What an event that has no id is called, before its offset."""
    return f"{source.topic}-{source.partition}-"
