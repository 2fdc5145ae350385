"""What the consumer hands out, takes back and commits, without a broker."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from faust.types import TP
from mode import Service

from stream.app import LabelstreamApp
from stream.kafka.batches import RecordBatch
from stream.kafka.ranges import PartitionRanges
from stream.kafka.transport import BatchConsumer, BatchTransport
from stream.observe.metrics import Metrics
from stream.settings import load_settings
from tests.unit.records import FakeRecord

PARTITION = TP("texts", 0)


class FakeThread(Service):  # type: ignore[misc]
    """Stands for the consumer thread: commits what it is told, or refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.accepts = True
        self.committed: list[dict[TP, int]] = []

    async def commit(self, offsets: Mapping[TP, int]) -> bool:
        if self.accepts:
            self.committed.append(dict(offsets))
        return self.accepts

    def stable_ends(self) -> dict[TP, int]:
        return {PARTITION: 50}


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
    app = ThreadlessApp(load_settings({"max_queue_events": "20", "max_queue_bytes": "1000"}), Metrics())
    made = app.consumer
    made.ranges = {PARTITION: PartitionRanges(10, committed=10)}
    return made


def hand_out(consumer: Any, first: int, count: int = 5, value: bytes = b"v") -> RecordBatch:
    records = [FakeRecord(value, partition=0, offset=first + at) for at in range(count)]
    span = consumer.ranges[PARTITION].open(first, first + count)
    consumer.queued_events += count
    consumer.queued_bytes += count * len(value)
    return RecordBatch(records, span, consumer.epoch, consumer, delivered_at=0.0)


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
