"""One deadline limits several steps together."""

import asyncio

import pytest

from stream.deadline import Deadline


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_remaining_time_is_shared_by_the_steps_and_never_negative() -> None:
    clock = Clock()
    deadline = Deadline(10, clock)
    assert deadline.remaining() == 10
    clock.now += 4
    assert deadline.remaining() == 6
    assert not deadline.expired
    clock.now += 6
    assert deadline.expired
    clock.now += 5
    assert deadline.remaining() == 0


def test_an_extension_keeps_the_start_and_leaves_the_original_alone() -> None:
    clock = Clock()
    deadline = Deadline(2, clock)
    clock.now += 3
    extended = deadline.extended(5)
    assert (deadline.remaining(), extended.remaining()) == (0, 4)
    assert (deadline.seconds, extended.seconds) == (2, 7)
    assert not extended.expired


def test_a_deadline_without_time_is_expired_from_the_start() -> None:
    assert Deadline(0, Clock()).expired


async def test_two_waits_take_no_longer_than_the_deadline() -> None:
    deadline, never = Deadline(0.05), asyncio.Event()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(never.wait(), deadline.remaining())
    assert deadline.expired
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(never.wait(), deadline.remaining())
