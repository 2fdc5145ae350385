"""Commits, drains, lag and positions of the batch consumer."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from faust.types import TP
from structlog.testing import capture_logs

from stream.deadline import Deadline
from stream.kafka.consumer import PartitionProgress
from stream.kafka.faust.positions import Position
from stream.kafka.faust.topic import BatchTopic
from stream.kafka.input_topics import TopicState
from stream.kafka.ranges import PartitionRanges
from tests.unit.consumer_setup import (
    PARTITION,
    FakeThread,
    Setup,
    consumer,
    hand_out,
    read_once,
    setup,
    thread,
    topic,
)

__all__ = ["consumer", "setup", "thread", "topic"]


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
