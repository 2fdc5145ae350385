"""Unpacked records equal those of aiokafka, and the same records are skipped."""

import gc
import weakref
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import FetchError, FetchResult, PartitionRecords
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c_py
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import BrokerError
from stream.kafka.faust.unpack import (
    FetchBuffer,
    IndexedMemoryRecords,
    PackedPartitionRecords,
    keep_fetched_bytes,
)
from tests.unit.record_path import record_path

__all__ = ["record_path"]
pytestmark = pytest.mark.usefixtures("record_path")

TP = TopicPartition("texts", 3)
READ_UNCOMMITTED, READ_COMMITTED = 0, 1
ABORT, COMMIT = b"\0\0\0\0", b"\0\0\0\1"
APPEND_TIME, CONTROL = 0x08, 0x20
ATTRIBUTES = slice(21, 23)
CRC = slice(17, 21)
CRC_OF = slice(21, None)

HEADERS = st.lists(st.tuples(st.text(max_size=3), st.binary(max_size=3)), max_size=2)
RECORD = st.tuples(st.none() | st.binary(max_size=4), st.none() | st.binary(max_size=9), HEADERS)
BATCH = st.tuples(
    st.sampled_from(["plain", "appended", "transaction", "abort", "commit"]),
    st.sampled_from([7, 8]),
    st.lists(RECORD, min_size=1, max_size=4),
    st.integers(0, 2),
    st.integers(0, 4),
)


def encoded(kind: str, producer: int, first: int, records: list[Any], compression: int = 0) -> bytes:
    """Return a record batch whose records begin at this offset."""
    marker = kind in ("abort", "commit")
    in_transaction = kind not in ("plain", "appended")
    compression = 0 if marker else compression  # brokers write their markers plainly
    builder = DefaultRecordBatchBuilder(2, compression, in_transaction, producer, 0, 0, 1 << 20)
    if marker:
        records = [(ABORT if kind == "abort" else COMMIT, b"\0\0\0\0\0\0", [])]
    for at, (key, value, headers) in enumerate(records):
        builder.append(at, 1_000 + at, key, value, headers)
    batch = bytearray(builder.build())
    batch[0:8] = first.to_bytes(8, "big")
    if marker or kind == "appended":
        further = CONTROL if marker else APPEND_TIME
        batch[ATTRIBUTES] = (int.from_bytes(batch[ATTRIBUTES], "big") | further).to_bytes(2, "big")
        batch[CRC] = calc_crc32c_py(bytes(batch[CRC_OF])).to_bytes(4, "big")
    return bytes(batch)


def response(batches: list[Any]) -> tuple[bytes, list[tuple[int, int]]]:
    """Return batches with gaps between them, and the aborted transactions as the broker lists them."""
    written, aborted, at = b"", [], 100
    began: dict[int, int] = {}
    for kind, producer, records, gap, compression in batches:
        at += gap
        # Long enough for compression to be worth it.
        records = [(key, value and value * 30, headers) for key, value, headers in records]
        written += encoded(kind, producer, at, records, compression)
        if kind == "transaction":
            began.setdefault(producer, at)
        elif kind in ("abort", "commit"):
            first = began.pop(producer, None)
            if kind == "abort" and first is not None:
                aborted.append((producer, first))
        at += 1 if kind in ("abort", "commit") else len(records)
    return written, aborted


def unread(
    data: bytes, aborted: list[tuple[int, int]], position: int, isolation: int = READ_COMMITTED
) -> PartitionRecords:
    return PartitionRecords(TP, IndexedMemoryRecords(data), aborted, position, None, None, True, isolation)


def contents(record: Any) -> Any:
    return record.offset, record.timestamp, record.key, record.value, [*record.headers]


@given(
    st.lists(BATCH, min_size=1, max_size=6),
    st.integers(95, 110),
    st.sampled_from([READ_UNCOMMITTED, READ_COMMITTED]),
)
def test_unpacked_records_equal_those_of_aiokafka(batches: list[Any], position: int, isolation: int) -> None:
    data, aborted = response(batches)
    theirs = PartitionRecords(TP, MemoryRecords(data), aborted, position, None, None, True, isolation)
    ours = PackedPartitionRecords.instead_of(unread(data, aborted, position, isolation))
    places = [(contents(record), theirs.next_fetch_offset) for record in theirs]
    assert [(contents(record), ours.next_fetch_offset) for record in ours] == places
    assert ours.next_fetch_offset == theirs.next_fetch_offset


@given(
    st.lists(BATCH, min_size=1, max_size=6),
    st.integers(95, 110),
    st.lists(st.none() | st.integers(1, 9), max_size=9),
)
async def test_partial_reads_equal_those_of_aiokafka(
    batches: list[Any], position: int, parts: list[int | None]
) -> None:
    data, aborted = response(batches)
    assignments = [Assignment([TP]), Assignment([TP])]
    for assignment in assignments:
        assignment.state_value(TP).seek(position)
    theirs, ours = (
        FetchResult(TP, assignment=assignment, partition_records=unread(data, aborted, position), backoff=0)
        for assignment in assignments
    )
    fetches = FetchBuffer(lambda _: True, {TP: ours})
    assert fetches[TP] is ours
    for limit in [*parts, None]:
        expected, actual = theirs.getall(limit), ours.getall(limit)
        assert [*map(contents, actual)] == [*map(contents, expected)]
        if not theirs.has_more():
            break
        positions = [assignment.state_value(TP).position for assignment in assignments]
        assert positions[0] <= positions[1], "records to skip after the last one may be skipped at once"
        assert not actual or positions[1] > actual[-1].offset
    assert not ours.has_more() or not theirs.has_more()


def test_reading_continues_where_it_stopped() -> None:
    data = encoded("plain", -1, 100, [(None, b"%d" % at, []) for at in range(5)])
    records = PackedPartitionRecords.instead_of(unread(data, [], 100))
    first = [record.value for record, _ in zip(records, range(2), strict=False)]
    assert first == [b"0", b"1"]
    assert records.next_fetch_offset >= 102
    assert [record.value for record in records][-1] == b"4"
    assert [*records] == []


def test_the_codec_unpacks_the_records(record_path: str) -> None:
    data = encoded("plain", -1, 100, [(b"k", b"value", [("h", b"1")])])
    (record,) = PackedPartitionRecords.instead_of(unread(data, [], 100)).take()
    assert type(record).__name__ == {"compiled": "Record", "python": "ReadRecord"}[record_path]


@pytest.mark.parametrize("lost", [1, 2, 5])
def test_records_that_do_not_fill_their_batch_are_corrupt(lost: int) -> None:
    """The checksum is correct: the producer has written the batch wrongly."""
    whole = encoded("plain", -1, 100, [(b"k", b"value", [("h", b"1")])] * 2)
    data = bytearray(whole[:-lost])
    data[8:12] = (len(data) - 12).to_bytes(4, "big")
    data[CRC] = calc_crc32c_py(bytes(data[CRC_OF])).to_bytes(4, "big")
    with pytest.raises(BrokerError, match="partition 3, offsets 100-101 cannot be read"):
        PackedPartitionRecords.instead_of(unread(bytes(data), [], 100)).take()


def test_a_response_that_was_read_is_freed_without_the_garbage_collector() -> None:
    theirs = unread(encoded("plain", -1, 100, [(None, b"value", [])]), [], 100)
    ours = PackedPartitionRecords.instead_of(theirs)
    left = [weakref.ref(theirs), weakref.ref(ours)]
    gc.disable()
    try:
        del theirs
        assert left[0]() is None
        assert len([*ours]) == 1
        del ours
        assert left[1]() is None
    finally:
        gc.enable()


def test_a_damaged_batch_is_corrupt() -> None:
    data = bytearray(encoded("plain", -1, 100, [(None, b"value", [])]))
    data[-3] ^= 1
    with pytest.raises(BrokerError, match="topic texts, partition 3, offset 100 cannot be read"):
        list(PackedPartitionRecords.instead_of(unread(bytes(data), [], 100)))


async def test_only_the_chosen_partitions_are_unpacked_by_the_codec() -> None:
    data = encoded("plain", -1, 100, [(b"k", b"v", [])])

    def result(tp: TopicPartition) -> FetchResult:
        return FetchResult(
            tp, assignment=Assignment([tp]), partition_records=unread(data, [], 100), backoff=0
        )

    other = TopicPartition("leader", 0)
    before = result(TP)
    fetches = FetchBuffer(lambda tp: tp == TP, {TP: before})
    assert type(before._partition_records) is PackedPartitionRecords, "a response that was received earlier"
    for tp, expected in ((TP, PackedPartitionRecords), (other, PartitionRecords)):
        fetches[tp] = result(tp)
        assert type(fetches[tp]._partition_records) is expected
    failed = FetchError(error=ValueError("x"), backoff=0)
    fetches[TP] = failed
    assert fetches[TP] is failed


async def test_a_response_that_came_before_its_partition_was_chosen_is_unpacked_before_it_is_read() -> None:
    chosen: set[TopicPartition] = set()
    records = unread(encoded("plain", -1, 100, [(b"k", b"v", [])]), [], 100)
    assignment = Assignment([TP])
    assignment.state_value(TP).seek(100)
    fetches = FetchBuffer(chosen.__contains__)
    fetches[TP] = FetchResult(TP, assignment=assignment, partition_records=records, backoff=0)
    fetches.begin_poll()
    assert type(fetches[TP]._partition_records) is PartitionRecords
    chosen.add(TP)
    fetches.begin_poll()
    (record,) = fetches[TP].getall()
    assert (record.offset, record.value, record.damaged) == (100, b"v", False)
    assert assignment.state_value(TP).position == 101
    fetches.begin_poll()
    assert not fetches[TP].has_more(), "a response that was read stays as it is"


def test_fetched_data_keeps_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "MemoryRecords", MemoryRecords)
    keep_fetched_bytes()
    assert fetcher.MemoryRecords(b"12345678").data == b"12345678"
