"""The tracer: it samples the events of record batches, and collects the times of their stages."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from time import monotonic, time_ns
from typing import Any, NamedTuple, Protocol

from stream.codec import load_codec
from stream.observe.metrics import AgeExemplar
from stream.records import Record, Source
from stream.tracing.context import SpanContext, format_traceparent
from stream.tracing.sampling import EventSampler, TracedEvent

# Batches that wait for the commit of their offsets. A commit follows every second, unless the broker is away.
MAX_UNCOMMITTED = 1_000
NANOSECONDS = 1_000_000_000


class StageTime(NamedTuple):
    """The time of a stage, from the start of its first part to the end of its last part.

    Attributes:
        began: the start, nanoseconds since the epoch.
        ended: the end, nanoseconds since the epoch.
        parts: the number of parts.
    """

    began: int
    ended: int
    parts: int


class FinishedTrace(NamedTuple):
    """All facts about a traced batch.

    Attributes:
        span: the span of the batch.
        source: the topic and the partition.
        first_offset: the offset of the first record.
        next_offset: the offset after the last record.
        message_count: the number of records.
        events: the traced events.
        time: the time from the queueing of the batch to the end of the work on it.
        stages: the times of the stages.
        acknowledged: True if the broker has confirmed the output of the batch.
        error: the type of the error that ended the work on the batch, empty without one.
    """

    span: SpanContext
    source: Source
    first_offset: int
    next_offset: int
    message_count: int
    events: Sequence[TracedEvent]
    time: StageTime
    stages: Mapping[str, StageTime]
    acknowledged: bool
    error: str


class SpanSink(Protocol):
    """Receives the spans to export, and never waits."""

    def add_batch(self, trace: FinishedTrace) -> None:
        """Add the spans of a batch, its stages and its events."""

    def add_commit(self, trace: FinishedTrace, commit: StageTime) -> None:
        """Add the span of the commit that included the offsets of a batch."""


class SamplingTracer:
    """Traces the batches with a sampled event. See `stream.tracing.base.Tracer`."""

    def __init__(
        self,
        sampler: EventSampler,
        sink: SpanSink,
        clock: Callable[[], float] = monotonic,
        wall_ns: Callable[[], int] = time_ns,
    ) -> None:
        """
        Args:
            sampler: selects the events.
            sink: receives the spans.
            clock: returns monotonic seconds.
            wall_ns: returns the time in nanoseconds since the epoch.
        """
        self._sampler = sampler
        self._sink = sink
        self._clock = clock
        self._wall_ns = wall_ns
        self._uncommitted: deque[FinishedTrace] = deque(maxlen=MAX_UNCOMMITTED)

    def begin(self, source: Source, records: Sequence[Record], queued_at: float) -> "BatchTrace | None":
        """See `Tracer.begin`."""
        events = self._sampler.sample(records)
        if not events:
            return None
        trace = BatchTrace(self, self._sampler.new_root(), source, records, events, queued_at)
        trace.record("queue", queued_at, self._clock())
        return trace

    def finish(self, trace: "BatchTrace", error: BaseException | None, acknowledged: bool) -> None:
        """Pass the spans of a trace on."""
        records, zero = trace.records, self._zero_ns()
        finished = FinishedTrace(
            trace.span,
            trace.source,
            records[0].offset,
            records[-1].offset + 1,
            len(records),
            trace.events,
            _since(zero, trace.queued_at, self._clock(), 1),
            {stage: _since(zero, *times) for stage, times in trace.stages.items()},
            acknowledged,
            "" if error is None else type(error).__name__,
        )
        self._sink.add_batch(finished)
        if acknowledged:
            self._uncommitted.append(finished)

    def on_commit(self, offsets: Mapping[Any, int], seconds: float) -> Mapping[str, str] | None:
        """See `Tracer.on_commit`."""
        now = self._clock()
        ids: Mapping[str, str] | None = None
        for _ in range(len(self._uncommitted)):
            trace = self._uncommitted.popleft()
            if trace.next_offset > offsets.get(trace.source, 0):
                self._uncommitted.append(trace)
                continue
            ids = trace.span.ids
            self._sink.add_commit(trace, _since(self._zero_ns(), now - seconds, now, 1))
        return ids

    def _zero_ns(self) -> int:
        """Return the zero of the monotonic clock, in nanoseconds since the epoch."""
        return self._wall_ns() - int(self._clock() * NANOSECONDS)


def _since(zero_ns: int, began: float, ended: float, parts: int) -> StageTime:
    """Return a time in monotonic seconds as one in nanoseconds since the epoch."""
    return StageTime(zero_ns + int(began * NANOSECONDS), zero_ns + int(ended * NANOSECONDS), parts)


class BatchTrace:
    """The trace of a batch. See `stream.tracing.base.Trace`.

    Attributes:
        span: the span of the batch, which begins a trace of its own.
        ids: see `Trace.ids`.
        source: the topic and the partition of the batch.
        records: the records, with the `traceparent` of their spans.
        events: the traced events.
        queued_at: the time at which the batch was queued, monotonic seconds.
        stages: the start of the first part, the end of the last part, and the number of parts of each stage.
    """

    __slots__ = ("_tracer", "events", "ids", "queued_at", "records", "source", "span", "stages")

    def __init__(
        self,
        tracer: SamplingTracer,
        span: SpanContext,
        source: Source,
        records: Sequence[Record],
        events: Sequence[TracedEvent],
        queued_at: float,
    ) -> None:
        self._tracer = tracer
        self.span = span
        self.ids: Mapping[str, str] = span.ids
        self.source = source
        self.events = events
        self.queued_at = queued_at
        self.stages: dict[str, tuple[float, float, int]] = {}
        with_trace, replaced = load_codec().with_trace, [*records]
        for event in events:
            replaced[event.at] = with_trace(records[event.at], format_traceparent(event.span))
        self.records: Sequence[Record] = replaced

    @property
    def oldest(self) -> AgeExemplar:
        """See `Trace.oldest`."""
        event = min(self.events, key=lambda event: event.timestamp)
        return AgeExemplar(event.timestamp, event.span.ids)

    def record(self, stage: str, began: float, ended: float) -> None:
        """See `Trace.record`."""
        first, last, parts = self.stages.get(stage, (began, ended, 0))
        self.stages[stage] = (min(first, began), max(last, ended), parts + 1)

    def end(self, error: BaseException | None, *, acknowledged: bool) -> None:
        """See `Trace.end`."""
        self._tracer.finish(self, error, acknowledged)
