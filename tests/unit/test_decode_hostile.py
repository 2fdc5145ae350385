"""No record makes the decoder raise: each leads to one outcome, and a dead letter's message is our own."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st

from stream.errors import BrokerError, Poison, Reason, is_fault_of_record
from stream.records import DeadLetter, Decoder, Event, Tombstone, dead_letter_headers
from stream.records.events import MAX_ID_CHARS
from stream.routes import RouteOptions
from stream.schemas import load_schema
from tests.unit.decoding import (
    BINARY,
    ENVELOPE,
    POSITION,
    STRUCTURED,
    Headers,
    dead_letter,
    decode,
    decoder,
    event,
    typed,
)
from tests.unit.record_path import record_path
from tests.unit.records import SOURCE, FakeRecord, as_read

__all__ = ["record_path"]
pytestmark = pytest.mark.usefixtures("record_path")

PYTHONS_WORDS = ("Error", "codec", "decode byte", "line 1", "Exception", "expected", "Traceback", "NoneType")
GOOD = b'{"id":"good","text":"hi"}'


def nested(levels: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return opening * levels + closing * levels


ENVELOPE_START = b'{"specversion":"1.0","id":"ce-7","type":"t","source":"/shop"'
DEEP: dict[str, tuple[bytes, Headers]] = {
    "value": (b"[" * 3000, ()),
    "closed value": (nested(3000), ()),
    "objects": (b'{"a":' * 3000 + b"1" + b"}" * 3000, ()),
    "unknown member": (b'{"text":"hi","other":%b}' % nested(3000), ()),
    "metadata": (b'{"text":"hi","metadata":{"m":%b}}' % nested(3000), ()),
    "metadata objects": (b'{"text":"hi","metadata":%b}' % (b'{"m":' * 3000 + b"1" + b"}" * 3000), ()),
    "id": (b'{"text":"hi","id":%b}' % nested(3000), ()),
    "beside a large id": (b'{"id":%d,"text":"hi","other":%b}' % (10**400, nested(3000)), ()),
    "binary CloudEvent": (b"[" * 3000, BINARY),
    "binary CloudEvent, closed": (nested(3000), BINARY),
    "structured CloudEvent": (b'{"data":' * 2000 + b"1" + b"}" * 2000, STRUCTURED),
    "data": (b'%b,"data":{"text":"hi","metadata":{"m":%b}}}' % (ENVELOPE_START, nested(3000)), STRUCTURED),
    "extension": (b'%b,"data":"hi","extension":%b}' % (ENVELOPE_START, nested(3000)), STRUCTURED),
    "encoding": (b'%b,"data":"hi","datacontentencoding":%b}' % (ENVELOPE_START, nested(3000)), STRUCTURED),
    "data of 1,000 levels": (b'%b,"data":%b}' % (ENVELOPE_START, nested(1000)), STRUCTURED),
    "metadata of 513 levels": (b'{"text":"hi","metadata":{"m":%b}}' % nested(511), ()),
    "brackets after strings": (b'{"text":"]]]\\"]]]","metadata":{"m":%b}}' % nested(600), ()),
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_nesting_is_a_dead_letter(name: str) -> None:
    value, headers = DEEP[name]
    dead_letter(value, headers, Reason.DECODE)


def test_a_string_of_quotes_without_an_end_takes_no_time() -> None:
    started = time.process_time()
    dead_letter(b"[" * 513 + b'"' + b'\\"' * 40_000, (), Reason.DECODE)
    assert time.process_time() - started < 5


@pytest.mark.parametrize("levels", [100, 101, 500, 509])
def test_nesting_within_the_limit_is_read_everywhere(levels: int) -> None:
    deep = nested(levels)
    for value, headers in (
        (b'{"text":"hi","metadata":{"m":%b}}' % deep, ()),
        (b'{"text":"hi","other":%b}' % deep, BINARY),
        (b'%b,"data":{"text":"hi"},"other":%b}' % (ENVELOPE_START, deep), STRUCTURED),
        (b'%b,"data":{"text":"hi","metadata":{"m":%b}}}' % (ENVELOPE_START, deep), STRUCTURED),
        (b'%b,"data":"hi","datacontentencoding":%b}' % (ENVELOPE_START, deep), STRUCTURED),
    ):
        assert event(value, headers).text == "hi"


def test_brackets_in_strings_are_text() -> None:
    for text in (b"[" * 900, b'{\\"a\\":' * 200, b"\\\\[" * 400, b'\\"' * 900):
        assert event(b'{"text":"%b","metadata":{"m":"%b"}}' % (text, text)).text


class OddRecord:
    """A record whose value raises an error when it is read."""

    key, offset, timestamp, damaged = None, 1041, 0, False
    headers: Headers = ()

    def __init__(self, error: BaseException) -> None:
        self._error = error

    @property
    def value(self) -> bytes:
        raise self._error


class Panic(BaseException):
    """An error that is no `Exception`, as pyo3 raises it for a panic in Rust."""


ERRORS: list[Callable[[], BaseException]] = [
    lambda: ValueError("secret text"),
    lambda: RecursionError("secret text"),
    lambda: OverflowError("secret text"),
    lambda: UnicodeDecodeError("utf-8", b"secret text", 0, 1, "invalid start byte"),
    lambda: AssertionError("secret text"),
    lambda: Panic("secret text"),
    lambda: BaseExceptionGroup("secret text", [Panic("secret text")]),
]


@pytest.mark.parametrize("error", ERRORS)
def test_an_unexpected_error_isolates_its_record(error: Callable[[], BaseException]) -> None:
    reader = decoder("text")
    records: list[Any] = [FakeRecord(b"first"), OddRecord(error()), FakeRecord(b"last"), OddRecord(error())]
    with structlog.testing.capture_logs() as logs:
        first, odd, last, again = reader.decode_all(SOURCE, records)
    assert isinstance(first, Event)
    assert isinstance(last, Event)
    for dead in (odd, again):
        assert isinstance(dead, DeadLetter)
        assert (dead.reason, dead.id) == (Reason.DECODE, POSITION)
        assert dead.message == "the decoder failed on this record"
    (line,) = logs
    assert line["error"] == type(error()).__name__
    assert (line["log_level"], line["topic"], line["partition"], line["offset"]) == (
        "error",
        "texts",
        3,
        1041,
    )
    assert line["raised_in"].startswith("tests.unit.test_decode_hostile:")
    assert "secret" not in str(line)


@pytest.mark.parametrize("error", ERRORS)
def test_an_unexpected_error_of_the_fast_path_isolates_its_record(
    error: Callable[[], BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = decoder()
    fast: Any = reader._fast
    parse = fast._parse

    def fragile(value: str) -> Any:
        if "odd" in value:
            raise error()
        return parse(value)

    monkeypatch.setattr(fast, "_parse", fragile)
    records = [as_read(FakeRecord(value)) for value in (GOOD, b'{"text":"odd"}', GOOD)]
    assert [type(item) for item in reader.decode_all(SOURCE, records)] == [Event] * 3


def test_an_unexpected_error_of_the_codec_leaves_the_batch_to_the_slow_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = decoder()

    class FragileCodec:
        def json_texts(self, *_: Any) -> Any:
            raise RecursionError

    monkeypatch.setattr(reader, "_codec", FragileCodec())
    records = [as_read(FakeRecord(value)) for value in (GOOD, b"{broken")]
    assert [type(item) for item in reader.decode_all(SOURCE, records)] == [Event, DeadLetter]


@pytest.mark.parametrize(
    "error",
    [
        asyncio.CancelledError(),
        GeneratorExit(),
        KeyboardInterrupt(),
        SystemExit(),
        MemoryError(),
        BrokerError("gone"),
    ],
)
def test_an_error_of_the_worker_ends_the_decoding(error: BaseException) -> None:
    assert not is_fault_of_record(error)
    records: list[Any] = [OddRecord(error)]
    with pytest.raises(type(error)):
        decoder("text").decode_all(SOURCE, records)


def test_every_other_error_is_the_fault_of_its_record() -> None:
    for error in (
        *(make() for make in ERRORS),
        Poison(Reason.MODEL, "m"),
        Exception(),
        OSError(),
        TimeoutError(),
    ):
        assert is_fault_of_record(error)


@pytest.mark.parametrize("value", [b"raw body", GOOD, None])
def test_a_damaged_record_is_a_dead_letter(value: bytes | None) -> None:
    for reader in (decoder("text"), decoder("json")):
        dead = reader._slow_path(SOURCE, FakeRecord(value, damaged=True))
        assert isinstance(dead, DeadLetter)
        assert (dead.reason, dead.id) == (Reason.DECODE, POSITION)


NAMES = st.sampled_from(
    [
        "labelstream-id",
        "labelstream-error-attempt",
        "content-type",
        "traceparent",
        "ce_specversion",
        "ce_id",
        "ce_type",
        "ce_source",
        "ce_time",
        "ce_datacontenttype",
        "ce_x",
        "other",
    ]
)
VALUES = st.binary(max_size=30) | st.sampled_from(
    [
        b"1.0",
        b"0.3",
        b"id",
        b"i" * 2000,
        b"9" * 5000,
        b"-1",
        "٣".encode(),
        b"text/plain",
        b"text/plain; charset=utf-16",
        b"text/plain; charset=\xff",
        b"application/json",
        b"application/avro",
        b"application/cloudevents+json",
        b"application/cloudevents+json; charset=utf-16",
        b"2026-01-02T03:04:05Z",
        b"9999-12-31T24:00:00Z",
    ]
)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=6).map(tuple)
MEMBERS: list[Any] = ["1.0", "0.3", "x", "", "aGk=", "eyJ0ZXh0IjoiaGkifQ==", "base64", "text/plain"]
MEMBERS += ["application/json", "application/avro", None, 7, 1.5, 2**70, "i" * 2000, []]
MEMBERS += [{"text": "hi"}, {"id": 2**70, "text": "hi"}]
ENVELOPES = st.dictionaries(
    st.sampled_from([*ENVELOPE, "time", "data", "data_base64", "datacontenttype", "datacontentencoding"]),
    st.sampled_from(MEMBERS),
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes | None:
    """Generate values: any bytes, JSON with hostile members, and envelopes."""
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return draw(st.none() | st.binary(max_size=60))
    if kind == 1:
        member = draw(st.sampled_from([b"id", b"text", b"text_pair", b"metadata", b"time"]))
        token = draw(
            st.sampled_from(
                [b"9" * 400, b"9" * 5000, b"1e400", b"-0", b'"\\ud800"', b"[" * 2000, b"{}", b'"a"']
            )
        )
        return b'{"text":"hi","%b":%b}' % (member, token)
    envelope = draw(ENVELOPES)
    if kind == 2:
        envelope = {**ENVELOPE, **envelope}
    return str(envelope).replace("'", '"').replace("None", "null").encode()


@given(bodies(), HEADERS, st.sampled_from(["json", "text"]))
@example(b"x", (("labelstream-error-attempt", b"9" * 5000),), "json")
@example(b"[" * 3000, BINARY[:1], "json")
@example(GOOD, (*BINARY, ("ce_time", b"9999-12-31T24:00:00Z")), "json")
@example(GOOD, (("labelstream-id", b"h" * 5000),), "json")
def test_any_record_leads_to_one_outcome(value: bytes | None, headers: Headers, input_format: Any) -> None:
    (decoded,) = decoder(input_format).decode_all(SOURCE, [as_read(FakeRecord(value, headers=headers))])
    assert isinstance(decoded, Event | DeadLetter | Tombstone)
    assert 0 < len(decoded.id) <= MAX_ID_CHARS
    decoded.id.encode()
    if isinstance(decoded, Event):
        decoded.text.encode()
    if isinstance(decoded, DeadLetter):
        assert decoded.message != "the decoder failed on this record"
        check_message(decoded.message)
        added = dict(dead_letter_headers(decoded, "g"))
        ours = {name: added[name].decode() for name in load_schema("dead-letter-headers.v1")["required"]}
        jsonschema.validate(ours, load_schema("dead-letter-headers.v1"))


def check_message(message: str) -> None:
    assert message.isprintable()
    assert len(message) < 200
    assert not any(word in message for word in PYTHONS_WORDS), message


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (b"\xff\xfe", ()),
        (b"", ()),
        (b"{", ()),
        (b'{"text":}', ()),
        (b'{"text":"\\ud800"}', ()),
        (b'{"text":"a\nb"}', ()),
        (b'{"a":1e400}', ()),
        (b"\xff", typed(b"text/plain")),
        (b"\xff", typed(b"text/plain; charset=ascii")),
        (b"\xff", typed(b"text/plain; charset=base64")),
        (b"not JSON", STRUCTURED),
        (b"\xff", STRUCTURED),
        (b"[]", STRUCTURED),
        (b"{}", STRUCTURED),
        (b'{"id":1}', BINARY),
        (b"\xff", BINARY),
        (b"x", (*BINARY, ("ce_time", b"\xff"))),
        (b"x", (*BINARY[:1], ("ce_id", b"\xff"))),
    ],
)
def test_the_message_of_a_dead_letter_is_our_own(value: bytes, headers: Headers) -> None:
    dead = decode(value, headers)
    assert isinstance(dead, DeadLetter)
    check_message(dead.message)


@given(bodies(), HEADERS)
def test_a_pair_route_decodes_any_record_too(value: bytes | None, headers: Headers) -> None:
    reader = Decoder(RouteOptions(), max_event_bytes=4096, max_text_chars=1000, takes_pair=True)
    (decoded,) = reader.decode_all(SOURCE, [as_read(FakeRecord(value, headers=headers))])
    assert isinstance(decoded, Event | DeadLetter | Tombstone)
