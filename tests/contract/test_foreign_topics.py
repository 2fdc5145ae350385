"""Topics of foreign shapes on every broker: mapped events, enriched outputs, CloudEvents."""

import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest

from stream.bundle import Bundle
from stream.records import Decoder, Event, Source
from stream.routes import Route
from stream.schemas import load_schema
from tests.pipeline import StartWorker, make_route, offline_labels, start_worker, tiny_bundle
from tests.real.client import BrokerClient, Record
from tests.real.reconcile import dead_ids
from tests.real.wait import until
from tests.unit.records import FakeRecord

__all__ = ["start_worker", "tiny_bundle"]

EXAMPLES = Path(__file__).parents[2] / "examples" / "topics"
RECOVERY_S = 60.0
PLACES = {"name", "input_topic", "output_topic", "dead_topic", "bundle"}
ATTRIBUTES = [("ce_specversion", b"1.0"), ("ce_id", b"c-1"), ("ce_source", b"/shop"), ("ce_type", b"t")]


def route_of(example: str) -> Route:
    """Return the route of an example."""
    (found,) = tomllib.loads((EXAMPLES / f"{example}.toml").read_text(encoding="utf-8"))["routes"]
    return Route(**found)


def flags_of(route: Route) -> dict[str, str]:
    """Return the options that a route sets, as the values of flags."""
    flags = {}
    for name in route.model_fields_set - PLACES:
        value: Any = getattr(route, name)
        if isinstance(value, dict):
            value = ",".join(f"{key}={path}" for key, path in value.items())
        flags[name] = ",".join(value) if isinstance(value, tuple) else value
    return flags


def await_records(broker: BrokerClient, topic: str, count: int) -> list[Record]:
    """Return the records of a topic when there are `count` of them."""
    until(lambda: sum(broker.end_offsets(topic).values()) >= count, RECOVERY_S, f"{count} records in {topic}")
    return list(broker.records(topic))


@pytest.mark.parametrize("example", ["zendesk", "debezium", "statuses"])
def test_a_foreign_topic_is_labelled_by_settings_alone(
    broker: BrokerClient, start_worker: StartWorker, tiny_bundle: Bundle, example: str
) -> None:
    route = route_of(example)
    values = (EXAMPLES / f"{example}.jsonl").read_bytes().splitlines()
    topic = make_route(broker, example)
    worker = start_worker(broker, topic, **flags_of(route))
    broken = b'{"detail": {}, "payload": {"after": null}, "status": []}'
    broker.produce(topic, *values, broken, partition=1)
    records = await_records(broker, worker.labels, len(values))
    (dead,) = await_records(broker, worker.dead, 1)
    assert dead.value == broken
    assert b"_" in (dict(dead.headers)["labelstream-error-message"] or b"")
    decoder = Decoder(route, max_event_bytes=1 << 20, max_text_chars=1000)
    events = decoder.decode_all(Source(topic, 1), [FakeRecord(value) for value in values])
    texts = [event.text for event in events if isinstance(event, Event)]
    schema = jsonschema.Draft202012Validator(load_schema("label.v1"))
    expected = offline_labels(tiny_bundle, texts)
    for value, event, record, offline in zip(values, events, records, expected, strict=True):
        label = orjson.loads(record.value or b"")
        if route.output == "enrich":
            assert (record.value or b"").startswith(value[:-1])
            label = label[route.label_field]
        schema.validate(label)
        assert (label["id"], label["label"]) == (event.id, offline["label"])
        assert label["scores"] == pytest.approx(offline["scores"], abs=1e-5)
    assert worker.stop() == 0


def test_cloud_events_get_label_events_with_their_own_identity(
    broker: BrokerClient, start_worker: StartWorker
) -> None:
    topic = make_route(broker, "cloud")
    worker = start_worker(broker, topic)
    envelope = {"specversion": "1.0", "id": "c-2", "source": "/shop", "type": "t", "data": {"text": "refund"}}
    structured = [("content-type", b"application/cloudevents+json")]
    batch = [("content-type", b"application/cloudevents-batch+json")]
    broker.produce(topic, b'{"text":"refund"}', headers=ATTRIBUTES, partition=0)
    broker.produce(topic, orjson.dumps(envelope), headers=structured, partition=0)
    broker.produce(topic, b'{"id":"plain","text":"refund"}', partition=0)
    broker.produce(topic, orjson.dumps([envelope]), headers=batch, partition=0)
    broker.produce(topic, None, key=b"k", headers=ATTRIBUTES, partition=0)
    binary, second, plain, tombstone = await_records(broker, worker.labels, 4)
    attributes = {name: (value or b"").decode() for name, value in binary.headers if name.startswith("ce_")}
    assert attributes["ce_id"] == f"{topic}-0-0"
    assert attributes["ce_type"] == "dev.labelstream.label.v1"
    assert (attributes["ce_inputid"], attributes["ce_inputsource"]) == ("c-1", "/shop")
    assert orjson.loads(binary.value or b"")["cached"] in (False, True)
    label = orjson.loads(second.value or b"")
    assert (label["id"], label["subject"], label["data"]["id"]) == (f"{topic}-0-1", "c-2", "c-2")
    for record in (second, plain, tombstone):
        assert not [name for name, _ in record.headers if name.startswith("ce_")]
    (dead,) = await_records(broker, worker.dead, 1)
    assert dead.value == orjson.dumps([envelope])
    assert b"application/cloudevents-batch+json" in (dict(dead.headers)["labelstream-error-message"] or b"")
    assert dead_ids([dead]) == {f"{topic}-0-3": 1}
