"""Dead letters as a worker writes them."""

from typing import Any

from confluent_kafka import Producer

from stream.dlq.letters import StoredLetter, read_letter
from tests.real.client import BrokerClient
from tests.real.retry import DEADLINE_S
from tests.unit.records import FakeRecord

TIME = 1_763_632_800_000
PREFIX = "labelstream-error-"
ADDED = {
    "reason": b"schema",
    "message": b"text is missing",
    "topic": b"texts",
    "partition": b"3",
    "offset": b"1041",
    "timestamp": b"%d" % TIME,
    "group": b"labelstream",
    "attempt": b"1",
    "version": b"0.1.0",
}


def dead_headers(
    event_id: str = "t-7", headers: tuple[tuple[str, bytes], ...] = (), **added: bytes | None
) -> tuple[tuple[str, bytes], ...]:
    """Return the headers of a dead letter.

    Args:
        event_id: the id of the event.
        headers: the headers of the producer.
        added: headers of the worker without their prefix, with _ in place of -; None leaves a header out.
    """
    found = ADDED | {name.replace("_", "-"): data for name, data in added.items()}
    own = tuple((f"{PREFIX}{name}", data) for name, data in found.items() if data is not None)
    return (*headers, ("labelstream-id", event_id.encode()), *own)


def letter(
    value: bytes | None = b'{"message": "hi"}',
    key: bytes | None = b"k",
    *,
    partition: int = 3,
    offset: int = 17,
    **described: Any,
) -> StoredLetter:
    """Return a dead letter that was read; `described` as in `dead_headers`."""
    return read_letter(partition, FakeRecord(value, key, dead_headers(**described), offset, TIME))


def produce_dead_letters(
    broker: BrokerClient, dead_topic: str, source: str, count: int, **added: bytes
) -> None:
    """Write dead letters with the ids e-0, e-1 …, spread over the partitions of the dead-letter topic."""
    partitions = len(broker.partitions(dead_topic))
    producer = Producer({"bootstrap.servers": broker.address, "linger.ms": 5})
    for number in range(count):
        headers = dead_headers(
            f"e-{number}",
            (("source", b"crm"),),
            topic=source.encode(),
            partition=b"%d" % (number % partitions),
            offset=b"%d" % number,
            **added,
        )
        value = b'{"id": "e-%d", "message": "where is my parcel", "n": %d}' % (number, number)
        at = {"partition": number % partitions, "timestamp": TIME}
        producer.produce(dead_topic, value, b"k-%d" % number, headers=list(headers), **at)
    assert producer.flush(DEADLINE_S) == 0
