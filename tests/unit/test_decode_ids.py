"""Ids: integers of any size are exact, and ids that no header can carry are refused."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import Reason
from stream.records import Event, Tombstone
from stream.records.events import MAX_ID_CHARS
from tests.unit.decoding import BINARY, ENVELOPE, POSITION, STRUCTURED, dead_letter, decode, decoder, event
from tests.unit.record_path import record_path
from tests.unit.records import SOURCE, FakeRecord, as_read

__all__ = ["record_path"]
pytestmark = pytest.mark.usefixtures("record_path")

INTEGERS = [
    0,
    -1,
    2**53 + 1,
    2**63,
    2**64 - 1,
    2**64,
    -(2**63) - 1,
    10**30 + 7,
    10**308 + 1,
    10**400 + 1,
    10**1023 + 1,
    -(10**1022) - 1,
]


def in_every_place(event_json: bytes) -> list[tuple[bytes, Any]]:
    """Return records that hold the event: alone, and in CloudEvents of both modes."""
    envelope = orjson.dumps(ENVELOPE)[:-1]
    return [
        (event_json, ()),
        (event_json, (("content-type", b"application/json"),)),
        (event_json, BINARY),
        (b'%b,"data":%b}' % (envelope, event_json), STRUCTURED),
        (b'{"data":%b,%b}' % (event_json, envelope[1:]), STRUCTURED),
    ]


@pytest.mark.parametrize("number", INTEGERS)
def test_an_integer_id_of_any_size_is_exact(number: int) -> None:
    for value in (b'{"id":%d,"text":"hi"}', b'{"text":"hi", "id" : %d }', b'{"id":1,"text":"hi","id":%d}'):
        for written, headers in in_every_place(value % number):
            found = event(written, headers)
            assert (found.id, found.text) == (str(number), "hi")


def test_the_other_fields_of_an_event_with_a_large_id_are_read() -> None:
    members = b'"text":"1%d","text_pair":"b","metadata":{"n":[1.5,%d]},"time":"2026-01-02T03:04:05Z"'
    value = b'{"id":%d,%b}' % (2**70, members % (2**70, 2**60))
    for written, headers in in_every_place(value):
        found = event(written, headers)
        assert (found.id, found.text, found.text_pair) == (str(2**70), f"1{2**70}", "b")
        assert found.metadata == {"n": [1.5, 2**60]}
        assert found.time == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize("number", [b"1.5", b"1.0", b"1e2", b"1E30", b"-0.0", b"18446744073709551616.0"])
def test_a_float_is_no_id(number: bytes) -> None:
    for written, headers in in_every_place(b'{"id":%b,"text":"hi"}' % number):
        dead = dead_letter(written, headers, Reason.SCHEMA)
        assert dead.message == "id must be a string or an integer"


def test_an_integer_with_too_many_digits_is_no_id() -> None:
    for digits in (1025, 5000, 200_000):
        for written, headers in in_every_place(b'{"id":%b,"text":"hi"}' % (b"9" * digits)):
            dead = dead_letter(written, headers, Reason.SCHEMA)
            assert dead.message == f"id has {digits} characters, 1024 are allowed"
            assert dead.id == POSITION


@pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"9" * 400])
def test_a_number_that_no_double_holds_is_a_dead_letter_elsewhere(number: bytes) -> None:
    for event_id in (b"1", b'"a"', b"9" * 400):
        for member in (b'"metadata":{"n":%b}', b'"other":%b'):
            value = b'{"id":%b,"text":"hi",%b}' % (event_id, member % number)
            for written, headers in in_every_place(value):
                dead_letter(written, headers, Reason.DECODE)


@pytest.mark.parametrize("unit", ["i", "é", "🎉", "\\u00e9", "\\n"])
def test_an_id_has_at_most_1024_characters(unit: str) -> None:
    for written, headers in in_every_place(f'{{"id":"{unit * 1024}","text":"hi"}}'.encode()):
        assert event(written, headers).id == orjson.loads(f'"{unit * 1024}"')
    for length in (1025, 60_000):
        for written, headers in in_every_place(f'{{"id":"{unit * length}","text":"hi"}}'.encode()):
            dead = dead_letter(written, headers, Reason.SCHEMA)
            assert dead.message == f"id has {length} characters, 1024 are allowed"
            assert dead.id == POSITION


def test_an_id_of_1024_characters_takes_the_fast_path() -> None:
    for length, fast in ((1024, True), (1025, False)):
        record = as_read(FakeRecord(b'{"id":"%b","text":"hi"}' % (b"i" * length)))
        (decoded,) = decoder()._fast_path(SOURCE, [record])
        assert (decoded is not None) is fast


def test_a_header_with_an_id_that_is_too_long_is_a_dead_letter() -> None:
    for value in (b'{"id":"own","text":"hi"}', b'{"text":"hi"}'):
        dead = dead_letter(value, (("labelstream-id", b"h" * 900_000),), Reason.SCHEMA)
        assert dead.message == "the header labelstream-id has 900000 characters, 1024 are allowed"
        assert len(dead.id) <= MAX_ID_CHARS
    assert event(b'{"text":"hi"}', (("labelstream-id", "é".encode() * 1024),)).id == "é" * 1024


@pytest.mark.parametrize("name", [b"\xff", b"a\xed\xa0\x80", b"\xc0\x80", b"abc\xe2\x82"])
def test_an_id_that_is_not_utf_8_is_a_dead_letter(name: bytes) -> None:
    dead = dead_letter(b'{"id":"own","text":"hi"}', (("labelstream-id", name),), Reason.SCHEMA)
    assert (dead.message, dead.id) == ("the header labelstream-id is not UTF-8", "own")
    headers = tuple((key, name if key == "ce_id" else value) for key, value in BINARY)
    dead = dead_letter(b'{"text":"hi"}', headers, Reason.SCHEMA)
    assert (dead.message, dead.id) == ("not a CloudEvent: the header ce_id is not UTF-8", POSITION)
    dead_letter(b'{"id":"%b","text":"hi"}' % name, (), Reason.DECODE)


@pytest.mark.parametrize("escape", [r"\ud800", r"a\udfffb", r"\ude00\ud83d", r"\uD83D\uD83D\uDE00"])
def test_an_id_with_a_lone_surrogate_is_a_dead_letter(escape: str) -> None:
    for written, headers in in_every_place(f'{{"id":"{escape}","text":"hi"}}'.encode()):
        assert dead_letter(written, headers, Reason.DECODE).id == POSITION


def test_the_id_of_a_cloud_event_counts_though_its_data_has_another() -> None:
    headers = tuple((key, b"i" * 1025 if key == "ce_id" else value) for key, value in BINARY)
    dead_letter(b'{"id":"own","text":"hi"}', headers, Reason.SCHEMA)


def test_an_unusable_header_does_not_stop_a_tombstone() -> None:
    for name in (b"h" * 5000, b"\xff"):
        tombstone = decode(None, (("labelstream-id", name),))
        assert isinstance(tombstone, Tombstone)
        assert tombstone.id == POSITION


def test_a_dead_letter_for_another_reason_has_a_usable_id() -> None:
    for name in (b"h" * 5000, b"\xff"):
        assert dead_letter(b"{broken", (("labelstream-id", name),), Reason.DECODE).id == POSITION
        assert dead_letter(b'{"id":"own"}', (("labelstream-id", name),), Reason.SCHEMA).id == "own"


@given(st.integers() | st.integers(-(10**500), 10**500), st.text(max_size=20))
def test_both_fields_of_any_event_with_an_integer_id_are_exact(number: int, text: str) -> None:
    try:
        written = b'{"id":%d,"text":%b}' % (number, orjson.dumps(f"a{text}"))
    except TypeError:
        return  # lone surrogates cannot be written as UTF-8
    found = event(written)
    assert isinstance(found, Event)
    assert (found.id, found.text) == (str(number), f"a{text}")
