"""The publisher on Apache Kafka: refusals, new partitions and sequence numbers, without a worker."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import AdminClient, NewPartitions

from stream.errors import BrokerError
from stream.kafka.faust.produce_response import handle_produce_responses
from stream.kafka.faust.producer import prepare_producer
from stream.kafka.publisher import Publisher
from stream.records import Outgoing, pack_record
from tests.fault.test_refused import configure
from tests.real.components import unique
from tests.real.kafka import ApacheKafka

BATCH_BYTES = 20_000


@asynccontextmanager
async def started(kafka: ApacheKafka) -> AsyncIterator[Any]:
    """Start a producer like that of a worker."""
    handle_produce_responses()
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.address,
        acks="all",
        enable_idempotence=True,
        max_batch_size=BATCH_BYTES,
        request_timeout_ms=5_000,
    )
    async with prepare_producer(producer, lambda: None):
        yield producer


def numbered(count: int, size: Callable[[int], int]) -> list[Outgoing]:
    """Return records whose values begin with their numbers."""
    return [pack_record(b"k", b"%d " % n + b"." * size(n), [], 1_700_000_000_000) for n in range(count)]


def numbers(kafka: ApacheKafka, topic: str) -> list[int]:
    """Return the numbers of the records in a topic, by partition and offset."""
    return [int((record.value or b"").split()[0]) for record in kafka.records(topic)]


async def test_the_producer_continues_after_many_refusals(apache_kafka: ApacheKafka) -> None:
    source, labels = (apache_kafka.create_topic(unique(stem), 1) for stem in ("texts", "labels"))
    configure(apache_kafka, labels, "max.message.bytes", "5000")
    large = [n for n in range(3_000) if n % 97 == 0]
    records = numbered(3_000, lambda n: 6_000 if n in large else n % 300)
    async with started(apache_kafka) as producer:
        publisher = Publisher(lambda: producer, 60, {})
        assert await publisher.publish(source, 0, {labels: records}) == {labels: large}
        expected = [n for n in range(3_000) if n not in large]
        for _ in range(3):
            assert await publisher.publish(source, 0, {labels: numbered(500, lambda n: n % 300)}) == {}
    assert numbers(apache_kafka, labels) == expected + [*range(500)] * 3


async def test_two_writers_of_one_partition_continue_after_refusals(apache_kafka: ApacheKafka) -> None:
    import asyncio

    sources = [apache_kafka.create_topic(unique("texts"), 1) for _ in range(2)]
    labels = apache_kafka.create_topic(unique("labels"), 1)
    configure(apache_kafka, labels, "max.message.bytes", "5000")
    records = numbered(600, lambda n: 6_000 if n % 50 == 0 else n % 300)
    async with started(apache_kafka) as producer:

        async def publish(source: str) -> Sequence[int]:
            refused = await Publisher(lambda: producer, 60, {}).publish(source, 0, {labels: records})
            return refused.get(labels, ())

        assert await asyncio.gather(*map(publish, sources)) == [[*range(0, 600, 50)]] * 2
    written = numbers(apache_kafka, labels)
    assert sorted(written) == sorted(2 * [n for n in range(600) if n % 50])


async def test_segments_limit_batches_as_well(apache_kafka: ApacheKafka) -> None:
    source = apache_kafka.create_topic(unique("texts"), 1)
    labels = apache_kafka.create_topic(unique("labels"), 1, segment_bytes=2**20, max_message_bytes=4 * 2**20)
    records = numbered(3, lambda n: (2 * 2**20) * (n == 1))
    async with started(apache_kafka) as producer:
        refused = await Publisher(lambda: producer, 60, {}).publish(source, 0, {labels: records})
    assert refused == {labels: [1]}
    assert numbers(apache_kafka, labels) == [0, 2]


async def test_added_partitions_are_written_to(apache_kafka: ApacheKafka) -> None:
    source, labels = (apache_kafka.create_topic(unique(stem), 2) for stem in ("texts", "labels"))
    async with started(apache_kafka) as producer:
        publisher = Publisher(lambda: producer, 30)
        await publisher.publish(source, 0, {labels: numbered(1, lambda _: 1)})
        admin = AdminClient({"bootstrap.servers": apache_kafka.address})
        for future in admin.create_partitions(
            [NewPartitions(topic, 6) for topic in (source, labels)]
        ).values():
            future.result(30)
        await publisher.publish(source, 5, {labels: numbered(1, lambda _: 1)})
    assert [record.partition for record in apache_kafka.records(labels)] == [0, 5]


async def test_sequence_numbers_wrap(apache_kafka: ApacheKafka) -> None:
    from aiokafka.structs import TopicPartition

    source, labels = (apache_kafka.create_topic(unique(stem), 1) for stem in ("texts", "labels"))
    async with started(apache_kafka) as producer:
        producer._txn_manager._sequence_numbers[TopicPartition(labels, 0)] = 2**31 - 700
        publisher = Publisher(lambda: producer, 30)
        for _ in range(4):
            await publisher.publish(source, 0, {labels: numbered(500, lambda n: n % 300)})
    assert numbers(apache_kafka, labels) == [*range(500)] * 4


async def test_a_deleted_topic_is_named(apache_kafka: ApacheKafka) -> None:
    source, labels = (apache_kafka.create_topic(unique(stem), 1) for stem in ("texts", "labels"))
    async with started(apache_kafka) as producer:
        publisher = Publisher(lambda: producer, 3)
        await publisher.publish(source, 0, {labels: numbered(1, lambda _: 1)})
        apache_kafka.delete_topics(labels)
        with pytest.raises(BrokerError, match=f"topic {labels} was deleted"):
            await publisher.publish(source, 0, {labels: numbered(1, lambda _: 1)})
        await producer._sender.close()
