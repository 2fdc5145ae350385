"""Publishing returns only when every record is confirmed, and says what a refusal means."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError, ProducerFenced, TopicAuthorizationFailedError

from stream.errors import BrokerError, Fatal, FencedError
from stream.kafka.publisher import Outgoing, Publisher


class FakeBuilder:
    """Takes `room` records."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.records: list[dict[str, Any]] = []

    def append(self, **record: Any) -> object | None:
        if len(self.records) == self.room:
            return None
        self.records.append(record)
        return object()


class FakeProducer:
    """Confirms, refuses or keeps silent, as the test says."""

    def __init__(self, partitions: dict[str, int], room: int = 100) -> None:
        self.partitions = partitions
        self.room = room
        self.sent: list[tuple[str, int, list[dict[str, Any]]]] = []
        self.confirmations: list[asyncio.Future[None]] = []
        self.outcome: BaseException | str | None = None

    async def partitions_for(self, topic: str) -> set[int]:
        return set(range(self.partitions[topic]))

    def create_batch(self) -> FakeBuilder:
        return FakeBuilder(self.room)

    async def send_batch(self, builder: FakeBuilder, topic: str, *, partition: int) -> "asyncio.Future[None]":
        self.sent.append((topic, partition, builder.records))
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if isinstance(self.outcome, BaseException):
            confirmed.set_exception(self.outcome)
        elif self.outcome is None:
            confirmed.set_result(None)
        self.confirmations.append(confirmed)
        return confirmed


def outgoing(topic: str = "labels", partition: int = 2, key: bytes | None = b"k", n: int = 0) -> Outgoing:
    return Outgoing(topic, "texts", partition, key, b"v%d" % n, [("h", b"1"), ("h", b"2")], 1000 + n)


async def test_records_keep_order_partition_headers_and_timestamp() -> None:
    producer = FakeProducer({"texts": 4, "labels": 4, "texts.dead": 4}, room=2)
    await Publisher(lambda: producer, 5).publish(
        [*(outgoing(n=n) for n in range(5)), outgoing("texts.dead", n=9)]
    )
    labels = [record for topic, at, records in producer.sent if topic == "labels" for record in records]
    assert {(topic, at) for topic, at, _ in producer.sent} == {("labels", 2), ("texts.dead", 2)}
    assert [record["value"] for record in labels] == [b"v0", b"v1", b"v2", b"v3", b"v4"]
    assert labels[0]["headers"] == [("h", b"1"), ("h", b"2")]
    assert labels[0]["timestamp"] == 1000


async def test_when_partition_counts_differ_equal_keys_share_a_partition() -> None:
    producer = FakeProducer({"texts": 4, "labels": 7})
    publisher = Publisher(lambda: producer, 5)
    await publisher.publish([outgoing(partition=0), outgoing(partition=3)])
    assert len({at for _, at, _ in producer.sent}) == 1
    producer.sent.clear()
    await publisher.publish([outgoing(partition=3, key=None)])
    assert producer.sent[0][1] == 3


async def test_publish_waits_for_the_confirmation() -> None:
    producer = FakeProducer({"texts": 4, "labels": 4})
    producer.outcome = "silent"
    publishing = asyncio.create_task(Publisher(lambda: producer, 5).publish([outgoing()]))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not publishing.done()
    producer.confirmations[0].set_result(None)
    await publishing


async def test_no_confirmation_within_the_deadline_is_fatal() -> None:
    producer = FakeProducer({"texts": 4, "labels": 4})
    producer.outcome = "silent"
    with pytest.raises(BrokerError, match="did not confirm records for labels"):
        await Publisher(lambda: producer, 0.01).publish([outgoing()])


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
        await Publisher(lambda: producer, 5).publish([outgoing("texts.dead")])
    assert mend in told.value.mend
