"""Reading of a topic from its beginning to the end that it has at the start."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from stream.codec import Record
from stream.errors import BrokerError, UnreadableBatchError
from stream.kafka.connection import error_cause
from stream.kafka.faust.topic_ids import read_topic_id
from stream.kafka.topic_reader import TopicReader
from stream.kafka.topics.wait import find_topics
from stream.settings import Settings

MAX_RECORDS = 500
POLL_MS = 500
# The longest time without a record or a marker, such as during the election of a leader.
IDLE_S = 30.0
FETCH_BYTES = 4 * 2**20
# The ledger is read after each batch; a broker that does not answer at once costs this time for each.
MAX_WAIT_MS = 50


class Extent(NamedTuple):
    """The partitions of a topic at a moment.

    Attributes:
        topic: the name of the topic.
        topic_id: the id of the topic, None if the broker reports none.
        begin: the first offset of each partition.
        end: the offset after the last committed record of each partition.
    """

    topic: str
    topic_id: str | None
    begin: dict[int, int]
    end: dict[int, int]

    @property
    def offsets(self) -> int:
        """The number of offsets."""
        return sum(self.end.values()) - sum(self.begin.values())


class TopicScan:
    """Reads the records that a topic has when the scan is opened; later ones are not read."""

    def __init__(self, reader: TopicReader, extent: Extent) -> None:
        """
        Args:
            reader: a reader that was started without topics.
            extent: the offsets of the topic.
        """
        self._reader = reader
        self.extent = extent

    async def records(
        self,
        partitions: Collection[int],
        start: dict[int, int] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> AsyncIterator[tuple[int, Sequence[Record]]]:
        """Yield the records of partitions, in offset order within each, in lists of at most `MAX_RECORDS`.

        Args:
            partitions: the partitions to read.
            start: the offset to begin at, by partition; others begin at their first offset.
            clock: returns monotonic seconds.

        Raises:
            BrokerError: the topic cannot be read up to its end.
        """
        topic, end = self.extent.topic, self.extent.end
        begin = {p: max((start or {}).get(p, 0), self.extent.begin[p]) for p in partitions if p in end}
        open_partitions = {TopicPartition(topic, p) for p, first in begin.items() if first < end[p]}
        consumer = self._reader.consumer
        consumer.assign(sorted(open_partitions))
        for tp in open_partitions:
            consumer.seek(tp, begin[tp.partition])
        moved_at, places = clock(), dict(begin)
        while open_partitions:
            for tp, records in (await self._reader.poll(POLL_MS, MAX_RECORDS)).items():
                wanted = [record for record in records if record.offset < end[tp.partition]]
                if wanted:
                    yield tp.partition, wanted
            for tp in [*open_partitions]:
                place = await consumer.position(tp)
                if place != places[tp.partition]:
                    moved_at, places[tp.partition] = clock(), place
                if place >= end[tp.partition]:
                    consumer.pause(tp)
                    open_partitions.discard(tp)
            if clock() - moved_at > IDLE_S:
                raise BrokerError(
                    f"topic {topic} cannot be read up to its end",
                    cause=f"no record in {IDLE_S:g} s",
                    fix="check the brokers of the topic: labelstream doctor",
                )


@asynccontextmanager
async def open_scan(settings: Settings, topic: str) -> AsyncIterator[TopicScan]:
    """Connect to the broker, and read the offsets of a topic.

    Raises:
        BrokerError: the broker does not answer, or the topic does not exist or cannot be read.
    """
    count = (await find_topics(settings, [topic]))[topic]
    async with open_reader(settings, topic) as reader:
        partitions = [TopicPartition(topic, partition) for partition in range(count)]
        begin = await reader.consumer.beginning_offsets(partitions)
        end = await reader.consumer.end_offsets(partitions)
        topic_id = await read_topic_id(reader.consumer, topic)
        yield TopicScan(reader, Extent(topic, topic_id, _by_number(begin), _by_number(end)))


@asynccontextmanager
async def open_reader(settings: Settings, topic: str) -> AsyncIterator[TopicReader]:
    """Start a reader without topics; the errors of Kafka in the block become errors about the topic.

    Raises:
        BrokerError: the broker does not answer, or the topic cannot be read.
    """
    reader = TopicReader(
        settings,
        client_id="labelstream-dlq",
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_wait_ms=MAX_WAIT_MS,
    )
    try:
        await reader.start()
        yield reader
    except UnreadableBatchError as exc:
        fix = "choose other partitions with --partition, or wait until retention removes the batch"
        raise BrokerError(exc.message, cause=exc.cause, fix=fix) from None
    except BrokenPipeError:
        # The reader of standard output has closed it.
        raise
    except (KafkaError, OSError) as exc:
        raise BrokerError(
            f"topic {topic} cannot be read",
            cause=error_cause(exc),
            fix="check the broker, the topic and the permission Read: labelstream doctor",
        ) from exc
    finally:
        await reader.stop()


def _by_number(offsets: dict[TopicPartition, int]) -> dict[int, int]:
    return {tp.partition: offset for tp, offset in offsets.items()}
