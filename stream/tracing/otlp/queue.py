"""The queue of spans and the thread that exports them."""

from collections import deque
from collections.abc import Callable, Sequence
from threading import Event, Thread
from time import monotonic
from typing import Protocol

import structlog

from stream.tracing.batch import FinishedTrace, StageTime
from stream.tracing.otlp.spans import SpanBuilder

log = structlog.get_logger(__name__)


class MessageExporter(Protocol):
    """Sends spans to a collector."""

    def export_messages(self, spans: Sequence[bytes]) -> bool:
        """Export encoded spans; return False if the collector did not accept them."""

    def shutdown(self) -> None:
        """End a running export soon, and refuse later ones."""


class SpanQueue:
    """Holds spans until a thread exports them.

    Adding spans never waits. Spans that do not fit, and spans that the collector did not accept, are dropped:
    they are counted, and the first of them are logged.
    """

    def __init__(
        self,
        builder: SpanBuilder,
        new_span_id: Callable[[], bytes],
        exporter: MessageExporter,
        *,
        capacity: int,
        export_size: int,
        delay_s: float,
        on_dropped: Callable[[int], None],
    ) -> None:
        """
        Args:
            builder: builds the spans.
            new_span_id: returns a random id of a span.
            exporter: sends the spans; only the thread of the queue calls it, except for `shutdown`.
            capacity: the number of spans that may wait.
            export_size: the number of waiting spans that begins an export, and the largest number in one.
            delay_s: the seconds after which fewer spans are exported.
            on_dropped: receives the number of dropped spans.
        """
        self._builder = builder
        self._new_span_id = new_span_id
        self._exporter = exporter
        self._capacity = capacity
        self._export_size = export_size
        self._delay_s = delay_s
        self._on_dropped = on_dropped
        self._spans: deque[bytes] = deque()
        self._wake = Event()
        self._stopping = False
        self._dropped = 0
        self._thread = Thread(target=self._run, name="traces", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def add_batch(self, trace: FinishedTrace) -> None:
        """See `SpanSink.add_batch`."""
        count = 1 + len(trace.stages) + len(trace.events)
        if len(self._spans) + count > self._capacity:
            self._drop(count, "the queue is full")
        else:
            self._add(self._builder.batch(trace, self._new_span_id))

    def add_commit(self, trace: FinishedTrace, commit: StageTime) -> None:
        """See `SpanSink.add_commit`."""
        if len(self._spans) < self._capacity:
            self._add([self._builder.commit(trace, commit, self._new_span_id())])
        else:
            self._drop(1, "the queue is full")

    def stop(self, timeout_s: float) -> None:
        """Export the waiting spans, and end the thread. Spans that are left after `timeout_s` are dropped."""
        ends_at = monotonic() + timeout_s
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout_s)
        self._exporter.shutdown()
        # The end of a running export frees the thread, which then drops the rest.
        self._thread.join(max(0.0, ends_at - monotonic()))
        if self._spans:
            self._drop(len(self._spans), "the worker stopped")

    def _add(self, spans: Sequence[bytes]) -> None:
        self._spans.extend(spans)
        if len(self._spans) >= self._export_size:
            self._wake.set()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(self._delay_s)
            self._wake.clear()
            self._export()
        self._export()

    def _export(self) -> None:
        while self._spans:
            count = min(len(self._spans), self._export_size)
            spans = [self._spans.popleft() for _ in range(count)]
            try:
                exported = self._exporter.export_messages(spans)
            except Exception as exc:  # noqa: BLE001 - traces must not end anything
                log.warning("spans cannot be exported", error=type(exc).__name__)
                exported = False
            if not exported:
                self._drop(count, "the collector did not accept them")

    def _drop(self, count: int, cause: str) -> None:
        self._on_dropped(count)
        if not self._dropped:
            log.warning(
                "spans are dropped",
                cause=cause,
                fix="check OTEL_EXPORTER_OTLP_ENDPOINT and the collector; "
                "labelstream_trace_spans_dropped_total counts further spans",
            )
        self._dropped += count
