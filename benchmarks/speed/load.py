"""An idempotent producer that fills a topic in blocks that rotate over the partitions."""

from collections.abc import Callable, Iterator, Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

Headers = Sequence[tuple[str, bytes]]
HEADERS: Headers = (("source", b"bench"),)
BLOCK = 100
FLUSH_S = 60.0


def load(
    address: str,
    topic: str,
    values: Iterator[bytes],
    partitions: int,
    compression: str,
    on_progress: Callable[[int], None] = lambda _done: None,
    headers: Headers = HEADERS,
) -> int:
    """Produce all values, each with a key and the headers, and return their number.

    Args:
        address: the broker's host:port.
        topic: the topic to fill.
        values: the record values.
        partitions: the number of partitions of the topic.
        compression: the producer's compression type.
        on_progress: receives the number of records produced so far.
        headers: the headers of every record.

    Raises:
        KafkaException: the broker rejected a record.
        TimeoutError: the broker did not confirm all records in time.
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

    def on_delivery(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            errors.append(error)

    count = 0
    for count, value in enumerate(values, 1):
        partition = (count - 1) // BLOCK % partitions
        while True:
            try:
                producer.produce(topic, value, b"k-%d" % count, partition, on_delivery, headers=[*headers])
                break
            except BufferError:
                producer.poll(0.05)
        if count % BLOCK == 0:
            producer.poll(0)
            on_progress(count)
    unconfirmed = producer.flush(FLUSH_S)
    if errors:
        raise KafkaException(errors[0])
    if unconfirmed:
        raise TimeoutError(f"{topic}: {unconfirmed} records not confirmed in {FLUSH_S:g} s")
    return count
