"""A plain loop over aiokafka: getmany, whole batches sent with send_batch, commits once a second."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.speed.rivals.job import Job, free_label

COMMIT_S = 1.0
MOST_WAITING = 64
"""Unconfirmed produce batches; past it the loop waits for them."""

Write = Callable[[Sequence[Any]], Iterable[dict[str, Any]]]
"""Records of one partition to what is appended for them."""


def plain(records: Sequence[Any]) -> Iterable[dict[str, Any]]:
    """Id, label, score and scores."""
    for record in records:
        yield {
            "key": record.key,
            "value": free_label(record.value),
            "headers": list(record.headers),
            "timestamp": record.timestamp,
        }


async def main(job: Job, write: Write = plain) -> None:
    """Label until killed."""
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
        waiting: list[asyncio.Future[object]] = []
        done: dict[TopicPartition, int] = {}
        committed = time.monotonic()
        while True:
            for place, records in (await consumer.getmany(timeout_ms=500, max_records=4_096)).items():
                batch = producer.create_batch()
                for given in write(records):
                    if batch.append(**given) is None:
                        waiting.append(
                            await producer.send_batch(batch, job.target, partition=place.partition)
                        )
                        batch = producer.create_batch()
                        batch.append(**given)
                waiting.append(await producer.send_batch(batch, job.target, partition=place.partition))
                done[place] = records[-1].offset + 1
            if done and (time.monotonic() - committed > COMMIT_S or len(waiting) > MOST_WAITING):
                await asyncio.gather(*waiting)
                waiting.clear()
                await consumer.commit(done)
                done.clear()
                committed = time.monotonic()


if __name__ == "__main__":
    asyncio.run(main(Job.read()))
