"""The stage before the batcher: rows of several calls are tokenized together."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import structlog

from stream.classify.batcher import Batcher, PendingRow
from stream.classify.inputs import ModelInput
from stream.classify.isolating_tokeniser import EncodedInputs
from stream.errors import Poison
from stream.isolation import is_exit
from stream.observe.stages import StageTrace

MAX_TOKENISED_ROWS = 4_096

log = structlog.get_logger(__name__)


class StageTimer(Protocol):
    """Measures the duration of a stage."""

    def timed(self, stage: str, traces: Sequence[StageTrace] = ()) -> AbstractContextManager[object]: ...


class TokeniseStage:
    """Tokenizes rows and passes them to the batcher.

    Rows of several calls are tokenized together, because waking the other thread is expensive. Every row
    that is added reaches the batcher with its tokens, with its result if the tokenizer failed on it, or with
    an error for the calls that wait for it.
    """

    def __init__(
        self,
        encode: Callable[[Sequence[ModelInput]], Awaitable[EncodedInputs]],
        batcher: Batcher,
        timer: StageTimer,
        *,
        windows: bool,
    ) -> None:
        """
        Args:
            encode: tokenizes inputs in the tokenise thread.
            batcher: receives the rows.
            timer: receives the duration of each call of `encode`.
            windows: True if the bundle splits texts into windows.
        """
        self._encode = encode
        self._timer = timer
        self._batcher = batcher
        self._enqueue: Callable[[Sequence[PendingRow], Sequence[Any]], None] = (
            batcher.enqueue_windows if windows else batcher.enqueue
        )
        self._waiting: list[PendingRow] = []
        self._traced: list[tuple[int, int, StageTrace]] = []
        self._first = 0
        self._task: asyncio.Task[None] | None = None

    def add(self, rows: Sequence[PendingRow]) -> None:
        """Tokenize the rows of a call as soon as those before them are tokenized."""
        if rows and (trace := rows[0][0].trace) is not None:
            first = self._first + len(self._waiting)
            self._traced.append((first, first + len(rows), trace))
        self._waiting += rows
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._waiting:
                rows = self._waiting[:MAX_TOKENISED_ROWS]
                del self._waiting[:MAX_TOKENISED_ROWS]
                await self._tokenise(rows)
        except BaseException as exc:
            self._batcher.fail(self._waiting, exc)
            self._waiting.clear()
            self._traced.clear()
            raise
        finally:
            self._task = None

    async def _tokenise(self, rows: Sequence[PendingRow]) -> None:
        try:
            with self._timer.timed("tokenise", self._take_traces(len(rows))):
                encoded, errors = await self._encode([call.inputs[index] for call, index in rows])
            if errors:
                log.warning("the tokenizer failed on texts", errors=dict(Counter(errors)))
                rows, encoded = self._finish_failed(rows, encoded)
            self._enqueue(rows, encoded)
        except BaseException as exc:
            # Nothing awaits this task, so every error is raised in the calls that wait for the rows.
            self._batcher.fail(rows, exc)
            if is_exit(exc):
                raise

    def _take_traces(self, count: int) -> Sequence[StageTrace]:
        """Return the traces of the next rows, and forget those without further rows."""
        stop = self._first = self._first + count
        traces = [trace for first, _, trace in self._traced if first < stop]
        self._traced = [entry for entry in self._traced if entry[1] > stop]
        return traces

    def _finish_failed(
        self, rows: Sequence[PendingRow], encoded: Sequence[Any]
    ) -> tuple[Sequence[PendingRow], Sequence[Any]]:
        """Deliver the results of rows without tokens; return the other rows and their tokens."""
        tokenised: list[PendingRow] = []
        tokens: list[Any] = []
        for row, of_row in zip(rows, encoded, strict=True):
            if isinstance(of_row, Poison):
                self._batcher.finish([row], [of_row])
            else:
                tokenised.append(row)
                tokens.append(of_row)
        return tokenised, tokens
