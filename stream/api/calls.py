"""The calls of a classifier in its event loop: they are counted, so that a close can wait for them."""

import asyncio
from collections.abc import Sequence

from stream.api.results import Classification, RowError, as_result
from stream.api.rows import Row, as_event
from stream.errors import Poison, UsageError
from stream.worker.row_classifier import RowClassifier, as_record

CHUNK_ROWS = 512
# While the results of one chunk are read, the model works on the next one.
CHUNKS_AT_ONCE = 2


class Calls:
    """Runs calls, each in chunks that share the batches of all calls."""

    def __init__(self, rows: RowClassifier) -> None:
        """
        Args:
            rows: the classifier of the rows.
        """
        self._rows = rows
        self._running: set[asyncio.Task[object]] = set()
        self._closed = False

    async def classify(self, rows: Sequence[Row]) -> list[Classification | RowError]:
        """Return the result of each row, in order.

        Raises:
            UsageError: the classifier was closed before the rows were labelled.
            DeviceError: the device has stopped working.
            BundleError: the tokenizer has stopped working.
        """
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            return await self._in_chunks(rows)
        except asyncio.CancelledError:
            if self._closed:
                raise closed_error() from None
            raise
        finally:
            self._running.discard(task)

    async def finish(self, seconds: float) -> None:
        """Wait for the running calls, cancel those that take longer, and close the classifier.

        Args:
            seconds: the longest wait.
        """
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        self._closed = True
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)
        self._rows.opened.classifier.close()

    async def _in_chunks(self, rows: Sequence[Row]) -> list[Classification | RowError]:
        turn = asyncio.Semaphore(CHUNKS_AT_ONCE)
        chunks = [
            asyncio.ensure_future(self._chunk(rows[at : at + CHUNK_ROWS], turn))
            for at in range(0, len(rows), CHUNK_ROWS)
        ]
        try:
            return [result for chunk in await asyncio.gather(*chunks) for result in chunk]
        finally:
            # After an error or a cancellation, nobody reads the other chunks.
            for chunk in chunks:
                chunk.cancel()

    async def _chunk(self, rows: Sequence[Row], turn: asyncio.Semaphore) -> list[Classification | RowError]:
        async with turn:
            events = [as_event(row) for row in rows]
            records = [as_record(at, event) for at, event in enumerate(events) if isinstance(event, bytes)]
            classified = iter(await self._rows.classify(records))
            return [
                as_result(event if isinstance(event, Poison) else next(classified).result) for event in events
            ]


def closed_error() -> UsageError:
    """Return the error of a call to a closed classifier."""
    return UsageError("the classifier is closed", fix="open it again with Classifier.open")
