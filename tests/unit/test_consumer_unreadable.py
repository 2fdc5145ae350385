"""The consumer ends the worker because of a batch that cannot be read, after the events before it."""

from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.codec import zstd_encode
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.structs import TopicPartition

from stream.errors import UnreadableBatchError
from stream.kafka.consumer import ConsumerConfig
from stream.kafka.faust.consumer_thread import BatchConsumerThread
from stream.kafka.faust.positions import FetchedRecords
from stream.kafka.faust.topic import BatchTopic
from stream.kafka.faust.unpack import IndexedMemoryRecords
from stream.kafka.fetch_policy import FetchPolicy
from stream.kafka.group import GroupAnswers
from stream.quarantine import Quarantine
from stream.settings import load_settings
from tests.real.raw_batches import batch, record
from tests.unit.consumer_setup import (
    PARTITION,
    FakeThread,
    Setup,
    consumer,
    fetched,
    queued,
    read_once,
    setup,
    thread,
    topic,
)

__all__ = ["consumer", "setup", "thread", "topic"]


async def test_a_batch_that_cannot_be_read_ends_the_worker_after_the_events_before_it(
    consumer: Any, topic: BatchTopic, thread: FakeThread
) -> None:
    error = UnreadableBatchError("offset 12 cannot be read")
    for records in (fetched(10, 2), FetchedRecords()):
        records.unreadable = {TopicPartition(*PARTITION): error}
        thread.fetchable.append(records)
    await read_once(consumer)
    await read_once(consumer)
    (first,) = queued(topic)
    assert first.take()
    assert first.acknowledge()
    thread.fetchable.append(FetchedRecords())
    await read_once(consumer)
    ended = FetchedRecords()
    ended.unreadable = {TopicPartition(*PARTITION): error}
    thread.fetchable.append(ended)
    with pytest.raises(UnreadableBatchError) as raised:
        await read_once(consumer)
    assert raised.value is error
    assert consumer.ranges[PARTITION].base == 12


async def test_an_error_of_an_earlier_epoch_is_dropped(
    consumer: Any, topic: BatchTopic, thread: FakeThread
) -> None:
    late = FetchedRecords()
    late.unreadable = {TopicPartition(*PARTITION): UnreadableBatchError("late")}
    thread.fetchable.append(late)
    thread.position_epoch = 1
    await read_once(consumer)
    assert thread.returned == [late]


async def test_the_consumers_thread_reports_batches_that_cannot_be_read(setup: Setup) -> None:
    config = ConsumerConfig(max_decompressed_bytes=100, quarantine=Quarantine(["texts:0:13"]))
    policy = FetchPolicy(0.0, lambda: 0.0)
    answers = GroupAnswers(load_settings(), lambda: 0.0, lambda _error: None)
    thread = BatchConsumerThread(
        setup.consumer, config=config, observer=setup.observer, fetch_policy=policy, group_answers=answers
    )
    setup.consumer.flow_active = False
    fetcher = SimpleNamespace(_records=OrderedDict())
    client = SimpleNamespace(_fetcher=fetcher)
    await thread._fetch_records(client, {PARTITION}, timeout=0.0)
    tp, assignment = TopicPartition(*PARTITION), Assignment([TopicPartition(*PARTITION)])
    for at in (13, 14):
        data = batch(zstd_encode(record(0, bytes(200))), 1, compression=4, first_offset=at)
        assignment.state_value(tp).seek(at)
        unread = PartitionRecords(tp, IndexedMemoryRecords(data), [], at, None, None, True, 1)
        fetcher._records[tp] = FetchResult(tp, assignment=assignment, partition_records=unread, backoff=0)
        taken = fetcher._records[tp].getall(5)
        assert [one.value for one in taken] == [None] * (at == 13)
    assert [*fetcher._records.unreadable] == [tp]
    polled = await thread._fetch_records(client, {PARTITION}, timeout=0.0)
    assert polled.unreadable == {}, "each poll reports the state that it has found"
