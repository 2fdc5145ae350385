"""The offset at which the consumer starts to read a partition, and the return to unread records."""

import pytest
from aiokafka.structs import TopicPartition

from stream.kafka.faust.positions import FetchedRecords, seek_back, start_position
from tests.unit.records import FakeRecord


@pytest.mark.parametrize(
    ("committed", "start_at", "offset", "skipped"),
    [
        (None, "earliest", 100, 0),
        (None, "latest", 900, 0),
        (500, "latest", 500, 0),
        (100, "earliest", 100, 0),
        (900, "earliest", 900, 0),
        (40, "earliest", 100, 60),
        (40, "latest", 100, 60),
        (0, "earliest", 100, 100),
        (901, "latest", 100, 0),
    ],
)
def test_start_position(committed: int | None, start_at: str, offset: int, skipped: int) -> None:
    position = start_position(committed, beginning=100, end=900, start_at=start_at)
    assert (position.offset, position.skipped) == (offset, skipped)
    assert position.committed == (committed if offset == committed else None)


class FakeConsumer:
    """A consumer to which partition 0 is assigned. It records the seeks."""

    def __init__(self) -> None:
        self.sought: dict[TopicPartition, int] = {}

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition("texts", 0)}

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.sought[tp] = offset


@pytest.mark.parametrize(("epoch", "sought"), [(4, {TopicPartition("texts", 0): 7}), (3, {})])
def test_a_fetch_that_is_put_back_is_read_again_unless_a_seek_came_after_it(
    epoch: int, sought: dict[TopicPartition, int]
) -> None:
    fetched = FetchedRecords({TopicPartition("texts", n): [FakeRecord(b"", offset=7 + n)] for n in range(2)})
    fetched.epoch = epoch
    consumer = FakeConsumer()
    seek_back(consumer, fetched, position_epoch=4)
    assert consumer.sought == sought
