"""The one owner of everything that waits for the model: single flight, linger, batches, results."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

from stream.classify.inputs import ModelInput, Prediction
from stream.classify.pace import Pace
from stream.classify.queue import LengthOrderedQueue, Limits
from stream.classify.tokenise import Tokens
from stream.classify.windows import Outcome
from stream.errors import Poison
from stream.observe.rate import Rate
from stream.runtime import Runtime, give_way

Result = Prediction | Poison

BATCHES_A_LANE = 2


class PendingCall:
    """The rows of one `classify` call; `done` is set when every one has its result.

    Attributes:
        inputs: what the caller wants results for.
        results: theirs, None where there is none yet.
        left: how many results the group still waits for.
        done: ends the wait.
        arrived: when it joined the batcher, monotonic seconds.
    """

    __slots__ = ("arrived", "done", "inputs", "left", "results")

    arrived: float

    def __init__(
        self,
        inputs: Sequence[ModelInput],
        results: list[Result | None],
        left: int,
        done: "asyncio.Future[None]",
    ) -> None:
        self.inputs = inputs
        self.results = results
        self.left = left
        self.done = done

    def received(self, count: int) -> None:
        """Note that so many results were put in their places."""
        self.left -= count
        if not self.left and not self.done.done():
            self.done.set_result(None)


# Tuples: every event has one of each, and objects of a class of ours take several times as long to make.
Row = tuple[PendingCall, int]
"""A place in a group, whose input waits or is being inferred."""

WorkItem = tuple[Row, Tokens, float]
"""A row or a window of its text: the row, the tokens, and which share of the row's work they are, 0 to 1."""


class Lane:
    """A runtime with the one thread that owns it, and room for two batches: one runs, one is prepared.

    Attributes:
        batches: handed over and not finished.
        busy_s: seconds that the runtime has worked; only its thread adds to them.
        began: when the inference that runs began, monotonic seconds, None when none runs; only its thread
            sets it.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="infer", initializer=give_way)
        self.batches = 0
        self.busy_s = 0.0
        self.began: float | None = None
        self._counted_s = 0.0

    def newly_busy_s(self) -> float:
        """Seconds worked since this was asked last."""
        newly, self._counted_s = self.busy_s - self._counted_s, self.busy_s
        return newly


Infer = Callable[[Lane, Sequence[Tokens]], Awaitable[Sequence[Outcome]]]


class Batcher:
    """Decides when which rows go to which lane. Lives in one event loop; nothing else touches its rows."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        infer: Infer,
        limits: Limits,
        *,
        linger_s: float,
        window_s: float,
        clock: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], asyncio.TimerHandle],
    ) -> None:
        """
        Args:
            lanes: where batches run.
            infer: runs one batch in a lane; results come in the rows' order, None for a part whose text has
                parts that are not inferred yet.
            limits: what a batch may hold.
            linger_s: longest that a row is held back for a fuller batch, seconds.
            window_s: seconds of work that may wait here; more is not asked for.
            clock: monotonic seconds.
            call_later: the loop's.
        """
        self._lanes = lanes
        self._infer = infer
        self._linger_s = linger_s
        self._clock = clock
        self._call_later = call_later
        self._waiting: LengthOrderedQueue[WorkItem] = LengthOrderedQueue(limits)
        self._known: dict[ModelInput, Row] = {}
        self._others: dict[ModelInput, list[Row]] = {}
        self._arrivals = Rate()
        self.pace = Pace(len(lanes), limits.max_rows, window_s)
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._known)

    @property
    def busy_s(self) -> float:
        """Seconds that all its rows will take; 0 before the first batch."""
        return len(self._known) / self.pace.rows_per_s

    def join(self, group: PendingCall, places: Iterable[int]) -> list[Row]:
        """Let a group wait for the results of its inputs at these places.

        Returns:
            The rows that nobody works on yet; they must be handed to `add`, or to `fail`.
        """
        group.arrived = self._clock()
        inputs, first_of, fresh = group.inputs, self._known.setdefault, []
        for row in zip(repeat(group), places, strict=False):
            model_input = inputs[row[1]]
            if first_of(model_input, row) is row:
                fresh.append(row)
            else:
                self._others.setdefault(model_input, []).append(row)
        return fresh

    def add(self, rows: Sequence[Row], tokens: Sequence[Tokens]) -> None:
        """Queue rows with their tokens."""
        self._queue(len(rows), [*zip(rows, tokens, repeat(1.0, len(rows)), strict=True)], tokens)

    def add_parts(self, rows: Sequence[Row], windows: Sequence[Sequence[Tokens]]) -> None:
        """Queue rows whose texts were cut into windows; the planner may part these."""
        pieces = [
            (row, tokens, 1 / len(cut)) for row, cut in zip(rows, windows, strict=True) for tokens in cut
        ]
        self._queue(len(pieces), pieces, [tokens for cut in windows for tokens in cut])

    def _queue(self, count: int, pieces: Sequence[WorkItem], tokens: Iterable[Tokens]) -> None:
        self._arrivals.note(count, self._clock())
        self._waiting.add(pieces, map(len, tokens))
        self._dispatch()

    def fail(self, rows: Iterable[Row], error: BaseException) -> None:
        """Tell everyone who waits for these rows that there will be no result."""
        for group, at in rows:
            model_input = group.inputs[at]
            self._known.pop(model_input, None)
            for waiting in (group, *(other for other, _ in self._others.pop(model_input, ()))):
                if not waiting.done.done():
                    waiting.done.set_exception(error)
                    # Whoever waits gets it; when nobody does any more, it is not worth a warning.
                    waiting.done.exception()

    def _dispatch(self) -> None:
        """Give batches to lanes: to an idle one when waiting is over, to a busy one only full batches."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while len(self._waiting):
            lane = min(self._lanes, key=lambda lane: lane.batches)
            full = self._waiting.fills_a_batch
            if lane.batches >= (BATCHES_A_LANE if full else 1):
                return
            if not full and (pause := self._still_lingering()) > 0:
                self._timer = self._call_later(pause, self._dispatch)
                return
            self._start(lane, self._waiting.take())

    def _still_lingering(self) -> float:
        """Seconds for which a fuller batch is worth waiting: none when nobody else is expected by then."""
        now = self._clock()
        if self._arrivals.per_s(now) * self._linger_s < 1:
            return 0.0
        (group, _), _, _ = self._waiting.first
        return group.arrived + self._linger_s - now

    def _start(self, lane: Lane, pieces: list[WorkItem]) -> None:
        lane.batches += 1
        task = asyncio.get_running_loop().create_task(self._run(lane, pieces))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, lane: Lane, pieces: list[WorkItem]) -> None:
        try:
            outcomes = await self._infer(lane, [tokens for _, tokens, _ in pieces])
        except BaseException as exc:
            self.fail([row for row, _, _ in pieces], exc)
            if not isinstance(exc, Exception):
                raise
        else:
            self._deliver(pieces, outcomes)
        finally:
            lane.batches -= 1
            self.pace.note(sum([share for _, _, share in pieces]), lane.newly_busy_s())
            self._dispatch()

    def _deliver(self, pieces: list[WorkItem], outcomes: Sequence[Outcome]) -> None:
        """Put results in their places; a part whose text has others that are not inferred yet has none."""
        forget, others = self._known.pop, self._others
        receivers = []
        for ((group, at), _, _), result in zip(pieces, outcomes, strict=True):
            if result is None:
                continue
            model_input = group.inputs[at]
            forget(model_input, None)
            group.results[at] = result
            receivers.append(group)
            if others:
                for other, its in others.pop(model_input, ()):
                    other.results[its] = result
                    receivers.append(other)
        for group, count in Counter(receivers).items():
            group.received(count)
