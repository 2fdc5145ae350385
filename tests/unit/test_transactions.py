"""The producers of all partitions are open, or none is. The doubles stand in for aiokafka's producer."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import (
    InvalidProducerIdMapping,
    InvalidTransactionTimeout,
    KafkaConnectionError,
    KafkaError,
    ProducerFenced,
    TransactionalIdAuthorizationFailed,
)
from aiokafka.structs import OffsetAndMetadata

from stream.deadline import Deadline
from stream.errors import BrokerError, FencedError
from stream.kafka.faust.options import transactional_options
from stream.kafka.faust.transactional_producer import TransactionalProducer
from stream.kafka.permissions import transactional_id
from stream.kafka.transaction_errors import transaction_error
from stream.kafka.transactions import Transactions
from stream.records import Source
from stream.settings import load_settings

FIRST, SECOND = Source("texts", 0), Source("texts", 1)


class FakeProducer:
    """A producer whose start succeeds, fails or never ends, as the test sets it."""

    def __init__(self, broker: "FakeBroker", identity: str) -> None:
        self._broker = broker
        self.identity = identity
        self.calls: list[str] = []

    async def start(self) -> None:
        self.calls.append("start")
        outcomes = self._broker.outcomes.get(self.identity, [])
        outcome = outcomes.pop(0) if outcomes else None
        if outcome == "hangs":
            await asyncio.get_running_loop().create_future()
        if isinstance(outcome, Exception):
            raise outcome

    async def close(self, _deadline: Deadline) -> None:
        self.calls.append("close")

    async def run(self, transaction: Any) -> bool:
        await transaction
        return True

    async def begin(self) -> None:
        self.calls.append("begin")

    async def send_offset(self, source: Source, offset: OffsetAndMetadata, group: str) -> None:
        self.calls.append(f"{source.topic}:{source.partition} at {offset.offset} in {group}")

    async def commit(self) -> None:
        self.calls.append("commit")


class FakeBroker:
    """Creates the producers.

    Attributes:
        producers: the created producers.
        outcomes: the outcomes of the starts, by transactional id.
    """

    def __init__(self, retry_s: float = 60.0) -> None:
        self.producers: list[FakeProducer] = []
        self.outcomes: dict[str, list[Exception | str]] = {}
        self.transactions = Transactions("group", self._new, retry_s=retry_s)

    def _new(self, identity: str) -> Any:
        self.producers.append(FakeProducer(self, identity))
        return self.producers[-1]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeBroker:
    monkeypatch.setattr("stream.kafka.transactions.RETRY_PAUSE_S", 0)
    return FakeBroker()


def test_different_partitions_have_different_transactional_ids() -> None:
    assert transactional_id("g", FIRST) == "g/texts/0"
    assert transactional_id("g/texts", Source("a", 0)) != transactional_id("g", Source("texts-a", 0))
    assert transactional_id("g-texts", Source("a", 0)) != transactional_id("g", Source("texts-a", 0))


async def test_a_producer_is_opened_for_each_partition(fake: FakeBroker) -> None:
    await fake.transactions.open([FIRST, SECOND])
    found: list[Any] = [fake.transactions.of(source) for source in (FIRST, SECOND)]
    assert [producer.identity for producer in found] == ["group/texts/0", "group/texts/1"]
    await fake.transactions.close()
    assert fake.transactions.of(FIRST) is None
    assert [producer.calls for producer in fake.producers] == [["start", "close"]] * 2


async def test_the_producers_of_an_earlier_assignment_are_closed_first(fake: FakeBroker) -> None:
    await fake.transactions.open([FIRST])
    await fake.transactions.open([FIRST])
    assert [producer.calls for producer in fake.producers] == [["start", "close"], ["start"]]


async def test_a_broker_that_is_away_is_tried_again_with_a_new_producer(fake: FakeBroker) -> None:
    fake.outcomes["group/texts/0"] = [KafkaConnectionError()]
    await fake.transactions.open([FIRST])
    assert [producer.calls for producer in fake.producers] == [["start", "close"], ["start"]]


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [
        (InvalidTransactionTimeout(), "transaction.max.timeout.ms of the broker is below 15000"),
        ("hangs", "no answer within 0.05 s"),
    ],
)
async def test_if_one_producer_cannot_be_opened_none_stays_open(
    fake: FakeBroker, outcome: Exception | str, cause: str
) -> None:
    if outcome == "hangs":
        fake = FakeBroker(retry_s=0.05)
    fake.outcomes["group/texts/1"] = [outcome]
    with pytest.raises(BrokerError) as raised:
        await fake.transactions.open([FIRST, SECOND])
    assert raised.value.cause == cause
    assert [producer.calls for producer in fake.producers] == [["start", "close"]] * 2
    assert fake.transactions.of(FIRST) is None


async def test_a_cancelled_opening_closes_its_producers_before_the_next_one(
    fake: FakeBroker,
) -> None:
    fake.outcomes["group/texts/1"] = ["hangs"]
    opening = asyncio.create_task(fake.transactions.open([FIRST, SECOND]))
    for _ in range(10):
        await asyncio.sleep(0)
    assert [producer.calls for producer in fake.producers] == [["start"]] * 2
    opening.cancel()
    await fake.transactions.open([FIRST])
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert [producer.calls for producer in fake.producers] == [*[["start", "close"]] * 2, ["start"]]
    assert fake.transactions.of(FIRST) is not None
    await fake.transactions.close()
    assert fake.transactions.of(FIRST) is None


async def test_start_offsets_are_committed_in_transactions_of_their_own(fake: FakeBroker) -> None:
    await fake.transactions.open([FIRST, SECOND])
    await fake.transactions.commit({SECOND: OffsetAndMetadata(7, "id")})
    assert [p.calls[1:] for p in fake.producers] == [[], ["begin", "texts:1 at 7 in group", "commit"]]


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (ProducerFenced(), FencedError, "another worker has taken over"),
        (InvalidProducerIdMapping(), BrokerError, "transactional.id.expiration.ms"),
        (TransactionalIdAuthorizationFailed("id"), BrokerError, "TransactionalIdAuthorizationFailed"),
    ],
)
def test_an_error_of_the_sender_is_named_although_aiokafka_wraps_it(
    error: Exception, expected: type[Exception], words: str
) -> None:
    wrapped = KafkaError("Unexpected error during batch delivery")
    wrapped.__cause__ = error
    for one in (error, wrapped):
        found = transaction_error(one, FIRST, 5)
        assert isinstance(found, expected)
        assert words in found.cause


# ---- the producer


async def test_a_transaction_ends_with_its_producer() -> None:
    producer = TransactionalProducer(transactional_options(load_settings()), "id", lambda: None)

    async def never() -> None:
        await asyncio.get_running_loop().create_future()

    running = asyncio.create_task(producer.run(never()))
    await asyncio.sleep(0)
    await producer.close(Deadline(1))
    assert not await running
    assert not await producer.run(never())


async def test_the_error_of_a_transaction_is_raised() -> None:
    producer = TransactionalProducer(transactional_options(load_settings()), "id", lambda: None)

    async def fail() -> None:
        raise BrokerError("no")

    with pytest.raises(BrokerError):
        await producer.run(fail())
    await producer.close(Deadline(1))


async def test_a_closed_producer_sends_nothing_more_also_if_the_broker_does_not_answer() -> None:
    producer = TransactionalProducer(transactional_options(load_settings()), "id", lambda: None)

    async def never() -> None:
        await asyncio.get_running_loop().create_future()

    sending = producer.client._sender._sender_task = asyncio.create_task(never())
    producer.client._txn_manager.set_pid_and_epoch(1, 0)
    await producer.begin()
    await producer.close(Deadline(0.05))
    await asyncio.wait({sending}, timeout=1)
    assert sending.cancelled()
