"""Consumption of the worker's output by id, with a consumer group."""

import time
from collections.abc import Callable, Iterable

from confluent_kafka import Consumer

from tests.compose.traffic import DEAD, LABELS
from tests.real.client import Record, _record
from tests.real.components import unique

BACK_S = 120.0


def header_id(record: Record) -> str:
    """Return the id of a label event, a tombstone or a dead letter."""
    return (dict(record.headers).get("labelstream-id") or b"").decode()


def await_records(
    address: str, ids: Iterable[str], topics: tuple[str, ...] = (LABELS, DEAD)
) -> dict[str, Record]:
    """Return the records with these ids, read by a new consumer group from the beginning.

    Raises:
        AssertionError: some of the records did not arrive before the deadline; the message lists their ids.
    """
    expected = set(ids)
    records: dict[str, Record] = {}
    read(address, topics, lambda record: _keep(record, expected, records), lambda: records.keys() == expected)
    assert records.keys() == expected, f"not within {BACK_S:g} s: {sorted(expected - records.keys())[:9]}"
    return records


def _keep(record: Record, expected: set[str], records: dict[str, Record]) -> None:
    if (name := header_id(record)) in expected:
        records[name] = record


def read(
    address: str, topics: tuple[str, ...], take: Callable[[Record], None], done: Callable[[], bool]
) -> None:
    """Read topics until done, or until the deadline."""
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": unique("consumer"),
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe(list(topics))
    ends = time.monotonic() + BACK_S
    try:
        while not done() and time.monotonic() < ends:
            for message in consumer.consume(500, timeout=0.2):
                if message.error() is None:
                    take(_record(message))
    finally:
        consumer.close()
