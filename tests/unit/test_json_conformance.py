"""The decoder on JSONTestSuite's cases, at every position in an event, with both codecs."""

from typing import Any

import pytest

from stream.errors import Reason
from stream.records import DeadLetter, Decoder, Event
from stream.routes import RouteOptions
from tests.unit.json_cases import ACCEPTED, LEFT_OPEN, MALFORMED, REFUSED
from tests.unit.record_path import record_path
from tests.unit.records import SOURCE, FakeRecord, as_read

__all__ = ["record_path"]
pytestmark = pytest.mark.usefixtures("record_path")

READ = {name: case for name, case in (ACCEPTED | LEFT_OPEN).items() if case[1] is not REFUSED}
NOT_READ = MALFORMED | {name: data for name, (data, value) in LEFT_OPEN.items() if value is REFUSED}
PLACES = [
    b'{"text":"hi","other":%b}',
    b'{"other":%b,"text":"hi"}',
    b'{"text":"hi","other":{"deep":[0,%b]}}',
    b'{"text":"hi","other":1,"other":%b}',
    b'{"text":"hi","other":%b,"other":1}',
    b'{"text":"hi","metadata":{"m":%b}}',
    b'{"text":"hi","metadata":{"m":%b},"metadata":{"m":%b}}',
]
UNREADABLE = {
    "invalid byte": b"\xff",
    "surrogate": b"\xed\xa0\x80",
    "overlong": b"\xc0\x80",
    "truncated": b"\xe2\x82",
    "past Unicode": b"\xf4\x90\x80\x80",
    "continuation alone": b"\x80",
}
STRINGS = {
    "text": b'{"text":"%b"}',
    "overridden text": b'{"text":"%b","text":"ok"}',
    "id": b'{"id":"%b","text":"ok"}',
    "overridden id": b'{"id":"%b","id":"a","text":"ok"}',
    "id overridden by null": b'{"id":"%b","id":null,"text":"ok"}',
    "time": b'{"text":"ok","time":"%b"}',
    "overridden time": b'{"text":"ok","time":"%b","time":"2026-01-02T03:04:05Z"}',
    "metadata": b'{"text":"ok","metadata":{"m":"%b"}}',
    "metadata name": b'{"text":"ok","metadata":{"%b":1}}',
    "overridden metadata": b'{"text":"ok","metadata":{"m":"%b"},"metadata":{}}',
    "metadata overridden by null": b'{"text":"ok","metadata":{"m":"%b"},"metadata":null}',
    "nested metadata": b'{"text":"ok","metadata":{"m":[{"n":"%b"}]}}',
    "unknown member": b'{"text":"ok","other":"%b"}',
    "unknown name": b'{"text":"ok","%b":1}',
    "nested unknown member": b'{"text":"ok","other":[{"n":["%b"]}]}',
    "nested unknown name": b'{"text":"ok","other":{"%b":1}}',
    "between members": b'{"text":"ok",%b"other":1}',
    "before the object": b'%b{"text":"ok"}',
    "behind the object": b'{"text":"ok"}%b',
}


def decode(value: bytes) -> Any:
    """Decode a value, and check that the slow path decodes it in the same way."""
    decoder = Decoder(RouteOptions(), max_event_bytes=1 << 20, max_text_chars=1000)
    (decoded,) = decoder.decode_all(SOURCE, [as_read(FakeRecord(value))])
    slow = decoder._slow_path(SOURCE, FakeRecord(value))
    assert type(decoded) is type(slow)
    if isinstance(decoded, Event) and isinstance(slow, Event):
        assert (decoded.id, decoded.text, decoded.metadata, decoded.time) == (
            slow.id,
            slow.text,
            slow.metadata,
            slow.time,
        )
    if isinstance(decoded, DeadLetter) and isinstance(slow, DeadLetter):
        assert (decoded.id, decoded.reason, decoded.message) == (slow.id, slow.reason, slow.message)
    return decoded


def put(place: bytes, data: bytes) -> bytes:
    return place.replace(b"%b", data)


@pytest.mark.parametrize("name", READ)
def test_json_is_read_at_every_position(name: str) -> None:
    data, value = READ[name]
    for place in PLACES:
        event = decode(put(place, data))
        assert isinstance(event, Event), (place, event)
        assert event.text == "hi"
        if b"metadata" in place:
            assert event.metadata == {"m": value}


@pytest.mark.parametrize("name", NOT_READ)
def test_invalid_json_is_a_dead_letter_at_every_position(name: str) -> None:
    for place in (*PLACES, b"%b"):
        dead = decode(put(place, NOT_READ[name]))
        assert isinstance(dead, DeadLetter), (place, dead)
        assert dead.reason is Reason.DECODE, (place, dead)


@pytest.mark.parametrize("name", READ)
def test_json_without_a_text_is_a_dead_letter_of_the_schema(name: str) -> None:
    dead = decode(READ[name][0])
    assert isinstance(dead, DeadLetter)
    assert dead.reason is Reason.SCHEMA


@pytest.mark.parametrize("kind", UNREADABLE)
@pytest.mark.parametrize("place", STRINGS)
def test_invalid_utf_8_is_a_dead_letter_at_every_position(place: str, kind: str) -> None:
    dead = decode(put(STRINGS[place], UNREADABLE[kind]))
    assert isinstance(dead, DeadLetter), dead
    assert dead.reason is Reason.DECODE


@pytest.mark.parametrize(
    "value",
    [
        b'{"te\\u0078t":"hi"}',
        b'{"\\u0074ext":"hi","\\u0069d":"t-1"}',
        b'{"text":"hi","metad\\u0061ta":{"a":1}}',
        b'{"text":"hi","uuid":"3e45-1E22-9e9"}',
        b'{"text":"hi","other":"[[[{{{"}',
        b'{"text":"hi","other":"\\\\"}',
        b'{"text":"hi","other":"\\\\\\""}',
        b'{"text":"hi","other":1e5,"metadata":{"n":1e5}}',
        b'{"text":"hi","other":' + b"[" * 101 + b"]" * 101 + b"}",
        b'{"text":"hi","metadata":{"n":18446744073709551616}}',
    ],
)
def test_unusual_spellings_of_events_are_read(value: bytes) -> None:
    assert isinstance(decode(value), Event)
