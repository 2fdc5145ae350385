"""Where reading begins, and the private names of Faust and aiokafka that this rests on."""

import inspect
import re

import faust
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.producer.message_accumulator import BatchBuilder, MessageAccumulator, MessageBatch
from aiokafka.producer.sender import SendProduceReqHandler
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition
from faust.streams import Stream
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver
from mode.utils.queues import FlowControlQueue

from stream.kafka.faust.consumer_thread import Fetched, seek_back, start_position
from stream.kafka.faust.packed_batch import PackedBatch
from stream.kafka.faust.unpack import IndexedMemoryRecords
from tests.unit.records import FakeRecord

UPGRADE = (
    "the pinned Faust or aiokafka was changed: read docs/adr/0002, compare stream/kafka/faust/transport.py "
    "and consumer_thread.py with the new sources, run tests/broker and tests/fault, then mend this list"
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
    fetched = Fetched({TopicPartition("texts", n): [FakeRecord(b"", offset=7 + n)] for n in range(2)})
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
        (faust_consumer.Consumer, "verify_event_path"),
        (faust_consumer.Consumer, "maybe_wait_for_commit_to_finish"),
        (faust_consumer.Consumer, "stop_flow"),
        (faust_consumer.Consumer, "flow_active"),
        (driver.Consumer, "on_task_error"),
        (driver.Consumer, "wait_first"),
        (driver.Consumer, "_getmany"),
        (driver.Consumer, "_new_consumer_thread"),
        (driver.AIOKafkaConsumerThread, "call_thread"),
        (driver.AIOKafkaConsumerThread, "getmany"),
        (driver.AIOKafkaConsumerThread, "_fetch_records"),
        (driver.AIOKafkaConsumerThread, "_create_worker_consumer"),
        (driver.AIOKafkaConsumerThread, "_commit"),
        (driver.AIOKafkaConsumerThread, "_ensure_consumer"),
        (driver.AIOKafkaConsumerThread, "on_thread_stop"),
        (driver.Producer, "_settings_extra"),
        (driver.Producer, "_new_producer"),
        (AIOKafkaProducer, "create_batch"),
        (AIOKafkaProducer, "send_batch"),
        (AIOKafkaProducer, "partitions_for"),
        (AIOKafkaConsumer, "last_stable_offset"),
        (Assignment, "all_consumed_offsets"),
        (AIOKafkaConsumer, "end_offsets"),
        (AIOKafkaClient, "force_metadata_update"),
        (faust.App, "_new_transport"),
        (faust.App, "_new_consumer"),
        (faust.App, "_new_producer"),
        (faust.App, "_create_directories"),
        (faust.App, "create_event"),
        (faust.App, "on_rebalance_start"),
        (faust.App, "consumer_generation_id"),
        (FlowControlQueue, "force_put_nowait"),
        (FlowControlQueue, "clear"),
        (DefaultRecordBatchBuilder, "append"),
    ],
)
def test_the_private_names_are_there(owner: type, name: str) -> None:
    assert hasattr(owner, name), f"{owner.__name__}.{name}: {UPGRADE}"


def test_the_attributes_that_are_set_are_read_by_the_libraries() -> None:
    source = inspect.getsource(AIOKafkaConsumer)
    for name in ("_fetch_max_wait_ms", "_isolation_level"):
        assert source.count(f"self.{name}") >= 2, f"AIOKafkaConsumer.{name}: {UPGRADE}"
    fetch = inspect.getsource(Fetcher._get_actions_per_node)
    for name in ("_fetch_min_bytes", "_fetch_max_wait_ms"):
        assert f"self.{name}" in fetch, f"Fetcher.{name}: {UPGRADE}"
    initial = inspect.getsource(faust_consumer.Consumer.__init__)
    for name in (
        "_read_offset",
        "_committed_offset",
        "can_resume_flow",
        "suspend_flow",
        "not_waiting_next_records",
    ):
        assert f"self.{name}" in initial, f"Consumer.{name}: {UPGRADE}"


def test_a_producers_batch_is_filled_below_its_own_append() -> None:
    batch = BatchBuilder(1_000, 0)
    assert type(batch._builder) is DefaultRecordBatchBuilder, UPGRADE
    assert batch._relative_offset == 0, UPGRADE
    assert batch._builder.append(0, 1_000, b"k", b"v", [("h", b"1")]) is not None, UPGRADE
    assert batch.record_count() == 0, UPGRADE
    batch._relative_offset = 1
    assert batch.record_count() == 1, UPGRADE
    appending = inspect.getsource(BatchBuilder.append)
    assert "self._builder.append" in appending, UPGRADE
    assert "self._relative_offset += 1" in appending, UPGRADE


def test_a_record_builder_takes_nothing_but_a_list_of_headers_and_says_when_it_is_full() -> None:
    builder = BatchBuilder(100, 0)._builder
    with pytest.raises(TypeError):
        builder.append(0, 1_000, b"k", b"v", (("h", b"1"),))
    builder = BatchBuilder(100, 0)._builder
    assert builder.append(0, 1_000, b"k", b"v" * 500, []) is not None, "the first record always fits"
    assert builder.append(1, 1_000, b"k", b"v", []) is None, UPGRADE


def test_a_packed_batch_has_what_the_producer_asks_of_a_builder() -> None:
    asked = set()
    for owner in (MessageBatch, MessageAccumulator):
        asked |= set(re.findall(r"_builder\.(\w+)", inspect.getsource(owner)))
    # Of batches that are filled event by event.
    missing = {name for name in asked - {"append"} if not hasattr(PackedBatch, name)}
    assert asked, UPGRADE
    assert not missing, f"{missing}: {UPGRADE}"
    added = inspect.getsource(MessageAccumulator.add_batch)
    assert "_append_batch(builder, tp)" in added, UPGRADE
    initial = inspect.getsource(MessageAccumulator.__init__)
    for name in ("_batch_size", "_compression_type", "_txn_manager"):
        assert f"self.{name} = " in initial, f"MessageAccumulator.{name}: {UPGRADE}"


def test_what_is_fetched_is_made_records_of_by_a_name_that_can_be_replaced() -> None:
    assert "MemoryRecords(part_data[-1])" in inspect.getsource(Fetcher._proc_fetch_request), UPGRADE
    assert fetcher.MemoryRecords in (MemoryRecords, IndexedMemoryRecords), UPGRADE
    uses = set(re.findall(r"\brecords\.(\w+)\(", inspect.getsource(fetcher)))
    assert uses == {"has_next", "next_batch", "size_in_bytes"}, UPGRADE
    drained = inspect.getsource(Fetcher.fetched_records)
    assert "type(res_or_error) is FetchResult" in drained, UPGRADE
    assert "res_or_error.getall(max_records)" in drained, UPGRADE
    for name in ("check_assignment", "has_more", "_update_position"):
        assert hasattr(FetchResult, name), f"FetchResult.{name}: {UPGRADE}"
    assert "self._topic_partition = " in inspect.getsource(FetchResult.__init__), UPGRADE


def test_responses_wait_in_a_dict_of_the_fetcher_and_are_unpacked_record_by_record() -> None:
    assert "self._records = collections.OrderedDict()" in inspect.getsource(Fetcher.__init__), UPGRADE
    assert "self._records[tp] = FetchResult(" in inspect.getsource(Fetcher._proc_fetch_request), UPGRADE
    drained = inspect.getsource(FetchResult.getall) + inspect.getsource(FetchResult._update_position)
    assert "for msg in self._partition_records:" in drained, UPGRADE
    assert "self._partition_records.next_fetch_offset" in drained, UPGRADE
    initial = inspect.getsource(PartitionRecords.__init__)
    for name in (
        "_tp",
        "_records",
        "_aborted_transactions",
        "_aborted_producers",
        "_key_deserializer",
        "_value_deserializer",
        "_check_crcs",
        "_isolation_level",
        "next_fetch_offset",
    ):
        assert f"self.{name} = " in initial, f"PartitionRecords.{name}: {UPGRADE}"
    assert "self._records_iterator = self._unpack_records()" in initial, UPGRADE
    for name in ("_consume_aborted_up_to", "_contains_abort_marker"):
        assert hasattr(PartitionRecords, name), f"PartitionRecords.{name}: {UPGRADE}"


def test_faust_keeps_aiokafkas_producer_where_it_is_looked_for() -> None:
    source = inspect.getsource(driver.Producer)
    assert "self._producer = self._new_producer()" in source, UPGRADE
    assert "aiokafka.AIOKafkaProducer" in inspect.getsource(driver.Producer._new_producer), UPGRADE


async def test_faust_finds_the_channels_of_a_topic_by_its_name() -> None:
    app = faust.App("index", broker="kafka://127.0.0.1:1")
    topic = app.topic("texts")
    app.topics.add(topic)
    await app.topics._update_indices()
    assert app.topics._topic_name_index["texts"] == {topic}, UPGRADE


def test_a_stream_acknowledges_nothing_when_it_is_told_so() -> None:
    assert "do_ack = self.enable_acks" in inspect.getsource(Stream), UPGRADE


def test_a_batch_that_is_sent_again_goes_back_through_the_accumulator() -> None:
    assert "self._message_accumulator = " in inspect.getsource(AIOKafkaProducer), UPGRADE
    assert "_message_accumulator.reenqueue(batch)" in inspect.getsource(SendProduceReqHandler), UPGRADE


def test_the_consumers_client_is_where_it_is_asked_for() -> None:
    assert "self._client = AIOKafkaClient(" in inspect.getsource(AIOKafkaConsumer), UPGRADE
