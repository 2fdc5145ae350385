"""Batches of a partition are published in the order in which they were read."""

import asyncio

import pytest

from stream.kafka.turns import Turns


async def test_a_later_turn_waits_for_every_earlier_one() -> None:
    turns = Turns()
    drawn = [turns.draw("p0") for _ in range(3)]
    order: list[int] = []

    async def publish(at: int) -> None:
        async with drawn[at].taken():
            order.append(at)

    late = [asyncio.create_task(publish(2)), asyncio.create_task(publish(1))]
    await asyncio.sleep(0)
    assert order == []
    await publish(0)
    await asyncio.gather(*late)
    assert order == [0, 1, 2]


async def test_other_partitions_do_not_wait() -> None:
    turns = Turns()
    turns.draw("p0")
    async with turns.draw("p1").taken():
        pass


async def test_a_turn_that_fails_lets_the_next_one_go_on() -> None:
    turns = Turns()
    first, second = turns.draw("p0"), turns.draw("p0")
    with pytest.raises(RuntimeError):
        async with first.taken():
            raise RuntimeError
    async with second.taken():
        pass


async def test_a_finished_line_is_forgotten() -> None:
    turns = Turns()
    async with turns.draw("p0").taken():
        pass
    await asyncio.sleep(0)
    assert turns._last == {}
