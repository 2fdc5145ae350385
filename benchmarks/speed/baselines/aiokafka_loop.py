"""A plain aiokafka loop: getmany, send_batch for whole batches, one commit per second."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.speed.baselines.job import Job, free_label

COMMIT_S = 1.0
MAX_UNCONFIRMED = 64
"""Unconfirmed produce batches above which the loop waits for confirmations."""

Write = Callable[[Sequence[Any]], Iterable[dict[str, Any]]]
"""Converts records of one partition to the arguments of `batch.append`."""


def plain(records: Sequence[Any]) -> Iterable[dict[str, Any]]:
    """Convert records to label events with id, label, score and scores."""
    for record in records:
        yield {
            "key": record.key,
            "value": free_label(record.value),
            "headers": list(record.headers),
            "timestamp": record.timestamp,
        }


async def main(job: Job, write: Write = plain) -> None:
    """Label events until the process is killed."""
    consumer = AIOKafkaConsumer(
        job.source,
        bootstrap_servers=job.broker,
        group_id=job.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=job.broker, acks="all", compression_type=job.compression, max_batch_size=262_144
    )
    async with producer, consumer:
        unconfirmed: list[asyncio.Future[object]] = []
        positions: dict[TopicPartition, int] = {}
        committed_at = time.monotonic()
        while True:
            for topic_partition, records in (
                await consumer.getmany(timeout_ms=500, max_records=4_096)
            ).items():
                batch = producer.create_batch()
                for record in write(records):
                    if batch.append(**record) is None:
                        unconfirmed.append(
                            await producer.send_batch(batch, job.target, partition=topic_partition.partition)
                        )
                        batch = producer.create_batch()
                        batch.append(**record)
                unconfirmed.append(
                    await producer.send_batch(batch, job.target, partition=topic_partition.partition)
                )
                positions[topic_partition] = records[-1].offset + 1
            if positions and (
                time.monotonic() - committed_at > COMMIT_S or len(unconfirmed) > MAX_UNCONFIRMED
            ):
                await asyncio.gather(*unconfirmed)
                unconfirmed.clear()
                await consumer.commit(positions)
                positions.clear()
                committed_at = time.monotonic()


if __name__ == "__main__":
    asyncio.run(main(Job.read()))
