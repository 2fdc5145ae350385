"""A batch consumer with a stand-in for its thread, and the parts of its tests."""

from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka.structs import TopicPartition
from faust.types import TP
from mode import Service

from stream.kafka.batches import RecordBatch
from stream.kafka.consumer import ConsumerConfig
from stream.kafka.faust.app import BatchApp
from stream.kafka.faust.consumer import BatchConsumer
from stream.kafka.faust.options import faust_options
from stream.kafka.faust.positions import FetchedRecords, Position
from stream.kafka.faust.topic import BatchTopic
from stream.kafka.input_topics import InputTopics
from stream.kafka.ranges import PartitionRanges
from stream.observe.metrics import Metrics
from stream.records import Source
from stream.settings import load_settings
from stream.worker.observer import MetricsObserver
from tests.unit.fake_producers import FakeProducers
from tests.unit.records import FakeRecord

PARTITION = TP("texts", 0)
SOURCE_0 = Source("texts", 0)
CONFIG = ConsumerConfig(max_events=20, max_bytes=1000)


class FakeThread(Service):
    """A consumer thread that accepts or refuses commits, and returns the fetches of the test."""

    def __init__(self) -> None:
        super().__init__()
        self.accepts = True
        self.position_epoch = 0
        self.position = 10
        self.committed: list[dict[TP, int]] = []
        self.fetchable: list[FetchedRecords] = []
        self.fetched_from: list[set[TP]] = []
        self.returned: list[FetchedRecords] = []
        self.set_to: dict[TP, Position] = {}
        self.ended_at: list[tuple[dict[TP, int], Mapping[TP, int]]] = []
        self.topics = InputTopics(120, lambda: 0.0)

    async def getmany(self, active_partitions: set[TP], timeout: float) -> FetchedRecords:
        self.fetched_from.append(set(active_partitions))
        return self.fetchable.pop(0) if self.fetchable else FetchedRecords()

    async def put_back(self, fetched: FetchedRecords) -> None:
        self.returned.append(fetched)

    async def commit(self, offsets: Mapping[TP, int]) -> bool:
        if self.accepts:
            self.committed.append(dict(offsets))
        return self.accepts

    async def set_positions(self) -> dict[TP, Position]:
        return self.set_to

    def log_ends(self) -> dict[TP, int]:
        return self.stable_ends()

    def end_epoch(self, safe_offsets: Mapping[TP, int], ends: Mapping[TP, int]) -> None:
        self.ended_at.append((dict(safe_offsets), ends))

    def stable_ends(self) -> dict[TP, int]:
        return {PARTITION: 50}

    def blocked(self) -> dict[TP, int]:
        return {PARTITION: 500, TP("texts", 7): 1}

    def positions(self) -> dict[TP, int]:
        return {PARTITION: self.position}


class FakeReadLimits:
    """Limits that the test changes."""

    def __init__(self) -> None:
        self.record_batch_size = 3
        self.read_ahead = 100


class Setup:
    """An app that is built like the worker's and never started, with a double of the consumer's thread."""

    def __init__(self) -> None:
        self.thread = FakeThread()
        self.producers = FakeProducers()
        self.metrics = Metrics()
        self.observer = MetricsObserver(self.metrics)
        self.app = BatchApp(
            "unit",
            faust_options(load_settings()),
            config=CONFIG,
            observer=self.observer,
            new_thread=lambda _consumer: self.thread,
            producers=self.producers,
        )
        self.consumer: BatchConsumer = self.app.consumer
        self.consumer.ranges = {PARTITION: PartitionRanges(10, committed=10)}
        self.limits = FakeReadLimits()

    def read_topic(self) -> BatchTopic:
        """Let the consumer read a topic."""
        topic = BatchTopic(
            self.app, topics=["texts"], key_serializer="raw", value_serializer="raw", limits=self.limits
        )
        self.app.topics._topic_name_index["texts"] = {topic}
        self.consumer._active_partitions = {PARTITION}
        self.consumer.joined = True
        return topic

    def count(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"labelstream_{name}", labels)


@pytest.fixture
async def setup() -> Setup:
    return Setup()


@pytest.fixture
async def consumer(setup: Setup) -> Any:
    return setup.consumer


@pytest.fixture
async def thread(setup: Setup) -> FakeThread:
    return setup.thread


@pytest.fixture
async def topic(setup: Setup) -> BatchTopic:
    """The topic that the consumer reads, in batches of three events."""
    return setup.read_topic()


def fetched(first: int, count: int, name: str = "texts") -> FetchedRecords:
    """Return a fetch of one partition."""
    records = [FakeRecord(b"v", offset=first + at) for at in range(count)]
    return FetchedRecords({TopicPartition(name, 0): records})


def queued(topic: BatchTopic) -> list[RecordBatch]:
    """Take the batches that wait for an agent."""
    return [topic.queue.get_nowait().value for _ in range(topic.queue.qsize())]


async def read_once(consumer: Any) -> Any:
    return await consumer._wait_next_records(timeout=1.0)


def hand_out(consumer: Any, first: int, count: int = 5, value: bytes = b"v") -> RecordBatch:
    records = [FakeRecord(value, offset=first + at) for at in range(count)]
    offsets = consumer.ranges[PARTITION].open(first, first + count)
    batch = RecordBatch(Source(*PARTITION), records, offsets, consumer.epoch, consumer, delivered_at=0.0)
    consumer.unfinished.queue(batch)
    return batch
