"""Decoding of events: JSON, plain text, CloudEvents. An invalid record becomes a dead letter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import orjson
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event, from_structured_event
from cloudevents.core.exceptions import BaseCloudEventException
from cloudevents.core.formats.json import JSONFormat

from stream.codec import Record, load_codec
from stream.errors import Poison, Reason, one_line
from stream.quarantine import Quarantine, is_named
from stream.records.events import (
    DeadLetter,
    Decoded,
    Event,
    SkippedMetadata,
    Source,
    Tombstone,
    event_id,
    header,
    id_stem,
)
from stream.records.quarantined import DAMAGED, set_aside

CLOUD_EVENT = "application/cloudevents"
# The headers that determine the id of an event or the format of its value.
READ_HEADERS = frozenset(("labelstream-id", "content-type", "ce_specversion"))


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of an event before they are checked."""

    id: Any = None
    text: Any = None
    text_pair: Any = None
    metadata: Any = None
    time: Any = None


class PlainEvent(msgspec.Struct, gc=False):
    """The JSON events that the fast path reads. Members that are not fields are ignored."""

    text: str
    id: str | None = None
    text_pair: None = None
    metadata: SkippedMetadata | None = None
    time: str | None = None


class Decoder:
    """Decodes the records of one route."""

    def __init__(
        self,
        *,
        input_format: Literal["json", "text"],
        max_event_bytes: int,
        max_text_chars: int,
        takes_pair: bool = False,
        quarantine: Quarantine | None = None,
    ) -> None:
        """
        Args:
            input_format: the format of a value without the header `content-type`.
            max_event_bytes: the maximum length of a value in bytes; longer values are not read.
            max_text_chars: the maximum length of a text in characters, of both texts together for a pair.
            takes_pair: True if the route's bundle reads two texts, so that an event must have both.
            quarantine: the offsets whose records become dead letters without being decoded.
        """
        self._quarantine = quarantine or Quarantine()
        self._codec = load_codec()
        self._plain = input_format == "text"
        self._max_event_bytes = max_event_bytes
        self._max_text_chars = max_text_chars
        self._takes_pair = takes_pair
        self._parse = msgspec.json.Decoder(PlainEvent).decode

    def decode_all(self, source: Source, records: Sequence[Record]) -> Sequence[Decoded]:
        """Decode the records of one partition, in order."""
        if self._quarantine and (named := self._quarantine.of(*source)):
            kept = [record for record in records if not is_named(record.offset, named)]
            if len(kept) < len(records):
                return set_aside(source, records, self.decode_all(source, kept))
        if self._plain or self._takes_pair:
            return [self._slow_path(source, record) for record in records]
        decoded = self._fast_path(source, records)
        for at, item in enumerate(decoded):
            if item is None:
                decoded[at] = self._slow_path(source, records[at])
        return decoded  # type: ignore[return-value]

    def _fast_path(self, source: Source, records: Sequence[Record]) -> list[Decoded | None]:
        """Decode plain JSON events, the usual case; None stands for a record that the slow path decodes.

        The fast path accepts no record that the slow path decodes differently. Its body runs once per event,
        so it avoids every call and every object that is not needed.
        """
        stem, max_chars = id_stem(source), self._max_text_chars
        parse, new = self._parse, tuple.__new__
        decoded: list[Decoded | None] = []
        append = decoded.append
        texts = self._codec.json_texts(records, READ_HEADERS, self._max_event_bytes)
        for record, value in zip(records, texts, strict=True):
            if value is None:
                append(None)
                continue
            try:
                event = parse(value)
            except msgspec.DecodeError:
                append(None)
                continue
            text = event.text
            if not text or len(text) > max_chars or text.isspace():
                append(None)
                continue
            event_id = event.id or f"{stem}{record.offset}"
            append(new(Event, (record, event_id, text, None, event.metadata, event.time)))
        return decoded

    def _slow_path(self, source: Source, record: Record) -> Decoded:
        """Decode any record."""
        if record.damaged:
            return DeadLetter(record, source, event_id(source, record), Reason.DECODE, DAMAGED)
        if record.value is None:
            return Tombstone(record, event_id(source, record))
        fields = Fields()
        try:
            self._check_size(record.value)
            fields = self._fields(record, record.value)
            return self._event(source, record, fields)
        except Poison as exc:
            own = fields.id if _is_id(fields.id) else None
            return DeadLetter(record, source, event_id(source, record, own), exc.reason, str(exc))

    def _check_size(self, value: bytes) -> None:
        if len(value) > self._max_event_bytes:
            raise Poison(
                Reason.TOO_LARGE, f"the value has {len(value)} bytes, {self._max_event_bytes} are allowed"
            )

    def _fields(self, record: Record, value: bytes) -> Fields:
        if not record.headers:
            return _from_text(value) if self._plain else _from_json(value)
        content_type = (header(record, "content-type") or b"").decode("latin-1").strip().lower()
        if content_type.startswith(CLOUD_EVENT) or header(record, "ce_specversion") is not None:
            return _from_cloud_event(record, value)
        if content_type.startswith("text/plain"):
            return _from_text(value)
        if self._plain and "json" not in content_type:
            return _from_text(value)
        return _from_json(value)

    def _event(self, source: Source, record: Record, fields: Fields) -> Event:
        _check(_is_id(fields.id), "id must be a string or an integer")
        _check(
            isinstance(fields.text, str),
            "text must be a string" if fields.text is not None else "text is missing",
        )
        _check(fields.text_pair is None or isinstance(fields.text_pair, str), "text_pair must be a string")
        _check(fields.metadata is None or isinstance(fields.metadata, Mapping), "metadata must be an object")
        _check(fields.time is None or isinstance(fields.time, str), "time must be a string")
        if not fields.text.strip():
            raise Poison(Reason.EMPTY, "text contains only white space")
        if self._takes_pair:
            _check(fields.text_pair is not None, "text_pair is missing; the model compares two texts")
            if not fields.text_pair.strip():
                raise Poison(Reason.EMPTY, "text_pair contains only white space")
        chars = len(fields.text) + len(fields.text_pair or "")
        if chars > self._max_text_chars:
            raise Poison(
                Reason.TOO_LARGE, f"the text has {chars} characters, {self._max_text_chars} are allowed"
            )
        own = event_id(source, record, fields.id)
        return Event(record, own, fields.text, fields.text_pair, fields.metadata, fields.time)


def _is_id(value: Any) -> bool:
    return value is None or (isinstance(value, str | int) and not isinstance(value, bool))


def _check(good: bool, message: str) -> None:
    if not good:
        raise Poison(Reason.SCHEMA, message)


def _from_text(value: bytes) -> Fields:
    try:
        return Fields(text=value.decode("utf-8"))
    except UnicodeDecodeError as exc:
        raise Poison(Reason.DECODE, f"not UTF-8 at byte {exc.start}") from None


def _from_json(value: bytes) -> Fields:
    return _from_object(_json_object(value))


def _json_object(value: bytes) -> Any:
    try:
        found = orjson.loads(value)
    except orjson.JSONDecodeError as exc:
        raise Poison(Reason.DECODE, f"not JSON: {exc.msg} at character {exc.pos}") from None
    if not isinstance(found, Mapping):
        raise Poison(Reason.SCHEMA, "the value is JSON, but not an object")
    return found


def _from_object(found: Any) -> Fields:
    if not isinstance(found, Mapping):
        raise Poison(Reason.SCHEMA, "the event's data is not an object")
    return Fields(
        found.get("id"), found.get("text"), found.get("text_pair"), found.get("metadata"), found.get("time")
    )


def _from_cloud_event(record: Record, value: bytes) -> Fields:
    content_type = (header(record, "content-type") or b"").lower()
    structured = content_type.startswith(CLOUD_EVENT.encode())
    envelope = _json_object(value) if structured else None
    message = KafkaMessage(headers=dict(record.headers), key=None, value=value)
    try:
        event = (from_structured_event if structured else from_binary_event)(message, JSONFormat())
    except (BaseCloudEventException, ValueError, TypeError, KeyError, AttributeError) as exc:
        raise Poison(Reason.SCHEMA, f"not a CloudEvent: {one_line(exc)}") from None
    if envelope is None:
        fields = _from_text(value) if content_type.startswith(b"text/") else _from_json(value)
        dated = header(record, "ce_time") is not None
    else:
        fields = _from_data(event.get_data())
        dated = envelope.get("time") is not None
    happened = event.get_time()
    return Fields(
        id=event.get_id() if fields.id is None else fields.id,
        text=fields.text,
        text_pair=fields.text_pair,
        metadata=fields.metadata,
        # The library sets the current time when the envelope has none.
        time=happened.isoformat() if fields.time is None and dated and happened else fields.time,
    )


def _from_data(data: Any) -> Fields:
    if isinstance(data, bytes):
        return _from_text(data)
    return Fields(text=data) if isinstance(data, str) else _from_object(data)
