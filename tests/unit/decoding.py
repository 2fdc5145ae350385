"""Decoding of one record, for the tests of the decoder."""

from typing import Any, Literal

from stream.errors import Reason
from stream.records import DeadLetter, Decoder, Event
from stream.routes import RouteOptions
from tests.unit.records import SOURCE, FakeRecord, as_read

Headers = tuple[tuple[str, bytes], ...]

BINARY: Headers = (
    ("ce_specversion", b"1.0"),
    ("ce_id", b"ce-7"),
    ("ce_type", b"t"),
    ("ce_source", b"/shop"),
)
STRUCTURED: Headers = (("content-type", b"application/cloudevents+json"),)
ENVELOPE = {"specversion": "1.0", "id": "ce-7", "type": "t", "source": "/shop"}
POSITION = "texts-3-1041"


def typed(content_type: bytes) -> Headers:
    """Return the header of a content type."""
    return (("content-type", content_type),)


def decoder(
    input_format: Literal["json", "text"] = "json", max_event_bytes: int = 1 << 20, max_text_chars: int = 1000
) -> Decoder:
    return Decoder(
        RouteOptions(input_format=input_format),
        max_event_bytes=max_event_bytes,
        max_text_chars=max_text_chars,
    )


def decode(value: bytes | None, headers: Headers = (), input_format: Literal["json", "text"] = "json") -> Any:
    """Decode a record as a worker reads it."""
    (decoded,) = decoder(input_format).decode_all(SOURCE, [as_read(FakeRecord(value, headers=headers))])
    return decoded


def event(value: bytes, headers: Headers = (), input_format: Literal["json", "text"] = "json") -> Event:
    decoded = decode(value, headers, input_format)
    assert isinstance(decoded, Event), decoded
    return decoded


def dead_letter(value: bytes | None, headers: Headers, reason: Reason) -> DeadLetter:
    decoded = decode(value, headers)
    assert isinstance(decoded, DeadLetter), decoded
    assert decoded.reason is reason, decoded
    return decoded
