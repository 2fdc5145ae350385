"""Keeps the order of a partition while its batches are worked on side by side, and lets them go in groups."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from itertools import takewhile
from typing import Generic, TypeVar

T = TypeVar("T")


class Place(Generic[T]):
    """A place in a partition's line; `outcome` is there once whoever holds it has something to send."""

    __slots__ = ("item", "outcome", "partition")

    item: T

    def __init__(self, partition: Hashable) -> None:
        self.partition = partition
        self.outcome: asyncio.Future[bool] | None = None


class Lines(Generic[T]):
    """A line a partition.

    Items leave it in the order in which their places were taken. While some are on their way, those that
    become ready behind them gather and go together next: a request to the broker costs much more than a
    record in it, and thousands a second would take the processor away from the model.
    """

    def __init__(self, send: Callable[[Sequence[T]], Awaitable[Sequence[bool]]]) -> None:
        """
        Args:
            send: takes ready items of one partition in order, and says of each whether it was sent.
        """
        self._send = send
        self._places: dict[Hashable, deque[Place[T]]] = {}
        self._sending: dict[Hashable, asyncio.Task[None]] = {}

    def join(self, partition: Hashable) -> Place[T]:
        """Take the place at the end of a partition's line."""
        place: Place[T] = Place(partition)
        self._places.setdefault(partition, deque()).append(place)
        return place

    async def go(self, place: Place[T], item: T) -> bool:
        """Send an item as soon as everyone before it has gone.

        Returns:
            What `send` said of it; what `send` raises is raised for every item of its group.
        """
        place.item = item
        place.outcome = asyncio.get_running_loop().create_future()
        self._start(place.partition)
        return await place.outcome

    def leave(self, place: Place[T]) -> None:
        """Give a place up, if it was not used; those behind may go on."""
        if place.outcome is None:
            self._places[place.partition].remove(place)
            self._start(place.partition)

    def _start(self, partition: Hashable) -> None:
        if partition not in self._sending:
            self._sending[partition] = asyncio.get_running_loop().create_task(self._run(partition))

    async def _run(self, partition: Hashable) -> None:
        places = self._places[partition]
        try:
            while ready := [*takewhile(lambda place: place.outcome is not None, places)]:
                for _ in ready:
                    places.popleft()
                await self._go(ready)
        finally:
            del self._sending[partition]
            if not places:
                del self._places[partition]

    async def _go(self, ready: Sequence[Place[T]]) -> None:
        outcomes = [place.outcome for place in ready if place.outcome is not None]
        try:
            sent = await self._send([place.item for place in ready])
        except BaseException as exc:
            for outcome in outcomes:
                if not outcome.done():
                    outcome.set_exception(exc)
                    # Nobody may wait for it any more; that is not worth a warning.
                    outcome.exception()
            if not isinstance(exc, Exception):
                raise
            return
        for outcome, good in zip(outcomes, sent, strict=True):
            if not outcome.done():
                outcome.set_result(good)
