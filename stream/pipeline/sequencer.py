"""Delivery in partition order, although batches of a partition are processed concurrently."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from itertools import takewhile
from typing import Generic, TypeVar

from stream.isolation import checked_results, is_exit

T = TypeVar("T")


class Ticket(Generic[T]):
    """A position in the queue of a partition. `outcome` is None until an item is submitted for the ticket."""

    __slots__ = ("item", "outcome", "partition")

    item: T

    def __init__(self, partition: Hashable) -> None:
        self.partition = partition
        self.outcome: asyncio.Future[bool] | None = None


class PartitionSequencer(Generic[T]):
    """Sends the items of each partition in the order of their tickets.

    While a group of items is being sent, the following items that become ready gather and form the next
    group. A request to the broker costs much more than a record in it; thousands of requests per second would
    take CPU time away from the model.
    """

    def __init__(self, send: Callable[[Sequence[T]], Awaitable[Sequence[bool]]]) -> None:
        """
        Args:
            send: sends the ready items of one partition in order, and returns for each whether it was sent.
        """
        self._send = send
        self._tickets: dict[Hashable, deque[Ticket[T]]] = {}
        self._sending: dict[Hashable, asyncio.Task[None]] = {}

    def reserve(self, partition: Hashable) -> Ticket[T]:
        """Return a ticket at the end of the partition's queue."""
        ticket: Ticket[T] = Ticket(partition)
        self._tickets.setdefault(partition, deque()).append(ticket)
        return ticket

    async def submit(self, ticket: Ticket[T], item: T) -> bool:
        """Send an item after the items of all earlier tickets.

        Returns:
            The value that `send` returned for the item. An exception of `send` is raised for every item of
            the group.
        """
        ticket.item = item
        ticket.outcome = asyncio.get_running_loop().create_future()
        self._start(ticket.partition)
        return await ticket.outcome

    def cancel(self, ticket: Ticket[T]) -> None:
        """Remove a ticket without an item from the queue, so that later items are sent."""
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
                await self._send_group(ready)
        finally:
            del self._sending[partition]
            if not tickets:
                del self._tickets[partition]

    async def _send_group(self, ready: Sequence[Ticket[T]]) -> None:
        outcomes = [ticket.outcome for ticket in ready if ticket.outcome is not None]
        try:
            sent = checked_results(await self._send([ticket.item for ticket in ready]), len(ready))
        except BaseException as exc:
            for outcome in outcomes:
                if not outcome.done():
                    outcome.set_exception(exc)
                    # Retrieving the exception keeps asyncio from logging it if no task awaits the outcome.
                    outcome.exception()
            if is_exit(exc):
                raise
            return
        for outcome, was_sent in zip(outcomes, sent, strict=True):
            if not outcome.done():
                outcome.set_result(was_sent)
