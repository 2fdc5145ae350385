"""The spans of a batch and its events, and the headers of the output, through the agent."""

from random import Random
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from stream.codec import Headers
from stream.errors import BrokerError
from stream.kafka.batches import RecordBatch
from stream.kafka.ranges import OffsetRange
from stream.records import Source
from stream.tracing.batch import FinishedTrace, SamplingTracer, StageTime
from stream.tracing.otlp.spans import SpanBuilder
from stream.tracing.sampling import EventSampler
from tests.real.collector import values
from tests.unit.record_path import record_path
from tests.unit.records import FakeRecord, as_read
from tests.unit.test_agent import Setup as AgentSetup
from tests.unit.test_pipeline_isolation import agent_of
from tests.unit.test_trace_headers import NOT_SAMPLED, SAMPLED, SPAN, TRACE

__all__ = ["record_path"]
pytestmark = pytest.mark.usefixtures("record_path")

START_NS = 1_763_632_800_000_000_000


class BuiltSpans:
    """A sink that builds the spans and keeps them."""

    def __init__(self) -> None:
        self.builder = SpanBuilder("g", {"texts": "labels"})
        self.spans: list[Span] = []
        self._ids = (number.to_bytes(8) for number in range(1, 1_000))

    def add_batch(self, trace: FinishedTrace) -> None:
        self.spans += map(Span.FromString, self.builder.batch(trace, self._ids.__next__))

    def add_commit(self, trace: FinishedTrace, commit: StageTime) -> None:
        self.spans.append(Span.FromString(self.builder.commit(trace, commit, next(self._ids))))


class Setup:
    """An agent with a tracer whose clock stands still."""

    def __init__(self, ratio: float = 0.0) -> None:
        self.now = 100.0
        self.sink = BuiltSpans()
        self.tracer = SamplingTracer(
            EventSampler(ratio, Random(1)), self.sink, lambda: self.now, lambda: START_NS
        )
        self.agent = AgentSetup()
        agent_of(self.agent, tracer=self.tracer)

    def batch(self, *records: tuple[bytes | None, Headers]) -> RecordBatch:
        read = [
            as_read(FakeRecord(value, b"k", tuple(headers), 40 + at))
            for at, (value, headers) in enumerate(records)
        ]
        offsets = OffsetRange(40, 40 + len(read))
        return RecordBatch(Source("texts", 3), read, offsets, 1, self.agent.owner, self.now - 2)

    async def label(self, *records: tuple[bytes | None, Headers]) -> dict[str, list[Headers]]:
        """Label a batch, and return the headers of the output records by topic."""
        await self.agent.run(self.batch(*records))
        await self.agent.settle()
        (written,) = self.agent.publisher.published or ({},)
        return {topic: [[*record.headers] for record in given] for topic, given in written.items()}

    def named(self, name: str, **attributes: Any) -> list[Span]:
        return [
            span
            for span in self.sink.spans
            if span.name == name and attributes.items() <= values(span.attributes).items()
        ]

    def spans_of(self, headers: Headers) -> list[Span]:
        """Return the exported spans that a `traceparent` names."""
        _, trace_id, span_id, _ = dict(headers)["traceparent"].decode().split("-")
        return [s for s in self.sink.spans if (s.trace_id.hex(), s.span_id.hex()) == (trace_id, span_id)]


HI = b'{"text":"hello"}'


async def test_the_output_of_a_traced_event_names_an_exported_span_whatever_its_outcome() -> None:
    setup = Setup()
    traced = [("h", b"1"), ("traceparent", SAMPLED), ("tracestate", b"v=1"), ("traceparent", SAMPLED)]
    written = await setup.label((HI, traced), (b"{", traced), (None, traced), (b'{"text":"poison"}', traced))
    outputs = [*written["labels"], *written["texts.dead"]]
    assert len(outputs) == 4
    for headers in outputs:
        (span,) = setup.spans_of(headers)
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, SPAN)
        assert span.trace_state == "v=1"
        assert [name for name, _ in headers].count("traceparent") == 1
        assert dict(headers)["tracestate"] == b"v=1"
        assert headers[0] == ("h", b"1")
    offsets = {values(setup.spans_of(headers)[0].attributes)["messaging.kafka.offset"] for headers in outputs}
    assert offsets == {40, 41, 42, 43}


@pytest.mark.parametrize("value", [NOT_SAMPLED, b"??", b""])
@pytest.mark.parametrize("with_traced", [False, True])
async def test_the_header_of_an_event_that_is_not_traced_is_copied_unchanged(
    value: bytes, with_traced: bool
) -> None:
    setup = Setup()
    given = [("traceparent", b"first"), ("traceparent", value), ("tracestate", b"v=1")]
    further = [(HI, [("traceparent", SAMPLED)])] if with_traced else []
    written = await setup.label((HI, given), (b"{", given), (None, given), *further)
    for headers in [*written["labels"][:2], *written["texts.dead"]]:
        assert [header for header in headers if header[0].startswith("trace")] == given
    assert bool(setup.sink.spans) == with_traced


async def test_without_a_tracer_every_header_is_copied_unchanged() -> None:
    setup = Setup()
    agent_of(setup.agent, tracer=None)
    written = await setup.label((HI, [("traceparent", SAMPLED), ("tracestate", b"v=1")]))
    assert written["labels"][0][:2] == [("traceparent", SAMPLED), ("tracestate", b"v=1")]
    assert setup.sink.spans == []


async def test_an_event_without_a_parent_begins_a_trace_that_its_output_names() -> None:
    setup = Setup(ratio=1.0)
    (headers,) = (await setup.label((HI, [])))["labels"]
    (span,) = setup.spans_of(headers)
    assert span.parent_span_id == b""
    (batch,) = setup.named("process texts", **{"messaging.batch.message_count": 1})
    assert not batch.links


async def test_the_span_of_a_batch_links_to_its_events_parents_and_has_its_stages_as_children() -> None:
    setup = Setup()
    await setup.label((HI, [("traceparent", SAMPLED)]), (HI, []), (HI, [("traceparent", SAMPLED)]))
    (batch,) = setup.named("process texts", **{"messaging.batch.message_count": 3})
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in batch.links] == [(TRACE, SPAN)] * 2
    assert [link.flags for link in batch.links] == [0x301] * 2
    assert batch.kind == Span.SPAN_KIND_CONSUMER
    assert batch.parent_span_id == b""
    assert values(batch.attributes) == {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": "texts",
        "messaging.destination.partition.id": "3",
        "messaging.consumer.group.name": "g",
        "messaging.kafka.offset": 40,
        "messaging.batch.message_count": 3,
        "labelstream.acknowledged": True,
    }
    children = {s.name: s for s in setup.sink.spans if s.parent_span_id == batch.span_id}
    assert children.keys() == {"queue", "decode", "send labels"}
    assert {s.trace_id for s in children.values()} == {batch.trace_id}
    queue = children["queue"]
    assert queue.end_time_unix_nano - queue.start_time_unix_nano == 2_000_000_000
    assert (queue.start_time_unix_nano, queue.end_time_unix_nano) == (
        batch.start_time_unix_nano,
        START_NS,
    )
    send = children["send labels"]
    assert send.kind == Span.SPAN_KIND_PRODUCER
    assert values(send.attributes)["messaging.operation.type"] == "send"
    events = [s for s in setup.named("process texts") if s is not batch]
    assert [link.span_id for span in events for link in span.links] == [batch.span_id] * 2
    assert [values(span.attributes)["messaging.kafka.offset"] for span in events] == [40, 42]


async def test_the_stages_of_the_classifier_are_recorded() -> None:
    trace = Setup().tracer.begin(
        Source("texts", 0), [as_read(FakeRecord(HI, headers=(("traceparent", SAMPLED),)))], 99.0
    )
    assert trace is not None
    for began, ended in ((101.0, 102.0), (104.0, 105.0), (103.0, 103.5)):
        trace.record("infer", began, ended)
    assert trace.stages["infer"] == (101.0, 105.0, 3)


async def test_a_commit_is_a_child_of_the_batches_that_it_includes() -> None:
    setup = Setup()
    await setup.label((HI, [("traceparent", SAMPLED)]))
    assert setup.tracer.on_commit({Source("texts", 3): 40, Source("texts", 2): 99}, 0.5) is None
    assert setup.named("commit texts") == []
    ids = setup.tracer.on_commit({Source("texts", 3): 41}, 0.5)
    assert setup.tracer.on_commit({Source("texts", 3): 41}, 0.5) is None
    (commit,) = setup.named("commit texts")
    (batch,) = setup.named("process texts", **{"messaging.batch.message_count": 1})
    assert ids == {"trace_id": batch.trace_id.hex(), "span_id": batch.span_id.hex()}
    assert (commit.trace_id, commit.parent_span_id) == (batch.trace_id, batch.span_id)
    assert commit.end_time_unix_nano - commit.start_time_unix_nano == 500_000_000
    assert values(commit.attributes)["messaging.operation.type"] == "settle"
    assert values(commit.attributes)["messaging.kafka.offset"] == 41


async def test_a_batch_that_fails_has_a_span_with_the_error() -> None:
    setup = Setup()
    setup.agent.publisher.error = BrokerError("refused")
    await setup.label((HI, [("traceparent", SAMPLED)]))
    (batch,) = setup.named("process texts", **{"error.type": "BrokerError"})
    assert batch.status.code == Status.STATUS_CODE_ERROR
    assert values(batch.attributes)["labelstream.acknowledged"] is False
    assert setup.tracer.on_commit({Source("texts", 3): 41}, 0.5) is None


async def test_log_lines_and_exemplars_name_the_trace_of_a_batch(caplog: pytest.LogCaptureFixture) -> None:
    setup = Setup()
    caplog.set_level("DEBUG", "stream.pipeline.agent")
    with capture_logs(processors=[merge_contextvars]) as lines:
        await setup.label((HI, [("traceparent", SAMPLED)]))
        setup.agent.publisher.published.clear()
        await setup.label((HI, []))
    (batch,) = setup.named("process texts", **{"messaging.batch.message_count": 1})
    traced, untraced = (line for line in lines if line["event"] == "record batch")
    assert (traced["trace_id"], traced["span_id"]) == (batch.trace_id.hex(), batch.span_id.hex())
    assert "trace_id" not in untraced
    text = setup.agent.metrics.exposition("application/openmetrics-text")[0].decode()
    exemplars = [line for line in text.splitlines() if " # {" in line]
    stages = {line.split('stage="')[1].split('"')[0] for line in exemplars if batch.trace_id.hex() in line}
    assert stages == {"decode", "publish"}
    assert [TRACE in line for line in exemplars if line.startswith("labelstream_event_age")] == [True]
