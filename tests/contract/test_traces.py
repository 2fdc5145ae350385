"""One trace from a producer through the worker to a consumer, as a collector receives it."""

import urllib.request
from functools import partial

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.pipeline import StartWorker, event, make_route, start_worker, tiny_bundle
from tests.real.client import BrokerClient
from tests.real.collector import Collector
from tests.real.embedded import EmbeddedBroker
from tests.real.process import free_ports
from tests.real.wait import until
from tests.real.worker import WorkerProcess

__all__ = ["start_worker", "tiny_bundle"]

SEEN_S = 60.0
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PRODUCER_SPAN = "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{PRODUCER_SPAN}-01".encode()
NOT_SAMPLED = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


def await_labels(broker: BrokerClient, worker: WorkerProcess, count: int) -> None:
    until(lambda: sum(broker.end_offsets(worker.labels).values()) >= count, SEEN_S, f"{count} labels")


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_trace_leads_from_the_producer_through_the_worker_to_the_consumer(
    broker: BrokerClient, start_worker: StartWorker, protocol: str
) -> None:
    route = make_route(broker, "trace")
    state = ("tracestate", b"vendor=1")
    with Collector(protocol) as collector:
        env = collector.variables | {
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=blue",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        }
        worker = start_worker(broker, route, tracing="otlp", env=env, log_level="debug")
        headers = [("h", b"1"), ("traceparent", SAMPLED), state]
        broker.produce(route, event(0)[1], key=b"sampled", headers=headers, partition=2)
        broker.produce(route, event(1)[1], key=b"not", headers=[("traceparent", NOT_SAMPLED)], partition=2)
        broker.produce(route, event(2)[1], key=b"none", partition=2)
        await_labels(broker, worker, 3)
        until(partial(collector.named, f"commit {route}"), SEEN_S, "the span of the commit")
        worker_exemplars = exemplars(worker)
        assert worker.stop() == 0
    outgoing = {record.key: dict(record.headers) for record in broker.records(worker.labels)}
    assert outgoing[b"not"]["traceparent"] == NOT_SAMPLED
    assert "traceparent" not in outgoing[b"none"]
    version, trace_id, span_id, flags = (outgoing[b"sampled"]["traceparent"] or b"").decode().split("-")
    assert (version, trace_id, flags) == ("00", TRACE, "01")
    assert outgoing[b"sampled"]["tracestate"] == state[1]

    process = collector.named(f"process {route}")
    (of_event,) = [r for r in process if r.span.trace_id.hex() == TRACE]
    assert of_event.span.span_id.hex() == span_id
    assert of_event.span.parent_span_id.hex() == PRODUCER_SPAN
    assert of_event.span.trace_state == "vendor=1"
    assert of_event.attributes["messaging.kafka.offset"] == 0
    (of_batch,) = [r for r in process if r is not of_event]
    assert [link.span_id.hex() for link in of_batch.span.links] == [PRODUCER_SPAN]
    assert [link.span_id for link in of_event.span.links] == [of_batch.span.span_id]
    children = {r.span.name: r for r in collector.received if r.span.parent_span_id == of_batch.span.span_id}
    stages = {"queue", "decode", "cache", "tokenise", "infer"}
    assert children.keys() == stages | {f"send {worker.labels}", f"commit {route}"}
    assert {r.span.trace_id for r in children.values()} == {of_batch.span.trace_id}
    assert of_batch.attributes["messaging.destination.partition.id"] == "2"
    assert of_batch.attributes["messaging.consumer.group.name"] == worker.group
    assert of_event.resource["service.name"] == "labelstream"
    assert of_event.resource["deployment.environment.name"] == "test"
    assert collector.headers["x-tenant"] == "blue"

    lines = [line for line in worker.log_lines() if line["event"] == "record batch"]
    assert of_batch.span.trace_id.hex() in {line.get("trace_id") for line in lines}
    assert of_batch.span.trace_id.hex() in worker_exemplars["labelstream_stage_duration_seconds"]
    assert TRACE in worker_exemplars["labelstream_event_age_seconds"]


def exemplars(worker: WorkerProcess) -> dict[str, set[str]]:
    """Return the trace ids of the exemplars of each metric."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{worker.port}/metrics", headers={"accept": "application/openmetrics-text"}
    )
    with urllib.request.urlopen(request, timeout=5) as response:
        text = response.read().decode()
    return {
        family.name: {s.exemplar.labels["trace_id"] for s in family.samples if s.exemplar}
        for family in text_string_to_metric_families(text)
    }


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_an_unreachable_collector_neither_delays_events_nor_the_shutdown(
    embedded_broker: EmbeddedBroker, start_worker: StartWorker, protocol: str
) -> None:
    route = make_route(embedded_broker, "unreachable")
    (port,) = free_ports(1)
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_BSP_MAX_QUEUE_SIZE": "64",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
    }
    worker = start_worker(embedded_broker, route, tracing="otlp", trace_ratio=1, drain_deadline_s=2, env=env)
    for number in range(200):
        embedded_broker.produce(route, event(number)[1])
    await_labels(embedded_broker, worker, 200)
    until(lambda: worker.metric("labelstream_trace_spans_dropped_total") > 0, SEEN_S, "dropped spans counted")
    assert worker.stop() == 0
    dropped = [line for line in worker.log_lines() if line["event"] == "spans are dropped"]
    assert len(dropped) == 1
    assert dropped[0]["fix"]
