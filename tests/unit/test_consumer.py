"""The batches that the consumer hands out, takes back and commits, without a broker."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.types import TP
from mode import Service
from structlog.testing import capture_logs

from stream.deadline import Deadline
from stream.errors import BrokerError
from stream.kafka.batches import RecordBatch
from stream.kafka.consumer import ConsumerConfig, PartitionProgress
from stream.kafka.faust.app import BatchApp
from stream.kafka.faust.consumer import BatchConsumer
from stream.kafka.faust.consumer_thread import BatchConsumerThread
from stream.kafka.faust.options import faust_options
from stream.kafka.faust.positions import FetchedRecords, Position
from stream.kafka.faust.topic import BatchTopic, live_batches
from stream.kafka.faust.unpack import FetchBuffer
from stream.kafka.fetch_policy import FetchPolicy
from stream.kafka.group import GroupAnswers
from stream.kafka.input_topics import InputTopics, TopicState
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


async def test_only_the_finished_prefix_is_committed(consumer: Any, thread: FakeThread) -> None:
    first, second = hand_out(consumer, 10), hand_out(consumer, 15)
    assert first.take()
    assert second.take()
    assert second.acknowledge()
    await consumer.commit()
    assert thread.committed == []
    assert first.acknowledge()
    await consumer.commit()
    assert thread.committed == [{PARTITION: 20}]
    await consumer.commit()
    assert len(thread.committed) == 1, "no new offset, no commit"


async def test_a_refused_commit_is_tried_again(consumer: Any, thread: FakeThread, setup: Setup) -> None:
    batch = hand_out(consumer, 10)
    batch.take()
    batch.acknowledge()
    thread.accepts = False
    await consumer.commit()
    thread.accepts = True
    await consumer.commit()
    assert thread.committed == [{PARTITION: 15}]
    assert setup.count("commits_total", result="failed") == 1
    assert setup.count("commits_total", result="done") == 1
    assert setup.count("retries_total", what="commit") == 1


async def test_a_deleted_topic_does_not_keep_the_commits_of_another_from_counting(
    consumer: Any, thread: FakeThread, setup: Setup
) -> None:
    deleted = TP("deleted", 0)
    consumer.ranges[deleted] = PartitionRanges(10, committed=5)
    thread.topics.observe({"deleted": TopicState(missing=True)})
    batch = hand_out(consumer, 10)
    batch.take()
    batch.acknowledge()
    await consumer.commit()
    assert thread.committed == [{PARTITION: 15}]
    assert consumer.ranges[PARTITION].committed == 15
    await consumer.commit()
    assert len(thread.committed) == 1
    assert setup.count("commits_total", result="failed") == 0


async def test_batches_of_an_earlier_epoch_are_released(consumer: Any) -> None:
    late, waiting = hand_out(consumer, 10), hand_out(consumer, 15)
    late.take()
    consumer._start_epoch()
    consumer.ranges = {PARTITION: PartitionRanges(10, committed=10)}
    assert late.released
    assert not late.acknowledge()
    assert not waiting.take()
    assert consumer.ranges[PARTITION].base == 10
    assert consumer.unfinished.in_flight_events == 0


async def test_a_batch_is_acknowledged_once(consumer: Any) -> None:
    batch = hand_out(consumer, 10)
    batch.take()
    assert batch.acknowledge()
    assert not batch.acknowledge()
    assert consumer.unfinished.in_flight_events == 0


async def test_no_batch_is_taken_while_the_flow_is_stopped(consumer: Any) -> None:
    batch = hand_out(consumer, 10)
    consumer.stop_flow()
    assert not batch.take()
    assert consumer.unfinished.in_flight_events == 0


@pytest.mark.parametrize(("count", "value"), [(20, b"v"), (2, b"v" * 500)])
async def test_partitions_pause_at_the_limit_of_events_or_bytes_until_a_batch_is_finished(
    consumer: Any, count: int, value: bytes
) -> None:
    assert not consumer.unfinished.full
    batch = hand_out(consumer, 10, count, value)
    assert consumer.unfinished.full
    batch.take()
    assert consumer.unfinished.full, "batches in flight count as well"
    batch.acknowledge()
    assert not consumer.unfinished.full


async def test_a_drain_waits_for_the_batches_in_flight_and_commits_them(
    consumer: Any, thread: FakeThread
) -> None:
    batch = hand_out(consumer, 10)
    batch.take()
    draining = asyncio.create_task(consumer.drain("test", Deadline(30)))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not draining.done()
    batch.acknowledge()
    await draining
    assert thread.committed == [{PARTITION: 15}]


async def test_a_drain_ends_at_its_deadline_and_commits_no_unfinished_batch(
    consumer: Any, thread: FakeThread
) -> None:
    hand_out(consumer, 10).take()
    await consumer.drain("test", Deadline(0.01))
    assert thread.committed == []


async def test_a_drain_after_its_deadline_does_not_wait_and_commits_the_finished_batches(
    consumer: Any, thread: FakeThread
) -> None:
    finished, unfinished = hand_out(consumer, 10), hand_out(consumer, 15)
    for batch in (finished, unfinished):
        batch.take()
    finished.acknowledge()
    await asyncio.wait_for(consumer.drain("test", Deadline(0.0)), 5)
    assert thread.committed == [{PARTITION: 15}]


async def test_a_drain_does_not_wait_for_a_commit_without_answer(
    consumer: Any, thread: FakeThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_offsets: Mapping[TP, int]) -> bool:
        return await asyncio.get_running_loop().create_future()

    monkeypatch.setattr("stream.kafka.faust.consumer.COMMIT_GRACE_S", 0.01)
    monkeypatch.setattr(thread, "commit", never)
    batch = hand_out(consumer, 10)
    batch.take()
    batch.acknowledge()
    with capture_logs() as lines:
        await asyncio.wait_for(consumer.drain("test", Deadline(0.01)), 5)
    assert [line["log_level"] for line in lines] == ["warning", "info"]
    assert "did not answer the commit" in lines[0]["event"]


async def test_lag_is_counted_from_the_safe_offset(consumer: Any) -> None:
    batch = hand_out(consumer, 10)
    assert consumer.lag() == {PARTITION: 40}
    batch.take()
    batch.acknowledge()
    assert consumer.lag() == {PARTITION: 35}


async def test_transaction_markers_after_the_last_event_are_no_lag(consumer: Any, thread: FakeThread) -> None:
    thread.position = 50
    batch = hand_out(consumer, 10)
    assert consumer.lag() == {PARTITION: 40}, "read but unfinished"
    batch.take()
    batch.acknowledge()
    assert consumer.lag() == {PARTITION: 0}


async def test_the_progress_of_a_partition_tells_lag_offsets_and_unfinished_batches(consumer: Any) -> None:
    batch = hand_out(consumer, 10)
    assert consumer.partition_progress() == {PARTITION: PartitionProgress(40, 10, 10, unfinished=True)}
    batch.take()
    batch.acknowledge()
    assert consumer.partition_progress() == {PARTITION: PartitionProgress(35, 15, 10, unfinished=False)}
    await consumer.commit()
    assert consumer.partition_progress() == {PARTITION: PartitionProgress(35, 15, 15, unfinished=False)}


async def test_events_behind_a_transaction_are_those_of_assigned_partitions(consumer: Any) -> None:
    assert consumer.blocked() == {PARTITION: 500}


async def test_the_safe_offsets_are_recorded_at_the_end_of_an_epoch(
    consumer: Any, thread: FakeThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(thread), "assignment", lambda _: set(), raising=False)
    done, _ = hand_out(consumer, 10), hand_out(consumer, 15)
    done.take()
    done.acknowledge()
    await consumer.on_partitions_revoked({PARTITION})
    assert thread.ended_at == [({PARTITION: 15}, {PARTITION: 50})]
    assert thread.committed == [{PARTITION: 15}]


async def test_a_partition_without_a_position_is_not_read(
    consumer: Any, topic: BatchTopic, thread: FakeThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = TP("texts", 1)
    monkeypatch.setattr(type(thread), "assignment", lambda _: {PARTITION, absent}, raising=False)
    thread.set_to = {PARTITION: Position(10, 10, 0)}
    await consumer.perform_seek()
    consumer._active_partitions = {PARTITION, absent}
    await read_once(consumer)
    assert thread.fetched_from == [{PARTITION}]
    assert consumer.assigned == [PARTITION]


async def test_the_consumer_tells_which_input_topic_cannot_be_read(consumer: Any, thread: FakeThread) -> None:
    assert (consumer.topic_problem, consumer.topic_error) == ("", None)
    thread.topics.deny("texts")
    assert "texts" in consumer.topic_problem
    assert consumer.topic_error.exit_code == 4


# --- reading


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
    clone = topic.clone(is_iterator=True)
    assert isinstance(clone, BatchTopic)
    assert clone.limits.record_batch_size == 3


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


async def test_a_revocation_after_a_failure_does_not_wait_for_batches_that_never_finish(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.read_topic()
    setup.consumer.flow_active = True
    batch_of(setup.consumer, 10)
    monkeypatch.setattr(BatchApp, "drains", False)
    await asyncio.wait_for(setup.consumer.on_partitions_revoked({PARTITION}), 1)


# ---- partitions whose offsets are committed in transactions


def read_transactional(setup: Setup) -> None:
    """Let the consumer read a topic with exactly-once delivery."""
    setup.read_topic().transactional = True
    setup.consumer._active_partitions = {PARTITION}
    setup.consumer.assignment = lambda: {PARTITION}
    setup.consumer.flow_active = True


async def test_producers_are_opened_before_the_offsets_are_read(setup: Setup) -> None:
    read_transactional(setup)
    calls = setup.producers.calls

    async def set_positions() -> dict[TP, Position]:
        calls.append("read offsets")
        return {PARTITION: Position(40, 40, 0)}

    setup.thread.set_positions = set_positions  # type: ignore[method-assign]
    await setup.consumer.perform_seek()
    assert calls == [("open", [SOURCE_0]), "read offsets", ("commit", {})]
    assert setup.consumer.joined


async def test_the_start_of_a_new_group_is_committed_before_it_is_read(setup: Setup) -> None:
    read_transactional(setup)
    setup.thread.set_to = {PARTITION: Position(40, None, 0)}
    await setup.consumer.perform_seek()
    assert setup.producers.calls[-1] == ("commit", {SOURCE_0: OffsetAndMetadata(40, "")})
    assert setup.consumer.ranges[PARTITION].committed == 40


async def test_producers_that_cannot_be_opened_end_the_worker(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_transactional(setup)
    errors: list[BaseException] = []
    monkeypatch.setattr(setup.app, "fail", errors.append)
    setup.producers.error = BrokerError("refused")
    await setup.consumer.perform_seek()
    assert errors == [setup.producers.error]
    assert not setup.consumer.joined


async def test_offsets_of_transactions_are_not_committed_by_the_timer(setup: Setup) -> None:
    read_transactional(setup)
    setup.consumer.ranges = {PARTITION: PartitionRanges(10, committed=5)}
    await setup.consumer.commit()
    assert setup.thread.committed == []


async def test_a_committed_transaction_acknowledges_its_batches(setup: Setup) -> None:
    read_transactional(setup)
    consumer, offsets = setup.consumer, setup.app.transaction_offsets
    ranges = consumer.ranges[PARTITION]
    batches = [batch_of(consumer, at) for at in (10, 12)]
    assert offsets.are_next(batches)
    assert not offsets.are_next(batches[1:])
    offsets.on_committed(batches, 0.5)
    assert (ranges.base, ranges.committed, ranges.idle) == (14, 14, True)
    assert setup.count("commits_total", result="done") == 1
    assert consumer.unfinished.idle.is_set()


async def test_a_transaction_of_an_earlier_epoch_does_not_change_the_present_one(setup: Setup) -> None:
    read_transactional(setup)
    batch = batch_of(setup.consumer, 10)
    setup.consumer._start_epoch()
    setup.consumer.ranges = {PARTITION: PartitionRanges(12, committed=12)}
    assert not setup.app.transaction_offsets.are_next([batch])
    setup.app.transaction_offsets.on_committed([batch], 0.5)
    assert (setup.consumer.ranges[PARTITION].base, setup.consumer.ranges[PARTITION].committed) == (12, 12)


async def test_a_drain_does_not_wait_for_abandoned_batches(setup: Setup) -> None:
    read_transactional(setup)
    setup.app.transaction_offsets.abandon([batch_of(setup.consumer, 10)])
    assert setup.consumer.unfinished.idle.is_set()
    assert setup.consumer.ranges[PARTITION].base == 10


async def test_the_producers_are_closed_after_the_drain(setup: Setup) -> None:
    read_transactional(setup)
    await setup.consumer.on_partitions_revoked({PARTITION})
    assert setup.producers.calls == ["close"]
    await setup.app.drain("stop", Deadline(0))
    assert setup.producers.calls == ["close", "close"]


def batch_of(consumer: BatchConsumer, first: int) -> RecordBatch:
    """Return a batch of two records that an agent has taken."""
    records = [FakeRecord(b"{}", offset=at) for at in (first, first + 1)]
    ranges = consumer.ranges[PARTITION].open(first, first + 2)
    batch = RecordBatch(SOURCE_0, records, ranges, consumer.epoch, consumer, 0.0)
    consumer.unfinished.queue(batch)
    assert batch.take()
    return batch
