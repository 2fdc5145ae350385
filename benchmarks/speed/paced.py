"""Produces at a constant rate, whatever the consumers do (open loop). Prints one line of JSON.

python -m benchmarks.speed.paced BROKER TOPIC PARTITIONS COMPRESSION RATE SECONDS STEM [TEXTS]

The timestamp of a record is its due time, so that a late producer does not hide a delay. All records are
encoded before the first is due.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import orjson
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from benchmarks.speed.events import small_event
from benchmarks.speed.load import HEADERS
from benchmarks.speed.punctual import punctual
from benchmarks.speed.texts import read_texts

TICK_S = 0.005
HEAD_START_S = 0.2
FLUSH_S = 30.0


def main(
    broker: str,
    topic: str,
    partitions: int,
    compression: str,
    rate: float,
    seconds: float,
    make: Callable[[int], bytes],
) -> dict[str, float]:
    """Produce events round-robin over the partitions.

    Returns:
        sent, the number of events; began_ms, the due time of the first in milliseconds since 1970; late_ms,
        the largest delay of the producer.
    """
    producer = Producer(
        {
            "bootstrap.servers": broker,
            "log_level": 0,
            "compression.type": compression,
            "linger.ms": 2,
            "queue.buffering.max.messages": 1_000_000,
            # A callback for every event would delay the producer.
            "delivery.report.only.error": True,
        }
    )
    errors: list[KafkaError] = []

    def on_delivery(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            errors.append(error)

    total, sent, late_s = int(rate * seconds), 0, 0.0
    events = [(b"k-%d" % number, make(number)) for number in range(total)]
    producer.list_topics(topic, timeout=FLUSH_S)
    # confluent-kafka takes no other sequence than a list.
    headers = [*HEADERS]
    produce, began = producer.produce, time.time() + HEAD_START_S
    while sent < total:
        now = time.time()
        due = min(total, int((now - began) * rate))
        if due > sent:
            late_s = max(late_s, now - (began + sent / rate))
        for number in range(sent, due):
            key, value = events[number]
            timestamp_ms = int((began + number / rate) * 1e3)
            produce(
                topic, value, key, number % partitions, on_delivery, timestamp=timestamp_ms, headers=headers
            )
        sent = max(sent, due)
        producer.poll(0)
        time.sleep(TICK_S)
    if producer.flush(FLUSH_S) or errors:
        raise KafkaException(errors[0] if errors else KafkaError(KafkaError._TIMED_OUT))
    return {"sent": sent, "began_ms": began * 1e3, "late_ms": late_s * 1e3}


def event_maker(stem: str, file: str | None) -> Callable[[int], bytes]:
    """Return a function that encodes the event of a number; texts are unique if the stem is."""
    if file is None:
        return small_event
    texts = read_texts(Path(file))
    return lambda number: orjson.dumps(
        {"id": f"{stem}-{number}", "text": f"{texts[number % len(texts)]} {number}"}
    )


if __name__ == "__main__":
    address, output, partitions, codec, per_s, duration_s, stem, *more = sys.argv[1:]
    make = event_maker(stem, more[0] if more else None)
    with punctual():
        report = main(address, output, int(partitions), codec, float(per_s), float(duration_s), make)
    print(orjson.dumps(report).decode(), flush=True)
