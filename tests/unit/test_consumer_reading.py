"""The record batches that the batch consumer hands out."""

import asyncio
from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.structs import TopicPartition
from faust.types import TP

from stream.kafka.faust.consumer_thread import BatchConsumerThread
from stream.kafka.faust.positions import FetchedRecords
from stream.kafka.faust.topic import BatchTopic, live_batches
from stream.kafka.faust.unpack import FetchBuffer
from stream.kafka.fetch_policy import FetchPolicy
from stream.kafka.group import GroupAnswers
from stream.kafka.ranges import PartitionRanges
from stream.settings import load_settings
from tests.unit.consumer_setup import (
    CONFIG,
    PARTITION,
    FakeThread,
    Setup,
    consumer,
    fetched,
    hand_out,
    queued,
    read_once,
    setup,
    thread,
    topic,
)
from tests.unit.records import FakeRecord

__all__ = ["consumer", "setup", "thread", "topic"]


async def test_a_fetch_is_split_into_batches_of_limited_size(
    consumer: Any, topic: BatchTopic, thread: FakeThread
) -> None:
    thread.fetchable = [fetched(10, 7), fetched(17, 2)]
    assert await read_once(consumer) == (None, {PARTITION}), "no record is left for Faust"
    await read_once(consumer)
    batches = queued(topic)
    offsets = [[record.offset for record in batch.records] for batch in batches]
    assert offsets == [[10, 11, 12], [13, 14, 15], [16], [17, 18]]
    assert [(b.offset_range.first, b.offset_range.next_offset) for b in batches] == [
        (10, 13),
        (13, 16),
        (16, 17),
        (17, 19),
    ]
    assert consumer.unfinished.queued_events == 9
    assert consumer._read_offset[PARTITION] == 19


async def test_the_size_limit_of_a_batch_may_change_between_fetches(
    consumer: Any, topic: BatchTopic, thread: FakeThread, setup: Setup
) -> None:
    thread.fetchable = [fetched(10, 4), fetched(14, 4)]
    await read_once(consumer)
    setup.limits.record_batch_size = 100
    await read_once(consumer)
    assert [len(batch) for batch in queued(topic)] == [3, 1, 4]


async def test_the_clone_of_a_topic_keeps_its_limits(topic: BatchTopic) -> None:
    for transactional in (False, True):
        topic.transactional = transactional
        clone = topic.clone(is_iterator=True)
        assert isinstance(clone, BatchTopic)
        assert clone.limits.record_batch_size == 3
        assert clone.transactional == transactional


async def test_offsets_without_a_record_belong_to_the_batch_before_them(
    consumer: Any, topic: BatchTopic, thread: FakeThread
) -> None:
    records = [FakeRecord(b"v", offset=offset) for offset in (10, 13, 20, 22)]
    thread.fetchable = [FetchedRecords({TopicPartition("texts", 0): records})]
    await read_once(consumer)
    for batch in queued(topic):
        assert batch.take()
        assert batch.acknowledge()
    await consumer.commit()
    assert thread.committed == [{PARTITION: 23}]


async def test_reading_pauses_at_the_read_ahead_limit_and_resumes_when_a_batch_is_taken(
    consumer: Any, topic: BatchTopic, thread: FakeThread, setup: Setup
) -> None:
    setup.limits.read_ahead = 6
    thread.fetchable = [fetched(10, 6)]
    await read_once(consumer)
    fetches, wait_first = len(thread.fetched_from), consumer.wait_first
    # With its own timeout the consumer would check again after a moment, whether a batch was taken or not.
    consumer.wait_first = lambda *events, timeout: wait_first(*events, timeout=60)
    pausing = asyncio.create_task(read_once(consumer))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not pausing.done()
    first, _ = queued(topic)
    assert first.take()
    assert await asyncio.wait_for(pausing, 5) == (None, None)
    assert len(thread.fetched_from) == fetches, "no fetch while the limit was reached"
    await read_once(consumer)
    assert thread.fetched_from[fetches:] == [{PARTITION}]


async def test_batches_in_flight_do_not_count_as_read_ahead(
    consumer: Any, topic: BatchTopic, thread: FakeThread, setup: Setup
) -> None:
    setup.limits.read_ahead = 3
    thread.fetchable = [fetched(10, 6)]
    await read_once(consumer)
    for batch in queued(topic):
        batch.take()
    assert consumer.unfinished.in_flight_events == 6
    await read_once(consumer)
    assert len(thread.fetched_from) == 2


async def test_ordinary_faust_topics_are_read_while_batches_wait(
    consumer: Any, topic: BatchTopic, thread: FakeThread, setup: Setup
) -> None:
    other = TP("other", 0)
    setup.limits.read_ahead = 1
    thread.fetchable = [fetched(10, 2), fetched(0, 2, name="other")]
    await read_once(consumer)
    consumer._active_partitions = {PARTITION, other}
    records, active = await read_once(consumer)
    assert thread.fetched_from[-1] == active == {other}
    assert [record.offset for record in records[TopicPartition("other", 0)]] == [0, 1]


@pytest.mark.parametrize("change", ["seek", "not joined", "flow stopped"])
async def test_records_read_before_a_change_are_put_back(
    consumer: Any, topic: BatchTopic, change: str, thread: FakeThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = fetched(10, 4)
    thread.fetchable = [stale]
    if change == "seek":
        thread.position_epoch = 1
    elif change == "not joined":
        consumer.joined = False
    else:
        getmany = thread.getmany

        async def stop_during_fetch(active: set[TP], timeout: float) -> FetchedRecords:
            consumer.stop_flow()
            records: FetchedRecords = await getmany(active, timeout)
            return records

        monkeypatch.setattr(thread, "getmany", stop_during_fetch)
    assert await read_once(consumer) == (None, None)
    assert thread.returned == [stale]
    assert queued(topic) == []
    assert consumer.unfinished.queued_events == 0


async def test_an_agent_gets_only_live_batches_and_only_with_capacity(consumer: Any) -> None:
    class Stream:
        """A Faust stream with three batches."""

        enable_acks = True

        async def __aiter__(self) -> Any:
            yield early
            consumer._start_epoch()
            consumer.ranges = {PARTITION: PartitionRanges(10, committed=10)}
            yield released
            yield hand_out(consumer, 10)

    early, released = hand_out(consumer, 10), hand_out(consumer, 15)
    stream = Stream()
    in_flight: list[int] = []

    async def wait_for_capacity() -> None:
        in_flight.append(consumer.unfinished.in_flight_events)

    first_offsets = [batch.records[0].offset async for batch in live_batches(stream, wait_for_capacity)]
    assert first_offsets == [10, 10]
    assert in_flight == [0, 0, 0], "a batch that waits for capacity is not in flight yet"
    assert not stream.enable_acks


async def test_a_batch_that_the_producer_sends_again_is_counted(setup: Setup) -> None:
    class SentBatch:
        """A batch that the broker refused."""

        tp = PARTITION

        def reset_drain(self) -> None:
            pass

    accumulator = setup.app.producer._new_producer()._message_accumulator
    batch = SentBatch()
    accumulator._pending_batches.add(batch)
    accumulator.reenqueue(batch)
    assert [*accumulator._batches[PARTITION]] == [batch]
    assert setup.count("retries_total", what="publish") == 1


async def test_only_records_of_batch_topics_stay_packed(consumer: Any, setup: Setup) -> None:
    policy = FetchPolicy(0.0, lambda: 0.0)
    answers = GroupAnswers(load_settings(), lambda: 0.0, lambda _error: None)
    thread = BatchConsumerThread(
        consumer, config=CONFIG, observer=setup.observer, fetch_policy=policy, group_answers=answers
    )
    consumer.flow_active = False
    fetcher = SimpleNamespace(_records=OrderedDict())
    for _ in range(2):
        await thread._fetch_records(SimpleNamespace(_fetcher=fetcher), {PARTITION}, timeout=0.0)
    assert type(fetcher._records) is FetchBuffer
    assert fetcher._records._packed(TopicPartition(*PARTITION))
    assert not fetcher._records._packed(TopicPartition("of-faust-itself", 0))
