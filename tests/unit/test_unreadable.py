"""Batches that cannot be read: the error names their offsets, and quarantine skips them."""

import struct
from typing import Any

import pytest
from aiokafka.codec import lz4_encode
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.structs import TopicPartition
from structlog.testing import capture_logs

from stream.codec import PART_RECORDS
from stream.errors import BrokerError, UnreadableBatchError
from stream.kafka.faust.unpack import FetchBuffer, IndexedMemoryRecords, PackedPartitionRecords
from stream.kafka.faust.unreadable import UnpackLimits
from stream.quarantine import Quarantine
from tests.real.raw_batches import batch, odd_record, record
from tests.unit.record_path import record_path

__all__ = ["record_path"]
pytestmark = pytest.mark.usefixtures("record_path")

TP = TopicPartition("texts", 3)
GZIP, LZ4 = 1, 3
READ_COMMITTED = 1
GOOD = batch(record(0, b"a") + record(1, b"b"), 2, first_offset=100)
NEXT = batch(record(0, b"z"), 1, first_offset=105)


def bad(first_offset: int = 102, count: int = 3) -> bytes:
    """Return a batch with a valid checksum that declares more records than it holds."""
    return batch(record(0, b"c"), count, first_offset=first_offset)


def unread(data: bytes, position: int = 100) -> PartitionRecords:
    return PartitionRecords(TP, IndexedMemoryRecords(data), [], position, None, None, True, READ_COMMITTED)


def packed(data: bytes, *named: str, position: int = 100, **limits: int) -> PackedPartitionRecords:
    return PackedPartitionRecords.instead_of(
        unread(data, position), UnpackLimits(**limits, quarantine=Quarantine(named))
    )


def outcomes(records: list[Any]) -> list[tuple[int, bytes | None, bool]]:
    return [(one.offset, one.value, one.damaged) for one in records]


def error_of(records: PackedPartitionRecords) -> UnreadableBatchError:
    with pytest.raises(UnreadableBatchError) as raised:
        records.take()
    assert isinstance(raised.value, BrokerError)
    assert raised.value.exit_code == 4
    return raised.value


def test_records_before_the_batch_are_returned_before_the_error() -> None:
    records = packed(GOOD + bad() + NEXT)
    assert outcomes(records.take()) == [(100, b"a", False), (101, b"b", False)]
    assert records.next_fetch_offset == 102
    for _ in range(2):
        error = error_of(records)
        assert error.message == "the record batch of topic texts, partition 3, offsets 102-104 cannot be read"
        assert "extends past its batch" in error.cause
        assert "labelstream worker --quarantine texts:3:102-104" in error.fix
        assert not records.exhausted
    assert records.next_fetch_offset == 102, "nothing is skipped"


def test_the_error_begins_at_the_position() -> None:
    assert "offset 104 cannot" in error_of(packed(bad(), position=104)).message


def test_quarantined_offsets_become_records_without_bytes() -> None:
    records = packed(GOOD + bad() + NEXT, "texts:3:102", "texts:3:103-104")
    with capture_logs() as logs:
        assert outcomes(records.take(3)) == [(100, b"a", False), (101, b"b", False), (102, None, True)]
        assert records.next_fetch_offset == 103
        assert outcomes(records.take()) == [(103, None, True), (104, None, True), (105, b"z", False)]
    assert records.exhausted
    assert records.next_fetch_offset == 106
    (line,) = [line for line in logs if line["log_level"] == "warning"]
    assert (line["topic"], line["partition"], line["offsets"]) == ("texts", 3, "102-104")


@pytest.mark.parametrize(
    ("named", "gaps"),
    [
        (["texts:3:103"], "102, 104"),
        (["texts:3:50-103"], "104"),
        (["texts:3:102", "texts:2:103-104"], "103-104"),
    ],
)
def test_a_batch_that_is_quarantined_in_part_names_the_missing_offsets(named: list[str], gaps: str) -> None:
    error = error_of(packed(bad(), *named, position=102))
    assert error.cause.endswith(f"; quarantine does not name {gaps}")
    assert "--quarantine texts:3:102-104" in error.fix


def test_many_quarantined_offsets_are_returned_in_parts() -> None:
    count = 2 * PART_RECORDS + 5
    records = packed(bad(100, count), "texts:3:0-999999")
    assert len(records.take(10)) == 10
    assert len(records._ready) < PART_RECORDS
    assert [one.offset for one in records.take()] == [*range(110, 100 + count)]


def test_a_record_with_broken_framing_does_not_end_the_reading() -> None:
    data = batch(record(0, b"a") + odd_record(1, b"\x01\x09") + record(2, b"c"), 3, first_offset=100)
    assert [(one.offset, one.damaged) for one in packed(data).take()] == [
        (100, False),
        (101, True),
        (102, False),
    ]


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        pytest.param(batch(record(0, b"c") + b"x", 1), "bytes follow", id="trailing"),
        pytest.param(batch(record(0, b"c"), -1), "negative", id="count negative"),
        pytest.param(batch(record(0, b"c"), 1, last_delta=-5), "negative", id="last offset negative"),
        pytest.param(batch(b"junk", 1, compression=GZIP), "decompressed", id="not gzip"),
        pytest.param(batch(b"junk", 1, compression=LZ4), "decompressed", id="not lz4"),
        pytest.param(batch(b"junk", 1, compression=7), "compression type 7", id="compression unknown"),
        pytest.param(batch(record(0, b"c"), 1)[:-1] + b"?", "checksum", id="checksum"),
        pytest.param(batch(record(0, b"c"), 1)[:-1], "exceeds the fetched bytes", id="incomplete"),
        pytest.param(b"\0" * 8 + struct.pack(">i", 2**31 - 1) + b"\0" * 90, "exceeds", id="length huge"),
        pytest.param(
            b"\0" * 8 + struct.pack(">i", -1) + b"\0" * 90, "shorter than its header", id="length -1"
        ),
        pytest.param(b"\0" * 8 + struct.pack(">i", -(2**31)) + b"\0" * 90, "shorter", id="length negative"),
        pytest.param(
            b"\0" * 8 + struct.pack(">i", 20) + b"\0" * 4 + b"\2" + b"\0" * 90, "shorter", id="short"
        ),
        pytest.param(
            b"\0" * 8 + struct.pack(">i", 50) + b"\0" * 4 + b"\3" + b"\0" * 90, "format 3", id="magic"
        ),
        pytest.param(b"abc", "exceeds", id="no header"),
    ],
)
def test_whatever_a_batch_holds_the_error_names_it_and_quarantine_skips_it(data: bytes, cause: str) -> None:
    error = error_of(packed(data, position=0))
    assert cause in error.cause
    assert "--quarantine texts:3:0" in error.fix
    records = packed(data, "texts:3:0-9", position=0)
    assert outcomes(records.take(1)) == [(0, None, True)]
    assert outcomes(records.take()) == []
    assert records.exhausted
    assert records.next_fetch_offset == 1


def test_a_batch_beyond_the_limit_names_the_setting() -> None:
    data = GOOD + batch(lz4_encode(record(0, bytes(5_000))), 1, compression=LZ4, first_offset=102)
    assert len(packed(data, batch_bytes=6_000).take()) == 3
    records = packed(data, batch_bytes=4_000)
    assert len(records.take()) == 2
    error = error_of(records)
    assert "exceed 4000 bytes after decompression (max_decompressed_bytes)" in error.cause
    assert error.fix.startswith("raise max_decompressed_bytes, or")
    assert "--quarantine texts:3:102" in error.fix


def test_a_poll_unpacks_no_further_batch_beyond_its_bytes() -> None:
    parts = [
        batch(lz4_encode(record(0, bytes(1_000))), 1, compression=LZ4, first_offset=100 + at)
        for at in range(5)
    ]
    limits = UnpackLimits(poll_bytes=1_500)
    records = PackedPartitionRecords.instead_of(unread(b"".join(parts)), limits)
    assert [one.offset for one in records.take()] == [100, 101]
    assert records.take() == []
    assert not records.exhausted
    limits.begin_poll()
    assert [one.offset for one in records.take()] == [102, 103]
    limits.begin_poll()
    assert [one.offset for one in records.take()] == [104]
    assert records.exhausted


@pytest.mark.parametrize("magic", [0, 1])
@pytest.mark.parametrize("compression", [0, GZIP])
def test_older_formats_are_read_with_the_same_limits(magic: int, compression: int) -> None:
    builder = LegacyRecordBatchBuilder(magic, compression, 1 << 20)
    for at in range(3 if compression else 1):
        builder.append(100 + at if magic == 0 else at, 5_000, b"k", b"v" * 2_000)
    data = bytearray(builder.build())
    last = 102 if compression else 100
    data[:8] = struct.pack(">q", last)
    records = packed(bytes(data)).take()
    assert [one.offset for one in records] == [*range(100, last + 1)]
    assert {(one.key, one.value, one.damaged) for one in records} == {(b"k", b"v" * 2_000, False)}
    assert {one.timestamp for one in records} == {5_000 if magic else -1}
    assert list(records[0].headers) == []
    if compression:
        error = error_of(packed(bytes(data), batch_bytes=5_000))
        assert "max_decompressed_bytes" in error.cause
        assert f"--quarantine texts:3:100-{last}" in error.fix
        passed = packed(bytes(data), f"texts:3:100-{last}", batch_bytes=5_000).take()
        assert [one.offset for one in passed] == [100, 101, 102]


# ---- aiokafka's fetcher ------------------------------------------------------------------------------


def result(tp: TopicPartition, data: bytes, assignment: Assignment) -> FetchResult:
    assignment.state_value(tp).seek(100)
    unread = PartitionRecords(tp, IndexedMemoryRecords(data), [], 100, None, None, True, READ_COMMITTED)
    return FetchResult(tp, assignment=assignment, partition_records=unread, backoff=0)


async def test_an_error_of_one_partition_keeps_the_records_of_others() -> None:
    other = TopicPartition("texts", 4)
    assignment = Assignment([TP, other])
    buffer = FetchBuffer(lambda _: True)
    buffer.begin_poll()
    for tp, data in ((other, GOOD), (TP, bad(100))):
        buffer[tp] = result(tp, data, assignment)
    assert len(buffer[other].getall(10)) == 2
    assert buffer[TP].getall(10) == []
    assert [*buffer.unreadable] == [TP]
    assert buffer[TP].has_more(), "the fetcher requests the batch only once"
    assert assignment.state_value(TP).position == 100
    buffer.begin_poll()
    assert not buffer.unreadable
    assert buffer[TP].getall(10) == []
    assert "100-102" in buffer.unreadable[TP].message


@pytest.mark.parametrize(
    "data", [None, b"", b"abc", b"\0" * 8 + struct.pack(">i", -13) + b"\0" * 60, GOOD + b"\0" * 30]
)
def test_no_response_ends_aiokafkas_fetcher(data: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "MemoryRecords", IndexedMemoryRecords)
    records = fetcher.MemoryRecords(data)
    assert records.has_next() == bool(data)
    assert records.size_in_bytes() == len(data or b"")
