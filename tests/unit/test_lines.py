"""Items of a partition go in the order of their places, in groups, and nobody waits for another partition."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.kafka.lines import Lines


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


async def test_items_go_in_the_order_of_their_places() -> None:
    road = Road()
    road.open.set()
    lines = Lines(road.send)
    first, second, third = (lines.join("p0") for _ in range(3))
    late = [asyncio.create_task(lines.go(third, "c")), asyncio.create_task(lines.go(second, "b"))]
    await turns()
    assert road.groups == []
    assert await lines.go(first, "a")
    assert await asyncio.gather(*late) == [True, True]
    assert [item for group in road.groups for item in group] == ["a", "b", "c"]


async def test_what_becomes_ready_on_the_way_goes_together_next() -> None:
    road = Road()
    lines = Lines(road.send)
    places = [lines.join("p0") for _ in range(4)]
    going = [asyncio.create_task(lines.go(places[0], "a"))]
    await turns()
    going += [asyncio.create_task(lines.go(places[at], name)) for at, name in ((2, "c"), (1, "b"))]
    await turns()
    assert road.groups == [["a"]]
    road.open.set()
    assert await asyncio.gather(*going) == [True, True, True]
    assert road.groups == [["a"], ["b", "c"]]


async def test_each_item_gets_its_own_outcome() -> None:
    road = Road()
    road.open.set()
    lines = Lines(road.send)
    first, second = lines.join("p0"), lines.join("p0")
    assert await asyncio.gather(lines.go(first, "released"), lines.go(second, "b")) == [False, True]


async def test_another_partition_does_not_wait() -> None:
    road = Road()
    road.open.set()
    lines = Lines(road.send)
    lines.join("p0")
    assert await asyncio.wait_for(lines.go(lines.join("p1"), "b"), 5)


async def test_whoever_leaves_lets_those_behind_go_on() -> None:
    road = Road()
    road.open.set()
    lines = Lines(road.send)
    first, second = lines.join("p0"), lines.join("p0")
    going = asyncio.create_task(lines.go(second, "b"))
    await turns()
    assert road.groups == []
    lines.leave(first)
    assert await asyncio.wait_for(going, 5)


async def test_a_failure_reaches_everyone_of_the_group_and_nobody_else() -> None:
    road = Road()
    road.error = RuntimeError("refused")
    lines = Lines(road.send)
    first, second, third = (lines.join("p0") for _ in range(3))
    going = [asyncio.create_task(lines.go(place, "x")) for place in (first, second)]
    await turns()
    road.open.set()
    assert await asyncio.gather(*going, return_exceptions=True) == [road.error, road.error]
    road.error = None
    assert await lines.go(third, "c")


async def test_a_place_that_was_used_is_not_left_twice() -> None:
    road = Road()
    road.open.set()
    lines = Lines(road.send)
    place = lines.join("p0")
    await lines.go(place, "a")
    lines.leave(place)
    await turns()
    assert lines._places == {}
    assert lines._sending == {}


async def test_whoever_is_cancelled_while_waiting_does_not_hold_up_the_line() -> None:
    road = Road()
    lines = Lines(road.send)
    first, second = lines.join("p0"), lines.join("p0")
    going = asyncio.create_task(lines.go(first, "a"))
    await turns()
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    road.open.set()
    assert await asyncio.wait_for(lines.go(second, "b"), 5)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), max_size=30))
def test_order_holds_whatever_finishes_first(story: list[tuple[int, int]]) -> None:
    """Each item belongs to a partition and is ready after so many turns of the loop."""

    async def tell() -> None:
        road = Road()
        road.open.set()
        lines = Lines(road.send)

        async def finish(number: int, partition: int, delay: int) -> bool:
            place = lines.join(partition)
            await turns(delay)
            return await lines.go(place, f"{partition}-{number}")

        going = [asyncio.create_task(finish(at, *item)) for at, item in enumerate(story)]
        await turns(1)
        assert all(await asyncio.gather(*going))
        for partition in range(3):
            went = [item for group in road.groups for item in group if item.startswith(f"{partition}-")]
            assert went == [f"{partition}-{at}" for at, (of, _) in enumerate(story) if of == partition]

    asyncio.run(tell())
