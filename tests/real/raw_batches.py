"""Record batches with any bytes, written to a broker as they are."""

import asyncio
from collections.abc import Sequence
from functools import partial
from time import time_ns
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.conn import create_conn
from aiokafka.errors import NotLeaderForPartitionError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition

from stream.codec.wire import encode_body, encode_record, varint
from stream.kafka.faust.unpack import FetchBuffer, keep_fetched_bytes
from stream.kafka.faust.wire_batch import CRC_COUNTS_FROM, HEADER, LENGTH_COUNTS_FROM
from tests.real.wait import until_async

# The present, because retention removes old records.
TIMESTAMP = time_ns() // 1_000_000

LEADER_S = 20.0
# A broker learns that it leads a new partition a moment after the topic is created.
NOT_YET_LEADER = (NotLeaderForPartitionError, UnknownTopicOrPartitionError)


def batch(
    records: bytes,
    count: int,
    *,
    compression: int = 0,
    last_delta: int | None = None,
    first_offset: int = 0,
) -> bytes:
    """Return a batch of record format 2 with a valid checksum.

    Args:
        records: the encoded records, compressed if `compression` says so.
        count: the number of records that the header declares.
        compression: the compression type that the header declares.
        last_delta: the last offset, relative to the first one; by default that of a batch without gaps.
        first_offset: the first offset; a broker replaces it.
    """
    last = count - 1 if last_delta is None else last_delta
    fields = (compression, last, TIMESTAMP, TIMESTAMP, -1, -1, -1, count)
    length = HEADER.size + len(records) - LENGTH_COUNTS_FROM
    unchecked = HEADER.pack(first_offset, length, -1, 2, 0, *fields) + records
    crc = calc_crc32c(unchecked[CRC_COUNTS_FROM:])
    return HEADER.pack(first_offset, length, -1, 2, crc, *fields) + records


def record(
    number: int, value: bytes | None, key: bytes | None = None, headers: Sequence[tuple[str, Any]] = ()
) -> bytes:
    """Return an encoded record; the bytes of a header name that are not UTF-8 are surrogates."""
    return encode_record(0, number, encode_body(key, value, headers))


def odd_record(number: int, body: bytes) -> bytes:
    """Return a record with any bytes after its offset delta."""
    content = b"\0\0" + varint(number) + body
    return varint(len(content)) + content


def produce_batches(address: str, topic: str, *batches: bytes, partition: int = 0) -> list[int]:
    """Write batches to a partition, and return the first offset of each.

    Raises:
        KafkaError: the broker refused a batch.
    """
    answers = asyncio.run(_produce(address, topic, batches, partition))
    for code, _ in answers:
        if code:
            raise for_code(code)
    return [offset for _, offset in answers]


def offer_batches(address: str, topic: str, *batches: bytes, partition: int = 0) -> list[int | None]:
    """Write batches to a partition; return the first offset of each, None for one that the broker refuses."""
    answers = asyncio.run(_produce(address, topic, batches, partition))
    return [None if code else offset for code, offset in answers]


async def _produce(
    address: str, topic: str, batches: Sequence[bytes], partition: int
) -> list[tuple[int, int]]:
    """Return the error code and the first offset of each batch.

    Raises:
        NotInTimeError: the broker does not lead the partition.
    """
    host, _, port = address.partition(":")
    connection = await create_conn(host, int(port), client_id="raw")
    try:

        async def answer(data: bytes) -> tuple[int, int]:
            topics = [(topic, [(partition, data)])]
            request = ProduceRequest(transactional_id=None, required_acks=-1, timeout=30_000, topics=topics)
            response: Any = await connection.send(request)
            ((_, ((_, code, offset, *_),)),) = response.topics
            if code in (error.errno for error in NOT_YET_LEADER):
                raise for_code(code)
            return code, offset

        answers = []
        for data in batches:
            description = f"topic {topic}, partition {partition} has a leader"
            send = partial(answer, data)
            answers.append(await until_async(send, LEADER_S, description, ignoring=NOT_YET_LEADER))
        return answers
    finally:
        connection.close()


def read_records(address: str, topic: str, count: int, partition: int = 0) -> list[Any]:
    """Return the first records of a partition, read by the codec, which reads any header name."""
    return asyncio.run(_read(address, TopicPartition(topic, partition), count))


async def _read(address: str, tp: TopicPartition, count: int) -> list[Any]:
    keep_fetched_bytes()
    consumer = AIOKafkaConsumer(bootstrap_servers=address, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer._fetcher._records = FetchBuffer(lambda _: True)
        consumer.assign([tp])
        await consumer.seek_to_beginning(tp)
        records: list[Any] = []
        while len(records) < count:
            fetched = await consumer._fetcher.fetched_records([tp], timeout=1)
            if not fetched:
                break
            records += fetched[tp]
        return records
    finally:
        await consumer.stop()
