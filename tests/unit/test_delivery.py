"""Batches are published and then acknowledged, or neither."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from stream.errors import BrokerError
from stream.kafka.batches import RecordBatch
from stream.kafka.delivery import AtLeastOnce, Finished
from stream.kafka.ranges import OffsetRange
from stream.records import Outgoing
from tests.unit.records import SOURCE, FakeRecord

RECORDS: Mapping[str, Sequence[Outgoing]] = {"labels": [(b"k", b"v", [], 1000)]}


class Story:
    """Owner of the batch and publisher at once: tells what happened in which order."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.released = False
        self.released_by_publishing = False
        self.error: Exception | None = None
        owner: Any = self
        self.batch = RecordBatch(SOURCE, [FakeRecord(b"{}")], OffsetRange(1041, 1042), 1, owner, 0.0)

    async def publish(self, source: str, partition: int, records: Mapping[str, Sequence[Outgoing]]) -> None:
        self.told.append(("published", source, partition, records))
        self.released = self.released or self.released_by_publishing
        if self.error:
            raise self.error

    def is_released(self, _batch: RecordBatch) -> bool:
        return self.released

    def acknowledge(self, batch: RecordBatch) -> bool:
        self.told.append("acknowledged")
        return not self.released

    async def deliver(self) -> bool:
        (delivered,) = await self.deliver_all(Finished(self.batch, RECORDS))
        return delivered

    async def deliver_all(self, *group: Finished) -> Sequence[bool]:
        publisher: Any = self
        return await AtLeastOnce(publisher).deliver(group)


async def test_a_batch_is_acknowledged_after_its_publication() -> None:
    story = Story()
    assert await story.deliver()
    assert story.told == [("published", "texts", 3, RECORDS), "acknowledged"]


async def test_a_released_batch_is_left_to_the_partitions_next_owner() -> None:
    story = Story()
    story.released = True
    assert not await story.deliver()
    assert story.told == []


async def test_a_batch_that_is_released_meanwhile_is_not_delivered_by_us() -> None:
    story = Story()
    story.released_by_publishing = True
    assert not await story.deliver()


async def test_what_the_broker_has_not_confirmed_is_not_acknowledged() -> None:
    story = Story()
    story.error = BrokerError("refused")
    with pytest.raises(BrokerError):
        await story.deliver()
    assert [told[0] for told in story.told if isinstance(told, tuple)] == ["published"]
    assert "acknowledged" not in story.told


async def test_neighbours_are_published_together_in_their_order() -> None:
    story = Story()
    more: dict[str, list[Outgoing]] = {"labels": [(b"k", b"2", [], 1001)], "dead": [(b"k", b"3", [], 1002)]}
    assert await story.deliver_all(Finished(story.batch, RECORDS), Finished(story.batch, more)) == [
        True,
        True,
    ]
    together = {"labels": [*RECORDS["labels"], *more["labels"]], "dead": more["dead"]}
    assert story.told == [("published", "texts", 3, together), "acknowledged", "acknowledged"]
    assert [*RECORDS["labels"]] == [(b"k", b"v", [], 1000)], "what a batch led to is left as it was"
