"""Publishing returns after every record is confirmed, and raises an error for a refusal."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import (
    MessageSizeTooLargeError,
    ProducerFenced,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from stream.codec import load_codec
from stream.errors import BrokerError, Fatal, FencedError
from stream.kafka.faust.packed_batch import PackedBatch, next_batch
from stream.kafka.faust.produce_response import ProduceError
from stream.kafka.partition_writer import Send
from stream.kafka.publisher import Publisher
from stream.records import Outgoing, pack_record
from tests.unit.record_path import record_path
from tests.unit.records import contents

__all__ = ["record_path"]
pytestmark = pytest.mark.usefixtures("record_path")


CODECS = [0, 1, 2, 3, 4]
CODEC_MASK = 0x07
HEADER_FIELDS = [
    "base_offset",
    "magic",
    "last_offset_delta",
    "first_timestamp",
    "max_timestamp",
    "producer_id",
    "producer_epoch",
    "base_sequence",
]


def batches_of(builder: Any) -> list[Any]:
    """Return the batches that the broker reads from a sent batch."""
    batches, reader = [], MemoryRecords(bytes(builder._build()))
    while reader.has_next():
        batches.append(reader.next_batch())
    return batches


def read(builder: Any) -> list[Any]:
    """Return the records of a batch."""
    return [record for batch in batches_of(builder) for record in batch]


class FakeAccumulator:
    """The attributes of aiokafka's accumulator that `PackedBatch` reads."""

    def __init__(self, batch_bytes: int, compression: int, transactions: Any = None) -> None:
        self._batch_size = batch_bytes
        self._compression_type = compression
        self._txn_manager = transactions


class FakeProducer:
    """A producer that confirms, refuses or does not answer, as the test sets it."""

    def __init__(self, partitions: dict[str, int], batch_bytes: int = 16_384, compression: int = 0) -> None:
        self.partitions = partitions
        self._message_accumulator = FakeAccumulator(batch_bytes, compression)
        self.sent: list[tuple[str, int, list[Any]]] = []
        self.confirmations: list[asyncio.Future[None]] = []
        self.outcome: BaseException | str | None = None

    async def partitions_for(self, topic: str) -> set[int]:
        return set(range(self.partitions[topic]))

    def create_batch(self) -> BatchBuilder:
        accumulator = self._message_accumulator
        return BatchBuilder(accumulator._batch_size, accumulator._compression_type)

    async def send_batch(self, builder: Any, topic: str, *, partition: int) -> "asyncio.Future[None]":
        assert builder.record_count() > 0
        self.sent.append((topic, partition, read(builder)))
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if isinstance(self.outcome, BaseException):
            confirmed.set_exception(self.outcome)
        elif self.outcome is None:
            confirmed.set_result(None)
        self.confirmations.append(confirmed)
        return confirmed


async def settle() -> None:
    """Run every task until it has to wait."""
    for _ in range(10):
        await asyncio.sleep(0)


def record(key: bytes | None = b"k", n: int = 0, size: int = 0) -> Outgoing:
    return pack_record(key, b"v%d" % n + b"." * size, [("h", b"1"), ("h", b"2")], 1000 + n)


async def test_records_keep_order_partition_headers_and_timestamp() -> None:
    producer = FakeProducer({"texts": 4, "labels": 4, "texts.dead": 4}, batch_bytes=150)
    await Publisher(lambda: producer, 5).publish(
        "texts", 2, {"labels": [record(n=n) for n in range(9)], "texts.dead": [record(n=9)]}
    )
    batches = [records for topic, _, records in producer.sent if topic == "labels"]
    labels = [record for records in batches for record in records]
    assert len(batches) > 2, "they do not fit in one"
    assert [(topic, at) for topic, at, _ in producer.sent if topic != "labels"] == [("texts.dead", 2)]
    assert {at for _, at, _ in producer.sent} == {2}
    assert [record.value for record in labels] == [b"v%d" % n for n in range(9)]
    assert [record.timestamp for record in labels] == [1000 + n for n in range(9)]
    assert all(record.headers == [("h", b"1"), ("h", b"2")] and record.key == b"k" for record in labels)


async def test_nothing_is_sent_to_a_topic_without_records() -> None:
    producer = FakeProducer({"texts": 4, "texts.dead": 4})
    await Publisher(lambda: producer, 5).publish("texts", 2, {"labels": [], "texts.dead": [record()]})
    assert [topic for topic, _, _ in producer.sent] == ["texts.dead"]


async def test_records_with_equal_keys_share_a_partition_if_the_partition_counts_differ() -> None:
    producer = FakeProducer({"texts": 4, "labels": 7})
    publisher = Publisher(lambda: producer, 5)
    keys = [b"a", b"b", b"c", b"d", b"e", b"f"]
    partitions = []
    for source_partition in (0, 3):
        producer.sent.clear()
        records = [record(key, n) for n, key in enumerate(keys * 2)]
        await publisher.publish("texts", source_partition, {"labels": records})
        partitions.append({record.value: at for _, at, sent in producer.sent for record in sent})
        for _, _, sent in producer.sent:
            numbers = [int(record.value[1:]) for record in sent]
            assert numbers == sorted(numbers), "records of a key keep their order"
    assert partitions[0] == partitions[1]
    assert all(partitions[0][b"v%d" % n] == partitions[0][b"v%d" % (n + 6)] for n in range(6))
    assert len(set(partitions[0].values())) > 1
    producer.sent.clear()
    await publisher.publish("texts", 3, {"labels": [record(key=None)]})
    assert producer.sent[0][1] == 3


async def test_records_without_a_key_go_to_the_source_partition_modulo_the_partition_count() -> None:
    producer = FakeProducer({"texts": 4, "labels": 3})
    await Publisher(lambda: producer, 5).publish("texts", 3, {"labels": [record(key=None)]})
    assert producer.sent[0][1] == 0


RECORD = st.tuples(st.none() | st.binary(max_size=9), st.integers(0, 9), st.integers(0, 400))


@given(st.lists(RECORD, max_size=40), st.integers(62, 600), st.sampled_from(CODECS))
def test_batches_are_filled_in_order(
    rows: list[tuple[bytes | None, int, int]], batch_bytes: int, compression: int
) -> None:
    """A record that exceeds the size of a batch is sent in a batch of its own."""
    producer = FakeProducer({}, batch_bytes, compression)
    records = [record(*row) for row in rows]
    written, sizes, read_back = 0, [], []
    while written < len(records):
        batch, count = next_batch(producer, records, written)
        assert count > 0
        assert batch.record_count() == count
        sizes.append((batch.size(), count))
        read_back.extend(read(batch))
        written += count
    assert written == len(records)
    assert [*map(contents, read_back)] == [*map(contents, records)]
    assert all(size <= batch_bytes or count == 1 for size, count in sizes)


def test_a_batch_is_written_as_its_own_append_would() -> None:
    records = [record(n=n) for n in range(5)]
    ours = PackedBatch(load_codec(), 1_000, 0)
    theirs: Any = BatchBuilder(1_000, 0)
    assert ours.fill(records, 2) == 3
    for one in records[2:]:
        theirs.append(timestamp=one.timestamp, key=one.key, value=one.value, headers=one.headers)
    assert ours.record_count() == theirs.record_count() == 3
    assert bytes(ours._build()) == bytes(theirs._build())


async def test_a_missing_timestamp_becomes_the_current_time() -> None:
    producer = FakeProducer({"texts": 1, "labels": 1})
    records = {"labels": [pack_record(b"k", b"v", [], -1), pack_record(b"k", b"v", [], 5)]}
    await Publisher(lambda: producer, 5).publish("texts", 0, records)
    ((_, _, (first, second)),) = producer.sent
    assert first.timestamp > 1_700_000_000_000
    assert second.timestamp == 5


class InTransaction:
    transactional_id = "group-texts-0"


@given(st.lists(RECORD, min_size=1, max_size=9), st.sampled_from(CODECS), st.booleans(), st.booleans())
def test_a_packed_batch_is_the_batch_that_aiokafka_would_send(
    rows: list[tuple[bytes | None, int, int]], compression: int, transactional: bool, idempotent: bool
) -> None:
    packed: list[Any] = [load_codec().pack(*contents(record(*row))) for row in rows]
    producer = FakeProducer({}, 1 << 20, compression)
    producer._message_accumulator._txn_manager = InTransaction() if transactional else None
    ours = PackedBatch.of(producer)
    theirs: Any = BatchBuilder(1 << 20, compression, is_transactional=transactional)
    assert ours.fill(packed, 0) == len(rows)
    for key, value, headers, timestamp in map(contents, packed):
        theirs.append(timestamp=timestamp, key=key, value=value, headers=headers)
    if idempotent:
        for batch in (ours, theirs):
            batch._set_producer_state(7, 3, 41)
    if not compression:
        assert bytes(ours._build()) == bytes(theirs._build())
    assert ours._build() is ours._build(), "a batch is built once"
    (our_batch,), (their_batch,) = (batches_of(batch) for batch in (ours, theirs))
    assert our_batch.validate_crc()
    for field in HEADER_FIELDS:
        assert getattr(our_batch, field) == getattr(their_batch, field)
    assert our_batch.attributes in (their_batch.attributes, their_batch.attributes & ~CODEC_MASK), (
        "a batch that compression would enlarge stays uncompressed"
    )
    assert [*map(contents, our_batch)] == [*map(contents, their_batch)]


async def test_publish_waits_for_the_confirmation() -> None:
    producer = FakeProducer({"texts": 4, "labels": 4})
    producer.outcome = "silent"
    publishing = asyncio.create_task(
        Publisher(lambda: producer, 5).publish("texts", 2, {"labels": [record()]})
    )
    await settle()
    assert not publishing.done()
    producer.confirmations[0].set_result(None)
    await publishing


async def test_a_missing_confirmation_at_the_deadline_is_fatal() -> None:
    producer = FakeProducer({"texts": 4, "labels": 4})
    producer.outcome = "silent"
    with pytest.raises(BrokerError, match="did not confirm records for labels"):
        await Publisher(lambda: producer, 0.01).publish("texts", 2, {"labels": [record()]})


@pytest.mark.parametrize(
    ("error", "raised", "fix"),
    [
        (MessageSizeTooLargeError(), BrokerError, "max.message.bytes"),
        (TopicAuthorizationFailedError(), BrokerError, "permissions"),
        (ProducerFenced(), FencedError, "a supervisor does"),
    ],
)
async def test_a_refusal_is_fatal_and_names_a_fix(error: Exception, raised: type[Fatal], fix: str) -> None:
    producer = FakeProducer({"texts": 4, "texts.dead": 4})
    producer.outcome = error
    with pytest.raises(raised) as refusal:
        await Publisher(lambda: producer, 5).publish("texts", 2, {"texts.dead": [record()]})
    assert fix in refusal.value.fix


async def test_a_refused_batch_does_not_end_the_wait_for_the_other_partitions() -> None:
    producer = FakeProducer({"texts": 4, "labels": 40})
    producer.outcome = "silent"
    records = {"labels": [record(b"%d" % n, n) for n in range(4)]}
    publishing = asyncio.create_task(Publisher(lambda: producer, 5).publish("texts", 2, records))
    await settle()
    assert len(producer.confirmations) == 4
    producer.confirmations[0].set_exception(TopicAuthorizationFailedError())
    await settle()
    assert not publishing.done()
    for confirmation in producer.confirmations[1:]:
        confirmation.set_result(None)
    with pytest.raises(BrokerError):
        await publishing


async def test_a_batch_is_sent_after_the_confirmation_of_the_one_before() -> None:
    producer = FakeProducer({"texts": 4, "labels": 4}, batch_bytes=1)
    producer.outcome = "silent"
    records = {"labels": [record(n=n) for n in range(3)]}
    publishing = asyncio.create_task(Publisher(lambda: producer, 5).publish("texts", 2, records))
    for sent in range(1, 4):
        await settle()
        assert len(producer.confirmations) == sent
        producer.confirmations[-1].set_result(None)
    await publishing


async def no_fallback(topic: str, record: Outgoing, send: Send) -> None:
    raise AssertionError(f"{topic} refuses {record}")


async def test_dead_letters_are_written_after_all_other_topics_which_are_written_together() -> None:
    producer = FakeProducer({"texts": 4, "a": 4, "b": 2, "texts.dead": 4})
    producer.outcome = "silent"
    records = {"texts.dead": [record()], "a": [record()], "b": [record()]}
    publisher = Publisher(lambda: producer, 5, {"texts.dead": no_fallback})
    publishing = asyncio.create_task(publisher.publish("texts", 2, records))
    await settle()
    assert sorted(topic for topic, _, _ in producer.sent) == ["a", "b"]
    producer.confirmations[0].set_result(None)
    await settle()
    assert len(producer.sent) == 2
    producer.confirmations[1].set_result(None)
    await settle()
    assert producer.sent[2][0] == "texts.dead"
    producer.confirmations[2].set_result(None)
    assert await publishing == {}


async def test_the_refused_records_of_every_topic_are_reported_and_the_others_are_written() -> None:
    topics = {"texts": 4, "a": 4, "b": 4, "c": 4, "texts.dead": 4}
    producer = LimitedProducer(topics, {"a": 200, "b": 200})
    records = {
        "texts.dead": [record(n=99)],
        **{
            topic: [record(n=n, size=300 * (n == at)) for n in range(4)] for topic, at in (("a", 1), ("b", 2))
        },
        "c": [record(n=1, size=300)],
    }
    refused = await Publisher(lambda: producer, 5, {"texts.dead": no_fallback}).publish("texts", 2, records)
    assert refused == {"a": [1], "b": [2]}
    written = {topic: len(producer.values(topic)) for topic in topics}
    assert written == {"texts": 0, "a": 3, "b": 3, "c": 1, "texts.dead": 0}


class LimitedProducer(FakeProducer):
    """A producer whose broker refuses batches above a size in bytes."""

    def __init__(self, partitions: dict[str, int], limits: dict[str, int], batch_bytes: int = 16_384) -> None:
        super().__init__(partitions, batch_bytes)
        self.limits = limits
        self.refusals = 0

    async def send_batch(self, builder: Any, topic: str, *, partition: int) -> "asyncio.Future[None]":
        too_large = len(builder._build()) > self.limits.get(topic, 2**31)
        self.refusals += too_large
        # Refusals are reported under both codes: max.message.bytes, and segment.bytes.
        self.outcome = ProduceError(10 + 8 * (self.refusals % 2)) if too_large else None
        confirmation = await super().send_batch(builder, topic, partition=partition)
        if too_large:
            self.sent.pop()
        return confirmation

    def values(self, topic: str) -> list[bytes]:
        return [record.value for sent, _, records in self.sent for record in records if sent == topic]


@given(st.lists(st.integers(0, 900), min_size=1, max_size=60), st.integers(150, 1_000), st.integers(1, 2_000))
async def test_every_record_that_fits_is_written_once_in_order_and_the_others_are_reported(
    sizes: list[int], limit: int, batch_bytes: int
) -> None:
    producer = LimitedProducer({"texts": 4, "labels": 4, "dead": 4}, {"labels": limit}, batch_bytes)
    records = [record(n=n, size=size) for n, size in enumerate(sizes)]
    alone = [next_batch(producer, [one], 0)[0].size() for one in records]
    refused = await Publisher(lambda: producer, 5, {"dead": no_fallback}).publish(
        "texts", 2, {"dead": [record(n=99)], "labels": records}
    )
    too_large = [at for at, size in enumerate(alone) if size > limit]
    assert refused == ({"labels": too_large} if too_large else {})
    assert producer.values("labels") == [
        r.value for r, size in zip(records, alone, strict=True) if size <= limit
    ]
    assert producer.values("dead") == ([] if too_large else [b"v99"]), (
        "dead letters wait for the rejected ones"
    )


async def test_the_indices_of_refused_records_are_those_of_the_call_if_the_key_chooses_the_partition() -> (
    None
):
    producer = LimitedProducer({"texts": 4, "labels": 7}, {"labels": 200})
    records = [record(b"%d" % n, n, size=300 * (n in (3, 5, 8))) for n in range(12)]
    refused = await Publisher(lambda: producer, 5, {}).publish("texts", 2, {"labels": records})
    assert refused == {"labels": [3, 5, 8]}
    assert len({at for _, at, _ in producer.sent}) > 1


async def test_a_topic_with_a_small_limit_does_not_refuse_every_batch() -> None:
    producer = LimitedProducer({"texts": 4, "labels": 4}, {"labels": 700})
    publisher = Publisher(lambda: producer, 5, {})
    for _ in range(20):
        assert await publisher.publish("texts", 2, {"labels": [record(n=n) for n in range(60)]}) == {}
    assert len(producer.values("labels")) == 1_200
    assert producer.refusals < 10
    producer.limits = {}
    producer.sent.clear()
    for _ in range(200):
        await publisher.publish("texts", 2, {"labels": [record(n=n) for n in range(60)]})
    assert len(producer.sent[-1][2]) == 60, "a raised limit is used after a while"


async def test_a_single_record_that_is_too_large_does_not_make_later_batches_smaller() -> None:
    producer = LimitedProducer({"texts": 4, "labels": 4}, {"labels": 12_000})
    publisher = Publisher(lambda: producer, 5, {})
    records = [record(n=n, size=13_000 * (n == 30)) for n in range(60)]
    assert await publisher.publish("texts", 2, {"labels": records}) == {"labels": [30]}
    producer.sent.clear()
    await publisher.publish("texts", 2, {"labels": [record(n=n, size=100) for n in range(60)]})
    assert [len(records) for _, _, records in producer.sent] == [60]


class AddedPartitions(FakeProducer):
    """A producer that learns of new partitions when it refreshes its metadata."""

    def __init__(self, partitions: dict[str, int], later: dict[str, int]) -> None:
        super().__init__(partitions)
        self.client = self
        self._later = later

    async def force_metadata_update(self) -> None:
        self.partitions = self._later


async def test_an_unknown_partition_refreshes_the_metadata() -> None:
    producer = AddedPartitions({"texts": 4, "labels": 4}, {"texts": 8, "labels": 8})
    await Publisher(lambda: producer, 5).publish("texts", 6, {"labels": [record()]})
    assert [at for _, at, _ in producer.sent] == [6]


async def test_an_unknown_partition_ends_the_worker_at_the_deadline() -> None:
    producer = AddedPartitions({"texts": 4, "labels": 4}, {"texts": 4, "labels": 4})
    with pytest.raises(BrokerError, match="texts") as failure:
        await Publisher(lambda: producer, 0.01).publish("texts", 6, {"labels": [record()]})
    assert "partition 6" in failure.value.message
    assert producer.sent == []


class DeletedTopic(FakeProducer):
    """A producer that retries forever, and that finds no metadata of the topic."""

    async def partitions_for(self, topic: str) -> set[int]:
        if topic == "labels" and self.confirmations:
            raise UnknownTopicOrPartitionError
        return await super().partitions_for(topic)


async def test_a_deleted_topic_is_named_at_the_deadline() -> None:
    producer = DeletedTopic({"texts": 4, "labels": 4})
    producer.outcome = "silent"
    with pytest.raises(BrokerError, match="topic labels was deleted") as failure:
        await Publisher(lambda: producer, 0.01).publish("texts", 2, {"labels": [record()]})
    assert "labelstream topics create" in failure.value.fix


async def test_a_partition_that_no_longer_exists_is_named_at_the_deadline() -> None:
    producer = AddedPartitions({"texts": 4, "labels": 4}, {"texts": 4, "labels": 4})

    async def partitions_for(topic: str) -> set[int]:
        counts.append(topic)
        return {0, 1, 2, 3} if topic == "texts" or counts.count("labels") == 1 else {0}

    counts: list[str] = []
    producer.partitions_for = partitions_for  # type: ignore[method-assign]
    with pytest.raises(BrokerError, match="its partition 3 does not exist"):
        await Publisher(lambda: producer, 0.01).publish("texts", 3, {"labels": [record()]})
    assert producer.sent == []


async def test_the_error_at_the_deadline_is_the_last_one_that_the_broker_reported() -> None:
    producer = FakeProducer({"texts": 4, "labels": 4})

    async def send_batch(builder: Any, topic: str, *, partition: int) -> "asyncio.Future[None]":
        builder.last_error = ProduceError(19)
        return asyncio.get_running_loop().create_future()

    producer.send_batch = send_batch  # type: ignore[method-assign]
    with pytest.raises(BrokerError) as failure:
        await Publisher(lambda: producer, 0.01).publish("texts", 2, {"labels": [record()]})
    assert "min.insync.replicas" in failure.value.cause
