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


def arrived(address: str, ids: Iterable[str], topics: tuple[str, ...] = (LABELS, DEAD)) -> dict[str, Record]:
    """Return the records with these ids, read by a new consumer group from the beginning.

    Raises:
        AssertionError: not all of them came before the deadline; the rest are named.
    """
    wanted = set(ids)
    found: dict[str, Record] = {}
    read(address, topics, lambda record: _keep(record, wanted, found), lambda: found.keys() == wanted)
    assert found.keys() == wanted, f"not within {BACK_S:g} s: {sorted(wanted - found.keys())[:9]}"
    return found


def _keep(record: Record, wanted: set[str], found: dict[str, Record]) -> None:
    if (name := header_id(record)) in wanted:
        found[name] = record


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
