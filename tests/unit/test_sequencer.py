"""Items of a partition are sent in ticket order, in groups; partitions do not wait for each other."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.pipeline.sequencer import PartitionSequencer


class Road:
    """Where items go: notes the groups, lets each through when told, and may fail."""

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


async def test_items_go_in_the_order_of_their_tickets() -> None:
    road = Road()
    road.open.set()
    sequencer = PartitionSequencer(road.send)
    first, second, third = (sequencer.reserve("p0") for _ in range(3))
    late = [
        asyncio.create_task(sequencer.submit(third, "c")),
        asyncio.create_task(sequencer.submit(second, "b")),
    ]
    await turns()
    assert road.groups == []
    assert await sequencer.submit(first, "a")
    assert await asyncio.gather(*late) == [True, True]
    assert [item for group in road.groups for item in group] == ["a", "b", "c"]


async def test_what_becomes_ready_on_the_way_goes_together_next() -> None:
    road = Road()
    sequencer = PartitionSequencer(road.send)
    tickets = [sequencer.reserve("p0") for _ in range(4)]
    going = [asyncio.create_task(sequencer.submit(tickets[0], "a"))]
    await turns()
    going += [asyncio.create_task(sequencer.submit(tickets[at], name)) for at, name in ((2, "c"), (1, "b"))]
    await turns()
    assert road.groups == [["a"]]
    road.open.set()
    assert await asyncio.gather(*going) == [True, True, True]
    assert road.groups == [["a"], ["b", "c"]]


async def test_each_item_gets_its_own_outcome() -> None:
    road = Road()
    road.open.set()
    sequencer = PartitionSequencer(road.send)
    first, second = sequencer.reserve("p0"), sequencer.reserve("p0")
    assert await asyncio.gather(sequencer.submit(first, "released"), sequencer.submit(second, "b")) == [
        False,
        True,
    ]


async def test_another_partition_does_not_wait() -> None:
    road = Road()
    road.open.set()
    sequencer = PartitionSequencer(road.send)
    sequencer.reserve("p0")
    assert await asyncio.wait_for(sequencer.submit(sequencer.reserve("p1"), "b"), 5)


async def test_whoever_leaves_lets_those_behind_go_on() -> None:
    road = Road()
    road.open.set()
    sequencer = PartitionSequencer(road.send)
    first, second = sequencer.reserve("p0"), sequencer.reserve("p0")
    going = asyncio.create_task(sequencer.submit(second, "b"))
    await turns()
    assert road.groups == []
    sequencer.cancel(first)
    assert await asyncio.wait_for(going, 5)


async def test_a_failure_reaches_everyone_of_the_group_and_nobody_else() -> None:
    road = Road()
    road.error = RuntimeError("refused")
    sequencer = PartitionSequencer(road.send)
    first, second, third = (sequencer.reserve("p0") for _ in range(3))
    going = [asyncio.create_task(sequencer.submit(ticket, "x")) for ticket in (first, second)]
    await turns()
    road.open.set()
    assert await asyncio.gather(*going, return_exceptions=True) == [road.error, road.error]
    road.error = None
    assert await sequencer.submit(third, "c")


async def test_a_place_that_was_used_is_not_left_twice() -> None:
    road = Road()
    road.open.set()
    sequencer = PartitionSequencer(road.send)
    ticket = sequencer.reserve("p0")
    await sequencer.submit(ticket, "a")
    sequencer.cancel(ticket)
    await turns()
    assert sequencer._tickets == {}
    assert sequencer._sending == {}


async def test_whoever_is_cancelled_while_waiting_does_not_hold_up_the_line() -> None:
    road = Road()
    sequencer = PartitionSequencer(road.send)
    first, second = sequencer.reserve("p0"), sequencer.reserve("p0")
    going = asyncio.create_task(sequencer.submit(first, "a"))
    await turns()
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    road.open.set()
    assert await asyncio.wait_for(sequencer.submit(second, "b"), 5)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), max_size=30))
def test_order_holds_whatever_finishes_first(story: list[tuple[int, int]]) -> None:
    """Each item belongs to a partition and is ready after so many turns of the loop."""

    async def tell() -> None:
        road = Road()
        road.open.set()
        sequencer = PartitionSequencer(road.send)

        async def finish(number: int, partition: int, delay: int) -> bool:
            ticket = sequencer.reserve(partition)
            await turns(delay)
            return await sequencer.submit(ticket, f"{partition}-{number}")

        going = [asyncio.create_task(finish(at, *item)) for at, item in enumerate(story)]
        await turns(1)
        assert all(await asyncio.gather(*going))
        for partition in range(3):
            went = [item for group in road.groups for item in group if item.startswith(f"{partition}-")]
            assert went == [f"{partition}-{at}" for at, (of, _) in enumerate(story) if of == partition]

    asyncio.run(tell())
