"""The batcher: it owns all rows that wait for the model, merges equal inputs and hands batches to threads."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from time import monotonic

from stream.classify.inputs import ModelInput, RowResult
from stream.classify.queue import BatchLimits, LengthOrderedQueue
from stream.classify.throughput import Throughput
from stream.classify.tokenise import Tokens
from stream.classify.windows import WindowResult
from stream.isolation import is_exit
from stream.observe.stages import StageTrace
from stream.runtime import Runtime, lower_thread_priority

MAX_BATCHES_PER_THREAD = 2


class PendingCall:
    """The rows of one `classify` call; `done` is set when every row has its result.

    Attributes:
        inputs: the inputs of the call.
        results: the result of each input, None while it is missing.
        remaining: the number of missing results.
        done: the future that the caller awaits.
        trace: records the stages of the call; None if the call is not traced.
    """

    __slots__ = ("done", "inputs", "remaining", "results", "trace")

    def __init__(
        self,
        inputs: Sequence[ModelInput],
        results: list[RowResult | None],
        remaining: int,
        done: "asyncio.Future[None]",
        trace: StageTrace | None = None,
    ) -> None:
        self.inputs = inputs
        self.results = results
        self.remaining = remaining
        self.done = done
        self.trace = trace

    def mark_received(self, count: int) -> None:
        """Count results that were stored in `results`; the last one sets `done`."""
        self.remaining -= count
        if not self.remaining and not self.done.done():
            self.done.set_result(None)


# These are tuples because every event has one of each, and an instance of a class takes several times as long
# to create.
PendingRow = tuple[PendingCall, int]
"""An input that waits or is being inferred: its call, and its index in the call's inputs."""

WorkItem = tuple[PendingRow, Tokens, float]
"""A row or a window of its text: the row, the tokens, and their share of the row's work, 0 to 1."""


class RuntimeThread:
    """A runtime and the one thread that uses it.

    Attributes:
        batches: the number of batches handed over and not finished: one that runs and one that is prepared.
        busy_s: the total seconds of inference; only the thread writes it.
        started_at: the monotonic start time of the current inference, None when none runs; only the thread
            writes it.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.executor = ThreadPoolExecutor(1, thread_name_prefix="infer", initializer=lower_thread_priority)
        self.batches = 0
        self.busy_s = 0.0
        self.started_at: float | None = None
        self._reported_s = 0.0

    @property
    def unreported_s(self) -> float:
        """The seconds of inference since the last call of `take_busy_s`."""
        return self.busy_s - self._reported_s

    def take_busy_s(self) -> float:
        """Return the seconds of inference since the previous call."""
        new_s, self._reported_s = self.busy_s - self._reported_s, self.busy_s
        return new_s


Infer = Callable[[RuntimeThread, Sequence[Tokens]], Awaitable[Sequence[WindowResult]]]


class Batcher:
    """Assigns queued rows to threads, in batches. A batcher belongs to one event loop and needs no locks."""

    def __init__(
        self,
        threads: Sequence[RuntimeThread],
        infer: Infer,
        limits: BatchLimits,
        throughput: Throughput,
    ) -> None:
        """
        Args:
            threads: the threads that run batches.
            infer: runs one batch on a thread; returns a result for each item in order, None for a window
                whose text has other windows to be inferred.
            limits: the limits of a batch.
            throughput: receives the rows and seconds of every batch.
        """
        self._threads = threads
        self._infer = infer
        self._throughput = throughput
        self._queue: LengthOrderedQueue[WorkItem] = LengthOrderedQueue(limits)
        self._first_rows: dict[ModelInput, PendingRow] = {}
        self._duplicates: dict[ModelInput, list[PendingRow]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._first_rows)

    @property
    def backlog_s(self) -> float:
        """The seconds that the pending rows will take; 0 before the first batch."""
        return len(self._first_rows) / self._throughput.rows_per_s

    def register(self, call: PendingCall, indexes: Iterable[int]) -> list[PendingRow]:
        """Make a call wait for the results of its inputs at these indexes.

        Returns:
            The rows whose input no other row has; pass each of them to `enqueue`, `finish` or `fail`.
        """
        inputs, first_of, new = call.inputs, self._first_rows.setdefault, []
        for row in zip(repeat(call), indexes, strict=False):
            model_input = inputs[row[1]]
            if first_of(model_input, row) is row:
                new.append(row)
            else:
                self._duplicates.setdefault(model_input, []).append(row)
        return new

    def enqueue(self, rows: Sequence[PendingRow], tokens: Sequence[Tokens]) -> None:
        """Queue rows with their tokens."""
        items = [*zip(rows, tokens, repeat(1.0, len(rows)), strict=True)]
        self._queue.add(items, map(len, tokens))
        self._dispatch()

    def enqueue_windows(self, rows: Sequence[PendingRow], windows: Sequence[Sequence[Tokens]]) -> None:
        """Queue the windows of each row's text; windows of one text may go to different batches."""
        items = [
            (row, tokens, 1 / len(of_row))
            for row, of_row in zip(rows, windows, strict=True)
            for tokens in of_row
        ]
        self._queue.add(items, [len(tokens) for _, tokens, _ in items])
        self._dispatch()

    def finish(self, rows: Sequence[PendingRow], results: Sequence[RowResult]) -> None:
        """Give rows that are not queued their results, and with them the calls that wait for equal inputs."""
        self._deliver([(row, None, 0.0) for row in rows], results)

    def fail(self, rows: Iterable[PendingRow], error: BaseException) -> None:
        """Raise an error in every call that waits for these rows."""
        for call, index in rows:
            model_input = call.inputs[index]
            self._first_rows.pop(model_input, None)
            for waiting in (call, *(other for other, _ in self._duplicates.pop(model_input, ()))):
                if not waiting.done.done():
                    waiting.done.set_exception(error)
                    # Retrieving the exception keeps asyncio from logging it if the call was cancelled.
                    waiting.done.exception()

    def _dispatch(self) -> None:
        """Hand batches to the threads: any batch to an idle thread, only full batches to a busy one."""
        try:
            self._hand_out()
        except BaseException as exc:
            # The rows of the queue would wait for ever.
            self.fail([*self._first_rows.values()], exc)
            raise

    def _hand_out(self) -> None:
        while len(self._queue):
            thread = min(self._threads, key=lambda thread: thread.batches)
            if thread.batches >= (MAX_BATCHES_PER_THREAD if self._queue.fills_a_batch else 1):
                return
            self._start(thread, self._queue.take())

    def _start(self, thread: RuntimeThread, items: list[WorkItem]) -> None:
        thread.batches += 1
        task = asyncio.get_running_loop().create_task(self._run(thread, items))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, thread: RuntimeThread, items: list[WorkItem]) -> None:
        try:
            results = await self._infer(thread, [tokens for _, tokens, _ in items])
            receivers = self._deliver(items, results)
            _record_inference(receivers, thread.unreported_s)
        except BaseException as exc:
            # Nothing awaits this task, so every error is raised in the calls that wait for the rows.
            self.fail([row for row, _, _ in items], exc)
            if is_exit(exc):
                raise
        finally:
            thread.batches -= 1
            self._throughput.record(sum([share for _, _, share in items]), thread.take_busy_s())
            self._dispatch()

    def _deliver(
        self, items: Sequence[tuple[PendingRow, object, float]], results: Sequence[WindowResult]
    ) -> Iterable[PendingCall]:
        """Store the results in their calls, and in the calls that wait for equal inputs.

        Returns:
            The calls.
        """
        forget, duplicates = self._first_rows.pop, self._duplicates
        receivers = []
        for ((call, index), _, _), result in zip(items, results, strict=True):
            if result is None:
                continue
            model_input = call.inputs[index]
            forget(model_input, None)
            call.results[index] = result
            receivers.append(call)
            if duplicates:
                for other, other_index in duplicates.pop(model_input, ()):
                    other.results[other_index] = result
                    receivers.append(other)
        counts = Counter(receivers)
        for call, count in counts.items():
            call.mark_received(count)
        return counts


def _record_inference(calls: Iterable[PendingCall], seconds: float) -> None:
    """Record an inference that has just ended in the traces of the calls that it was for."""
    traces = [call.trace for call in calls if call.trace is not None]
    if traces:
        ended = monotonic()
        for trace in traces:
            trace.record("infer", ended - seconds, ended)
