"""The choice of the events that are traced."""

from collections.abc import Iterator, Sequence
from math import log, log1p
from random import Random
from typing import NamedTuple

from stream.codec import TRACEPARENT, load_codec
from stream.records import Record
from stream.tracing.context import KNOWN_FLAGS, SAMPLED, SpanContext, parse_traceparent

TRACESTATE = "tracestate"
# W3C Trace Context asks for at least this many characters; a longer one would fill the queue of the exporter.
MAX_TRACESTATE_BYTES = 512
MAX_GAP = 10**18


class TracedEvent(NamedTuple):
    """An event that is traced.

    Attributes:
        at: the index of its record in the batch.
        offset: the offset of the record.
        timestamp: the timestamp of the record, in milliseconds since the epoch.
        span: the span of the event.
        parent: the span that the record's `traceparent` names; None without a valid one.
        state: the record's `tracestate`; empty if it is too long for a span.
    """

    at: int
    offset: int
    timestamp: int
    span: SpanContext
    parent: SpanContext | None
    state: bytes


class EventSampler:
    """Selects the events to trace.

    An event with a valid `traceparent` is traced if that has the sampled flag. Of the other events, a random
    share is traced; each of them begins a trace. Of several headers of one name, the last one counts.
    """

    def __init__(self, ratio: float, random: Random) -> None:
        """
        Args:
            ratio: the share of the events without a valid `traceparent` that are traced, 0 to 1.
            random: the source of ids and of the random choice.
        """
        self._ratio = ratio
        self._random = random
        self._codec = load_codec()
        self._skip = self._draw_gap() if ratio else 0

    def sample(self, records: Sequence[Record]) -> list[TracedEvent]:
        """Return the traced events of a batch, those with a parent first."""
        continued = (self._continue(at, records[at]) for at in self._codec.sampled_traces(records))
        events = [event for event in continued if event is not None]
        if self._ratio:
            begun = (self._begin(at, records[at]) for at in self._drawn(len(records)))
            events += [event for event in begun if event is not None]
        return events

    def new_span_id(self) -> bytes:
        """Return a random id of a span."""
        return self._random.randbytes(8)

    def new_root(self) -> SpanContext:
        """Return a sampled span that begins a trace."""
        ids = self._random.randbytes(24)
        return SpanContext(ids[:16], ids[16:], SAMPLED)

    def _continue(self, at: int, record: Record) -> TracedEvent | None:
        headers = dict(record.headers)
        parent = parse_traceparent(headers.get(TRACEPARENT))
        if parent is None or not parent.flags & SAMPLED:
            return None
        span = SpanContext(parent.trace_id, self.new_span_id(), parent.flags & KNOWN_FLAGS)
        state = headers.get(TRACESTATE) or b""
        state = state if len(state) <= MAX_TRACESTATE_BYTES else b""
        return TracedEvent(at, record.offset, record.timestamp, span, parent, state)

    def _begin(self, at: int, record: Record) -> TracedEvent | None:
        given = dict(record.headers).get(TRACEPARENT)
        if record.damaged or (given is not None and parse_traceparent(given) is not None):
            return None
        return TracedEvent(at, record.offset, record.timestamp, self.new_root(), None, b"")

    def _drawn(self, count: int) -> Iterator[int]:
        """Yield random indexes below `count`. Drawing the gaps between them costs nothing for the others."""
        at = self._skip
        while at < count:
            yield at
            at += 1 + self._draw_gap()
        self._skip = at - count

    def _draw_gap(self) -> int:
        """Return the number of events before the next chosen one, which has a geometric distribution."""
        if self._ratio >= 1:
            return 0
        # 1 - ratio rounds to 1 for a tiny ratio.
        return int(min(log(1.0 - self._random.random()) / log1p(-self._ratio), MAX_GAP))
