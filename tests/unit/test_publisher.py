"""Publishing returns only when every record is confirmed, and says what a refusal means."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError, ProducerFenced, TopicAuthorizationFailedError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import BrokerError, Fatal, FencedError
from stream.kafka.publisher import Publisher, fill
from stream.records import Outgoing


def read(builder: Any) -> list[Any]:
    """The records that an aiokafka batch would send."""
    records: list[Any] = []
    batches = MemoryRecords(bytes(builder._build()))
    while batches.has_next():
        records.extend(batches.next_batch())
    return records


class FakeProducer:
    """Confirms, refuses or keeps silent, as the test says."""

    def __init__(self, partitions: dict[str, int], batch_bytes: int = 16_384) -> None:
        self.partitions = partitions
        self.batch_bytes = batch_bytes
        self.sent: list[tuple[str, int, list[Any]]] = []
        self.confirmations: list[asyncio.Future[None]] = []
        self.outcome: BaseException | str | None = None

    async def partitions_for(self, topic: str) -> set[int]:
        return set(range(self.partitions[topic]))

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(self.batch_bytes, 0)

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
    """Let every task go on as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


def outgoing(key: bytes | None = b"k", n: int = 0, size: int = 0) -> Outgoing:
    return key, b"v%d" % n + b"." * size, [("h", b"1"), ("h", b"2")], 1000 + n


async def test_records_keep_order_partition_headers_and_timestamp() -> None:
    producer = FakeProducer({"texts": 4, "labels": 4, "texts.dead": 4}, batch_bytes=150)
    await Publisher(lambda: producer, 5).publish(
        "texts", 2, {"labels": [outgoing(n=n) for n in range(9)], "texts.dead": [outgoing(n=9)]}
    )
    batches = [records for topic, _, records in producer.sent if topic == "labels"]
    labels = [record for records in batches for record in records]
    assert len(batches) > 2, "they do not fit in one"
    assert [(topic, at) for topic, at, _ in producer.sent if topic != "labels"] == [("texts.dead", 2)]
    assert {at for _, at, _ in producer.sent} == {2}
    assert [record.value for record in labels] == [b"v%d" % n for n in range(9)]
    assert [record.timestamp for record in labels] == [1000 + n for n in range(9)]
    assert all(record.headers == [("h", b"1"), ("h", b"2")] and record.key == b"k" for record in labels)


async def test_a_topic_without_records_is_left_alone() -> None:
    producer = FakeProducer({"texts": 4, "texts.dead": 4})
    await Publisher(lambda: producer, 5).publish("texts", 2, {"labels": [], "texts.dead": [outgoing()]})
    assert [topic for topic, _, _ in producer.sent] == ["texts.dead"]


async def test_when_partition_counts_differ_equal_keys_share_a_partition() -> None:
    producer = FakeProducer({"texts": 4, "labels": 7})
    publisher = Publisher(lambda: producer, 5)
    keys = [b"a", b"b", b"c", b"d", b"e", b"f"]
    found = []
    for source_partition in (0, 3):
        producer.sent.clear()
        records = [outgoing(key, n) for n, key in enumerate(keys * 2)]
        await publisher.publish("texts", source_partition, {"labels": records})
        found.append({record.value: at for _, at, sent in producer.sent for record in sent})
        for _, _, sent in producer.sent:
            numbers = [int(record.value[1:]) for record in sent]
            assert numbers == sorted(numbers), "records of a key keep their order"
    assert found[0] == found[1]
    assert all(found[0][b"v%d" % n] == found[0][b"v%d" % (n + 6)] for n in range(6))
    assert len(set(found[0].values())) > 1
    producer.sent.clear()
    await publisher.publish("texts", 3, {"labels": [outgoing(key=None)]})
    assert producer.sent[0][1] == 3


async def test_without_a_key_a_narrower_topic_gets_the_partition_that_is_left() -> None:
    producer = FakeProducer({"texts": 4, "labels": 3})
    await Publisher(lambda: producer, 5).publish("texts", 3, {"labels": [outgoing(key=None)]})
    assert producer.sent[0][1] == 0


RECORD = st.builds(outgoing, st.none() | st.binary(max_size=9), st.integers(0, 9), st.integers(0, 400))


@given(st.lists(RECORD, max_size=40), st.integers(62, 600))
def test_batches_are_filled_in_order_whatever_their_room(records: list[Outgoing], batch_bytes: int) -> None:
    """One that is larger than a batch still goes, in a batch of its own."""
    written, sizes, found = 0, [], []
    while written < len(records):
        builder: Any = BatchBuilder(batch_bytes, 0)
        count = fill(builder, records, written)
        assert count > 0
        assert builder.record_count() == count
        sizes.append((builder.size(), count))
        found.extend(read(builder))
        written += count
    assert written == len(records)
    assert [(r.key, r.value, r.headers, r.timestamp) for r in found] == records
    assert all(size <= batch_bytes or count == 1 for size, count in sizes)


def test_a_batch_is_written_as_its_own_append_would() -> None:
    records = [outgoing(n=n) for n in range(5)]
    ours: Any = BatchBuilder(1_000, 0)
    theirs: Any = BatchBuilder(1_000, 0)
    assert fill(ours, records, 2) == 3
    for key, value, headers, timestamp in records[2:]:
        theirs.append(timestamp=timestamp, key=key, value=value, headers=headers)
    assert ours.record_count() == theirs.record_count() == 3
    assert bytes(ours._build()) == bytes(theirs._build())


def test_a_timestamp_that_kafka_does_not_know_becomes_the_present() -> None:
    builder: Any = BatchBuilder(1_000, 0)
    fill(builder, [(b"k", b"v", [], -1)], 0)
    (record,) = read(builder)
    assert record.timestamp > 1_700_000_000_000


async def test_publish_waits_for_the_confirmation() -> None:
    producer = FakeProducer({"texts": 4, "labels": 4})
    producer.outcome = "silent"
    publishing = asyncio.create_task(
        Publisher(lambda: producer, 5).publish("texts", 2, {"labels": [outgoing()]})
    )
    await settle()
    assert not publishing.done()
    producer.confirmations[0].set_result(None)
    await publishing


async def test_no_confirmation_within_the_deadline_is_fatal() -> None:
    producer = FakeProducer({"texts": 4, "labels": 4})
    producer.outcome = "silent"
    with pytest.raises(BrokerError, match="did not confirm records for labels"):
        await Publisher(lambda: producer, 0.01).publish("texts", 2, {"labels": [outgoing()]})


@pytest.mark.parametrize(
    ("error", "raised", "mend"),
    [
        (MessageSizeTooLargeError(), BrokerError, "max.message.bytes"),
        (TopicAuthorizationFailedError(), BrokerError, "permissions"),
        (ProducerFenced(), FencedError, "one worker per identity"),
    ],
)
async def test_a_refusal_is_fatal_with_its_mend(error: Exception, raised: type[Fatal], mend: str) -> None:
    producer = FakeProducer({"texts": 4, "texts.dead": 4})
    producer.outcome = error
    with pytest.raises(raised) as told:
        await Publisher(lambda: producer, 5).publish("texts", 2, {"texts.dead": [outgoing()]})
    assert mend in told.value.mend


async def test_a_refused_batch_does_not_keep_the_others_from_being_waited_for() -> None:
    producer = FakeProducer({"texts": 4, "labels": 4}, batch_bytes=1)
    producer.outcome = "silent"
    records = {"labels": [outgoing(n=n) for n in range(4)]}
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
