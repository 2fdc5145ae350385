"""Decoding of events: JSON, plain text, CloudEvents, values with a schema of a schema registry.

An invalid record becomes a dead letter.
"""

from collections.abc import Sequence
from dataclasses import replace

import structlog

from stream.codec import Record, load_codec
from stream.errors import Poison, Reason, is_fault_of_record
from stream.quarantine import Quarantine, is_named
from stream.records.cloud_events import BINARY_HEADER, is_cloud_event, read_cloud_event
from stream.records.content_type import decode_text, read_content_type
from stream.records.events import (
    ID_HEADER,
    DeadLetter,
    Decoded,
    Event,
    Source,
    Tombstone,
    event_id,
    header,
    id_stem,
    usable_id,
)
from stream.records.fast_path import FastPath, NativeFastPath
from stream.records.fields import Fields, check
from stream.records.json_object import as_object
from stream.records.mapped_fast_path import MappedFastPath, PathConflictError
from stream.records.mapping import EventReader, FieldMapping, NativeReader, make_mapping
from stream.records.quarantined import check_undamaged, set_aside
from stream.records.registry_values import RegistryValues
from stream.registry import SchemaCache
from stream.routes import RouteOptions

log = structlog.get_logger(__name__)

CONTENT_TYPE = "content-type"
# The headers that determine the id of an event or the format of its value.
READ_HEADERS = frozenset((ID_HEADER, CONTENT_TYPE, BINARY_HEADER))


class Decoder:
    """Decodes the records of one route."""

    def __init__(
        self,
        options: RouteOptions,
        *,
        max_event_bytes: int,
        max_text_chars: int,
        takes_pair: bool = False,
        quarantine: Quarantine | None = None,
        schemas: SchemaCache | None = None,
        text_setting: str = "text_field",
    ) -> None:
        """
        Args:
            options: the options of the route; they say how its events are read.
            max_event_bytes: the maximum length of a value in bytes; longer values are not read.
            max_text_chars: the maximum length of a text in characters, of both texts together for a pair.
            takes_pair: True if the route's bundle reads two texts, so that an event must have both.
            quarantine: the offsets whose records become dead letters without being decoded.
            schemas: the schemas of the events, for an input format of the schema registry. Without them such
                events are read as JSON.
            text_setting: the setting that names the text, for messages; empty if the caller has none.

        Raises:
            UsageError: a library that the options need is not installed.
        """
        self._quarantine = quarantine or Quarantine()
        self._codec = load_codec()
        self._plain = options.input_format == "text"
        self._objects_only = options.output == "enrich"
        self._max_event_bytes = max_event_bytes
        self._max_text_chars = max_text_chars
        self._takes_pair = takes_pair
        self._text_setting = text_setting
        mapping = make_mapping(options, takes_pair=takes_pair)
        self._reader: EventReader = mapping or NativeReader()
        self._clean = None if mapping is None else mapping.clean
        self._values = RegistryValues(options, schemas) if schemas is not None else None
        slow = self._plain or takes_pair or self._values is not None
        self._fast = None if slow else _fast_path(mapping, max_text_chars)
        self._logged: set[str] = set()

    def values(self, source: Source, records: Sequence[Record]) -> list[bytes | None]:
        """Return the values that `decode_all` reads: those of records that are not quarantined."""
        named = self._quarantine.of(*source)
        return [record.value for record in records if not (named and is_named(record.offset, named))]

    def decode_all(self, source: Source, records: Sequence[Record]) -> Sequence[Decoded]:
        """Decode the records of one partition, in order.

        No record makes this raise: one that cannot be decoded becomes a dead letter.
        """
        if self._quarantine and (named := self._quarantine.of(*source)):
            kept = [record for record in records if not is_named(record.offset, named)]
            if len(kept) < len(records):
                return set_aside(source, records, self.decode_all(source, kept))
        decoded = self._fast_path(source, records)
        for at, item in enumerate(decoded):
            if item is None:
                decoded[at] = self._slow_path(source, records[at])
        return decoded  # type: ignore[return-value]

    def _fast_path(self, source: Source, records: Sequence[Record]) -> list[Decoded | None]:
        """Decode the usual events; None stands for a record that the slow path decodes."""
        if self._fast is None:
            return [None] * len(records)
        return self._fast.decode(id_stem(source), records, self._json_texts(records))

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
        if self._values is not None:
            # The output reads the content type too, so a malformed one is refused as in any other event.
            read_content_type(header(record, CONTENT_TYPE))
            return self._reader.read(self._values.parse(record))
        if not record.headers:
            return self._text(value) if self._plain else self._object(value)
        content_type = read_content_type(header(record, CONTENT_TYPE))
        if is_cloud_event(record, content_type):
            fields = read_cloud_event(record, value, content_type, self._reader)
            return fields if fields.is_object else self._cleaned(fields)
        is_text = content_type.media.startswith("text/plain")
        if is_text or (self._plain and "json" not in content_type.media):
            return self._text(value, content_type.charset)
        return self._object(value)

    def _text(self, value: bytes, charset: str = "") -> Fields:
        return self._cleaned(Fields(text=decode_text(value, charset)))

    def _object(self, value: bytes) -> Fields:
        return self._reader.read(as_object(self._reader.parse(value)))

    def _cleaned(self, fields: Fields) -> Fields:
        """Return fields whose text is that of a whole value, as the route reads such texts."""
        check(not self._objects_only, "output = enrich needs a JSON object; the value is a text")
        if self._clean is None or not isinstance(fields.text, str):
            return fields
        return replace(fields, text=self._clean(fields.text))

    def _event(self, source: Source, record: Record, fields: Fields, own: str | None) -> Event:
        fields.check_types(self._text_setting)
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


def _fast_path(mapping: FieldMapping | None, max_text_chars: int) -> FastPath | None:
    """Return the fast path of a route; None if only the slow path can read its events."""
    if mapping is None:
        return NativeFastPath(max_text_chars)
    try:
        return MappedFastPath(mapping, max_text_chars)
    except PathConflictError:
        return None
