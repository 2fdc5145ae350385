"""The admission of rows: the rows of all requests together are limited."""

import asyncio
import math
from collections import deque
from collections.abc import Callable

from stream.serve.problems import Kind, RequestError

# Bulk requests leave the rest of the queue to requests that want an answer soon.
BULK_SHARE = 0.5
MIN_RETRY_S = 1


class Admission:
    """Counts the rows that were admitted and are not finished.

    A request beyond the limit is refused, with the time after which it is worth a retry. A bulk request waits
    instead, before it reads more of its body.

    Attributes:
        rows: the admitted rows that are not finished.
    """

    def __init__(self, max_rows: int, backlog_s: Callable[[], float]) -> None:
        """
        Args:
            max_rows: the maximum of `rows`.
            backlog_s: returns the estimated seconds of work that wait for the model.
        """
        self.rows = 0
        self._max_rows = max_rows
        self._max_bulk_rows = max(1, int(max_rows * BULK_SHARE))
        self._backlog_s = backlog_s
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def enter(self, rows: int) -> None:
        """Admit the rows of a request.

        Raises:
            RequestError: the queue is full.
        """
        if self.rows + rows > self._max_rows:
            retry_s = max(MIN_RETRY_S, math.ceil(self._backlog_s()))
            raise RequestError(
                Kind.QUEUE_FULL,
                "the queue is full",
                cause=f"rows in the queue: {self.rows}; the limit is {self._max_rows}",
                fix=f"repeat the request after {retry_s} s, with fewer requests at a time",
                headers={"Retry-After": str(retry_s)},
            )
        self.rows += rows

    async def enter_bulk(self, rows: int) -> None:
        """Admit rows of a bulk request; wait until the queue has room for them, in the order of the calls."""
        if self._waiting or not self._has_bulk_room(rows):
            admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((rows, admitted))
            try:
                await admitted
            except asyncio.CancelledError:
                if admitted.done() and not admitted.cancelled():
                    self.leave(rows)
                raise
            return
        self.rows += rows

    def leave(self, rows: int) -> None:
        """Remove rows that are finished, and admit those that wait."""
        self.rows -= rows
        while self._waiting and (self._waiting[0][1].done() or self._has_bulk_room(self._waiting[0][0])):
            waiting, admitted = self._waiting.popleft()
            if not admitted.done():
                self.rows += waiting
                admitted.set_result(None)

    def _has_bulk_room(self, rows: int) -> bool:
        # Rows beyond the share are admitted into an empty queue: they would wait for ever.
        return self.rows + rows <= self._max_bulk_rows or not self.rows
