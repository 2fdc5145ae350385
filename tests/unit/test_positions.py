"""The offset at which the consumer starts to read a partition, and the return to unread records."""

import pytest
from aiokafka.structs import TopicPartition

from stream.kafka.faust.positions import (
    CommittedOffset,
    FetchedRecords,
    Position,
    choose_position,
    seek_back,
    start_position,
)
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


@pytest.mark.parametrize(
    ("committed", "is_new", "expected"),
    [
        # The same topic: the offset is valid.
        (CommittedOffset(500, "id"), False, Position(500, 500, 0)),
        (CommittedOffset(40, "id"), False, Position(100, None, 60)),
        # Another topic of the same name: the offset means nothing, even inside the log.
        (CommittedOffset(500, "other"), False, Position(100, None, 0)),
        (CommittedOffset(40, "other"), False, Position(100, None, 0)),
        (CommittedOffset(5_000, "other"), True, Position(100, None, 0)),
        # An offset without an id is valid, and is committed again with the id.
        (CommittedOffset(500, None), False, Position(500, None, 0)),
        (CommittedOffset(40, None), False, Position(100, None, 60)),
        # `latest` is for a new group, not for a new partition.
        (None, False, Position(900, None, 0)),
        (None, True, Position(100, None, 0)),
    ],
)
def test_a_position_belongs_to_one_topic(
    committed: CommittedOffset | None, is_new: bool, expected: Position
) -> None:
    assert choose_position(committed, (100, 900), "latest", "id", is_new=is_new) == expected


def test_without_ids_of_the_broker_every_committed_offset_is_valid() -> None:
    for committed_id in (None, "id"):
        position = choose_position(
            CommittedOffset(500, committed_id), (100, 900), "earliest", None, is_new=False
        )
        assert position.offset == 500
