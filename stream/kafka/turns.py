"""Keeps the order of a partition while several of its batches are worked on at once."""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class Turn:
    """A place in a partition's line."""

    def __init__(self, before: "asyncio.Future[None] | None", own: "asyncio.Future[None]") -> None:
        self._before = before
        self._own = own

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Wait until everyone before has left the line; leave it at the end, also on failure."""
        try:
            if self._before is not None:
                await asyncio.wait([self._before])
            yield
        finally:
            self.give_up()

    def give_up(self) -> None:
        """Leave the line; those behind may go on."""
        if not self._own.done():
            self._own.set_result(None)


class Turns:
    """A line a partition: turns are taken in the order in which they were drawn."""

    def __init__(self) -> None:
        self._last: dict[Hashable, asyncio.Future[None]] = {}

    def draw(self, partition: Hashable) -> Turn:
        """Join the end of a partition's line."""
        before = self._last.get(partition)
        own = asyncio.get_running_loop().create_future()
        self._last[partition] = own
        own.add_done_callback(lambda done: self._forget(partition, done))
        return Turn(before, own)

    def _forget(self, partition: Hashable, done: "asyncio.Future[None]") -> None:
        if self._last.get(partition) is done:
            del self._last[partition]
