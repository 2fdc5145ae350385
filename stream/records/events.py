"""Events, tombstones and dead letters: the results of decoding a record."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from msgspec import Struct

from stream.codec import Record
from stream.errors import Poison, Reason

ID_HEADER = "labelstream-id"
MAX_ID_CHARS = 1024
"""The maximum length of an id. The output holds the id twice, so a longer id could exceed a limit."""


class Source(NamedTuple):
    """The topic and partition that records were read from."""

    topic: str
    partition: int


class SkippedMetadata(Struct, gc=False):
    """Metadata that the decoder has checked to be a JSON object and has not parsed."""


class Event(NamedTuple):
    """A text to be labelled.

    `raw_metadata` is the metadata as decoded. Few models use metadata, so the fast path only skips it.
    """

    record: Record
    id: str
    text: str
    text_pair: str | None = None
    raw_metadata: Mapping[str, Any] | SkippedMetadata | None = None
    time: str | None = None

    @property
    def metadata(self) -> Mapping[str, Any] | None:
        """The metadata that the producer sent with the text."""
        if type(self.raw_metadata) is SkippedMetadata:
            found: Mapping[str, Any] = orjson.loads(self.record.value or b"")["metadata"]
            return found
        return self.raw_metadata  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A null value, passed on so that a compacted label topic deletes the key as well."""

    record: Record
    id: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that cannot be labelled, with the reason; `message` never contains the text."""

    record: Record
    source: Source
    id: str
    reason: Reason
    message: str


Decoded = Event | Tombstone | DeadLetter


def header(record: Record, name: str) -> bytes | None:
    """Return the value of the last header with this name."""
    for key, value in reversed(record.headers):
        if key == name:
            return value
    return None


def event_id(source: Source, record: Record, own: str | None) -> str:
    """Return the header `labelstream-id`, else the event's own id, else topic-partition-offset.

    Raises:
        Poison: the header is not UTF-8, or too long.
    """
    return _header_id(record) or own or f"{id_stem(source)}{record.offset}"


def usable_id(source: Source, record: Record, own: str | None = None) -> str:
    """Return the id as `event_id` does, without a header that is not UTF-8 or too long."""
    try:
        return event_id(source, record, own)
    except Poison:
        return own or f"{id_stem(source)}{record.offset}"


def _header_id(record: Record) -> str | None:
    named = header(record, ID_HEADER) if record.headers else None
    if not named:
        return None
    try:
        found = named.decode("utf-8")
    except UnicodeDecodeError:
        raise Poison(Reason.SCHEMA, f"the header {ID_HEADER} is not UTF-8") from None
    if len(found) > MAX_ID_CHARS:
        message = f"the header {ID_HEADER} has {len(found)} characters, {MAX_ID_CHARS} are allowed"
        raise Poison(Reason.SCHEMA, message)
    return found


def id_stem(source: Source) -> str:
    """Return the id of an event without an id, up to its offset."""
    return f"{source.topic}-{source.partition}-"
