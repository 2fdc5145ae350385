"""OTLP spans of record batches, after OpenTelemetry's semantic conventions for messaging and Kafka.

The spans are encoded protobuf messages. OpenTelemetry's SDK would create an object for each span and convert
it for the export, which takes more than ten times as long (docs/adr/0015).
"""

from collections.abc import Callable, Mapping

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from stream.records import Source
from stream.tracing.batch import FinishedTrace, StageTime
from stream.tracing.context import SAMPLED, SpanContext

# Bits of `Span.flags` and `Link.flags` above those of `traceparent`: the remote bit is known, and is set.
IS_LOCAL, IS_REMOTE = 0x100, 0x300
OFFSET = "messaging.kafka.offset"
COUNT = "messaging.batch.message_count"

INTERNAL, CLIENT, PRODUCER = Span.SPAN_KIND_INTERNAL, Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_PRODUCER


class SpanBuilder:
    """Builds the spans of one worker.

    A span is the concatenation of its parts, each an encoded message; a decoder of protobuf merges them. So
    the parts that spans share are encoded once.
    """

    def __init__(self, group: str, output_topics: Mapping[str, str]) -> None:
        """
        Args:
            group: the consumer group.
            output_topics: the output topic of each input topic.
        """
        self._group = group
        self._output_topics = output_topics
        self._operations: dict[tuple[Source, str], bytes] = {}
        self._sends: dict[str, bytes] = {}
        # Setting the fields of a message again costs half of creating one.
        self._child = Span(flags=IS_LOCAL | SAMPLED)
        self._event = Span(attributes=[KeyValue(key=OFFSET, value=AnyValue(int_value=0))])

    def batch(self, trace: FinishedTrace, new_span_id: Callable[[], bytes]) -> list[bytes]:
        """Return the spans of a batch, its stages and its events."""
        process = self._process(trace)
        spans = [process + self._batch(trace)]
        spans += [self._stage(trace, stage, time, new_span_id()) for stage, time in trace.stages.items()]
        return spans + self._events(trace, process)

    def commit(self, trace: FinishedTrace, commit: StageTime, span_id: bytes) -> bytes:
        """Return the span of a commit, a child of the batch's span."""
        attributes = self._operation(trace.source, "settle", "commit")
        attributes += encode_attributes({OFFSET: trace.next_offset})
        return self._of_batch(trace, span_id, f"commit {trace.source.topic}", CLIENT, commit) + attributes

    def _batch(self, trace: FinishedTrace) -> bytes:
        """Return what the span of a batch does not share with those of its events."""
        attributes: dict[str, str | int] = {
            OFFSET: trace.first_offset,
            COUNT: trace.message_count,
            "labelstream.acknowledged": trace.acknowledged,
        }
        if trace.error:
            attributes["error.type"] = trace.error
        own = Span(
            trace_id=trace.span.trace_id,
            span_id=trace.span.span_id,
            flags=IS_LOCAL | trace.span.flags,
            links=[_link(event.parent, IS_REMOTE) for event in trace.events if event.parent is not None],
        )
        return _encode(own) + encode_attributes(attributes)

    def _stage(self, trace: FinishedTrace, stage: str, time: StageTime, span_id: bytes) -> bytes:
        if stage == "publish":
            output = self._output_topics[trace.source.topic]
            attributes = self._send(output) + encode_attributes({COUNT: trace.message_count})
            return self._of_batch(trace, span_id, f"send {output}", PRODUCER, time) + attributes
        span = self._of_batch(trace, span_id, stage, INTERNAL, time)
        return span if time.parts == 1 else span + encode_attributes({"labelstream.parts": time.parts})

    def _events(self, trace: FinishedTrace, process: bytes) -> list[bytes]:
        shared = process + _encode(Span(links=[_link(trace.span, IS_LOCAL)]))
        own, offset = self._event, self._event.attributes[0].value
        spans = []
        for event in trace.events:
            own.trace_id, own.span_id, flags = event.span
            own.flags = flags | (IS_LOCAL if event.parent is None else IS_REMOTE)
            own.parent_span_id = b"" if event.parent is None else event.parent.span_id
            own.trace_state = event.state.decode("ascii", "replace")
            offset.int_value = event.offset
            spans.append(shared + _encode(own))
        return spans

    def _of_batch(
        self, trace: FinishedTrace, span_id: bytes, name: str, kind: Span.SpanKind.ValueType, time: StageTime
    ) -> bytes:
        """Return a child of the batch's span, without attributes."""
        span = self._child
        span.trace_id, span.parent_span_id, _ = trace.span
        span.span_id, span.name, span.kind = span_id, name, kind
        span.start_time_unix_nano, span.end_time_unix_nano, _ = time
        return _encode(span)

    def _process(self, trace: FinishedTrace) -> bytes:
        """Return what the span of a batch shares with those of its events."""
        span = Span(
            name=f"process {trace.source.topic}",
            kind=Span.SPAN_KIND_CONSUMER,
            start_time_unix_nano=trace.time.began,
            end_time_unix_nano=trace.time.ended,
            status=Status(code=Status.STATUS_CODE_ERROR) if trace.error else None,
        )
        return _encode(span) + self._operation(trace.source, "process", "process")

    def _operation(self, source: Source, kind: str, name: str) -> bytes:
        """Return the attributes of an operation on a partition of an input topic."""
        found = self._operations.get((source, name))
        if found is None:
            found = self._operations[source, name] = encode_attributes(
                {
                    **_messaging(source.topic, kind, name),
                    "messaging.destination.partition.id": str(source.partition),
                    "messaging.consumer.group.name": self._group,
                }
            )
        return found

    def _send(self, topic: str) -> bytes:
        """Return the attributes of a publication to an output topic."""
        found = self._sends.get(topic)
        if found is None:
            found = self._sends[topic] = encode_attributes(_messaging(topic, "send", "send"))
        return found


def encode_attributes(attributes: Mapping[str, str | int]) -> bytes:
    """Return the part of a span that holds these attributes."""
    pairs = [KeyValue(key=key, value=_any_value(value)) for key, value in attributes.items()]
    return _encode(Span(attributes=pairs))


def _any_value(value: str | int) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    return AnyValue(string_value=value)


def _messaging(topic: str, kind: str, name: str) -> dict[str, str | int]:
    return {
        "messaging.system": "kafka",
        "messaging.operation.type": kind,
        "messaging.operation.name": name,
        "messaging.destination.name": topic,
    }


def _link(span: SpanContext, remote: int) -> Span.Link:
    return Span.Link(trace_id=span.trace_id, span_id=span.span_id, flags=remote | span.flags)


def _encode(span: Span) -> bytes:
    encoded: bytes = span.SerializeToString()
    return encoded
