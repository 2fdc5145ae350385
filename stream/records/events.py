"""What an input record turns out to be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from stream.errors import Reason

Headers = Sequence[tuple[str, bytes]]


class Record(Protocol):
    """A Kafka record: raw bytes; timestamp in milliseconds since the epoch.

    Where it was read is not part of it: records come by partition, and that is said once for all of them.
    """

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


Outgoing = tuple[bytes | None, bytes | None, Headers, int]
"""A record to be written: key, value, headers, timestamp in milliseconds since the epoch."""


class Source(NamedTuple):
    """Where records were read."""

    topic: str
    partition: int


# Not frozen: a frozen dataclass takes three times as long to make, and one is made per record.
@dataclass(slots=True)
class Event:
    """A text to be labelled."""

    record: Record
    id: str
    text: str
    text_pair: str | None = None
    metadata: Mapping[str, Any] | None = None
    time: str | None = None


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
    return f"{source.topic}-{source.partition}-{record.offset}"
