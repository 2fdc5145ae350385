"""What the consumer hands out, takes back and commits, without a broker."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.structs import TopicPartition
from faust.types import TP
from mode import Service

from stream.kafka.batches import RecordBatch, live_batches
from stream.kafka.faust.consumer_thread import BatchConsumerThread, Fetched
from stream.kafka.faust.transport import BatchConsumer, BatchTopic, BatchTransport
from stream.kafka.faust.unpack import FetchBuffer
from stream.kafka.ranges import PartitionRanges
from stream.observe.metrics import Metrics
from stream.records import Source
from stream.settings import load_settings
from stream.web.page import Recent
from stream.worker.faust_app import LabelstreamApp
from tests.unit.records import FakeRecord

PARTITION = TP("texts", 0)


class FakeThread(Service):  # type: ignore[misc]
    """Stands for the consumer thread: commits what it is told, or refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.accepts = True
        self.position_epoch = 0
        self.position = 10
        self.committed: list[dict[TP, int]] = []
        self.fetchable: list[Fetched] = []
        self.asked: list[set[TP]] = []
        self.returned: list[Fetched] = []

    async def getmany(self, active_partitions: set[TP], timeout: float) -> Fetched:
        self.asked.append(set(active_partitions))
        return self.fetchable.pop(0) if self.fetchable else Fetched()

    async def put_back(self, fetched: Fetched) -> None:
        self.returned.append(fetched)

    async def commit(self, offsets: Mapping[TP, int]) -> bool:
        if self.accepts:
            self.committed.append(dict(offsets))
        return self.accepts

    def stable_ends(self) -> dict[TP, int]:
        return {PARTITION: 50}

    def positions(self) -> dict[TP, int]:
        return {PARTITION: self.position}


class ThreadlessConsumer(BatchConsumer):
    """The consumer over a double of its thread."""

    def _new_consumer_thread(self) -> Any:
        return FakeThread()


class ThreadlessTransport(BatchTransport):
    Consumer = ThreadlessConsumer


class ThreadlessApp(LabelstreamApp):
    """An app that is built like the real one and never started."""

    def _new_transport(self) -> BatchTransport:
        return ThreadlessTransport(self.conf.broker_consumer, self)


@pytest.fixture
async def consumer() -> Any:
    settings = load_settings({"max_queue_events": "20", "max_queue_bytes": "1000"})
    app = ThreadlessApp(settings, Metrics(), Recent(show_texts=False))
    made = app.consumer
    made.ranges = {PARTITION: PartitionRanges(10, committed=10)}
    return made


@pytest.fixture
async def topic(consumer: Any) -> BatchTopic:
    """The consumer is in the middle of reading a topic whose batches should hold three events."""
    made = BatchTopic(consumer.app, topics=["texts"], key_serializer="raw", value_serializer="raw")
    made.events_at_once = lambda: 3
    consumer.app.topics._topic_name_index["texts"] = {made}
    consumer._active_partitions = {PARTITION}
    made.read_ahead = lambda: 100
    consumer.joined = True
    return made


def fetched(first: int, count: int, name: str = "texts") -> Fetched:
    """What the consumer thread has read of a partition."""
    records = [FakeRecord(b"v", offset=first + at) for at in range(count)]
    return Fetched({TopicPartition(name, 0): records})


def waiting(topic: BatchTopic) -> list[RecordBatch]:
    """Takes the batches that an agent would find."""
    return [topic.queue.get_nowait().value for _ in range(topic.queue.qsize())]


async def read_once(consumer: Any) -> Any:
    return await consumer._wait_next_records(timeout=1.0)


def hand_out(consumer: Any, first: int, count: int = 5, value: bytes = b"v") -> RecordBatch:
    records = [FakeRecord(value, offset=first + at) for at in range(count)]
    span = consumer.ranges[PARTITION].open(first, first + count)
    consumer.queued_events += count
    consumer.queued_bytes += count * len(value)
    return RecordBatch(Source(*PARTITION), records, span, consumer.epoch, consumer, delivered_at=0.0)


async def test_only_the_finished_prefix_is_committed(consumer: Any) -> None:
    first, second = hand_out(consumer, 10), hand_out(consumer, 15)
    assert first.take()
    assert second.take()
    assert second.acknowledge()
    await consumer.commit()
    assert consumer._thread.committed == []
    assert first.acknowledge()
    await consumer.commit()
    assert consumer._thread.committed == [{PARTITION: 20}]
    await consumer.commit()
    assert len(consumer._thread.committed) == 1, "nothing new, nothing committed"


async def test_a_refused_commit_is_tried_again(consumer: Any) -> None:
    batch = hand_out(consumer, 10)
    batch.take()
    batch.acknowledge()
    consumer._thread.accepts = False
    await consumer.commit()
    consumer._thread.accepts = True
    await consumer.commit()
    assert consumer._thread.committed == [{PARTITION: 15}]
    count = consumer.app.metrics.registry.get_sample_value
    assert count("labelstream_commits_total", {"result": "failed"}) == 1
    assert count("labelstream_commits_total", {"result": "done"}) == 1
    assert count("labelstream_retries_total", {"what": "commit"}) == 1


async def test_batches_of_an_earlier_epoch_are_released(consumer: Any) -> None:
    late, waiting = hand_out(consumer, 10), hand_out(consumer, 15)
    late.take()
    consumer._new_epoch()
    consumer.ranges = {PARTITION: PartitionRanges(10, committed=10)}
    assert late.released
    assert not late.acknowledge()
    assert not waiting.take()
    assert consumer.ranges[PARTITION].base == 10
    assert consumer.in_flight_events == 0


async def test_a_batch_is_acknowledged_once(consumer: Any) -> None:
    batch = hand_out(consumer, 10)
    batch.take()
    assert batch.acknowledge()
    assert not batch.acknowledge()
    assert consumer.in_flight_events == 0


async def test_nothing_is_begun_while_flow_is_stopped(consumer: Any) -> None:
    batch = hand_out(consumer, 10)
    consumer.stop_flow()
    assert not batch.take()
    assert consumer.in_flight_events == 0


@pytest.mark.parametrize(("count", "value"), [(20, b"v"), (2, b"v" * 500)])
async def test_partitions_pause_for_events_and_for_bytes_until_something_is_finished(
    consumer: Any, count: int, value: bytes
) -> None:
    assert not consumer.full
    batch = hand_out(consumer, 10, count, value)
    assert consumer.full
    batch.take()
    assert consumer.full, "what is worked on counts as well"
    batch.acknowledge()
    assert not consumer.full


async def test_a_drain_waits_for_what_is_in_flight_and_commits_it(consumer: Any) -> None:
    batch = hand_out(consumer, 10)
    batch.take()
    draining = asyncio.create_task(consumer.drain("test", 30))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not draining.done()
    batch.acknowledge()
    await draining
    assert consumer._thread.committed == [{PARTITION: 15}]


async def test_a_drain_ends_at_its_deadline_and_commits_nothing_unfinished(consumer: Any) -> None:
    hand_out(consumer, 10).take()
    await consumer.drain("test", 0.01)
    assert consumer._thread.committed == []


async def test_lag_is_counted_from_what_is_safe_to_commit(consumer: Any) -> None:
    batch = hand_out(consumer, 10)
    assert consumer.lag() == {PARTITION: 40}
    batch.take()
    batch.acknowledge()
    assert consumer.lag() == {PARTITION: 35}


async def test_markers_behind_the_last_event_are_no_lag(consumer: Any) -> None:
    consumer._thread.position = 50
    batch = hand_out(consumer, 10)
    assert consumer.lag() == {PARTITION: 40}, "read, and not finished"
    batch.take()
    batch.acknowledge()
    assert consumer.lag() == {PARTITION: 0}


# --- reading


async def test_what_is_read_at_once_is_handed_out_in_batches_that_are_soon_done(
    consumer: Any, topic: BatchTopic
) -> None:
    consumer._thread.fetchable = [fetched(10, 7), fetched(17, 2)]
    assert await read_once(consumer) == (None, {PARTITION}), "nothing is left for Faust"
    await read_once(consumer)
    batches = waiting(topic)
    offsets = [[record.offset for record in batch.records] for batch in batches]
    assert offsets == [[10, 11, 12], [13, 14, 15], [16], [17, 18]]
    assert [(b.span.first, b.span.next_offset) for b in batches] == [(10, 13), (13, 16), (16, 17), (17, 19)]
    assert consumer.queued_events == 9
    assert consumer._read_offset[PARTITION] == 19


async def test_a_batch_is_as_large_as_is_wanted_when_it_is_read(consumer: Any, topic: BatchTopic) -> None:
    consumer._thread.fetchable = [fetched(10, 4), fetched(14, 4)]
    await read_once(consumer)
    topic.events_at_once = lambda: 100
    await read_once(consumer)
    assert [len(batch) for batch in waiting(topic)] == [3, 1, 4]


async def test_the_clone_that_an_agent_reads_from_wants_the_same(topic: BatchTopic) -> None:
    clone = topic.clone(is_iterator=True)
    assert isinstance(clone, BatchTopic)
    assert clone.events_at_once() == 3


async def test_offsets_that_hold_no_record_belong_to_the_batch_before(
    consumer: Any, topic: BatchTopic
) -> None:
    records = [FakeRecord(b"v", offset=offset) for offset in (10, 13, 20, 22)]
    consumer._thread.fetchable = [Fetched({TopicPartition("texts", 0): records})]
    await read_once(consumer)
    for batch in waiting(topic):
        assert batch.take()
        assert batch.acknowledge()
    await consumer.commit()
    assert consumer._thread.committed == [{PARTITION: 23}]


async def test_reading_pauses_while_enough_waits_and_goes_on_when_a_batch_is_taken(
    consumer: Any, topic: BatchTopic
) -> None:
    topic.read_ahead = lambda: 6
    consumer._thread.fetchable = [fetched(10, 6)]
    await read_once(consumer)
    asked, wait_first = len(consumer._thread.asked), consumer.wait_first
    # Without this it would look again after a moment, whether a batch was taken or not.
    consumer.wait_first = lambda *events, timeout: wait_first(*events, timeout=60)
    pausing = asyncio.create_task(read_once(consumer))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not pausing.done()
    first, _ = waiting(topic)
    assert first.take()
    assert await asyncio.wait_for(pausing, 5) == (None, None)
    assert len(consumer._thread.asked) == asked, "nothing was read while enough waited"
    await read_once(consumer)
    assert consumer._thread.asked[asked:] == [{PARTITION}]


async def test_what_is_worked_on_does_not_count_as_read_ahead(consumer: Any, topic: BatchTopic) -> None:
    topic.read_ahead = lambda: 3
    consumer._thread.fetchable = [fetched(10, 6)]
    await read_once(consumer)
    for batch in waiting(topic):
        batch.take()
    assert consumer.in_flight_events == 6
    await read_once(consumer)
    assert len(consumer._thread.asked) == 2


async def test_topics_of_faust_itself_are_read_while_batches_wait(consumer: Any, topic: BatchTopic) -> None:
    other = TP("other", 0)
    topic.read_ahead = lambda: 1
    consumer._thread.fetchable = [fetched(10, 2), fetched(0, 2, name="other")]
    await read_once(consumer)
    consumer._active_partitions = {PARTITION, other}
    records, active = await read_once(consumer)
    assert consumer._thread.asked[-1] == active == {other}
    assert [record.offset for record in records[TopicPartition("other", 0)]] == [0, 1]


@pytest.mark.parametrize("change", ["seek", "not joined", "flow stopped"])
async def test_what_was_read_before_a_change_is_put_back(
    consumer: Any, topic: BatchTopic, change: str
) -> None:
    stale = fetched(10, 4)
    consumer._thread.fetchable = [stale]
    if change == "seek":
        consumer._thread.position_epoch = 1
    elif change == "not joined":
        consumer.joined = False
    else:
        getmany = consumer._thread.getmany

        async def stopped_meanwhile(active: set[TP], timeout: float) -> Fetched:
            consumer.stop_flow()
            found: Fetched = await getmany(active, timeout)
            return found

        consumer._thread.getmany = stopped_meanwhile
    assert await read_once(consumer) == (None, None)
    assert consumer._thread.returned == [stale]
    assert waiting(topic) == []
    assert consumer.queued_events == 0


async def test_a_stream_gets_batches_when_there_is_room_and_only_live_ones(consumer: Any) -> None:
    class Stream:
        """A Faust stream that has two batches."""

        enable_acks = True

        async def __aiter__(self) -> Any:
            yield early
            consumer._new_epoch()
            consumer.ranges = {PARTITION: PartitionRanges(10, committed=10)}
            yield released
            yield hand_out(consumer, 10)

    early, released = hand_out(consumer, 10), hand_out(consumer, 15)
    stream = Stream()
    in_flight: list[int] = []

    async def room() -> None:
        in_flight.append(consumer.in_flight_events)

    found = [batch.records[0].offset async for batch in live_batches(stream, room)]
    assert found == [10, 10]
    assert in_flight == [0, 0, 0], "what waits for room is not in flight yet"
    assert not stream.enable_acks


async def test_a_batch_that_the_producer_sends_again_is_counted_and_put_back(consumer: Any) -> None:
    class SentBatch:
        """A batch that the broker did not take."""

        tp = PARTITION

        def reset_drain(self) -> None:
            pass

    app = consumer.app
    accumulator = app.producer._new_producer()._message_accumulator
    batch = SentBatch()
    accumulator._pending_batches.add(batch)
    accumulator.reenqueue(batch)
    assert [*accumulator._batches[PARTITION]] == [batch]
    assert app.metrics.registry.get_sample_value("labelstream_retries_total", {"what": "publish"}) == 1


async def test_records_of_batch_topics_alone_are_fetched_bare(consumer: Any) -> None:
    thread = BatchConsumerThread(consumer, loop=consumer.loop, beacon=consumer.beacon)
    thread._position_lock = asyncio.Lock()
    consumer.flow_active = False
    fetcher = SimpleNamespace(_records=OrderedDict())
    for _ in range(2):
        await thread._fetch_records(SimpleNamespace(_fetcher=fetcher), {PARTITION}, timeout=0.0)
    assert type(fetcher._records) is FetchBuffer
    assert fetcher._records._packed(TopicPartition(*PARTITION))
    assert not fetcher._records._packed(TopicPartition("of-faust-itself", 0))
