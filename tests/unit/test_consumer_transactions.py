"""The batch consumer and partitions whose offsets are committed in transactions."""

import asyncio

import pytest
from aiokafka.structs import OffsetAndMetadata
from faust.types import TP

from stream.deadline import Deadline
from stream.errors import BrokerError
from stream.kafka.batches import RecordBatch
from stream.kafka.faust.app import BatchApp
from stream.kafka.faust.consumer import BatchConsumer
from stream.kafka.faust.positions import Position
from stream.kafka.ranges import PartitionRanges
from tests.unit.consumer_setup import (
    PARTITION,
    SOURCE_0,
    Setup,
    setup,
)
from tests.unit.records import FakeRecord

__all__ = ["setup"]


async def test_a_revocation_after_a_failure_does_not_wait_for_batches_that_never_finish(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.read_topic()
    setup.consumer.flow_active = True
    batch_of(setup.consumer, 10)
    monkeypatch.setattr(BatchApp, "drains", False)
    await asyncio.wait_for(setup.consumer.on_partitions_revoked({PARTITION}), 1)


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
