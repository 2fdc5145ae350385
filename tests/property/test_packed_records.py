"""The compiled functions read or refuse any bytes, and stay within their bounds."""

from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.codec import MILLIONTHS, Codec, EncodedRecords, load_codec
from stream.codec.python import PythonCodec
from stream.codec.rfc3339 import LATEST_MS
from stream.codec.wire import encode_body, encode_record, varint
from stream.kafka.faust.wire_batch import RECORDS_AT
from tests.real.components import unavailable
from tests.unit.record_path import NOT_BUILT
from tests.unit.records import contents

try:
    from stream.codec import _records
    from stream.codec.compiled import CompiledCodec
except ImportError:
    _records = None  # type: ignore[assignment]

HEADERS = st.lists(st.tuples(st.text(max_size=3), st.none() | st.binary(max_size=3)), max_size=3)
RECORD = st.tuples(st.none() | st.binary(max_size=9), st.none() | st.binary(max_size=300), HEADERS)
TIMESTAMP = st.integers(-(2**63), 2**63 - 1)


@pytest.fixture(autouse=True, scope="module")
def built() -> None:
    if _records is None:
        unavailable(NOT_BUILT)


def written(records: list[Any]) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 20)
    for at, record in enumerate(records):
        builder.append(at, 1_000 + 7 * at, *record)
    return bytes(builder.build())[RECORDS_AT:]


def unpacked(data: bytes, count: int) -> list[Any]:
    _records.check(data, 0, len(data), count, count - 1 if count else 0)
    return _records.unpack(data, 0, len(data), count, 100, 1_000, False, 100, 0, True)[0]


@given(st.lists(RECORD, max_size=5))
def test_records_hold_what_was_written(records: list[Any]) -> None:
    unpacked_records = unpacked(written(records), len(records))
    assert [contents(record) for record in unpacked_records] == [
        (*record[:2], record[2], 1_000 + 7 * at) for at, record in enumerate(records)
    ]
    assert [record.offset for record in unpacked_records] == [100 + at for at in range(len(records))]


@given(RECORD, TIMESTAMP)
def test_a_packed_record_holds_its_parts(record: Any, timestamp: int) -> None:
    key, value, headers = record
    packed = load_codec().pack(key, value, headers, timestamp)
    assert contents(packed) == (*record, timestamp)
    assert type(packed) is _records.Record


PARTS = (
    st.binary(max_size=12) | st.integers(-5, 40).map(varint) | st.integers(-(2**31), 2**31 - 1).map(varint)
)
BODY = st.lists(PARTS, max_size=8).map(b"".join)
WHOLE = st.builds(
    lambda timestamp, offset, record: encode_record(timestamp, offset, encode_body(*record)),
    st.integers(-9, 9),
    st.integers(-1, 6),
    RECORD,
)
FRAMED = WHOLE | st.tuples(BODY, st.sampled_from([0, 0, 0, 0, 1, -1])).map(
    lambda record: varint(len(record[0]) + record[1]) + record[0]
)


def read_by(codec: Codec, batch: EncodedRecords, from_offset: int) -> Any:
    """Return everything that a codec reads of a batch, or the reason for which it refuses the batch."""
    try:
        parts = [*codec.unpack(batch, from_offset)]
    except ValueError as exc:
        return str(exc)
    return [
        (one.offset, one.timestamp, one.key, one.value, [*one.headers], one.damaged)
        for part in parts
        for one in part
    ]


@given(
    st.lists(FRAMED, max_size=5) | st.binary(max_size=60).map(lambda data: [data]),
    st.integers(-1, 6),
    st.integers(-1, 6) | st.integers(-(2**31), 2**31 - 1),
    st.integers(-(2**63), 2**63 - 1),
    TIMESTAMP,
    st.booleans(),
    st.integers(-3, 3),
)
@settings(max_examples=400)
def test_both_codecs_read_any_bytes_alike(
    records: list[bytes], count: int, last_delta: int, base: int, timestamp: int, appended: bool, skipped: int
) -> None:
    data = b"".join(records)
    for last in (count - 1, last_delta):
        batch = EncodedRecords(data, 0, len(data), count, base, timestamp, appended, last)
        first = min(max(base + skipped, -(2**63)), 2**63 - 1)
        compiled, python = CompiledCodec(), PythonCodec()
        assert read_by(compiled, batch, first) == read_by(python, batch, first)


@given(st.lists(FRAMED, max_size=4))
def test_any_record_is_read_or_damaged_and_can_be_written(records: list[bytes]) -> None:
    """A record that the codec returns, whole or damaged, can be sized, packed, appended and read again."""
    for codec in (CompiledCodec(), PythonCodec()):
        joined = b"".join(records)
        batch = EncodedRecords(joined, 0, len(joined), len(records), 0, 0, False, max(0, len(records) - 1))
        try:
            (part,) = [*codec.unpack(batch, 0)] or [[]]
        except ValueError:
            return
        assert len(part) == len(records)
        assert codec.size_bytes(part) >= 0
        assert len(codec.json_texts(part, frozenset(("a", "content-type")), 50)) == len(part)
        packed = [codec.pack(*contents(record)) for record in part]
        assert [*map(contents, packed)] == [*map(contents, part)]
        buffer = bytearray()
        appended = codec.append(buffer, packed, 0, 1 << 20, 5)
        again = EncodedRecords(
            bytes(buffer),
            0,
            len(buffer),
            len(part),
            0,
            appended.first_timestamp,
            False,
            max(0, len(part) - 1),
        )
        ((*read,),) = [*codec.unpack(again, 0)] or [[]]
        assert [contents(one)[:3] for one in read] == [contents(one)[:3] for one in part]
        assert not any(one.damaged for one in read)


@given(st.lists(RECORD, min_size=1, max_size=3), st.data())
def test_damaged_bytes_are_refused_or_read_in_bounds(records: list[Any], data: st.DataObject) -> None:
    damaged = bytearray(written(records))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.integers(0, len(damaged))) :]
    count = data.draw(st.integers(0, 5))
    try:
        unpacked_records = unpacked(bytes(damaged), count)
    except ValueError:
        return
    assert len(unpacked_records) <= count
    for record in unpacked_records:
        assert all(value is None or value in damaged for value in (record.key, record.value))
        assert contents(load_codec().pack(*contents(record))) == contents(record)


@given(st.binary(max_size=60), st.integers(0, 4))
def test_any_bytes_are_refused_or_read(data: bytes, count: int) -> None:
    try:
        unpacked_records = unpacked(data, count)
    except ValueError:
        return
    again = [load_codec().pack(*contents(record)) for record in unpacked_records]
    assert [*map(contents, unpacked_records)] == [*map(contents, again)]


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (2, 1), (0, 99)])
def test_positions_outside_the_bytes_are_refused(start: int, stop: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        _records.unpack(b"1234", start, stop, 1, 0, 0, False, 0, 0, True)
    with pytest.raises(ValueError, match="outside"):
        _records.check(b"1234", start, stop, 1, 0)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="packed"):
        _records.append(bytearray(), [object()], 0, 100, 0)
    with pytest.raises(TypeError):
        _records.append(bytearray(), (), 0, 100, 0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="differ in number"):
        _records.write_labels([()], [], b"", b"", b"", b"", b"", 0, (), LATEST_MS, lambda event, _: event)
    with pytest.raises(TypeError, match="six fields"):
        _records.write_labels([()], [()], b"", b"", b"", b"", b"", 0, (), LATEST_MS, lambda event, _: event)
    with pytest.raises(ValueError, match="scores"):
        _records.encode_scores(b"123", (b'"a"',), 1, tuple, False)
    with pytest.raises(TypeError):
        _records.json_texts([], ["name"], 0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="bytes"):
        _records.json_texts(unpacked(written([(b"k", b"{}", [("h", b"")])]), 1), ("h",), 9)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("headers", "error"),
    [([("name",)], ValueError), ([(b"name", b"")], TypeError), ([("n", "v")], TypeError)],
)
def test_headers_that_are_no_names_and_bytes_are_not_packed(headers: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        load_codec().pack(None, None, headers, 0)
    with pytest.raises(TypeError):
        load_codec().pack("key", None, [], 0)  # type: ignore[arg-type]


def test_both_sides_count_scores_in_the_same_unit() -> None:
    assert _records.MILLIONTHS == MILLIONTHS
