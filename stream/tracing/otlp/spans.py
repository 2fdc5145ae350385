"""OTLP spans of record batches, after OpenTelemetry's semantic conventions for messaging and Kafka.

The spans are protobuf messages of OTLP. OpenTelemetry's SDK would create an object for each span and convert
it for the export, which takes about ten times as long (docs/adr/0015).
"""

from collections.abc import Callable, Mapping

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from stream.tracing.batch import FinishedTrace, StageTime
from stream.tracing.context import SpanContext
from stream.tracing.sampling import TracedEvent

# Bits of `Span.flags` and `Link.flags` above those of `traceparent`: the remote bit is known, and is set.
IS_LOCAL, IS_REMOTE = 0x100, 0x300
OFFSET = "messaging.kafka.offset"

Attributes = Mapping[str, str | int]


class SpanBuilder:
    """Builds the spans of one worker."""

    def __init__(self, group: str, output_topics: Mapping[str, str]) -> None:
        """
        Args:
            group: the consumer group.
            output_topics: the output topic of each input topic.
        """
        self._group = group
        self._output_topics = output_topics

    def batch(self, trace: FinishedTrace, new_span_id: Callable[[], bytes]) -> list[Span]:
        """Return the spans of a batch, its stages and its events."""
        spans = [self._batch(trace)]
        spans += [self._stage(trace, stage, time, new_span_id()) for stage, time in trace.stages.items()]
        spans += self._events(trace)
        return spans

    def commit(self, trace: FinishedTrace, commit: StageTime, span_id: bytes) -> Span:
        """Return the span of a commit, a child of the batch's span."""
        attributes = self._attributes(trace, "settle", "commit") | {OFFSET: trace.next_offset}
        name = f"commit {trace.source.topic}"
        return _child(trace, span_id, name, Span.SPAN_KIND_CLIENT, commit, attributes)

    def _batch(self, trace: FinishedTrace) -> Span:
        attributes: dict[str, str | int] = self._attributes(trace, "process", "process") | {
            OFFSET: trace.first_offset,
            "messaging.batch.message_count": trace.message_count,
            "labelstream.acknowledged": trace.acknowledged,
        }
        if trace.error:
            attributes["error.type"] = trace.error
        links = [_link(event.parent, IS_REMOTE) for event in trace.events if event.parent is not None]
        return Span(
            trace_id=trace.span.trace_id,
            span_id=trace.span.span_id,
            flags=IS_LOCAL | trace.span.flags,
            name=f"process {trace.source.topic}",
            kind=Span.SPAN_KIND_CONSUMER,
            start_time_unix_nano=trace.time.began,
            end_time_unix_nano=trace.time.ended,
            attributes=_key_values(attributes),
            links=links,
            status=Status(code=Status.STATUS_CODE_ERROR) if trace.error else None,
        )

    def _stage(self, trace: FinishedTrace, stage: str, time: StageTime, span_id: bytes) -> Span:
        if stage == "publish":
            output = self._output_topics[trace.source.topic]
            attributes: dict[str, str | int] = {
                "messaging.system": "kafka",
                "messaging.operation.type": "send",
                "messaging.operation.name": "send",
                "messaging.destination.name": output,
                "messaging.batch.message_count": trace.message_count,
            }
            return _child(trace, span_id, f"send {output}", Span.SPAN_KIND_PRODUCER, time, attributes)
        return _child(trace, span_id, stage, Span.SPAN_KIND_INTERNAL, time, {"labelstream.parts": time.parts})

    def _events(self, trace: FinishedTrace) -> list[Span]:
        """Return the spans of the events, each a copy of one message with other ids."""
        attributes = {OFFSET: 0} | self._attributes(trace, "process", "process")
        shared = Span(
            name=f"process {trace.source.topic}",
            kind=Span.SPAN_KIND_CONSUMER,
            start_time_unix_nano=trace.time.began,
            end_time_unix_nano=trace.time.ended,
            attributes=_key_values(attributes),
            links=[_link(trace.span, IS_LOCAL)],
            status=Status(code=Status.STATUS_CODE_ERROR) if trace.error else None,
        )
        return [_event(shared, event) for event in trace.events]

    def _attributes(self, trace: FinishedTrace, operation: str, name: str) -> dict[str, str | int]:
        return {
            "messaging.system": "kafka",
            "messaging.operation.type": operation,
            "messaging.operation.name": name,
            "messaging.destination.name": trace.source.topic,
            "messaging.destination.partition.id": str(trace.source.partition),
            "messaging.consumer.group.name": self._group,
        }


def _event(shared: Span, event: TracedEvent) -> Span:
    span = Span()
    span.CopyFrom(shared)
    span.trace_id, span.span_id, flags = event.span
    span.flags = flags | (IS_LOCAL if event.parent is None else IS_REMOTE)
    if event.parent is not None:
        span.parent_span_id = event.parent.span_id
    if event.state:
        span.trace_state = event.state.decode("ascii", "replace")
    # The offset is the first of the shared attributes.
    span.attributes[0].value.int_value = event.offset
    return span


def _child(
    trace: FinishedTrace,
    span_id: bytes,
    name: str,
    kind: Span.SpanKind.ValueType,
    time: StageTime,
    given: Attributes,
) -> Span:
    """Return a child of the batch's span."""
    return Span(
        trace_id=trace.span.trace_id,
        span_id=span_id,
        parent_span_id=trace.span.span_id,
        flags=IS_LOCAL | trace.span.flags,
        name=name,
        kind=kind,
        start_time_unix_nano=time.began,
        end_time_unix_nano=time.ended,
        attributes=_key_values(given),
    )


def _link(span: SpanContext, remote: int) -> Span.Link:
    return Span.Link(trace_id=span.trace_id, span_id=span.span_id, flags=remote | span.flags)


def _key_values(attributes: Attributes) -> list[KeyValue]:
    return [KeyValue(key=key, value=_any_value(value)) for key, value in attributes.items()]


def _any_value(value: str | int) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    return AnyValue(string_value=value)
