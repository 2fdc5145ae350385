"""Producers in plain Python with both client libraries, and the label events of their events."""

from collections.abc import Awaitable, Callable

import jsonschema
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka import Producer

from stream.schemas import load_schema
from tests.compose.inside.arrivals import BACK_S, await_records
from tests.compose.stack import StackBroker
from tests.compose.traffic import LABELS, TEXTS
from tests.real.client import Record
from tests.real.components import unique

Sent = dict[str, tuple[bytes | None, bytes, list[tuple[str, bytes]]]]
Produce = Callable[[str, Sent], Awaitable[None]]
COUNT = 40
OURS = {"labelstream-model", "labelstream-schema", "labelstream-id", "content-type"}

pytestmark = pytest.mark.compose


async def with_aiokafka(address: str, sent: Sent) -> None:
    """Send an event, and wait for the confirmation."""
    producer = AIOKafkaProducer(bootstrap_servers=address, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        for key, value, headers in sent.values():
            await producer.send(TEXTS, value, key=key, headers=headers)
        await producer.flush()
    finally:
        await producer.stop()


async def with_confluent(address: str, sent: Sent) -> None:
    """Send an event, and wait for the confirmation."""
    producer = Producer({"bootstrap.servers": address, "enable.idempotence": True})
    for key, value, headers in sent.values():
        producer.produce(TEXTS, value, key=key, headers=headers)
    assert producer.flush(BACK_S) == 0


def json_events() -> Sent:
    """JSON events with the id in the value, a key and repeated headers."""
    stem = unique("json")
    return {
        f"{stem}-{n}": (
            f"customer-{n % 7}".encode(),
            orjson.dumps({"id": f"{stem}-{n}", "text": f"my parcel number {n} never came", "unknown": n}),
            [("source", b"test"), ("hop", b"1"), ("hop", b"2")],
        )
        for n in range(COUNT)
    }


def bare_texts() -> Sent:
    """Bare texts with the id in a header and no key."""
    stem = unique("text")
    return {
        f"{stem}-{n}": (
            None,
            f"Zwei Mal abgebucht, Rechnung {n} \N{ANGRY FACE}".encode(),
            [("content-type", b"text/plain"), ("labelstream-id", f"{stem}-{n}".encode())],
        )
        for n in range(COUNT)
    }


@pytest.mark.parametrize("produce", [with_aiokafka, with_confluent])
@pytest.mark.parametrize("events", [json_events, bare_texts])
async def test_every_event_gets_a_label_event(
    stack_broker: StackBroker, produce: Produce, events: Callable[[], Sent]
) -> None:
    sent = events()
    await produce(stack_broker.address, sent)
    labels = await_records(stack_broker.address, sent, (LABELS,))
    for event_id, (key, _, headers) in sent.items():
        check_label(labels[event_id], event_id, key, headers)


def check_label(record: Record, event_id: str, key: bytes | None, headers: list[tuple[str, bytes]]) -> None:
    """Check the value by its schema, key and partition of the input, and its headers followed by ours."""
    label = orjson.loads(record.value or b"")
    jsonschema.validate(label, load_schema("label.v1"))
    assert label["id"] == event_id
    assert record.key == key
    assert record.partition == label["source"]["partition"]
    theirs = [header for header in headers if header[0] not in OURS]
    assert [header for header in record.headers if header[0] not in OURS] == theirs
    assert dict(record.headers)["labelstream-schema"] == b"label.v1"


async def test_a_consumer_group_of_aiokafka_reads_the_labels(stack_broker: StackBroker) -> None:
    sent = json_events()
    await with_aiokafka(stack_broker.address, sent)
    consumer = AIOKafkaConsumer(
        LABELS,
        bootstrap_servers=stack_broker.address,
        group_id=unique("aiokafka"),
        auto_offset_reset="earliest",
    )
    await consumer.start()
    labelled: set[str] = set()
    try:
        while not labelled.issuperset(sent):
            batches = await consumer.getmany(timeout_ms=1000)
            for record in (record for batch in batches.values() for record in batch):
                labelled.add(dict(record.headers).get("labelstream-id", b"").decode())
        await consumer.commit()
    finally:
        await consumer.stop()
