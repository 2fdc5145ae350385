"""Single output records: tombstones, dead letters, and label events that cannot be encoded."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import structlog

from stream.classify import Prediction, RowResult
from stream.errors import Poison, Reason, is_fault_of_record
from stream.isolation import isolate
from stream.records import (
    DeadLetter,
    Decoded,
    Event,
    Headers,
    LabelEncoder,
    Outgoing,
    Source,
    Tombstone,
    dead_letter_headers,
    pack_record,
    tombstone_headers,
)

log = structlog.get_logger(__name__)

LabelledEvent = tuple[Event, Prediction]


class HeaderlessRecord(NamedTuple):
    """A record without its headers, because they cannot be copied."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int
    offset: int
    damaged: bool = False


def pack_tombstone(tombstone: Tombstone) -> Outgoing:
    """Return the output record of a tombstone."""
    record = tombstone.record
    return pack_record(record.key, None, tombstone_headers(tombstone), record.timestamp)


def pack_dead_letter(dead: DeadLetter, group: str) -> Outgoing:
    """Return the output record of a dead letter; it lacks the input's headers if they cannot be copied."""
    record = dead.record
    try:
        return _pack_dead_letter(dead, group)
    except BaseException as exc:
        if not is_fault_of_record(exc):
            raise
        log.warning(
            "the headers of a dead letter cannot be copied",
            topic=dead.source.topic,
            partition=dead.source.partition,
            offset=record.offset,
            error=type(exc).__name__,
        )
    headerless = HeaderlessRecord(record.key, record.value, (), record.timestamp, record.offset)
    return _pack_dead_letter(replace(dead, record=headerless), group)


def _pack_dead_letter(dead: DeadLetter, group: str) -> Outgoing:
    record = dead.record
    return pack_record(record.key, record.value, dead_letter_headers(dead, group), record.timestamp)


def without_unencodable(
    encoder: LabelEncoder,
    source: Source,
    labelled_at: int,
    decoded: Sequence[Decoded],
    results: Sequence[RowResult],
) -> Sequence[RowResult]:
    """Return results, with `Poison` in place of each prediction whose label event cannot be encoded.

    Args:
        encoder: encodes label events.
        source: the topic and the partition of the records.
        labelled_at: the time of labelling, in milliseconds since the epoch.
        decoded: the decoded records, in offset order.
        results: the results of the events among them, in order.
    """
    errors: Counter[str] = Counter()

    def encode(labelled: Sequence[LabelledEvent]) -> Sequence[RowResult]:
        predictions = [prediction for _, prediction in labelled]
        encoder.write(source, labelled_at, [event for event, _ in labelled], predictions)
        return predictions

    def unencodable(_labelled: LabelledEvent, error: BaseException) -> RowResult:
        errors[type(error).__name__] += 1
        return Poison(Reason.MODEL, "the label event cannot be encoded")

    events = [item for item in decoded if type(item) is Event]
    pairs = zip(events, results, strict=True)
    labelled = [(event, result) for event, result in pairs if type(result) is Prediction]
    next_encoded = iter(isolate(encode, labelled, unencodable)).__next__
    if errors:
        log.warning(
            "label events cannot be encoded",
            topic=source.topic,
            partition=source.partition,
            errors=dict(errors),
        )
    return [next_encoded() if type(result) is Prediction else result for result in results]
