"""The pipeline on every broker: labels, dead letters and committed offsets for input events."""

from pathlib import Path

import jsonschema
import orjson
import pytest
from aiokafka import AIOKafkaProducer

from stream.bundle import Bundle
from stream.codec import PYTHON_ONLY, load_codec
from stream.schemas import load_schema
from tests.pipeline import StartWorker, event, make_route, offline_labels, start_worker, tiny_bundle
from tests.real.client import BrokerClient
from tests.real.components import unavailable
from tests.real.reconcile import dead_ids, label_ids
from tests.real.wait import until
from tests.unit.record_path import NOT_BUILT

__all__ = ["start_worker", "tiny_bundle"]

RECOVERY_S = 60.0


@pytest.fixture(params=["compiled", "python"])
def record_path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Select the record codec of the workers that the test starts."""
    if request.param == "python":
        monkeypatch.setenv(PYTHON_ONLY, "1")
    elif load_codec().name != "compiled":
        unavailable(NOT_BUILT)
    path: str = request.param
    return path


def test_every_event_gets_one_label_equal_to_offline_inference(
    broker: BrokerClient, start_worker: StartWorker, tiny_bundle: Bundle, record_path: str
) -> None:
    route = make_route(broker, "once")
    worker = start_worker(broker, route)
    assert [line["codec"] for line in worker.log_lines() if "codec" in line] == [record_path]
    sent = {}
    for partition in range(4):
        for number in range(partition * 125, (partition + 1) * 125):
            event_id, value = event(number)
            headers = [("source", b"a"), ("source", b"b"), ("n", str(number).encode())]
            broker.produce(route, value, key=event_id.encode(), headers=headers, partition=partition)
            sent[event_id] = (partition, value, headers)
    until(lambda: sum(broker.end_offsets(worker.labels).values()) >= 500, RECOVERY_S, "500 labels")
    records = broker.records(worker.labels)
    assert label_ids(records) == dict.fromkeys(sent, 1)
    offline = dict(
        zip(
            sent,
            offline_labels(tiny_bundle, [orjson.loads(v)["text"] for _, v, _ in sent.values()]),
            strict=True,
        )
    )
    schema = jsonschema.Draft202012Validator(load_schema("label.v1"))
    for record in records:
        label = orjson.loads(record.value or b"")
        schema.validate(label)
        partition, _, headers = sent[label["id"]]
        expected = offline[label["id"]]
        assert label["label"] == expected["label"]
        assert label["scores"] == pytest.approx(expected["scores"], abs=1e-5)
        assert label["model"]["digest"] == tiny_bundle.digest
        assert record.key == label["id"].encode()
        assert list(record.headers[:3]) == headers
        assert record.partition == partition == label["source"]["partition"]
    for partition in range(4):
        offsets = [
            orjson.loads(r.value or b"")["source"]["offset"] for r in records if r.partition == partition
        ]
        assert offsets == sorted(offsets), "labels of a partition are not in offset order"
    until(lambda: sum(broker.committed(worker.group, route).values()) == 500, RECOVERY_S, "committed offsets")
    assert worker.stop() == 0


@pytest.mark.usefixtures("record_path")
def test_invalid_records_become_dead_letters_and_the_worker_continues(
    broker: BrokerClient, start_worker: StartWorker
) -> None:
    route = make_route(broker, "broken")
    worker = start_worker(broker, route, max_text_chars=200)
    invalid = {
        "decode": b'{"id": "d", "text": ',
        "schema": b'{"id": "s", "text": 7}',
        "empty": b'{"id": "e", "text": " "}',
        "too-large": orjson.dumps({"id": "l", "text": "x" * 201}),
    }
    headers = [("h", b"1"), ("h", b"\xff\x00"), ("labelstream-error-reason", b"stale")]
    for number, (reason, value) in enumerate(invalid.items()):
        broker.produce(
            route,
            value,
            key=reason.encode(),
            headers=headers,
            partition=number % 4,
            timestamp=1_700_000_000_000,
        )
    valid = [event(number) for number in range(20)]
    for event_id, value in valid:
        broker.produce(route, value, key=event_id.encode())
    until(lambda: sum(broker.end_offsets(worker.dead).values()) == 4, RECOVERY_S, "4 dead letters")
    until(lambda: sum(broker.end_offsets(worker.labels).values()) == 20, RECOVERY_S, "20 labels")
    dead = {(r.key or b"").decode(): r for r in broker.records(worker.dead)}
    for number, (reason, value) in enumerate(invalid.items()):
        record = dead[reason]
        assert (record.value, record.partition, record.timestamp) == (value, number % 4, 1_700_000_000_000)
        assert list(record.headers[:2]) == headers[:2]
        error_headers = {
            name: (v or b"").decode() for name, v in record.headers if name.startswith("labelstream-")
        }
        jsonschema.validate(error_headers, load_schema("dead-letter-headers.v1"))
        assert error_headers["labelstream-error-reason"] == reason
        assert error_headers["labelstream-error-group"] == worker.group
    assert dead_ids(dead.values()).keys() >= {"s", "e", "l"}
    assert label_ids(broker.records(worker.labels)) == {event_id: 1 for event_id, _ in valid}
    assert worker.metric("labelstream_dead_letters_total", reason="too-large") == 1
    assert worker.metric("labelstream_events_total", outcome="labelled") == 20


@pytest.mark.usefixtures("record_path")
def test_tombstones_are_forwarded_with_key_and_headers(
    broker: BrokerClient, start_worker: StartWorker
) -> None:
    route = make_route(broker, "tombstone")
    worker = start_worker(broker, route)
    broker.produce(route, None, key=b"gone", headers=[("h", b"1")], partition=1)
    broker.produce(route, None, headers=[("h", b"2")], partition=1)
    until(lambda: broker.end_offsets(worker.labels)[1] == 2, RECOVERY_S, "the tombstones")
    keyed, keyless = broker.records(worker.labels)
    assert (keyed.key, keyed.value) == (b"gone", None)
    assert keyed.headers[0] == ("h", b"1")
    assert (keyless.key, keyless.value) == (None, None)
    assert worker.metric("labelstream_events_total", outcome="tombstone") == 2


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_compressed_record_batches_are_read_and_written(
    broker: BrokerClient, start_worker: StartWorker, codec: str
) -> None:
    route = make_route(broker, f"codec-{codec}")
    worker = start_worker(broker, route, compression=codec)
    producer = AIOKafkaProducer(bootstrap_servers=broker.address, compression_type=codec, linger_ms=50)
    await producer.start()
    try:
        events = [event(number) for number in range(50)]
        await producer.send_batch(_full_batch(producer, [value for _, value in events]), route, partition=2)
        await producer.flush()
    finally:
        await producer.stop()
    until(lambda: broker.end_offsets(worker.labels)[2] == 50, RECOVERY_S, "50 labels")
    assert label_ids(broker.records(worker.labels)) == {event_id: 1 for event_id, _ in events}


def _full_batch(producer: AIOKafkaProducer, values: list[bytes]) -> object:
    batch = producer.create_batch()
    for value in values:
        assert batch.append(key=None, value=value, timestamp=None) is not None
    return batch


def test_a_restart_continues_at_the_committed_offsets(
    broker: BrokerClient, start_worker: StartWorker
) -> None:
    route = make_route(broker, "restart")
    first = start_worker(broker, route)
    for number in range(100):
        broker.produce(route, event(number)[1])
    until(lambda: sum(broker.end_offsets(first.labels).values()) == 100, RECOVERY_S, "100 labels")
    assert first.stop() == 0, "the worker did not stop in an orderly way"
    for number in range(100, 150):
        broker.produce(route, event(number)[1])
    second = start_worker(broker, route)
    until(lambda: sum(broker.end_offsets(second.labels).values()) >= 150, RECOVERY_S, "150 labels")
    counts = label_ids(broker.records(second.labels))
    assert counts == {event(number)[0]: 1 for number in range(150)}


def test_plain_text_events_and_generated_ids(broker: BrokerClient, start_worker: StartWorker) -> None:
    route = make_route(broker, "text")
    worker = start_worker(broker, route, input_format="text")
    broker.produce(route, b"my card was charged twice", partition=3)
    broker.produce(route, b"again", partition=3, headers=[("labelstream-id", b"named")])
    until(lambda: broker.end_offsets(worker.labels)[3] == 2, RECOVERY_S, "2 labels")
    assert set(label_ids(broker.records(worker.labels))) == {f"{route}-3-0", "named"}


def test_one_worker_serves_several_routes(
    broker: BrokerClient, start_worker: StartWorker, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    first, second = make_route(broker, "route-a"), make_route(broker, "route-b")
    file = tmp_path / "labelstream.toml"
    file.write_text(
        "".join(
            f'[[routes]]\nname = "{name}"\ninput_topic = "{topic}"\noutput_topic = "{topic}.labels"\n'
            f'dead_topic = "{topic}.dead"\nbundle = "{tiny_bundle.path}"\ninput_format = "{form}"\n'
            for name, topic, form in (("a", first, "json"), ("b", second, "text"))
        )
    )
    worker = start_worker(broker, first, config=file)
    broker.produce(first, *(event(number)[1] for number in range(30)), partition=0)
    broker.produce(second, *(b"text %d" % number for number in range(20)), partition=1)
    until(lambda: sum(broker.end_offsets(f"{first}.labels").values()) == 30, RECOVERY_S, "30 labels of a")
    until(lambda: sum(broker.end_offsets(f"{second}.labels").values()) == 20, RECOVERY_S, "20 labels of b")
    assert worker.metric("labelstream_events_total", route="a") == 30
    assert worker.metric("labelstream_events_total", route="b") == 20
    assert worker.stop() == 0
    assert broker.committed(worker.group, second)[1] == 20
