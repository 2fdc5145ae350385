"""A dead letter as it is stored in its topic."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from re import compile as pattern
from typing import NamedTuple

from stream.codec import Headers, Record
from stream.errors import Reason
from stream.records.dead_letters import ATTEMPT
from stream.records.events import ID_HEADER
from stream.records.quarantined import DAMAGED, POINTER
from stream.records.truncation import TRUNCATED

ERROR = "labelstream-error-"
REASON, MESSAGE = f"{ERROR}reason", f"{ERROR}message"
_NUMBER = pattern(rb"[0-9]{1,18}")
_ATTEMPT = pattern(rb"[0-9]{1,9}")
_TIMESTAMP = pattern(rb"-?[0-9]{1,18}")


class Position(NamedTuple):
    """The partition and the offset of a dead letter in the dead-letter topic, written `3@1041`."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}@{self.offset}"


class Origin(NamedTuple):
    """The position of the original record in an input topic."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """A record of a dead-letter topic.

    Attributes:
        partition: the partition of the dead-letter topic.
        record: the record: key and value of the original, its headers, and those that the worker added.
        added: the headers that the worker added, by name.
    """

    partition: int
    record: Record
    added: Mapping[str, bytes] = field(repr=False)

    @property
    def position(self) -> Position:
        """The position of the dead letter in its topic."""
        return Position(self.partition, self.record.offset)

    @property
    def is_dead_letter(self) -> bool:
        """False for a record that no worker wrote."""
        return REASON in self.added

    @property
    def id(self) -> str:
        """The id of the event; empty if the dead letter was cut to its smallest form."""
        return self._text(ID_HEADER)

    @property
    def reason(self) -> str:
        """The reason, one of `Reason` unless a later version has added one; empty without the header."""
        return self._text(REASON)

    @property
    def message(self) -> str:
        """The cause in one line; it never contains the text."""
        return self._text(MESSAGE)

    @property
    def input_topic(self) -> str:
        """The topic of the original record; empty if the headers do not name it."""
        return self._text(f"{ERROR}topic")

    @property
    def origin(self) -> Origin | None:
        """The position of the original record, None if the headers do not name it."""
        topic = self.input_topic
        numbers = [self.added.get(f"{ERROR}{name}") or b"" for name in ("partition", "offset")]
        if not topic or not all(map(_NUMBER.fullmatch, numbers)):
            return None
        return Origin(topic, *map(int, numbers))

    @property
    def attempt(self) -> int:
        """The number of times that the event was processed, at least 1."""
        counted = self.added.get(ATTEMPT) or b""
        return max(1, int(counted)) if _ATTEMPT.fullmatch(counted) else 1

    @property
    def timestamp(self) -> int:
        """The timestamp of the original record, in milliseconds since the epoch."""
        named = self.added.get(f"{ERROR}timestamp") or b""
        return int(named) if _TIMESTAMP.fullmatch(named) else self.record.timestamp

    @property
    def truncated(self) -> bool:
        """True if a part of the original record was cut."""
        return TRUNCATED in self.added

    @property
    def incomplete(self) -> bool:
        """True if the dead letter lacks a part of the original record, or cannot tell its parts apart."""
        unread = self.reason == Reason.QUARANTINED and self.message == POINTER
        damaged = self.reason == Reason.DECODE and self.message == DAMAGED
        return self.truncated or unread or damaged

    @property
    def producer_headers(self) -> Headers:
        """The headers of the producer, in order."""
        return [pair for pair in self.record.headers if not is_added(pair[0])]

    def _text(self, name: str) -> str:
        return (self.added.get(name) or b"").decode("utf-8", "replace")


def is_added(name: str) -> bool:
    """Return True for a header that the worker adds to a dead letter."""
    return name == ID_HEADER or name.startswith(ERROR)


def read_letter(partition: int, record: Record) -> StoredLetter:
    """Return a record of a dead-letter topic with its headers by name; the last one of a name counts."""
    return StoredLetter(partition, record, {name: data for name, data in record.headers if is_added(name)})
