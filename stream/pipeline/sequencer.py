"""Keeps the order of a partition while its batches are worked on side by side, and lets them go in groups."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from itertools import takewhile
from typing import Generic, TypeVar

T = TypeVar("T")


class Ticket(Generic[T]):
    """A ticket in a partition's line; `outcome` is there once whoever holds it has something to send."""

    __slots__ = ("item", "outcome", "partition")

    item: T

    def __init__(self, partition: Hashable) -> None:
        self.partition = partition
        self.outcome: asyncio.Future[bool] | None = None


class PartitionSequencer(Generic[T]):
    """A line a partition.

    Items leave it in the order in which their tickets were taken. While some are on their way, those that
    become ready behind them gather and go together next: a request to the broker costs much more than a
    record in it, and thousands a second would take the processor away from the model.
    """

    def __init__(self, send: Callable[[Sequence[T]], Awaitable[Sequence[bool]]]) -> None:
        """
        Args:
            send: takes ready items of one partition in order, and says of each whether it was sent.
        """
        self._send = send
        self._tickets: dict[Hashable, deque[Ticket[T]]] = {}
        self._sending: dict[Hashable, asyncio.Task[None]] = {}

    def reserve(self, partition: Hashable) -> Ticket[T]:
        """Take the ticket at the end of a partition's line."""
        ticket: Ticket[T] = Ticket(partition)
        self._tickets.setdefault(partition, deque()).append(ticket)
        return ticket

    async def submit(self, ticket: Ticket[T], item: T) -> bool:
        """Send an item as soon as everyone before it has gone.

        Returns:
            What `send` said of it; what `send` raises is raised for every item of its group.
        """
        ticket.item = item
        ticket.outcome = asyncio.get_running_loop().create_future()
        self._start(ticket.partition)
        return await ticket.outcome

    def cancel(self, ticket: Ticket[T]) -> None:
        """Give a ticket up, if it was not used; those behind may go on."""
        if ticket.outcome is None:
            self._tickets[ticket.partition].remove(ticket)
            self._start(ticket.partition)

    def _start(self, partition: Hashable) -> None:
        if partition not in self._sending:
            self._sending[partition] = asyncio.get_running_loop().create_task(self._run(partition))

    async def _run(self, partition: Hashable) -> None:
        tickets = self._tickets[partition]
        try:
            while ready := [*takewhile(lambda ticket: ticket.outcome is not None, tickets)]:
                for _ in ready:
                    tickets.popleft()
                await self._go(ready)
        finally:
            del self._sending[partition]
            if not tickets:
                del self._tickets[partition]

    async def _go(self, ready: Sequence[Ticket[T]]) -> None:
        outcomes = [ticket.outcome for ticket in ready if ticket.outcome is not None]
        try:
            sent = await self._send([ticket.item for ticket in ready])
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
