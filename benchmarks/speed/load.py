"""Fills a topic: idempotent, a key and one header per record, in blocks that rotate over the partitions."""

from collections.abc import Callable, Iterator

from confluent_kafka import KafkaError, KafkaException, Message, Producer

HEADERS = [("source", b"bench")]
BLOCK = 100
FLUSH_S = 60.0


def load(
    address: str,
    topic: str,
    values: Iterator[bytes],
    partitions: int,
    compression: str,
    told: Callable[[int], None] = lambda _done: None,
) -> int:
    """Produce all values, timestamps now; returns how many there were.

    Raises:
        KafkaException: the broker refused one.
    """
    producer = Producer(
        {
            "bootstrap.servers": address,
            "log_level": 0,
            "enable.idempotence": True,
            "compression.type": compression,
            "linger.ms": 20,
            "queue.buffering.max.messages": 100_000,
        }
    )
    errors: list[KafkaError] = []

    def confirmed(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            errors.append(error)

    count = 0
    for count, value in enumerate(values, 1):
        place = (count - 1) // BLOCK % partitions
        while True:
            try:
                producer.produce(topic, value, b"k-%d" % count, place, confirmed, headers=HEADERS)
                break
            except BufferError:
                producer.poll(0.05)
        if count % BLOCK == 0:
            producer.poll(0)
            told(count)
    left = producer.flush(FLUSH_S)
    if errors:
        raise KafkaException(errors[0])
    if left:
        raise TimeoutError(f"{topic}: {left} records not confirmed in {FLUSH_S:g} s")
    return count
