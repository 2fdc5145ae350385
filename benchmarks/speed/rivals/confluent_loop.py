"""A plain loop over confluent-kafka: consume, produce, commits once a second."""

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from benchmarks.speed.rivals.job import Job, free_label

COMMIT_S = 1.0
FLUSH_S = 60.0


def main(job: Job) -> None:
    """Label until killed."""
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

    def confirmed(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            errors.append(error)

    done: dict[int, int] = {}
    committed = time.monotonic()
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
                on_delivery=confirmed,
                timestamp=message.timestamp()[1],
                headers=message.headers(),
            )
            done[partition] = message.offset() + 1
        producer.poll(0)
        if done and time.monotonic() - committed > COMMIT_S:
            if producer.flush(FLUSH_S) or errors:
                raise KafkaException(errors[0] if errors else KafkaError(KafkaError._TIMED_OUT))
            offsets = [TopicPartition(job.source, partition, at) for partition, at in done.items()]
            consumer.commit(offsets=offsets, asynchronous=False)
            done.clear()
            committed = time.monotonic()


if __name__ == "__main__":
    main(Job.read())
