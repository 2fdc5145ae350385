"""Where reading begins, and the private names of Faust and aiokafka that this rests on."""

import inspect

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver

from stream.kafka.consumer_thread import Fetched, seek_back, start_position
from tests.unit.records import FakeRecord

UPGRADE = (
    "the pinned Faust or aiokafka was changed: read docs/adr/0002, compare stream/kafka/transport.py and "
    "consumer_thread.py with the new sources, run tests/broker and tests/fault, then mend this list"
)


@pytest.mark.parametrize(
    ("committed", "start_at", "offset", "skipped"),
    [
        (None, "earliest", 100, 0),
        (None, "latest", 900, 0),
        (500, "latest", 500, 0),
        (100, "earliest", 100, 0),
        (900, "earliest", 900, 0),
        (40, "earliest", 100, 60),
        (40, "latest", 100, 60),
        (0, "earliest", 100, 100),
        (901, "latest", 100, 0),
    ],
)
def test_start_position(committed: int | None, start_at: str, offset: int, skipped: int) -> None:
    position = start_position(committed, beginning=100, end=900, start_at=start_at)
    assert (position.offset, position.skipped) == (offset, skipped)
    assert position.committed == (committed if offset == committed else None)


class FakeConsumer:
    """Partition 0 is assigned; notes where it is told to go."""

    def __init__(self) -> None:
        self.sought: dict[TopicPartition, int] = {}

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition("texts", 0)}

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.sought[tp] = offset


@pytest.mark.parametrize(("epoch", "sought"), [(4, {TopicPartition("texts", 0): 7}), (3, {})])
def test_records_that_are_not_handed_out_are_read_again(
    epoch: int, sought: dict[TopicPartition, int]
) -> None:
    fetched = Fetched(
        {TopicPartition("texts", n): [FakeRecord(b"", partition=n, offset=7 + n)] for n in range(2)}
    )
    fetched.epoch = epoch
    consumer = FakeConsumer()
    seek_back(consumer, fetched, position_epoch=4)
    assert consumer.sought == sought


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (faust_consumer.Consumer, "_wait_next_records"),
        (faust_consumer.Consumer, "_filter_tps_with_pending_acks"),
        (faust_consumer.Consumer, "_filter_committable_offsets"),
        (faust_consumer.Consumer, "_commit_offsets"),
        (faust_consumer.Consumer, "_get_active_partitions"),
        (faust_consumer.Consumer, "perform_seek"),
        (faust_consumer.Consumer, "on_partitions_revoked"),
        (driver.Consumer, "_new_consumer_thread"),
        (driver.AIOKafkaConsumerThread, "_fetch_records"),
        (driver.AIOKafkaConsumerThread, "_create_worker_consumer"),
        (driver.AIOKafkaConsumerThread, "_commit"),
        (driver.AIOKafkaConsumerThread, "_ensure_consumer"),
        (driver.Producer, "_settings_extra"),
        (AIOKafkaProducer, "create_batch"),
        (AIOKafkaProducer, "send_batch"),
        (AIOKafkaProducer, "partitions_for"),
    ],
)
def test_the_private_names_are_there(owner: type, name: str) -> None:
    assert hasattr(owner, name), f"{owner.__name__}.{name}: {UPGRADE}"


def test_the_attributes_that_are_set_are_read_by_the_libraries() -> None:
    source = inspect.getsource(AIOKafkaConsumer)
    for name in ("_fetch_max_wait_ms", "_isolation_level"):
        assert source.count(f"self.{name}") >= 2, f"AIOKafkaConsumer.{name}: {UPGRADE}"
    initial = inspect.getsource(faust_consumer.Consumer.__init__)
    for name in (
        "_read_offset",
        "_committed_offset",
        "can_resume_flow",
        "suspend_flow",
        "not_waiting_next_records",
    ):
        assert f"self.{name}" in initial, f"Consumer.{name}: {UPGRADE}"
