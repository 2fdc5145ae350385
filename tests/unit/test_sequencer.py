"""The items of a partition are sent in ticket order, in groups, independently of other partitions."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.pipeline.sequencer import PartitionSequencer


class FakeBroker:
    """A broker that records the groups of items, holds them until `open` is set, and may fail."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.open = asyncio.Event()
        self.error: Exception | None = None

    async def send(self, items: Sequence[str]) -> Sequence[bool]:
        self.groups.append([*items])
        await self.open.wait()
        if self.error:
            raise self.error
        return [item != "released" for item in items]


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_items_are_sent_in_the_order_of_their_tickets() -> None:
    broker = FakeBroker()
    broker.open.set()
    sequencer = PartitionSequencer(broker.send)
    first, second, third = (sequencer.reserve("p0") for _ in range(3))
    late = [
        asyncio.create_task(sequencer.submit(third, "c")),
        asyncio.create_task(sequencer.submit(second, "b")),
    ]
    await turns()
    assert broker.groups == []
    assert await sequencer.submit(first, "a")
    assert await asyncio.gather(*late) == [True, True]
    assert [item for group in broker.groups for item in group] == ["a", "b", "c"]


async def test_items_that_become_ready_during_a_send_form_the_next_group() -> None:
    broker = FakeBroker()
    sequencer = PartitionSequencer(broker.send)
    tickets = [sequencer.reserve("p0") for _ in range(4)]
    sends = [asyncio.create_task(sequencer.submit(tickets[0], "a"))]
    await turns()
    sends += [asyncio.create_task(sequencer.submit(tickets[at], name)) for at, name in ((2, "c"), (1, "b"))]
    await turns()
    assert broker.groups == [["a"]]
    broker.open.set()
    assert await asyncio.gather(*sends) == [True, True, True]
    assert broker.groups == [["a"], ["b", "c"]]


async def test_each_item_gets_its_own_outcome() -> None:
    broker = FakeBroker()
    broker.open.set()
    sequencer = PartitionSequencer(broker.send)
    first, second = sequencer.reserve("p0"), sequencer.reserve("p0")
    sent = await asyncio.gather(sequencer.submit(first, "released"), sequencer.submit(second, "b"))
    assert [*sent] == [False, True]


async def test_partitions_do_not_wait_for_each_other() -> None:
    broker = FakeBroker()
    broker.open.set()
    sequencer = PartitionSequencer(broker.send)
    sequencer.reserve("p0")
    assert await asyncio.wait_for(sequencer.submit(sequencer.reserve("p1"), "b"), 5)


async def test_a_cancelled_ticket_does_not_block_later_items() -> None:
    broker = FakeBroker()
    broker.open.set()
    sequencer = PartitionSequencer(broker.send)
    first, second = sequencer.reserve("p0"), sequencer.reserve("p0")
    sends = asyncio.create_task(sequencer.submit(second, "b"))
    await turns()
    assert broker.groups == []
    sequencer.cancel(first)
    assert await asyncio.wait_for(sends, 5)


async def test_a_failure_is_raised_for_every_item_of_its_group_only() -> None:
    broker = FakeBroker()
    broker.error = RuntimeError("refused")
    sequencer = PartitionSequencer(broker.send)
    first, second, third = (sequencer.reserve("p0") for _ in range(3))
    sends = [asyncio.create_task(sequencer.submit(ticket, "x")) for ticket in (first, second)]
    await turns()
    broker.open.set()
    assert await asyncio.gather(*sends, return_exceptions=True) == [broker.error, broker.error]
    broker.error = None
    assert await sequencer.submit(third, "c")


async def test_cancelling_a_used_ticket_does_nothing() -> None:
    broker = FakeBroker()
    broker.open.set()
    sequencer = PartitionSequencer(broker.send)
    ticket = sequencer.reserve("p0")
    await sequencer.submit(ticket, "a")
    sequencer.cancel(ticket)
    await turns()
    assert sequencer._tickets == {}
    assert sequencer._sending == {}


async def test_a_cancelled_submit_does_not_block_later_items() -> None:
    broker = FakeBroker()
    sequencer = PartitionSequencer(broker.send)
    first, second = sequencer.reserve("p0"), sequencer.reserve("p0")
    sends = asyncio.create_task(sequencer.submit(first, "a"))
    await turns()
    sends.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sends
    broker.open.set()
    assert await asyncio.wait_for(sequencer.submit(second, "b"), 5)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), max_size=30))
def test_the_order_of_tickets_holds_in_any_order_of_completion(items: list[tuple[int, int]]) -> None:
    """Each pair is the partition of an item and the turns of the event loop until it is ready."""

    async def send_all() -> None:
        broker = FakeBroker()
        broker.open.set()
        sequencer = PartitionSequencer(broker.send)

        async def finish(number: int, partition: int, delay: int) -> bool:
            ticket = sequencer.reserve(partition)
            await turns(delay)
            return await sequencer.submit(ticket, f"{partition}-{number}")

        sends = [asyncio.create_task(finish(at, *item)) for at, item in enumerate(items)]
        await turns(1)
        assert all(await asyncio.gather(*sends))
        for partition in range(3):
            sent = [item for group in broker.groups for item in group if item.startswith(f"{partition}-")]
            assert sent == [f"{partition}-{at}" for at, (of, _) in enumerate(items) if of == partition]

    asyncio.run(send_all())


async def test_a_send_that_loses_a_result_fails_every_item_of_its_group() -> None:
    async def send(items: Sequence[str]) -> Sequence[bool]:
        return [True for _ in items[1:]]

    sequencer = PartitionSequencer(send)
    tickets = [sequencer.reserve("p0") for _ in range(2)]
    sends = [sequencer.submit(ticket, "x") for ticket in tickets]
    results = await asyncio.wait_for(asyncio.gather(*sends, return_exceptions=True), 5)
    assert [type(result) for result in results] == [ValueError, ValueError]
