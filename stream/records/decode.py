"""Decoding of events: JSON, plain text, CloudEvents. An invalid record becomes a dead letter."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
import structlog

from stream.codec import COMMON_DATE_TIME, MAX_TIME_CHARS, Record, load_codec
from stream.errors import Poison, Reason, is_fault_of_record
from stream.quarantine import Quarantine, is_named
from stream.records.cloud_events import BINARY_HEADER, is_cloud_event, read_cloud_event
from stream.records.content_type import decode_text, read_content_type
from stream.records.events import (
    ID_HEADER,
    MAX_ID_CHARS,
    DeadLetter,
    Decoded,
    Event,
    SkippedMetadata,
    Source,
    Tombstone,
    event_id,
    header,
    id_stem,
    usable_id,
)
from stream.records.fields import Fields, check, from_object
from stream.records.json_object import parse_object
from stream.records.quarantined import check_undamaged, set_aside

log = structlog.get_logger(__name__)

CONTENT_TYPE = "content-type"
# The headers that determine the id of an event or the format of its value.
READ_HEADERS = frozenset((ID_HEADER, CONTENT_TYPE, BINARY_HEADER))


class PlainEvent(msgspec.Struct, gc=False):
    """The JSON events that the fast path reads. Members that are not fields are ignored."""

    text: str
    id: Annotated[str, msgspec.Meta(max_length=MAX_ID_CHARS)] | None = None
    text_pair: None = None
    metadata: SkippedMetadata | None = None
    time: Annotated[str, msgspec.Meta(pattern=COMMON_DATE_TIME, max_length=MAX_TIME_CHARS)] | None = None


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
        self._logged: set[str] = set()

    def decode_all(self, source: Source, records: Sequence[Record]) -> Sequence[Decoded]:
        """Decode the records of one partition, in order.

        No record makes this raise: one that cannot be decoded becomes a dead letter.
        """
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
        for record, value in zip(records, self._json_texts(records), strict=True):
            if value is None:
                append(None)
                continue
            try:
                event = parse(value)
            except BaseException as exc:
                if not is_fault_of_record(exc):
                    raise
                append(None)
                continue
            text = event.text
            if not text or len(text) > max_chars or text.isspace():
                append(None)
                continue
            event_id = event.id or f"{stem}{record.offset}"
            append(new(Event, (record, event_id, text, None, event.metadata, event.time)))
        return decoded

    def _json_texts(self, records: Sequence[Record]) -> Sequence[str | None]:
        try:
            return self._codec.json_texts(records, READ_HEADERS, self._max_event_bytes)
        except BaseException as exc:
            if not is_fault_of_record(exc):
                raise
            # The slow path finds the record that raises.
            return [None] * len(records)

    def _slow_path(self, source: Source, record: Record) -> Decoded:
        """Decode any record."""
        try:
            return self._decode(source, record)
        except BaseException as exc:
            if not is_fault_of_record(exc):
                raise
            self._log_once(source, record, exc)
            position = f"{id_stem(source)}{record.offset}"
            return DeadLetter(record, source, position, Reason.DECODE, "the decoder failed on this record")

    def _decode(self, source: Source, record: Record) -> Decoded:
        own: str | None = None
        try:
            check_undamaged(record)
            value = record.value
            if value is None:
                return Tombstone(record, usable_id(source, record))
            self._check_size(value)
            fields = self._fields(record, value)
            own = fields.own_id()
            return self._event(source, record, fields, own)
        except Poison as exc:
            return DeadLetter(record, source, usable_id(source, record, own), exc.reason, str(exc))

    def _log_once(self, source: Source, record: Record, error: BaseException) -> None:
        """Log the type of an unexpected error and where it was raised, once per type.

        The message of the error and its traceback are left out, since they may hold the record's text.
        """
        name = type(error).__name__
        if name in self._logged:
            return
        self._logged.add(name)
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        log.error(
            "the decoder failed on a record",
            error=name,
            raised_in=frame and f"{frame.tb_frame.f_globals.get('__name__')}:{frame.tb_lineno}",
            topic=source.topic,
            partition=source.partition,
            offset=record.offset,
        )

    def _check_size(self, value: bytes) -> None:
        if len(value) > self._max_event_bytes:
            raise Poison(
                Reason.TOO_LARGE, f"the value has {len(value)} bytes, {self._max_event_bytes} are allowed"
            )

    def _fields(self, record: Record, value: bytes) -> Fields:
        if not record.headers:
            return Fields(text=decode_text(value)) if self._plain else from_object(parse_object(value))
        content_type = read_content_type(header(record, CONTENT_TYPE))
        if is_cloud_event(record, content_type):
            return read_cloud_event(record, value, content_type)
        is_text = content_type.media.startswith("text/plain")
        if is_text or (self._plain and "json" not in content_type.media):
            return Fields(text=decode_text(value, content_type.charset))
        return from_object(parse_object(value))

    def _event(self, source: Source, record: Record, fields: Fields, own: str | None) -> Event:
        fields.check_types()
        text, text_pair = fields.text, fields.text_pair
        if not text.strip():
            raise Poison(Reason.EMPTY, "text contains only white space")
        if self._takes_pair:
            check(text_pair is not None, "text_pair is missing; the model compares two texts")
            if not text_pair.strip():
                raise Poison(Reason.EMPTY, "text_pair contains only white space")
        chars = len(text) + len(text_pair or "")
        if chars > self._max_text_chars:
            raise Poison(
                Reason.TOO_LARGE, f"the text has {chars} characters, {self._max_text_chars} are allowed"
            )
        chosen = event_id(source, record, own)
        return Event(record, chosen, text, text_pair, fields.metadata, fields.own_time())
