"""Bytes from outside: whatever they are, they are read as what they say or refused."""

from typing import Any

import orjson
import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from stream.codec import codec
from stream.kafka.faust.unpack import RECORDS_AT
from stream.records import Event
from tests.real.parts import unavailable
from tests.unit.records import FakeRecord, as_read, contents

HEADERS = st.lists(st.tuples(st.text(max_size=3), st.none() | st.binary(max_size=3)), max_size=3)
RECORD = st.tuples(st.none() | st.binary(max_size=9), st.none() | st.binary(max_size=300), HEADERS)
TIMESTAMP = st.integers(-(2**63), 2**63 - 1)


@pytest.fixture(autouse=True, scope="module")
def built() -> None:
    if codec is None:
        unavailable("stream.codec._records is not built: it needs a C compiler and Python's headers")


def written(records: list[Any]) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 20)
    for at, record in enumerate(records):
        builder.append(at, 1_000 + 7 * at, *record)
    return bytes(builder.build())[RECORDS_AT:]


def unpacked(data: bytes, count: int) -> list[Any]:
    return [*codec.unpack(data, 0, len(data), count, 100, 1_000, False, 100)]


@given(st.lists(RECORD, max_size=5))
def test_records_say_what_was_written(records: list[Any]) -> None:
    found = unpacked(written(records), len(records))
    assert [told(record) for record in found] == [
        (*record[:2], record[2], 1_000 + 7 * at) for at, record in enumerate(records)
    ]
    assert [record.offset for record in found] == [100 + at for at in range(len(records))]
    sizes = [len(key or b"") + len(value or b"") for key, value, _ in records]
    assert codec.size_bytes(found) == sum(sizes)


@given(RECORD, TIMESTAMP)
def test_a_packed_record_says_what_it_was_made_of(record: Any, timestamp: int) -> None:
    assert told(codec.pack(*record, timestamp)) == (*record, timestamp)


@given(st.lists(RECORD, min_size=1, max_size=3), st.data())
def test_damaged_bytes_are_refused_or_read_in_bounds(records: list[Any], data: st.DataObject) -> None:
    damaged = bytearray(written(records))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.integers(0, len(damaged))) :]
    count = data.draw(st.integers(0, 5))
    try:
        found = unpacked(bytes(damaged), count)
    except ValueError:
        return
    assert len(found) <= count
    for record in found:
        assert all(value is None or value in damaged for value in (record.key, record.value))
        assert told(codec.pack(*told(record))) == told(record)


@given(st.binary(max_size=60), st.integers(0, 4))
def test_any_bytes_are_refused_or_read(data: bytes, count: int) -> None:
    try:
        found = unpacked(data, count)
    except ValueError:
        return
    assert [*map(told, found)] == [told(codec.pack(*told(record))) for record in found]


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (2, 1), (0, 99)])
def test_places_outside_of_the_bytes_are_refused(start: int, stop: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        codec.unpack(b"1234", start, stop, 1, 0, 0, False, 0)


def test_what_is_no_record_is_refused() -> None:
    for call in (codec.size_bytes, codec.timestamps):
        with pytest.raises(TypeError, match="packed"):
            call([object()])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="packed"):
        codec.append(bytearray(), [object()], 0, 100, 0)  # type: ignore[list-item]
    with pytest.raises(TypeError, match="pair"):
        codec.pack(None, None, [("name",)], 0)  # type: ignore[list-item]
    with pytest.raises(TypeError):
        codec.pack("key", None, [], 0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one prediction"):
        codec.write_labels([()], [], b"", b"", b"", b"", b"", 0, (), lambda event, _: event)
    with pytest.raises(ValueError, match="score"):
        codec.encode_scores(b"123", (b'"a"',), 1, tuple, False)
    with pytest.raises(TypeError):
        codec.read_events([], int, "", 0, 0)  # type: ignore[type-var]


@pytest.mark.parametrize(
    "value",
    [
        '{"id":"t-1","text":"hi"}',
        '{"text":"hi"}',
        ' { "id" : null , "text" : "hi" , "time" : null , "metadata" : { "a" : [ 1 , -2.5 , { } ] } } ',
        '{"id":"t-1","text":"\\u00e9 \\"quoted\\"\\n","unknown":{"b":[]},"time":"2026-01-02T03:04:05Z"}',
        '{"id":"t-1","text":"日本語"}',
    ],
)
def test_what_is_usual_is_read_by_the_codec(value: str) -> None:
    (event,), unclear = codec.read_events([as_read(FakeRecord(value.encode()))], Event, "texts-3-", 999, 99)
    assert unclear == 0
    wanted = orjson.loads(value)
    assert event is not None
    assert (event.id, event.text) == (wanted.get("id") or "texts-3-1041", wanted["text"])
    assert (event.metadata, event.time) == (wanted.get("metadata"), wanted.get("time"))
