"""Decoding: valid values in every format, and malformed ones."""

import json
from typing import Any

import jsonschema
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stream.errors import Reason
from stream.records import DeadLetter, Decoder, Event, Tombstone
from stream.routes import RouteOptions
from stream.schemas import load_schema
from tests.unit.record_path import record_path
from tests.unit.records import SOURCE, FakeRecord, as_read

__all__ = ["record_path"]
pytestmark = pytest.mark.usefixtures("record_path")

Headers = tuple[tuple[str, bytes], ...]
BINARY = (("ce_specversion", b"1.0"), ("ce_id", b"ce-7"), ("ce_type", b"t"), ("ce_source", b"/shop"))
STRUCTURED = (("content-type", b"application/cloudevents+json; charset=utf-8"),)
ENVELOPE = {"specversion": "1.0", "id": "ce-7", "type": "t", "source": "/shop"}


def decoder(input_format: Any = "json", max_event_bytes: int = 4096, max_text_chars: int = 1000) -> Decoder:
    return Decoder(
        RouteOptions(input_format=input_format),
        max_event_bytes=max_event_bytes,
        max_text_chars=max_text_chars,
    )


def decode(value: bytes | None, headers: Headers = (), input_format: Any = "json") -> Any:
    (decoded,) = decoder(input_format).decode_all(SOURCE, [as_read(FakeRecord(value, headers=headers))])
    return decoded


def plain(decoded: Any) -> tuple[Any, ...]:
    """Return a decoded record without the input record."""
    if isinstance(decoded, Event):
        return decoded.id, decoded.text, decoded.text_pair, decoded.metadata, decoded.time
    return type(decoded), decoded.id, getattr(decoded, "reason", None), getattr(decoded, "message", None)


@pytest.mark.parametrize(
    ("value", "headers", "input_format", "text", "event_id"),
    [
        (b'{"text":"hi"}', (), "json", "hi", "texts-3-1041"),
        (b'{"id":"t-42","text":"hi","unknown":1}', (), "json", "hi", "t-42"),
        (b'{"id":42,"text":"hi"}', (), "json", "hi", "42"),
        (b'{"id":null,"text":"hi"}', (), "json", "hi", "texts-3-1041"),
        (b'{"id":"","text":"hi"}', (), "json", "hi", "texts-3-1041"),
        (b'{"id":"t-42","text":"hi"}', (("labelstream-id", b"kept"),), "json", "hi", "kept"),
        (b'{"text":"first","text":"last"}', (), "json", "last", "texts-3-1041"),
        (b'{"text":"nul \\u0000 and \\u0007 stay"}', (), "json", "nul \0 and \7 stay", "texts-3-1041"),
        ("grüße 🎉".encode(), (), "text", "grüße 🎉", "texts-3-1041"),
        (b"plain", (("content-type", b"text/plain; charset=utf-8"),), "json", "plain", "texts-3-1041"),
        (b'{"text":"hi"}', (("content-type", b"application/json"),), "text", "hi", "texts-3-1041"),
        (b"plain", (("content-type", b"text/plain"), ("labelstream-id", b"h")), "json", "plain", "h"),
        (b"binary text", (*BINARY, ("content-type", b"text/plain")), "json", "binary text", "ce-7"),
        (b'{"text":"hi"}', (*BINARY, ("content-type", b"application/json")), "json", "hi", "ce-7"),
        (b'{"id":"own","text":"hi"}', BINARY, "json", "hi", "own"),
        (orjson.dumps({**ENVELOPE, "data": {"text": "hi"}}), STRUCTURED, "json", "hi", "ce-7"),
        (orjson.dumps({**ENVELOPE, "data": "hi"}), STRUCTURED, "json", "hi", "ce-7"),
        (orjson.dumps({**ENVELOPE, "data_base64": "aGk="}), STRUCTURED, "json", "hi", "ce-7"),
    ],
)
def test_a_valid_value_is_an_event(
    value: bytes, headers: Headers, input_format: str, text: str, event_id: str
) -> None:
    event = decode(value, headers, input_format)
    assert isinstance(event, Event), event
    assert (event.text, event.id) == (text, event_id)


@pytest.mark.parametrize(
    ("value", "headers", "reason", "event_id"),
    [
        (b"", (), Reason.DECODE, "texts-3-1041"),
        (b"{broken", (), Reason.DECODE, "texts-3-1041"),
        (b"\xff\xfe", (), Reason.DECODE, "texts-3-1041"),
        (b'{"text":"\\ud800"}', (), Reason.DECODE, "texts-3-1041"),
        (b"[1,2]", (), Reason.SCHEMA, "texts-3-1041"),
        (b'"text"', (), Reason.SCHEMA, "texts-3-1041"),
        (b'{"id":"t-1"}', (), Reason.SCHEMA, "t-1"),
        (b'{"id":"t-1","text":7}', (), Reason.SCHEMA, "t-1"),
        (b'{"id":["t-1"],"text":"hi"}', (), Reason.SCHEMA, "texts-3-1041"),
        (b'{"id":true,"text":"hi"}', (), Reason.SCHEMA, "texts-3-1041"),
        (b'{"text":"hi","text_pair":1}', (), Reason.SCHEMA, "texts-3-1041"),
        (b'{"text":"hi","metadata":[]}', (), Reason.SCHEMA, "texts-3-1041"),
        (b'{"text":"hi","time":12}', (), Reason.SCHEMA, "texts-3-1041"),
        (b'{"id":"t-1","text":" \\n\\t "}', (), Reason.EMPTY, "t-1"),
        (b"  ", (("content-type", b"text/plain"),), Reason.EMPTY, "texts-3-1041"),
        (b"\xff", (("content-type", b"text/plain"),), Reason.DECODE, "texts-3-1041"),
        (orjson.dumps({"id": "t-1", "text": "x" * 1001}), (), Reason.TOO_LARGE, "t-1"),
        (orjson.dumps({"id": "t-1", "text": "x" * 600, "text_pair": "y" * 600}), (), Reason.TOO_LARGE, "t-1"),
        (b'{"text":"' + b"x" * 5000 + b'"}', (("labelstream-id", b"h-1"),), Reason.TOO_LARGE, "h-1"),
        (b"{broken", (("labelstream-id", b"h-1"),), Reason.DECODE, "h-1"),
        (b"not json", STRUCTURED, Reason.DECODE, "texts-3-1041"),
        (b"[]", STRUCTURED, Reason.SCHEMA, "texts-3-1041"),
        (b'{"text":"no envelope"}', STRUCTURED, Reason.SCHEMA, "texts-3-1041"),
        (orjson.dumps({**ENVELOPE, "data": [1]}), STRUCTURED, Reason.SCHEMA, "texts-3-1041"),
        (b'{"text":"half', (*BINARY, ("content-type", b"application/json")), Reason.DECODE, "texts-3-1041"),
        (b'{"text":"hi"}', BINARY[:2], Reason.SCHEMA, "texts-3-1041"),
    ],
)
def test_an_invalid_value_is_a_dead_letter(
    value: bytes, headers: Headers, reason: Reason, event_id: str
) -> None:
    dead = decode(value, headers)
    assert isinstance(dead, DeadLetter), dead
    assert (dead.reason, dead.id) == (reason, event_id)
    assert "\n" not in dead.message


def test_a_null_value_is_a_tombstone() -> None:
    assert plain(decode(None)) == (Tombstone, "texts-3-1041", None, None)


def test_the_time_of_a_cloud_event_is_its_own_or_none() -> None:
    dated = decode(orjson.dumps({**ENVELOPE, "time": "2026-01-02T03:04:05Z", "data": "hi"}), STRUCTURED)
    assert dated.time == "2026-01-02T03:04:05+00:00"
    assert decode(orjson.dumps({**ENVELOPE, "data": "hi"}), STRUCTURED).time is None
    assert decode(b"hi", (*BINARY, ("content-type", b"text/plain"))).time is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON,
        "text": st.text(max_size=30) | JSON,
        "text_pair": JSON,
        "metadata": JSON,
        "time": JSON,
    },
)


@given(EVENTS | JSON)
def test_an_event_is_decoded_if_the_schema_accepts_it(value: Any) -> None:
    try:
        written = orjson.dumps(value)
    except TypeError:
        return  # lone surrogates cannot be written as UTF-8
    fits = jsonschema.Draft202012Validator(load_schema("event.v1")).is_valid(value)
    outcome = decode(written)
    if fits and value["text"].strip():
        assert isinstance(outcome, Event)
        assert outcome.text == value["text"]
    else:
        assert isinstance(outcome, DeadLetter)
        assert outcome.reason is (Reason.EMPTY if fits else Reason.SCHEMA)


@given(st.binary(max_size=200), st.sampled_from([(), STRUCTURED, BINARY, (("content-type", b"text/plain"),)]))
def test_no_bytes_raise(value: bytes, headers: Headers) -> None:
    assert isinstance(decode(value, headers), Event | DeadLetter)


USUAL = b'{"id":"t-1","text":"hi"}'
ODD = JSON | st.sampled_from(["", " ", "\n\t", "\u2003\u3000", "\x1c", "\u200b", "x" * 120, 2**64, 0.5])
ODD_EVENTS = st.dictionaries(
    st.sampled_from(["id", "text", "text_pair", "metadata", "time", "other"]), ODD, max_size=6
)
TEXT_EVENTS = st.fixed_dictionaries({"id": st.text(max_size=5), "text": st.text(max_size=30)})
HEADER = st.sampled_from(
    [
        ("labelstream-id", b""),
        ("labelstream-id", b"named"),
        ("labelstream-id", b"\xff"),
        ("content-type", b""),
        ("content-type", b"text/plain"),
        ("content-type", b"application/json"),
        *STRUCTURED,
        *BINARY,
        ("ce_time", b"2026-01-02T03:04:05Z"),
        ("other", b"1"),
        ("Content-Type", b"text/plain"),
    ]
)


@st.composite
def values(draw: st.DrawFn) -> bytes | None:
    """Generate values that are events, nearly events, or something else."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.none() | st.binary(max_size=40))
    value = draw(TEXT_EVENTS | ODD_EVENTS | ODD)
    try:
        # The standard library escapes all that is not ASCII, as many producers do.
        written = orjson.dumps(value) if draw(st.booleans()) else json.dumps(value).encode()
    except TypeError:
        written = b'{"id":"a","text":"\xed\xa0\x80"}'  # a lone surrogate
    if written.startswith(b"{") and len(written) > 2 and draw(st.booleans()):
        again = orjson.dumps(draw(st.sampled_from(["", "again", 7, None])))
        field = draw(st.sampled_from([b"id", b"text", b"time"]))
        written = b'%b,"%b":%b}' % (written[:-1], field, again)
    return written + draw(st.sampled_from([b"", b"", b"", b" ", b"}", b"\xff", b" " * 400]))


PIECES = [
    r"\n",
    r"\"",
    r"\\",
    r"\/",
    r"\u00e9",
    r"\uD83D",
    r"\ude00",
    r"\u0000",
    r"\u12",
    r"\x",
    "é",
    "a",
    " ",
]
ESCAPED = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
MEMBERS = ['"id":"{}",', '"id":"{}","id":null,', '"time":"{}",', '"x":["{}"],', '"text":"{}",']


@given(ESCAPED, ESCAPED, ESCAPED, st.sampled_from(MEMBERS))
def test_both_paths_read_escapes_alike(text: str, other: str, third: str, member: str) -> None:
    members = f'{member.format(other)}"text":"{text}","metadata":{{"m":"{third}"}}'
    value = b"{%b}" % members.encode()
    (decoded,) = decoder().decode_all(SOURCE, [as_read(FakeRecord(value))])
    assert plain(decoded) == plain(decoder()._slow_path(SOURCE, FakeRecord(value)))


TOKENS = [
    *'{}[]:,"\\ -.0',
    "1",
    "e5",
    "E",
    "e400",
    "9" * 320,
    "true",
    "null",
    '"a"',
    '""',
    r'"\ud800"',
    "é",
    "\0",
    "\t",
]
JUMBLED = st.lists(st.sampled_from(TOKENS), max_size=8).map("".join)


@given(JUMBLED, st.sampled_from(['"x":{}', '"metadata":{}', '"metadata":{{"m":{}}}', '"id":{}', "{}"]))
def test_both_paths_read_any_tokens_alike(tokens: str, member: str) -> None:
    value = b'{"text":"hi",%b}' % member.format(tokens).encode()
    (decoded,) = decoder().decode_all(SOURCE, [as_read(FakeRecord(value))])
    assert plain(decoded) == plain(decoder()._slow_path(SOURCE, FakeRecord(value)))


@given(values(), st.lists(HEADER, max_size=4).map(tuple), st.sampled_from(["json", "text"]))
@example(USUAL, BINARY[:1], "json")
@example(USUAL, (("content-type", b"text/plain"),), "json")
@example(USUAL, (("labelstream-id", b"named"),), "json")
@example(USUAL, (), "text")
@example(b'{"id":"t-1","text":"hi","time":7}', (), "json")
@example(b'{"id":"t-1","text":"hi","metadata":[]}', (), "json")
@example(b'{"id":"t-1","text":"hi","text_pair":7}', (), "json")
@example(b'{"id":"t-1","text":"hi","text_pair":"ho"}', (), "json")
@example(b'{"id":"","text":"hi"}', (), "json")
@example(b'{"text":"\xff","text":"ok"}', (), "json")
@example(b'{"text":"\xed\xa0\x80","text":"ok"}', (), "json")
def test_the_fast_path_reads_no_record_differently(
    value: bytes | None, headers: Headers, input_format: str
) -> None:
    reader = decoder(input_format, max_event_bytes=350, max_text_chars=100)
    record = FakeRecord(value, headers=headers)
    slow = reader._slow_path(SOURCE, record)
    read = as_read(record)
    results = reader.decode_all(SOURCE, [read, as_read(FakeRecord(USUAL)), read])
    assert [*map(plain, results[::2])] == [plain(slow)] * 2
    assert all(result.record is read for result in results[::2])


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (b'{"id":"t-1","text":"hi"}', ()),
        (b'{"id":"t-1","text":"hi","time":null,"metadata":{"a":1}}', ()),
        (b'{"id":"t-1","text":"hi","time":"2026-01-02T03:04:05Z"}', (("trace", b"1"),)),
    ],
)
def test_plain_events_take_the_fast_path(value: bytes, headers: Headers) -> None:
    (event,) = decoder()._fast_path(SOURCE, [as_read(FakeRecord(value, headers=headers))])
    assert event is not None
