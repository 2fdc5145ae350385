"""The one owner of everything that waits for the model: single flight, linger, batches, results."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from stream.classify.inputs import ModelInput, Prediction
from stream.classify.pace import Pace
from stream.classify.planner import Limits, Waiting
from stream.classify.tokenise import Tokens
from stream.classify.windows import Outcome
from stream.errors import Poison
from stream.observe.rate import Rate
from stream.runtime import Runtime, give_way

Result = Prediction | Poison

BATCHES_A_LANE = 2


class Group:
    """The rows of one `classify` call; `done` is set when every one has its result."""

    __slots__ = ("done", "left", "results")

    def __init__(self, results: list[Result | None], left: int, done: "asyncio.Future[None]") -> None:
        self.results = results
        self.left = left
        self.done = done

    def receive(self, at: int, result: Result) -> None:
        """Put a result in its place."""
        self.results[at] = result
        self.left -= 1
        if not self.left and not self.done.done():
            self.done.set_result(None)


class Row:
    """An input that waits or is being inferred, and everyone who wants its result."""

    __slots__ = ("arrived", "at", "group", "model_input", "others", "tokens")

    tokens: Tokens
    arrived: float

    def __init__(self, model_input: ModelInput, group: Group, at: int) -> None:
        self.model_input = model_input
        self.group = group
        self.at = at
        # Nearly always nobody: a list for each row would cost more than the row.
        self.others: list[tuple[Group, int]] | None = None

    def also(self, group: Group, at: int) -> None:
        """Let another place wait for the same result."""
        if self.others is None:
            self.others = []
        self.others.append((group, at))

    @property
    def wanted(self) -> list[tuple[Group, int]]:
        """Every place that waits, in the order in which they came."""
        return [(self.group, self.at), *(self.others or ())]


class Part(Row):
    """A window of a row's text, which waits and is inferred like a row of its own.

    Attributes:
        row: the row that gets its result with the last of its parts.
        share: how much of the row's work it is, 0 to 1.
    """

    __slots__ = ("row", "share")

    def __init__(self, row: Row, share: float) -> None:
        super().__init__(row.model_input, row.group, row.at)
        self.row = row
        self.share = share

    @property
    def wanted(self) -> list[tuple[Group, int]]:
        """Every place that waits for the row."""
        return self.row.wanted


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
        self._waiting: Waiting[Row] = Waiting(limits)
        self._known: dict[ModelInput, Row] = {}
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

    def join(self, group: Group, inputs: Sequence[ModelInput], places: Iterable[int]) -> list[Row]:
        """Let a group wait for the results of the inputs at these places.

        Returns:
            The rows that nobody works on yet; they must be handed to `add`, or to `fail`.
        """
        known, fresh = self._known, []
        for at in places:
            model_input = inputs[at]
            row = Row(model_input, group, at)
            first = known.setdefault(model_input, row)
            if first is row:
                fresh.append(row)
            else:
                first.also(group, at)
        return fresh

    def add(self, rows: Sequence[Row], tokens: Sequence[Tokens]) -> None:
        """Queue rows with their tokens."""
        now = self._clock()
        for row, encoded in zip(rows, tokens, strict=True):
            row.tokens = encoded
            row.arrived = now
        self._arrivals.note(len(rows), now)
        self._waiting.add(rows, map(len, tokens))
        self._dispatch()

    def add_parts(self, rows: Sequence[Row], windows: Sequence[Sequence[Tokens]]) -> None:
        """Queue rows whose texts were cut into windows; the planner may part these."""
        parts = [Part(row, 1 / len(cut)) for row, cut in zip(rows, windows, strict=True) for _ in cut]
        self.add(parts, [tokens for cut in windows for tokens in cut])

    def fail(self, rows: Iterable[Row], error: BaseException) -> None:
        """Tell everyone who waits for these rows that there will be no result."""
        for row in rows:
            self._known.pop(row.model_input, None)
            for group, _ in row.wanted:
                if not group.done.done():
                    group.done.set_exception(error)
                    # Whoever waits gets it; when nobody does any more, it is not worth a warning.
                    group.done.exception()

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
        return self._waiting.first.arrived + self._linger_s - now

    def _start(self, lane: Lane, rows: list[Row]) -> None:
        lane.batches += 1
        task = asyncio.get_running_loop().create_task(self._run(lane, rows))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, lane: Lane, rows: list[Row]) -> None:
        try:
            results = await self._infer(lane, [row.tokens for row in rows])
        except BaseException as exc:
            self.fail(rows, exc)
            if not isinstance(exc, Exception):
                raise
        else:
            self._deliver(rows, results)
        finally:
            lane.batches -= 1
            self.pace.note(_whole_rows(rows), lane.newly_busy_s())
            self._dispatch()

    def _deliver(self, rows: list[Row], outcomes: Sequence[Outcome]) -> None:
        results: Sequence[Result]
        if type(rows[0]) is Part:
            rows, results = _finished(rows, outcomes)
        else:
            results = cast(Sequence[Result], outcomes)
        forget = self._known.pop
        for row, result in zip(rows, results, strict=True):
            forget(row.model_input, None)
            row.group.receive(row.at, result)
            if row.others is not None:
                for group, at in row.others:
                    group.receive(at, result)


def _whole_rows(rows: list[Row]) -> float:
    """How many rows a batch is, its parts counted by their shares."""
    if type(rows[0]) is Part:
        return sum(cast(Part, part).share for part in rows)
    return len(rows)


def _finished(parts: list[Row], outcomes: Sequence[Outcome]) -> tuple[list[Row], list[Result]]:
    """The rows whose last part has come, and their results."""
    rows: list[Row] = []
    results: list[Result] = []
    for part, outcome in zip(parts, outcomes, strict=True):
        if outcome is not None:
            rows.append(cast(Part, part).row)
            results.append(outcome)
    return rows, results
