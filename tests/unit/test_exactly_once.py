"""The output and the offset of a batch are committed together, or neither is. Doubles record the calls."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, ProducerFenced
from aiokafka.structs import OffsetAndMetadata

from stream.deadline import Deadline
from stream.errors import BrokerError, Fatal, FencedError
from stream.kafka.batches import RecordBatch
from stream.kafka.delivery import FinishedBatch
from stream.kafka.exactly_once import ExactlyOnce
from stream.kafka.publisher import Publisher, Refused
from stream.kafka.ranges import OffsetRange
from stream.records import Outgoing, Source
from tests.unit.records import SOURCE, FakeRecord

RECORDS: Mapping[str, Sequence[Outgoing]] = {"labels": [FakeRecord(b"v")]}
IN_ORDER = ["begin", "publish labels", "send offset 1042", "commit", "committed 1042"]
# The requests for the offset are sent while the records are published.


class FakeWorker:
    """The producer, the publisher, the consumer's offsets and the owner of the batches in one.

    Attributes:
        calls: the calls in order.
        errors: by call, the error that it raises.
        before: by call, a function that is called first.
        released: True if the partition was revoked.
        topic_exists: False if the topic is not listed.
        in_order: False if the batches are not the next ones of their partition.
        closed: True if the producer was closed.
    """

    def __init__(self, deadline_s: float = 60.0) -> None:
        self.calls: list[str] = []
        self.errors: dict[str, BaseException] = {}
        self.before: dict[str, Callable[[], None]] = {}
        self.refused: Refused = {}
        self.released = False
        self.topic_exists = True
        self.in_order = True
        self.closed = False
        self.draining = False
        self.client = self
        owner: Any = self
        self.batch = RecordBatch(SOURCE, [FakeRecord(b"{}")], OffsetRange(1041, 1042), 1, owner, 0.0)
        double: Any = self
        self.publishers = 0
        self.delivery = ExactlyOnce(
            double, lambda: double, self._new_publisher, group="group", deadline_s=deadline_s
        )

    async def deliver(self) -> bool:
        (delivered,) = await self.delivery.deliver([FinishedBatch(self.batch, RECORDS, self.reject)])
        return delivered

    def _call(self, name: str) -> None:
        self.before.get(name, lambda: None)()
        self.calls.append(name)
        if name in self.errors:
            raise self.errors[name]

    # ---- the producer, and the set of producers

    def of(self, _source: Source) -> Any:
        return None if self.closed else self

    async def run(self, transaction: Any) -> bool:
        await transaction
        return True

    async def begin(self) -> None:
        self._call("begin")

    async def send_offset(self, source: Source, offset: OffsetAndMetadata, group: str) -> None:
        assert (source, offset.metadata, group) == (SOURCE, "topic-id", "group")
        self._call(f"send offset {offset.offset}")

    async def commit(self) -> None:
        self._call("commit")

    async def abort(self, _deadline: Deadline) -> None:
        self._call("abort")

    # ---- the publisher

    def _new_publisher(self, _producer: Callable[[], object]) -> Publisher:
        self.publishers += 1
        publisher: Any = self
        return publisher

    async def publish(
        self, source: str, partition: int, records: Mapping[str, Sequence[Outgoing]]
    ) -> Refused:
        assert (source, partition) == SOURCE
        self._call(f"publish {', '.join(records)}")
        refused, self.refused = self.refused, {}
        return refused

    def reject(self, _refused: Refused) -> Mapping[str, Sequence[Outgoing]]:
        return {"dead": [FakeRecord(b"rejected")]}

    # ---- the offsets, and the owner of the batches

    def are_next(self, _batches: Sequence[RecordBatch]) -> bool:
        return self.in_order

    def metadata(self, _topic: str) -> str | None:
        return "topic-id" if self.topic_exists else None

    def abandon(self, _batches: Sequence[RecordBatch]) -> None:
        self.calls.append("abandoned")

    def on_committed(self, batches: Sequence[RecordBatch], _seconds: float) -> None:
        self.calls.append(f"committed {batches[-1].offset_range.next_offset}")

    def is_released(self, _batch: RecordBatch) -> bool:
        return self.released


@pytest.fixture
async def worker() -> FakeWorker:
    return FakeWorker()


async def test_output_and_offset_are_committed_in_one_transaction(worker: FakeWorker) -> None:
    assert await worker.deliver()
    assert worker.calls == IN_ORDER


async def test_refused_records_become_dead_letters_in_the_same_transaction(worker: FakeWorker) -> None:
    worker.refused = {"labels": [0]}
    assert await worker.deliver()
    assert worker.calls == [*IN_ORDER[:2], "publish dead", *IN_ORDER[2:]]


@pytest.mark.parametrize("failing", range(1, 4))
@pytest.mark.parametrize(
    ("error", "expected"),
    [(ProducerFenced(), FencedError), (KafkaError("no"), BrokerError)],
    ids=["fenced", "refused"],
)
async def test_every_step_that_fails_aborts_the_transaction(
    worker: FakeWorker, failing: int, error: Exception, expected: type[Fatal]
) -> None:
    # The publisher raises the errors of labelstream itself.
    worker.errors[IN_ORDER[failing]] = expected("refused") if failing == 1 else error
    with pytest.raises(expected) as raised:
        await worker.deliver()
    assert worker.calls == [*IN_ORDER[: failing + 1], "abort"]
    if expected is FencedError:
        assert "another worker has taken over the partition" in raised.value.cause


async def test_a_commit_without_an_answer_is_an_error_after_the_deadline() -> None:
    worker = FakeWorker(deadline_s=0.05)

    async def never() -> None:
        await asyncio.get_running_loop().create_future()

    worker.commit = never  # type: ignore[method-assign]
    with pytest.raises(BrokerError, match="did not accept a transaction") as raised:
        await worker.deliver()
    assert raised.value.cause == "no answer within 0.05 s"
    assert worker.calls == [*IN_ORDER[:3], "abort"]


async def test_a_refused_offset_is_named_although_it_keeps_the_records_from_being_published(
    worker: FakeWorker,
) -> None:
    async def refused_later(*_: object) -> Refused:
        for _turn in range(10):
            await asyncio.sleep(0)
        raise BrokerError("not in a transaction")

    worker.publish = refused_later  # type: ignore[method-assign, assignment]
    worker.errors["send offset 1042"] = GroupAuthorizationFailedError("group")
    with pytest.raises(BrokerError) as raised:
        await worker.deliver()
    assert isinstance(raised.value.__cause__, GroupAuthorizationFailedError)
    assert worker.calls == ["begin", "send offset 1042", "abort"]


async def test_a_cancelled_transaction_is_aborted(worker: FakeWorker) -> None:
    worker.errors["publish labels"] = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await worker.deliver()
    assert worker.calls == ["begin", "publish labels", "abort"]


async def test_a_released_batch_is_not_written(worker: FakeWorker) -> None:
    worker.released = True
    assert not await worker.deliver()
    assert worker.calls == []


async def test_a_batch_whose_transaction_was_committed_is_delivered_although_it_was_revoked(
    worker: FakeWorker,
) -> None:
    worker.before["commit"] = lambda: setattr(worker, "released", True)
    assert await worker.deliver()
    assert worker.calls == IN_ORDER


async def test_a_batch_that_is_revoked_while_it_waits_for_its_topic_is_not_written(
    worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.kafka.exactly_once.TOPIC_POLL_S", 0)
    worker.topic_exists = False

    def revoke() -> None:
        worker.topic_exists = worker.released = True

    asyncio.get_running_loop().call_soon(revoke)
    assert not await worker.deliver()
    assert worker.calls == []


async def test_each_producer_has_a_publisher_of_its_own(
    worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        assert await worker.deliver()
    assert worker.publishers == 1
    later = FakeWorker()
    monkeypatch.setattr(worker, "of", lambda _source: later)
    assert await worker.deliver()
    assert worker.publishers == 2


async def test_nothing_is_written_without_an_open_producer(worker: FakeWorker) -> None:
    worker.closed = True
    assert not await worker.deliver()
    assert worker.calls == []


async def test_a_transaction_that_does_not_begin_at_the_first_unfinished_offset_is_an_error_of_the_program(
    worker: FakeWorker,
) -> None:
    worker.in_order = False
    with pytest.raises(Fatal, match="is not in order"):
        await worker.deliver()
    assert worker.calls == []


async def test_the_offset_of_a_deleted_topic_is_not_committed(worker: FakeWorker) -> None:
    worker.topic_exists, worker.draining = False, True
    assert not await worker.deliver()
    assert worker.calls == ["abandoned"]


async def test_a_topic_that_is_missing_for_a_moment_is_waited_for(
    worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.kafka.exactly_once.TOPIC_POLL_S", 0)
    worker.topic_exists = False
    asyncio.get_running_loop().call_soon(setattr, worker, "topic_exists", True)
    assert await worker.deliver()
    assert worker.calls == IN_ORDER
