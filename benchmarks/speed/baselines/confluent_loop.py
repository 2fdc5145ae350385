"""A plain confluent-kafka loop: consume, produce, one commit per second."""

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from benchmarks.speed.baselines.job import Job, free_label

COMMIT_S = 1.0
FLUSH_S = 60.0


def main(job: Job) -> None:
    """Label events until the process is killed."""
    consumer = Consumer(
        {
            "bootstrap.servers": job.broker,
            "group.id": job.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": job.broker,
            "acks": "all",
            "linger.ms": 5,
            "compression.type": job.compression or "none",
            "queue.buffering.max.messages": 500_000,
        }
    )
    consumer.subscribe([job.source])
    errors: list[KafkaError] = []

    def on_confirmed(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            errors.append(error)

    positions: dict[int, int] = {}
    committed_at = time.monotonic()
    while True:
        for message in consumer.consume(4_096, 0.5):
            if message.error() is not None:
                raise KafkaException(message.error())
            partition = message.partition()
            producer.produce(
                job.target,
                free_label(message.value()),
                message.key(),
                partition,
                on_delivery=on_confirmed,
                timestamp=message.timestamp()[1],
                headers=message.headers(),
            )
            positions[partition] = message.offset() + 1
        producer.poll(0)
        if positions and time.monotonic() - committed_at > COMMIT_S:
            if producer.flush(FLUSH_S) or errors:
                raise KafkaException(errors[0] if errors else KafkaError(KafkaError._TIMED_OUT))
            offsets = [
                TopicPartition(job.source, partition, position) for partition, position in positions.items()
            ]
            consumer.commit(offsets=offsets, asynchronous=False)
            positions.clear()
            committed_at = time.monotonic()


if __name__ == "__main__":
    main(Job.read())
