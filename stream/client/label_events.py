"""Typed label events, read from the records of a label topic."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import orjson
from aiokafka import TopicPartition

from stream.codec import Record
from stream.errors import LabelstreamError, Reason
from stream.records.events import ID_HEADER
from stream.results import Classification, RowError, classification

REASON_HEADER = "labelstream-error-reason"
MESSAGE_HEADER = "labelstream-error-message"
_NOT_A_LABEL = "the value is not a label event"
_ENRICHED = "if the route has output = enrich, pass its label_field"


class Position(NamedTuple):
    """The position of a record."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class LabelEvent:
    """A label event.

    Attributes:
        id: the id of the labelled event.
        prediction: the prediction.
        source: the position of the labelled record, which identifies the label event.
        model: the bundle: name, version, digest and variant.
        cached: True if the prediction came from a cache.
        time: the time of the labelled event, RFC 3339.
        labelled_at: the time of labelling, RFC 3339.
        event: the fields of the input that the worker includes.
        key: the key of the record.
        headers: the headers of the record, in order.
        position: the position of this record in the label topic.
        duplicate: True if a label event with the same source was read before.
    """

    id: str
    prediction: Classification
    source: Position
    model: Mapping[str, str]
    cached: bool
    time: str
    labelled_at: str
    event: Mapping[str, Any] = field(repr=False)
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = field(repr=False)
    position: Position
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A tombstone: the producer has deleted the events of this key."""

    key: bytes | None
    position: Position


@dataclass(frozen=True, slots=True)
class UnreadableRecord:
    """A record of the label topic that is not a label event."""

    value: bytes
    error: str
    position: Position


Consumed = LabelEvent | Tombstone | UnreadableRecord


class _Members(msgspec.Struct):
    """The members of a label event that become attributes, with their types; others are passed through."""

    id: str
    source: "_Source"
    model: dict[str, str]
    cached: bool
    time: str
    labelled_at: str
    event: dict[str, Any] = {}
    label: str | None = None
    score: float | None = None
    scores: dict[str, float] | None = None
    labels: list[str] | None = None
    value: float | None = None
    spans: list[dict[str, Any]] | None = None
    abstained: bool = False


class _Source(msgspec.Struct):
    topic: str
    partition: int
    offset: int


def read_label_event(record: Record, partition: TopicPartition, label_field: str = "") -> Consumed:
    """Return the label event, tombstone or unreadable value of a record.

    Args:
        record: a record of a label topic.
        partition: its topic and partition.
        label_field: the member with the label event, for a route with `output = enrich`.
    """
    position = Position(partition.topic, partition.partition, record.offset)
    if record.damaged:
        return UnreadableRecord(record.value or b"", "the record is damaged", position)
    if record.value is None:
        return Tombstone(record.key, position)
    try:
        return _label_event(record, label_members(record.value, label_field), position)
    except orjson.JSONDecodeError:
        return UnreadableRecord(record.value, _NOT_A_LABEL, position)
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        # The messages of msgspec name members and types, and no values.
        found = f"it has no member {exc}" if isinstance(exc, KeyError) else str(exc)
        return UnreadableRecord(record.value, f"{_NOT_A_LABEL}: {found}; {_ENRICHED}", position)


def label_members(value: bytes, label_field: str = "") -> dict[str, Any]:
    """Return the members of a label event, also one that is the data of a CloudEvent.

    Raises:
        ValueError: the value is not JSON.
        KeyError: a member is missing.
        TypeError: the value is not a label event.
    """
    found = orjson.loads(value)
    if isinstance(found, dict) and "specversion" in found and "data" in found:
        found = found["data"]
    members = found[label_field] if label_field else found
    if not isinstance(members, dict):
        raise TypeError("it is not an object")
    return members


def read_reply(
    record: Record, partition: TopicPartition, label_field: str = ""
) -> Classification | RowError | LabelstreamError:
    """Return the prediction in a label event, or the error in a dead letter.

    Args:
        record: a record of the label topic or the dead-letter topic.
        partition: its topic and partition.
        label_field: the member with the label event, for a route with `output = enrich`.
    """
    headers = dict(record.headers)
    try:
        if REASON_HEADER in headers:
            message = (headers.get(MESSAGE_HEADER) or b"").decode("utf-8", "replace")
            return RowError(Reason((headers[REASON_HEADER] or b"").decode()), message)
        return classification(label_members(record.value or b"", label_field))
    except (ValueError, KeyError, TypeError, AttributeError):
        return LabelstreamError(
            "the reply is not a label event",
            cause=f"the record at {partition.topic} {partition.partition}@{record.offset} has another form",
            fix="set label_field to that of the route if its output is enrich",
        )


def correlation_id(record: Record) -> str | None:
    """Return the id of the event that a record answers."""
    for name, value in reversed(record.headers):
        if name == ID_HEADER and value is not None:
            return str(value.decode("utf-8", "replace"))
    return None


def _label_event(record: Record, members: dict[str, Any], position: Position) -> LabelEvent:
    typed = msgspec.convert(members, _Members)
    source = typed.source
    return LabelEvent(
        id=typed.id,
        prediction=classification(members),
        source=Position(source.topic, source.partition, source.offset),
        model=typed.model,
        cached=typed.cached,
        time=typed.time,
        labelled_at=typed.labelled_at,
        event=typed.event,
        key=record.key,
        headers=tuple(record.headers),
        position=position,
    )
