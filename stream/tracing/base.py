"""The interface between the record path and a tracer."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

import structlog

from stream.observe.metrics import AgeExemplar
from stream.observe.stages import StageTrace
from stream.records import Record, Source


class Trace(StageTrace, Protocol):
    """The spans of one record batch: one for the batch, one for each stage and one for each sampled event.

    Times are monotonic seconds. Only the event loop uses a trace.
    """

    @property
    def records(self) -> Sequence[Record]:
        """The records of the batch; the `traceparent` of a sampled one names the span of its event."""

    @property
    def ids(self) -> Mapping[str, str]:
        """`trace_id` and `span_id` of the batch's span, in hexadecimal digits."""

    @property
    def oldest(self) -> AgeExemplar:
        """The traced event with the earliest timestamp."""

    def record(self, stage: str, began: float, ended: float) -> None:
        """Record a time in which a stage worked on the batch; several of one stage make one span."""

    def end(self, error: BaseException | None, *, acknowledged: bool) -> None:
        """End the spans of the batch and its events, and pass them to the exporter."""


class Tracer(Protocol):
    """Decides which events are traced."""

    def begin(self, source: Source, records: Sequence[Record], queued_at: float) -> Trace | None:
        """Return the trace of a batch, None if no event of it is sampled.

        Args:
            source: the topic and the partition of the records.
            records: the records in offset order.
            queued_at: the time at which the batch was queued for its agent, in monotonic seconds.
        """

    def on_commit(self, offsets: Mapping[Any, int], seconds: float) -> Mapping[str, str] | None:
        """Add a span to each traced batch whose offsets were committed just now.

        Args:
            offsets: the committed offset of each pair of topic and partition.
            seconds: the duration of the commit.

        Returns:
            The ids of one of these batches, None if there is none.
        """


class TracedBatch:
    """A batch that the agent works on, and its trace if any of its events is sampled.

    Attributes:
        records: the records to process.
        trace: the trace of the batch, None if it is not traced.
        acknowledged: set to True when the batch is acknowledged.
    """

    __slots__ = ("acknowledged", "records", "trace")

    def __init__(self, records: Sequence[Record], trace: Trace | None) -> None:
        self.records = records if trace is None else trace.records
        self.trace = trace
        self.acknowledged = False

    @property
    def traces(self) -> Sequence[Trace]:
        """The trace, or nothing."""
        return () if self.trace is None else (self.trace,)

    @property
    def oldest(self) -> AgeExemplar | None:
        """The oldest traced event, None if the batch is not traced."""
        return None if self.trace is None else self.trace.oldest


@contextmanager
def trace_batch(
    tracer: Tracer | None, source: Source, records: Sequence[Record], queued_at: float
) -> Iterator[TracedBatch]:
    """Trace a batch during the body of the `with` statement; see `Tracer.begin` for the arguments."""
    trace = tracer.begin(source, records, queued_at) if tracer is not None else None
    batch = TracedBatch(records, trace)
    error: BaseException | None = None
    try:
        yield batch
    except BaseException as exc:
        error = exc
        raise
    finally:
        if trace is not None:
            trace.end(error, acknowledged=batch.acknowledged)


def log_context(trace: Trace | None) -> AbstractContextManager[object]:
    """Return a context manager whose log lines carry the ids of the trace.

    The body must not start tasks that outlive it, because their lines would carry the ids as well.
    """
    return nullcontext() if trace is None else structlog.contextvars.bound_contextvars(**trace.ids)
