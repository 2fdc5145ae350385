"""Decoding of plain JSON events by one typed parse, the usual case."""

from collections.abc import Sequence
from typing import Annotated, Protocol

import msgspec

from stream.codec import COMMON_DATE_TIME, MAX_TIME_CHARS, Record
from stream.errors import is_fault_of_record
from stream.records.events import MAX_ID_CHARS, Decoded, Event, SkippedMetadata


class FastPath(Protocol):
    """Decodes the JSON events of a route that need no special treatment.

    A fast path accepts no record that the slow path decodes differently. Its loop runs once per event, so it
    avoids every call and every object that is not needed.
    """

    def decode(
        self, stem: str, records: Sequence[Record], texts: Sequence[str | None]
    ) -> list[Decoded | None]:
        """Decode records; None stands for a record that the slow path decodes.

        Args:
            stem: the id of an event without an id, up to its offset.
            records: the records.
            texts: the value of each record as text, None for one that the slow path decodes.
        """


class PlainEvent(msgspec.Struct, gc=False):
    """The JSON events that the fast path reads. Members that are not fields are ignored."""

    text: str
    id: Annotated[str, msgspec.Meta(max_length=MAX_ID_CHARS)] | None = None
    text_pair: None = None
    metadata: SkippedMetadata | None = None
    time: Annotated[str, msgspec.Meta(pattern=COMMON_DATE_TIME, max_length=MAX_TIME_CHARS)] | None = None


class NativeFastPath:
    """Decodes labelstream's own events."""

    def __init__(self, max_text_chars: int) -> None:
        """
        Args:
            max_text_chars: the maximum length of a text in characters.
        """
        self._max_text_chars = max_text_chars
        self._parse = msgspec.json.Decoder(PlainEvent).decode

    def decode(
        self, stem: str, records: Sequence[Record], texts: Sequence[str | None]
    ) -> list[Decoded | None]:
        """See `FastPath.decode`."""
        parse, new, max_chars = self._parse, tuple.__new__, self._max_text_chars
        decoded: list[Decoded | None] = []
        append = decoded.append
        for record, value in zip(records, texts, strict=True):
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
