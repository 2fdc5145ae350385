"""The codec's functions, in C and in Python."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import stream.codec
from stream.codec import EncodedRecords, ReadRecord, load_codec
from stream.codec.base import MAX_HEADERS, PART_RECORDS
from stream.codec.python import PythonCodec
from stream.codec.wire import encode_body, encode_record, varint
from stream.records import timestamps
from tests.unit.record_path import record_path
from tests.unit.records import FakeRecord, as_read, contents

__all__ = ["record_path"]
pytestmark = pytest.mark.usefixtures("record_path")

READ = frozenset(("content-type", "ce_specversion"))
# A header name of the bytes 6e ff 65.
NOT_UTF8 = "n\udcffe"


def json_text(value: bytes | None, headers: tuple[tuple[str, bytes], ...] = ()) -> str | None:
    (text,) = load_codec().json_texts([as_read(FakeRecord(value, headers=headers))], READ, 400)
    return text


def test_the_codec_is_chosen_once(record_path: str) -> None:
    assert load_codec() is load_codec()
    assert load_codec().name == record_path


def test_without_the_compiled_module_python_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "stream.codec.compiled", None)
    assert type(stream.codec.load_codec.__wrapped__()) is PythonCodec


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{}",
        b"[",
        '{"text":"日本語 🎉"}'.encode(),
        b'{"n":-1.25,"m":[1234567890,true,false,null]}',
        b'{"uuid":"12e4-7E3","brackets":"' + b"[{" * 80 + b'"}',
        b"[" * 100 + b"]" * 100,
        b"9" * 290,
    ],
)
def test_a_value_within_the_limits_is_text(value: bytes) -> None:
    assert json_text(value) == value.decode()
    assert json_text(value, (("other", b"1"),)) == value.decode()


@pytest.mark.parametrize(
    "value",
    [
        None,
        b" " * 401,
        b'{"text":"\xff"}',
        b"\xed\xa0\x80",
        b'{"n":1e5}',
        b'{"n":[-1.0E+2]}',
        b"9" * 301,
        b'{"n":0.' + b"1" * 301 + b"}",
        b"[" * 101 + b"]" * 101,
        b'{"":' * 60 + b"[" * 60,
    ],
)
def test_other_values_are_left_to_the_slow_path(value: bytes | None) -> None:
    assert json_text(value) is None


@pytest.mark.parametrize("name", sorted(READ))
def test_a_header_that_decides_the_reading_leaves_the_value_to_the_slow_path(name: str) -> None:
    assert json_text(b"{}", (("h", b"1"), (name, b""))) is None


@pytest.mark.parametrize(
    "value",
    [b'{"a":"\\\\"}', b'{"a":"\\\\\\"[[[","b":1}', b'{"a\\"":"1e5"}'],
)
def test_escapes_do_not_hide_where_strings_end(value: bytes, record_path: str) -> None:
    # Python may leave such a value to the slow path.
    assert json_text(value) in ([value.decode()] if record_path == "compiled" else [value.decode(), None])


@given(st.binary(max_size=60) | st.text('"\\[]{}e1.,:a', max_size=60).map(str.encode))
def test_any_value_is_its_text_or_left_to_the_slow_path(value: bytes) -> None:
    text = json_text(value)
    assert text is None or text.encode() == value


@given(st.integers(-(2**31), 2**31 - 1))
def test_varints_equal_those_of_aiokafka(number: int) -> None:
    from aiokafka.record.util import encode_varint_py

    expected = bytearray()
    encode_varint_py(number, expected.append)
    assert varint(number) == bytes(expected)


def test_the_size_of_records_counts_keys_and_values() -> None:
    records = [as_read(FakeRecord(b"12345", b"k")), as_read(FakeRecord(None)), as_read(FakeRecord(b""))]
    assert load_codec().size_bytes(records) == 6


def test_the_size_of_records_counts_headers() -> None:
    headers: Any = (("name", b"12"), ("é", None), ("", b""), (NOT_UTF8, b"3"))
    assert load_codec().size_bytes([as_read(FakeRecord(b"12345", b"k", headers))]) == 6 + 6 + 2 + 4


def test_a_record_whose_bytes_cannot_be_read_has_a_size() -> None:
    pointer = ReadRecord(None, None, [], 7, -1, damaged=True)
    assert load_codec().size_bytes([pointer, ReadRecord(b"k", b"123", [("n", b"v")], 8, -1)]) == 6


def test_timestamps_are_those_of_the_records() -> None:
    records = [as_read(FakeRecord(b"", timestamp=timestamp)) for timestamp in (5, 0, 2**40)]
    assert timestamps(records).tolist() == [5, 0, 2**40]


@pytest.mark.parametrize("timestamp", [-1, 0, 2**62])
def test_a_packed_record_keeps_its_parts(timestamp: int) -> None:
    record = load_codec().pack(None, b"value", [("h", b"1"), ("h", b"")], timestamp)
    assert contents(record) == (None, b"value", [("h", b"1"), ("h", b"")], timestamp)


def test_a_header_name_that_is_not_utf_8_keeps_its_bytes() -> None:
    record = as_read(FakeRecord(b"{}", b"k", ((NOT_UTF8, b"1"), ("h", b"2"))))
    assert not record.damaged
    assert record.headers == [(NOT_UTF8, b"1"), ("h", b"2")]
    packed = load_codec().pack(record.key, record.value, record.headers, 5)
    buffer = bytearray()
    load_codec().append(buffer, [packed], 0, 1 << 20, 0)
    assert b"n\xffe" in buffer
    assert json_text(b"{}", ((NOT_UTF8, b"1"),)) == "{}"


# ---- unusual and broken framing ----------------------------------------------------------------------


def record_bytes(body: bytes, prefix: bytes = b"\0\x06\0") -> bytes:
    """Return a record; the prefix holds the attributes and the deltas of timestamp and offset."""
    return varint(len(prefix + body)) + prefix + body


def unpacked(data: bytes, count: int = 1, last_delta: int | None = None, from_offset: int = 0) -> list[Any]:
    last = count - 1 if last_delta is None else last_delta
    batch = EncodedRecords(data, 0, len(data), count, 100, 1_000, False, last)
    return [record for part in load_codec().unpack(batch, from_offset) for record in part]


NULL, EMPTY, NO_HEADERS = b"\x01", b"\0", b"\0"


@pytest.mark.parametrize("null", [-1, -2, -(2**31)])
def test_every_negative_length_means_null(null: int) -> None:
    length = varint(null)
    (record,) = unpacked(record_bytes(length + length + b"\x02" + b"\x02h" + length))
    assert (record.key, record.value, record.headers, record.damaged) == (None, None, [("h", None)], False)
    assert (record.offset, record.timestamp) == (100, 1_003)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="no parts"),
        pytest.param(NULL, id="no value"),
        pytest.param(NULL + NULL, id="no headers"),
        pytest.param(b"\x06ab", id="key too long"),
        pytest.param(NULL + b"\x06ab", id="value too long"),
        pytest.param(NULL + NULL + NO_HEADERS + b"x", id="trailing byte"),
        pytest.param(NULL + NULL + b"\x02", id="header missing"),
        pytest.param(NULL + NULL + b"\x01", id="header count negative"),
        pytest.param(NULL + NULL + varint(2**31 - 1), id="header count huge"),
        pytest.param(NULL + NULL + b"\x02" + NULL + NULL, id="header name null"),
        pytest.param(NULL + NULL + b"\x02" + b"\x06n", id="header name too long"),
        pytest.param(NULL + NULL + b"\x02" + b"\x02n" + b"\x06v", id="header value too long"),
        pytest.param(NULL + NULL + b"\x02" + b"\x02n", id="header value missing"),
        pytest.param(b"\x80\x80\x80\x80\x80\x01" + NULL + NO_HEADERS, id="length of six bytes"),
        pytest.param(NULL + b"\xff\xff\xff\xff\xff", id="length without an end"),
        pytest.param(
            NULL + NULL + varint(MAX_HEADERS + 1) + (EMPTY + NULL) * (MAX_HEADERS + 1), id="too many headers"
        ),
    ],
)
def test_a_record_without_its_parts_is_damaged_and_keeps_its_bytes(body: bytes) -> None:
    good = record_bytes(NULL + b"\x04{}" + NO_HEADERS)
    first, record, last = unpacked(good + record_bytes(body) + good, 3)
    assert record.damaged
    assert (record.key, record.value, record.headers) == (None, b"\0\x06\0" + body, [])
    assert (record.offset, record.timestamp) == (101, 1_003)
    assert [(r.offset, r.value, r.damaged) for r in (first, last)] == [
        (100, b"{}", False),
        (102, b"{}", False),
    ]
    assert load_codec().json_texts([record], READ, 1 << 30) == [None]


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\x80", b"\0\0", b"\0" + b"\xff" * 11], ids=bytes.hex)
def test_a_record_without_an_offset_takes_its_place_in_the_batch(data: bytes) -> None:
    good = record_bytes(NULL + b"\x04{}" + NO_HEADERS)
    _, record = unpacked(good + varint(len(data)) + data, 2)
    assert (record.damaged, record.value, record.offset, record.timestamp) == (True, data, 101, 1_000)


def test_as_many_headers_as_allowed_are_read() -> None:
    (record,) = unpacked(record_bytes(NULL + NULL + varint(MAX_HEADERS) + (EMPTY + NULL) * MAX_HEADERS))
    assert not record.damaged
    assert len(record.headers) == MAX_HEADERS


@pytest.mark.parametrize("deltas", [(0, 0, 0), (2, 1, 0), (0, 1, 900), (-5, 0, 1)])
def test_in_a_batch_without_gaps_the_offset_of_a_record_is_its_place(deltas: tuple[int, ...]) -> None:
    data = b"".join(record_bytes(NULL + NULL + NO_HEADERS, b"\0\0" + varint(delta)) for delta in deltas)
    assert [record.offset for record in unpacked(data, 3)] == [100, 101, 102]


def test_in_a_compacted_batch_records_have_their_own_offsets() -> None:
    data = b"".join(encode_record(0, delta, encode_body(None, b"{}", [])) for delta in (1, 4, 7))
    assert [record.offset for record in unpacked(data, 3, 9)] == [101, 104, 107]
    assert [record.offset for record in unpacked(data, 3, 9, from_offset=104)] == [104, 107]


@pytest.mark.parametrize("deltas", [(1, 1), (4, 2), (1, 10), (-1, 1)])
def test_offsets_out_of_order_in_a_compacted_batch_are_refused(deltas: tuple[int, ...]) -> None:
    data = b"".join(encode_record(0, delta, encode_body(None, b"{}", [])) for delta in deltas)
    with pytest.raises(ValueError, match="out of order"):
        unpacked(data, 2, 9)


@pytest.mark.parametrize(
    ("count", "last_delta"), [(0, 0), (1, 0), (3, 2), (-1, 0), (2, -1), (2**31 - 1, 2**31 - 2)]
)
def test_a_wrong_number_of_records_is_refused_before_any_is_returned(count: int, last_delta: int) -> None:
    good = record_bytes(NULL + NULL + NO_HEADERS)
    with pytest.raises(ValueError, match=r"batch|follow|negative"):
        unpacked(2 * good, count, last_delta)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        *(length + b"\0" * 6 for length in (varint(-1), varint(9), varint(2**31 - 1), b"\xff" * 6)),
    ],
    ids=bytes.hex,
)
def test_a_record_that_extends_past_its_batch_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="extends past"):
        unpacked(data)


def test_records_are_returned_in_parts() -> None:
    count = PART_RECORDS + 3
    data = b"".join(encode_record(0, at, encode_body(None, b"", [])) for at in range(count))
    batch = EncodedRecords(data, 0, len(data), count, 0, 0, True, count - 1)
    parts = [*load_codec().unpack(batch, 2)]
    assert [len(part) for part in parts] == [PART_RECORDS - 2, 3]
    assert [record.offset for part in parts for record in part] == [*range(2, count)]
