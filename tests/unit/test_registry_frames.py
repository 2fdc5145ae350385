"""Tests of Confluent's wire format."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import Poison, Reason
from stream.registry.frame import (
    MAX_SCHEMA_ID,
    check_no_header_id,
    framed_ids,
    read_frame,
    read_message_indexes,
    write_frame,
)

SCHEMA_IDS = st.integers(0, MAX_SCHEMA_ID)


def zigzag(number: int) -> bytes:
    """Return a zigzag varint, as Confluent's clients write the indices of message types."""
    left, written = number << 1 if number >= 0 else (-number << 1) - 1, bytearray()
    while left >= 0x80:
        written.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*written, left])


@given(SCHEMA_IDS, st.binary())
def test_a_written_frame_is_read_again(schema_id: int, payload: bytes) -> None:
    value = write_frame(schema_id, payload)
    assert read_frame(value) == (schema_id, payload)
    assert framed_ids([value, None, b"", b"\x01abcd"]) == {schema_id}


@given(st.binary())
def test_any_bytes_are_a_frame_or_a_dead_letter(value: bytes) -> None:
    try:
        schema_id, payload = read_frame(value)
    except Poison as error:
        assert error.reason in (Reason.DECODE, Reason.SCHEMA)
        assert not framed_ids([value])
    else:
        assert write_frame(schema_id, payload) == value


@given(st.lists(st.integers(0, 2**20), min_size=1, max_size=64), st.binary())
def test_message_indexes_are_read(indexes: list[int], body: bytes) -> None:
    payload = zigzag(len(indexes)) + b"".join(map(zigzag, indexes)) + body
    assert read_message_indexes(payload) == (tuple(indexes), body)


@given(st.binary(max_size=40))
def test_any_message_indexes_are_read_or_a_dead_letter(payload: bytes) -> None:
    try:
        indexes, body = read_message_indexes(payload)
    except Poison as error:
        assert error.reason is Reason.DECODE
    else:
        assert indexes
        assert payload.endswith(body)


def test_the_index_zero_stands_for_the_first_message() -> None:
    assert read_message_indexes(b"\x00rest") == ((0,), b"rest")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"", "0 bytes"),
        (b"\x00\x00\x00\x01", "4 bytes"),
        (b'{"text":"secret"}', "byte 123"),
        (b"\x01abcdef", "byte 1,"),
    ],
)
def test_the_message_says_what_is_wrong_and_not_what_the_value_is(value: bytes, message: str) -> None:
    with pytest.raises(Poison, match=message) as raised:
        read_frame(value)
    assert "secret" not in raised.value.message


def test_an_id_in_a_header_is_refused_by_name() -> None:
    check_no_header_id([("a", b"1")])
    with pytest.raises(Poison, match="__value_schema_id") as raised:
        check_no_header_id([("a", b"1"), ("__value_schema_id", b"\x01" + bytes(16))])
    assert raised.value.reason is Reason.SCHEMA


@pytest.mark.parametrize("schema_id", [MAX_SCHEMA_ID + 1, 2**32 - 1])
def test_an_id_that_no_registry_has_is_a_dead_letter_without_a_request(schema_id: int) -> None:
    value = write_frame(schema_id, b"refund")
    assert not framed_ids([value])
    with pytest.raises(Poison, match=str(schema_id)) as raised:
        read_frame(value)
    assert raised.value.reason is Reason.SCHEMA
