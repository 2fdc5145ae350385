"""A batch is published and then acknowledged, or neither."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from stream.errors import BrokerError
from stream.kafka.batches import RecordBatch
from stream.kafka.delivery import AtLeastOnce, FinishedBatch
from stream.kafka.publisher import Refused
from stream.kafka.ranges import OffsetRange
from stream.records import Outgoing
from tests.unit.records import SOURCE, FakeRecord

RECORDS: Mapping[str, Sequence[Outgoing]] = {"labels": [FakeRecord(b"v", b"k", timestamp=1000)]}


class Setup:
    """The owner of a batch and the publisher in one, with a record of the calls in order."""

    def __init__(self) -> None:
        self.calls: list[object] = []
        self.released = False
        self.released_during_publication = False
        self.error: Exception | None = None
        self.refused: Refused = {}
        self.rejected: list[Refused] = []
        owner: Any = self
        self.batch = RecordBatch(SOURCE, [FakeRecord(b"{}")], OffsetRange(1041, 1042), 1, owner, 0.0)

    async def publish(
        self, source: str, partition: int, records: Mapping[str, Sequence[Outgoing]]
    ) -> Refused:
        self.calls.append(("published", source, partition, records))
        self.released = self.released or self.released_during_publication
        if self.error:
            raise self.error
        refused, self.refused = self.refused, {}
        return refused

    def reject(self, refused: Refused) -> Mapping[str, Sequence[Outgoing]]:
        self.rejected.append(refused)
        return {"dead": [FakeRecord(b"%d rejected" % sum(map(len, refused.values())))]}

    def is_released(self, _batch: RecordBatch) -> bool:
        return self.released

    def acknowledge(self, batch: RecordBatch) -> bool:
        self.calls.append("acknowledged")
        return not self.released

    async def deliver(self) -> bool:
        (delivered,) = await self.deliver_all(FinishedBatch(self.batch, RECORDS, self.reject))
        return delivered

    async def deliver_all(self, *group: FinishedBatch) -> Sequence[bool]:
        publisher: Any = self
        return await AtLeastOnce(publisher).deliver(group)


async def test_a_batch_is_acknowledged_after_its_output_is_published() -> None:
    setup = Setup()
    assert await setup.deliver()
    assert setup.calls == [("published", "texts", 3, RECORDS), "acknowledged"]


async def test_a_released_batch_is_neither_published_nor_acknowledged() -> None:
    setup = Setup()
    setup.released = True
    assert not await setup.deliver()
    assert setup.calls == []


async def test_a_batch_released_during_its_publication_is_not_delivered() -> None:
    setup = Setup()
    setup.released_during_publication = True
    assert not await setup.deliver()


async def test_unconfirmed_output_is_not_acknowledged() -> None:
    setup = Setup()
    setup.error = BrokerError("refused")
    with pytest.raises(BrokerError):
        await setup.deliver()
    assert [call[0] for call in setup.calls if isinstance(call, tuple)] == ["published"]
    assert "acknowledged" not in setup.calls


async def test_consecutive_batches_are_published_together_in_order() -> None:
    setup = Setup()
    more: dict[str, list[Outgoing]] = {
        "labels": [FakeRecord(b"2", b"k", timestamp=1001)],
        "dead": [FakeRecord(b"3", b"k", timestamp=1002)],
    }
    first, second = (FinishedBatch(setup.batch, records, setup.reject) for records in (RECORDS, more))
    assert await setup.deliver_all(first, second) == [True, True]
    merged = {"labels": [*RECORDS["labels"], *more["labels"]], "dead": more["dead"]}
    assert setup.calls == [("published", "texts", 3, merged), "acknowledged", "acknowledged"]
    assert [*RECORDS["labels"]] == [FakeRecord(b"v", b"k", timestamp=1000)], (
        "the output of a batch is not modified"
    )


async def test_records_that_are_too_large_are_rejected_by_their_batches() -> None:
    setup = Setup()
    labels: list[Outgoing] = [FakeRecord(b"%d" % at) for at in range(3)]
    other: list[Outgoing] = [FakeRecord(b"other")]
    batches: list[dict[str, list[Outgoing]]] = [
        {"labels": labels, "dead": []},
        {"labels": labels, "other": other, "dead": []},
        {"labels": labels, "other": other, "dead": []},
    ]
    group = [FinishedBatch(setup.batch, records, setup.reject) for records in batches]
    setup.refused = {"labels": [0, 2, 7], "other": [1]}
    assert await setup.deliver_all(*group) == [True, True, True]
    assert setup.rejected == [{"labels": [0, 2]}, {}, {"labels": [1], "other": [0]}]
    first, second = (call for call in setup.calls if isinstance(call, tuple))
    assert len(first[3]["labels"]) == 9
    assert [record.value for record in second[3]["dead"]] == [b"2 rejected", b"0 rejected", b"2 rejected"]
    assert second[3].keys() == {"dead"}
    assert setup.calls[2:] == ["acknowledged"] * 3
